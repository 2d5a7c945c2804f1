//! [`playable`]: one check for whoever writes a source. Is what it finds worth watching?

use jiff::Timestamp;
use pitwall_fetch::Fetcher;

use crate::check::check;
use crate::engine::Pulse;
use crate::extract::Candidate;
use crate::source::Source;

/// What viewers would get of a candidate, as its renditions are called.
///
/// # Errors
/// Why it would not be listed, for the operator.
pub async fn playable(
    fetcher: &Fetcher,
    source: &Source,
    candidate: &Candidate,
) -> Result<String, String> {
    let checked = check(fetcher, source, candidate).await.and_then(|checked| {
        Pulse::first_look(&checked, &source.check, Timestamp::now()).map(|()| checked)
    });
    let checked = checked.map_err(|error| error.to_string())?;
    let labels: Vec<&str> = checked.renditions.iter().map(|one| one.label.as_str()).collect();
    Ok(labels.join(", "))
}
