//! [`check_playability`]: one check of a candidate for `pitwall check`.

use jiff::Timestamp;
use pitwall_fetch::Fetcher;

use crate::check::check_candidate;
use crate::engine::LivenessDetector;
use crate::extract::Candidate;
use crate::source::Source;

/// The labels of the renditions that viewers would get of a candidate, separated by commas.
///
/// # Errors
/// Why the candidate would not be listed, as text for the operator.
pub async fn check_playability(
    fetcher: &Fetcher,
    source: &Source,
    candidate: &Candidate,
) -> Result<String, String> {
    let findings = check_candidate(fetcher, source, candidate).await.and_then(|findings| {
        LivenessDetector::check_first_findings(&findings, &source.check, Timestamp::now())
            .map(|()| findings)
    });
    let findings = findings.map_err(|error| error.to_string())?;
    let labels: Vec<&str> = findings.renditions.iter().map(|one| one.label.as_str()).collect();
    Ok(labels.join(", "))
}
