//! Drift: the first step of a run whose status, error or output shape differs from the source's
//! last good recording. Values change with every run; their shape does not.

use std::fmt;

use super::trace::TracedStep;

/// The first step that drifted, as recorded and as it went in the current run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    pub recorded: TracedStep,
    /// `None`: the current run did not reach this step.
    pub current: Option<TracedStep>,
}

/// Compares the branches that both traces have: the number of items on a page is not drift.
pub fn find_first_drift(recorded: &[TracedStep], current: &[TracedStep]) -> Option<Drift> {
    let same_branch = |a: &TracedStep, b: &TracedStep| a.track.path == b.track.path;
    for (index, step) in recorded.iter().enumerate() {
        if !current.iter().any(|other| same_branch(step, other)) {
            // The page lists fewer items than when it was recorded, so this branch did not run.
            continue;
        }
        let nth = recorded.iter().take(index).filter(|other| same_branch(step, other)).count();
        let other = current.iter().filter(|other| same_branch(step, other)).nth(nth);
        if other.is_none_or(|other| differs_from_recorded(step, other)) {
            return Some(Drift { recorded: step.clone(), current: other.cloned() });
        }
    }
    None
}

fn differs_from_recorded(recorded: &TracedStep, current: &TracedStep) -> bool {
    recorded.step != current.step
        || recorded.status != current.status
        || recorded.error.is_some() != current.error.is_some()
        || recorded.shape != current.shape
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let branch = &self.recorded.track.name;
        let separator = if branch.is_empty() { "" } else { ": " };
        writeln!(f, "{branch}{separator}{} drifted", self.recorded.step)?;
        writeln!(f, "  then: {}", self.recorded)?;
        match &self.current {
            Some(current) => write!(f, "  now:  {current}"),
            None => write!(f, "  now:  not reached"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::extract::shape;
    use crate::extract::trace::RunBranch;

    /// Each line is `branch step status yielded`; a status that starts with `!` is an error.
    fn steps(lines: &[&str]) -> Vec<TracedStep> {
        let one = |line: &&str| {
            let mut fields = line.split(' ');
            let mut field = || fields.next().unwrap_or_default().to_owned();
            let (branch, step, status, yielded) = (field(), field(), field(), field());
            TracedStep {
                track: RunBranch { path: branch.bytes().map(usize::from).collect(), name: branch },
                step,
                took: Duration::ZERO,
                status: status.parse().ok(),
                matched: None,
                shape: (!yielded.is_empty()).then(|| shape::describe_shape(&yielded)),
                yielded: Some(yielded),
                error: status.starts_with('!').then_some(status),
            }
        };
        lines.iter().map(one).collect()
    }

    #[test]
    fn the_first_step_that_drifted() {
        let recorded =
            ["a get 200 https://a.example/1", "a select - 17", "ab result - https://c/x.m3u8"];
        for (current, expected) in [
            (
                ["a get 200 https://a.example/2", "a select - 9", "ab result - https://c/x.m3u8"],
                None,
            ),
            (
                ["a get 302 https://a.example/1", "a select - 9", "ab result - https://c/x.m3u8"],
                Some("get"),
            ),
            (["a get 200 https://a.example/login", "a select !no", "- - -"], Some("get")),
            (["a get 200 https://a.example/1", "a select !no", "- - -"], Some("select")),
            (["a get 200 https://a.example/1", "a select - none", "- - -"], Some("select")),
            (["a get 200 https://a.example/1", "- - -", "- - -"], Some("select")),
            (["a get 200 https://a.example/1", "a select - 7", "ac result - https://d/"], None),
            (
                ["a get 200 https://a.example/1", "a select - 7", "ab result - https://c/x.mpd"],
                Some("result"),
            ),
        ] {
            let drift = find_first_drift(&steps(&recorded), &steps(&current));
            assert_eq!(drift.map(|drift| drift.recorded.step).as_deref(), expected, "{current:?}");
        }
    }
}
