//! [`AccessDetails`]: what the line of a request in the access log says of the stream, its source
//! and the cache. The log is off unless `[log] access` is on, and then nothing is gathered for it.

use std::time::Duration;

use crate::metrics::RouteLabel;

/// The target of the lines, by which `[log] level` turns them on and off.
pub const ACCESS_LOG_TARGET: &str = "pitwall::access";

/// Whether lines are written: a look at an atomic variable.
pub fn is_access_log_enabled() -> bool {
    tracing::enabled!(target: ACCESS_LOG_TARGET, tracing::Level::INFO)
}

/// What handlers tell of a request for its line.
#[derive(Debug, Default)]
pub struct AccessDetails {
    /// The id of a stream of the map, and nothing that only a client has said.
    pub stream: Option<String>,
    pub source: Option<String>,
    /// Where the response came from: a cache result of a segment; of a playlist `hit` if it was
    /// fetched before the request came, and `miss` if the request has waited for it.
    pub result: Option<&'static str>,
}

/// One line of the log.
pub struct AccessLine<'a> {
    pub request_id: &'a str,
    pub trace_id: u128,
    pub client: Option<std::net::IpAddr>,
    pub method: &'a str,
    pub route: RouteLabel,
    pub details: &'a AccessDetails,
    /// 0 if no response was sent.
    pub status: u16,
    pub bytes: u64,
    /// The transfer has broken off.
    pub is_aborted: bool,
    pub first_byte: Option<Duration>,
    pub duration: Duration,
}

impl AccessLine<'_> {
    /// Neither path nor query is in the line, as they hold seals, tokens and keys.
    pub fn write(&self) {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        tracing::info!(
            target: ACCESS_LOG_TARGET,
            request_id = self.request_id,
            trace_id = format_args!("{:032x}", self.trace_id),
            client = self.client.map_or_else(|| "-".to_owned(), |client| client.to_string()),
            method = self.method,
            route = self.route.template(),
            stream = text(&self.details.stream),
            source = text(&self.details.source),
            status = self.status,
            bytes = self.bytes,
            result = self.details.result.unwrap_or("-"),
            aborted = self.is_aborted,
            first_byte_ms = self.first_byte.map(milliseconds),
            duration_ms = milliseconds(self.duration),
        );
    }
}
