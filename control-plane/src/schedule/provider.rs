//! [`Provider`]: a source of the schedule, and what all providers share to read it.

use std::time::Duration;

use async_trait::async_trait;
use http::{StatusCode, header};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use pitwall_fetch::{AddressPolicy, FetchError, Fetcher, Request, Response};
use url::Url;

use super::calendar::{ProviderResponse, RejectedItem};
use super::settings::CONFIG_SECTION;
use crate::charset;
use crate::compressed;

#[async_trait]
pub(crate) trait Provider: Send + Sync {
    fn name(&self) -> &'static str;

    /// The configured URL or path. A stored snapshot of another origin is not used as this
    /// provider's last good calendar.
    fn location(&self) -> String;

    /// Whether a session that is no longer listed is cancelled. If not, it is only unknown.
    fn is_omission_cancellation(&self) -> bool {
        true
    }

    /// Fetches and parses the calendar around `now`.
    async fn fetch_calendar(
        &self,
        fetcher: &Fetcher,
        now: Timestamp,
    ) -> Result<ProviderResponse, ProviderError>;
}

/// Why a provider's calendar could not be read or used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", detail.as_ref().unwrap_or(message))]
pub(crate) struct ProviderError {
    /// Public, so that it names no host and no address.
    pub(crate) message: String,
    /// The message for logs, if it says more.
    pub(crate) detail: Option<String>,
    pub(crate) fault: ProviderFault,
    /// The status of the response, if it was not 200.
    pub(crate) status: Option<StatusCode>,
    /// The Retry-After of the response.
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProviderFault {
    /// No response, or one that cannot be read.
    Failed,
    /// The response was read, and cannot be true.
    Implausible,
    /// The provider refuses requests for now, as it does while a session is live.
    Locked,
}

impl ProviderFault {
    /// The value of the metrics' label `result`.
    pub(crate) fn metric_label(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Implausible => "refused",
            Self::Locked => "locked",
        }
    }
}

impl ProviderError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        let (message, fault) = (message.into(), ProviderFault::Failed);
        Self { message, detail: None, fault, status: None, retry_after: None }
    }

    pub(crate) fn implausible(why: impl std::fmt::Display) -> Self {
        Self { fault: ProviderFault::Implausible, ..Self::new(format!("refused: {why}")) }
    }
}

impl From<FetchError> for ProviderError {
    fn from(error: FetchError) -> Self {
        Self { detail: Some(error.operator_text(CONFIG_SECTION)), ..Self::new(error.public_text()) }
    }
}

/// Parses the rows of a response one by one with `read`, so that a malformed row does not affect
/// the others. `what` names the rows in messages.
///
/// # Errors
///
/// More than half of the rows are malformed, so that the response has another format than expected.
pub(crate) fn read_rows<T>(
    what: &str,
    rows: Vec<serde_json::Value>,
    read: impl Fn(serde_json::Value) -> Result<T, String>,
) -> Result<(Vec<T>, Vec<RejectedItem>), ProviderError> {
    let (count, mut parsed, mut rejected) = (rows.len(), Vec::new(), Vec::new());
    for (row, number) in rows.into_iter().zip(1..) {
        match read(row) {
            Ok(row) => parsed.push(row),
            Err(why) => {
                let message = format!("number {number} of the {what}: {why}");
                rejected.push(RejectedItem::of_unknown_meeting(message));
            }
        }
    }
    match rejected.first() {
        Some(first) if rejected.len() * 2 > count => {
            let message =
                format!("{} of {count} {what} cannot be read: {}", rejected.len(), first.message);
            Err(ProviderError::new(message))
        }
        _ => Ok((parsed, rejected)),
    }
}

/// Parses a date and time, which are in UTC where no offset is written.
pub(crate) fn parse_utc(text: &str) -> Option<Timestamp> {
    let local = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(local)
}

const BODY_MAX_BYTES: usize = 4 << 20;

/// Fetches `url` and returns the body of a success as text.
///
/// # Errors
/// No response, another status, or a body that is larger than `BODY_MAX_BYTES` or cannot be
/// decompressed.
pub(crate) async fn fetch_text(
    fetcher: &Fetcher,
    policy: &AddressPolicy,
    url: Url,
    now: Timestamp,
) -> Result<String, ProviderError> {
    let response = fetcher.send(policy, Request::get(url)).await?;
    if !response.status().is_success() {
        let status = response.status();
        return Err(ProviderError {
            status: Some(status),
            retry_after: parse_retry_after(&response, now),
            ..ProviderError::new(format!("the provider answered {}", status.as_u16()))
        });
    }
    let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
    let body = response.bytes(BODY_MAX_BYTES).await?;
    decode_body(&body, content_type.as_ref().and_then(|value| value.to_str().ok()))
}

/// The text of a body or file, which may be compressed.
pub(crate) fn decode_body(
    bytes: &[u8],
    content_type: Option<&str>,
) -> Result<String, ProviderError> {
    let text = compressed::decompress(bytes, &[".ics"], BODY_MAX_BYTES);
    Ok(charset::decode_body(&text.map_err(ProviderError::new)?, content_type))
}

/// The delay of Retry-After, which is a number of seconds or a date (RFC 9110, section 10.2.3).
fn parse_retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Duration::try_from(until.duration_since(now)).ok()
}
