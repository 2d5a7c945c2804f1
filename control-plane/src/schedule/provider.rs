//! [`Provider`]: somewhere a calendar can be read from.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{StatusCode, header};
use jiff::Timestamp;
use pitwall_fetch::{FetchError, Fetcher, Policy, Request, Response};
use url::Url;

use super::calendar::{Answer, RejectedItem};
use super::settings::PLACE;

#[async_trait]
pub(crate) trait Provider: Send + Sync {
    fn name(&self) -> &'static str;

    /// What a snapshot is tied to: another place's calendar is not this one's last good.
    fn origin(&self) -> String;

    /// Whether what is no longer listed is off. Otherwise it is only not known any more.
    fn drops_cancelled(&self) -> bool {
        true
    }

    async fn fetch(&self, fetcher: &Fetcher, now: Timestamp) -> Result<Answer, ProviderError>;
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", detail.as_ref().unwrap_or(message))]
pub(crate) struct ProviderError {
    /// Public: it names no host and no address.
    pub(crate) message: String,
    /// The same for logs.
    pub(crate) detail: Option<String>,
    pub(crate) fault: Fault,
    /// What it answered, when that was not 200.
    pub(crate) status: Option<StatusCode>,
    /// The provider's own wish.
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No answer, or not the one that was asked for.
    Failed,
    /// It was read, and cannot be true.
    Refused,
    /// Closed to us for now, as it is meant to be.
    Locked,
}

impl Fault {
    /// As metrics call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Locked => "locked",
        }
    }
}

impl ProviderError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        let (message, fault) = (message.into(), Fault::Failed);
        Self { message, detail: None, fault, status: None, retry_after: None }
    }

    pub(crate) fn refused(why: impl std::fmt::Display) -> Self {
        Self { fault: Fault::Refused, ..Self::new(format!("refused: {why}")) }
    }
}

impl From<FetchError> for ProviderError {
    fn from(error: FetchError) -> Self {
        Self { detail: Some(error.operator(PLACE)), ..Self::new(error.public()) }
    }
}

/// The rows of an answer, each read by itself: one that is not what it should be costs only itself.
/// `what` they are, `read` each of them.
///
/// # Errors
///
/// Most are not what they should be, so that the answer is another one than was asked for.
pub(crate) fn rows<T>(
    what: &str,
    rows: Vec<serde_json::Value>,
    read: impl Fn(serde_json::Value) -> Result<T, String>,
) -> Result<(Vec<T>, Vec<RejectedItem>), ProviderError> {
    let (count, mut good, mut rejected) = (rows.len(), Vec::new(), Vec::new());
    for (row, number) in rows.into_iter().zip(1..) {
        match read(row) {
            Ok(row) => good.push(row),
            Err(why) => {
                let message = format!("number {number} of the {what}: {why}");
                rejected.push(RejectedItem::unknown(message));
            }
        }
    }
    match rejected.first() {
        Some(first) if rejected.len() * 2 > count => {
            let message =
                format!("{} of {count} {what} cannot be read: {}", rejected.len(), first.message);
            Err(ProviderError::new(message))
        }
        _ => Ok((good, rejected)),
    }
}

const MAX_BODY: usize = 4 << 20;

/// The body of a 200.
pub(crate) async fn get(
    fetcher: &Fetcher,
    policy: &Policy,
    url: Url,
    now: Timestamp,
) -> Result<Bytes, ProviderError> {
    let response = fetcher.send(policy, Request::get(url)).await?;
    if response.status() != StatusCode::OK {
        let status = response.status();
        return Err(ProviderError {
            status: Some(status),
            retry_after: retry_after(&response, now),
            ..ProviderError::new(format!("the provider answered {}", status.as_u16()))
        });
    }
    Ok(response.bytes(MAX_BODY).await?)
}

/// Seconds or a date.
fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Duration::try_from(until.duration_since(now)).ok()
}
