//! [`check_playability`]: whether a candidate plays, for `pitwall check --deep` and `extract --check`.

use std::time::Duration;

use jiff::Timestamp;
use pitwall_fetch::Fetcher;

use crate::check::{
    CheckError, CheckFailureKind, CheckFindings, check_candidate, recheck_candidate,
};
use crate::engine::LivenessDetector;
use crate::extract::Candidate;
use crate::source::{CheckRules, Source};

/// Checks a candidate until its playlist has advanced, which takes up to three target durations.
/// Returns the labels of the renditions that viewers would get, separated by commas.
///
/// # Errors
/// Why the candidate would not be listed, as text for the operator.
pub async fn check_playability(
    fetcher: &Fetcher,
    source: &Source,
    candidate: &Candidate,
) -> Result<String, String> {
    let checked = async {
        let first = check_candidate(fetcher, source, candidate).await?;
        let recheck = || recheck_candidate(fetcher, source, candidate, &first);
        wait_for_advance(&first, &source.check, recheck).await?;
        Ok(first)
    };
    let findings = checked.await.map_err(|error: CheckError| error.to_string())?;
    let labels: Vec<&str> = findings.renditions.iter().map(|one| one.label.as_str()).collect();
    Ok(labels.join(", "))
}

/// Checks again, twice in a target duration, until a rendition has advanced since `first`.
async fn wait_for_advance<Recheck>(
    first: &CheckFindings,
    rules: &CheckRules,
    mut recheck: impl FnMut() -> Recheck,
) -> Result<(), CheckError>
where
    Recheck: Future<Output = Result<CheckFindings, CheckError>>,
{
    LivenessDetector::check_first_findings(first, rules, Timestamp::now())?;
    let pause = (first.live_edge.target_duration / 2).max(RECHECK_MIN_PAUSE);
    let mut detector = LivenessDetector::new();
    detector.observe(first, rules, Timestamp::now())?;
    loop {
        tokio::time::sleep(pause).await;
        let findings = recheck().await?;
        if has_advanced(first, &findings) {
            return Ok(());
        }
        match detector.observe(&findings, rules, Timestamp::now()) {
            Err(error) if error.kind != CheckFailureKind::Late => return Err(error),
            _ => {}
        }
    }
}

/// For target durations of a part of a second.
const RECHECK_MIN_PAUSE: Duration = Duration::from_millis(500);

/// Whether a rendition has another live edge, which may be an earlier one after a restart.
fn has_advanced(first: &CheckFindings, later: &CheckFindings) -> bool {
    let before = |id| first.live_edges.iter().find(|(known, _)| known == id);
    later.live_edges.iter().any(|(id, edge)| {
        before(id).is_some_and(|(_, before)| {
            (before.last_sequence, before.ends_at) != (edge.last_sequence, edge.ends_at)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_at(sequence: u64) -> CheckFindings {
        let rendition = serde_json::json!({
            "id": "v", "role": "video", "playlist": "https://a.example/m.m3u8",
            "container": "mpeg-ts", "label": "Live", "bandwidth": 3_000_000,
        });
        let mut findings =
            CheckFindings::of(vec![serde_json::from_value(rendition).unwrap()], sequence);
        findings.live_edge.target_duration = Duration::from_secs(6);
        findings.live_edges[0].1 = findings.live_edge;
        findings
    }

    #[tokio::test(start_paused = true)]
    async fn a_playlist_that_stands_still_does_not_play() {
        for (later, expected, seconds) in [
            (vec![Ok(8)], "", 3),
            (vec![Ok(7), Ok(7), Ok(7), Ok(8)], "", 12),
            (vec![Ok(3)], "", 3),
            (vec![Ok(7)], "the playlist has not moved for 18 s", 18),
            (vec![Ok(7), Err(())], "answered with 403", 6),
        ] {
            let began = tokio::time::Instant::now();
            let mut rechecks = later.iter().chain(std::iter::repeat(later.last().unwrap()));
            let recheck = || {
                let found = rechecks.next().unwrap().map(findings_at);
                async move { found.map_err(|()| CheckError::permanent("answered with 403")) }
            };
            let outcome = wait_for_advance(&findings_at(7), &CheckRules::default(), recheck).await;
            let text = outcome.map_or_else(|error| error.to_string(), |()| String::new());
            assert_eq!(
                (text.as_str(), began.elapsed().as_secs()),
                (expected, seconds),
                "{later:?}"
            );
        }
    }
}
