//! What changed at a source since its last good recording: the first step that no longer goes
//! as it went. Values change with every run; their form does not.

use std::fmt;

use super::trace::TracedStep;

/// The first step that drifted, as it went then and as it goes now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    pub then: TracedStep,
    /// `None`: the run did not get here.
    pub now: Option<TracedStep>,
}

/// Compares the runs that both traces know; how many things a page lists is not drift.
pub fn first_drift(then: &[TracedStep], now: &[TracedStep]) -> Option<Drift> {
    let same_place = |a: &TracedStep, b: &TracedStep| a.track.path == b.track.path;
    for (index, step) in then.iter().enumerate() {
        if !now.iter().any(|other| same_place(step, other)) {
            // A branch that is not there any more, while its page still lists others.
            continue;
        }
        let nth = then.iter().take(index).filter(|other| same_place(step, other)).count();
        let other = now.iter().filter(|other| same_place(step, other)).nth(nth);
        if other.is_none_or(|other| drifted(step, other)) {
            return Some(Drift { then: step.clone(), now: other.cloned() });
        }
    }
    None
}

fn drifted(then: &TracedStep, now: &TracedStep) -> bool {
    then.step != now.step
        || then.status != now.status
        || then.error.is_some() != now.error.is_some()
        || then.shape != now.shape
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let track = &self.then.track.name;
        let separator = if track.is_empty() { "" } else { ": " };
        writeln!(f, "{track}{separator}{} drifted", self.then.step)?;
        writeln!(f, "  then: {}", self.then)?;
        match &self.now {
            Some(now) => write!(f, "  now:  {now}"),
            None => write!(f, "  now:  not reached"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::extract::shape;
    use crate::extract::trace::Track;

    /// `track step status yielded`, with `!` for a failure.
    fn steps(lines: &[&str]) -> Vec<TracedStep> {
        let one = |line: &&str| {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default().to_owned();
            let (track, step, status, yielded) = (word(), word(), word(), word());
            TracedStep {
                track: Track { path: track.bytes().map(usize::from).collect(), name: track },
                step,
                took: Duration::ZERO,
                status: status.parse().ok(),
                matched: None,
                shape: (!yielded.is_empty()).then(|| shape::of(&yielded)),
                yielded: Some(yielded),
                error: status.starts_with('!').then_some(status),
            }
        };
        lines.iter().map(one).collect()
    }

    #[test]
    fn the_first_step_that_drifted() {
        let then =
            ["a get 200 https://a.example/1", "a select - 17", "ab result - https://c/x.m3u8"];
        for (now, expected) in [
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
            let drift = first_drift(&steps(&then), &steps(&now));
            assert_eq!(drift.map(|drift| drift.then.step).as_deref(), expected, "{now:?}");
        }
    }
}
