//! [`DenialLog`]: log lines that name the configuration key which would allow a target that the
//! address policy forbids. Responses do not say why a target is denied, so that no client can map
//! the network.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pitwall_fetch::{FetchError, PolicyDenial};
use tokio::time::Instant;
use url::{Position, Url};

/// The same line is logged once within this window, and at most [`LOG_WINDOW_MAX_LINES`] in all, as
/// any client can request denied targets as often as it likes.
const LOG_WINDOW: Duration = Duration::from_mins(1);
const LOG_WINDOW_MAX_LINES: usize = 20;

/// The lines of the current window, with when each was logged.
#[derive(Clone, Default)]
pub struct DenialLog(Arc<Mutex<HashMap<String, Instant>>>);

impl DenialLog {
    /// Logs why a target is denied, unless that was logged within the window.
    pub fn log_denial(&self, why: String) {
        if self.record_if_new(&why) {
            tracing::warn!("a target is refused: {why}");
        }
    }

    fn record_if_new(&self, why: &str) -> bool {
        let now = Instant::now();
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logged.retain(|_, logged_at| now.duration_since(*logged_at) < LOG_WINDOW);
        if logged.len() >= LOG_WINDOW_MAX_LINES || logged.contains_key(why) {
            return false;
        }
        logged.insert(why.to_owned(), now);
        true
    }
}

/// Why the target of a plain `url=` is denied, and the key that would allow it.
///
/// `is_named`: whether `[upstream] allow_hosts` has the host of `url`.
pub(crate) fn explain_plain_denial(error: &FetchError, url: &Url, is_named: bool) -> String {
    let Some(denial) = error.denial() else { return error.to_string() };
    let host = allow_hosts_line(url);
    match denial {
        // The port is that of a redirect's target, whose host is another than that of `url`.
        PolicyDenial::Port(port) if !error.is_denied() => format!(
            "a redirect leads to port {port}, which is neither 80 nor 443: its host and port in \
             [upstream] allow_hosts allow it"
        ),
        _ if !error.is_denied() => error
            .operator_text("together with the redirect's host in allow_hosts, both in [upstream],"),
        PolicyDenial::Port(port) => {
            format!("port {port} is neither 80 nor 443: {host} in [upstream] allows it")
        }
        _ if is_named => error.operator_text("in [upstream]"),
        _ => error.operator_text(&format!("together with {host} in [upstream]")),
    }
}

/// Why a plain `url=` is denied whose host is not in `[upstream] allow_hosts`.
pub(crate) fn explain_unlisted_host(url: &Url) -> String {
    let host = allow_hosts_line(url);
    format!("{} is not in allow_hosts: {host} in [upstream] allows it", authority(url))
}

/// Why a plain `url=` is denied that is to be fetched as `source`, which has no upstream at its
/// host.
pub(crate) fn explain_foreign_host(url: &Url, source: &str) -> String {
    let host = authority(url);
    format!("source {source:?} plays nothing at {host}, so its headers are not sent there")
}

fn allow_hosts_line(url: &Url) -> String {
    format!("allow_hosts = [\"{}\"]", authority(url))
}

/// Host and port of a URL, the rest of which may hold tokens.
fn authority(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_denial_is_logged_once_a_minute_and_their_number_is_limited() {
        let log = DenialLog::default();
        assert!(log.record_if_new("a") && !log.record_if_new("a") && log.record_if_new("b"));
        let logged = (0..1000).filter(|n| log.record_if_new(&n.to_string())).count();
        assert_eq!(logged, LOG_WINDOW_MAX_LINES - 2);
        tokio::time::advance(LOG_WINDOW).await;
        assert!(log.record_if_new("a"));
        assert_eq!(log.0.lock().unwrap().len(), 1, "lines of earlier windows are dropped");
    }
}
