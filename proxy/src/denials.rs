//! [`DenialLog`]: which key would allow what the address policy forbids. Viewers are told nothing
//! of it, so that answers map no networks; the operator finds it in the log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pitwall_fetch::{Denial, FetchError};
use tokio::time::Instant;
use url::{Position, Url};

/// Anybody can ask for a target that is denied, as often as they like: the same line is written
/// once within this, and so are at most [`LINES`] of any kind.
const PERIOD: Duration = Duration::from_mins(1);
const LINES: usize = 20;

#[derive(Clone, Default)]
pub struct DenialLog(Arc<Mutex<HashMap<String, Instant>>>);

impl DenialLog {
    pub fn report(&self, why: String) {
        if self.is_due(&why) {
            tracing::warn!("a target is refused: {why}");
        }
    }

    fn is_due(&self, why: &str) -> bool {
        let now = Instant::now();
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, at| now.duration_since(*at) < PERIOD);
        if written.len() >= LINES || written.contains_key(why) {
            return false;
        }
        written.insert(why.to_owned(), now);
        true
    }
}

/// For what an operator's own link leads to: `is_named` says whether `[upstream] allow_hosts` has
/// the host of `url`.
pub(crate) fn explain_plain(error: &FetchError, url: &Url, is_named: bool) -> String {
    let Some(denial) = error.denial() else { return error.to_string() };
    let host = allow_host(url);
    match denial {
        // Where a redirect leads, which is another host than that of `url`.
        Denial::Port(port) if !error.is_denied() => format!(
            "a redirect leads to port {port}, which is neither 80 nor 443: its host and port in \
             [upstream] allow_hosts allow it"
        ),
        _ if !error.is_denied() => {
            error.operator("together with the redirect's host in allow_hosts, both in [upstream],")
        }
        Denial::Port(port) => {
            format!("port {port} is neither 80 nor 443: {host} in [upstream] allows it")
        }
        _ if is_named => error.operator("in [upstream]"),
        _ => error.operator(&format!("together with {host} in [upstream]")),
    }
}

/// For a plain `url=` whose host nobody named.
pub(crate) fn explain_unnamed(url: &Url) -> String {
    let host = allow_host(url);
    format!("{} is not in allow_hosts: {host} in [upstream] allows it", authority(url))
}

/// For a plain `url=` in the name of a source that does not play there.
pub(crate) fn explain_elsewhere(url: &Url, source: &str) -> String {
    let host = authority(url);
    format!("source {source:?} plays nothing at {host}, so its headers are not sent there")
}

fn allow_host(url: &Url) -> String {
    format!("allow_hosts = [\"{}\"]", authority(url))
}

/// Host and port alone: the rest of a URL may hold tokens.
fn authority(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_denial_is_written_once_a_minute_and_not_all_of_them() {
        let log = DenialLog::default();
        assert!(log.is_due("a") && !log.is_due("a") && log.is_due("b"));
        let written = (0..1000).filter(|n| log.is_due(&n.to_string())).count();
        assert_eq!(written, LINES - 2);
        tokio::time::advance(PERIOD).await;
        assert!(log.is_due("a"));
        assert_eq!(log.0.lock().unwrap().len(), 1, "nothing is remembered for ever");
    }
}
