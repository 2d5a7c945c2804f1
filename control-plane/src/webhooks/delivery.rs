//! Requests to one webhook, one notice after the other, with retries and a signature.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pitwall_fetch::fetcher::Body;
use pitwall_fetch::{Fetcher, Request, source_headers};
use prometheus::IntCounterVec;
use sha2::Sha256;
use tokio::sync::mpsc;

use super::notice::Notice;
use super::{WebhookConfig, WebhookKind};
use crate::clock::Clock;

pub(super) struct Delivery {
    pub(super) config: WebhookConfig,
    pub(super) secret: Option<Vec<u8>>,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) clock: Clock,
    pub(super) notices: mpsc::Receiver<Arc<Notice>>,
    pub(super) counter: IntCounterVec,
}

/// Before each further attempt. What is not delivered by then is old news.
const RETRIES: [Duration; 4] = [
    Duration::from_secs(2),
    Duration::from_secs(8),
    Duration::from_secs(32),
    Duration::from_secs(128),
];
/// A webhook may ask for patience, but not for ever.
const LONGEST_RETRY: Duration = Duration::from_mins(5);

const ID: HeaderName = HeaderName::from_static("x-pitwall-id");
const EVENT: HeaderName = HeaderName::from_static("x-pitwall-event");
const SIGNATURE: HeaderName = HeaderName::from_static("x-pitwall-signature");

/// Why an attempt failed.
struct Failure {
    message: String,
    /// The webhook's own wish.
    after: Option<Duration>,
    again: bool,
}

impl Delivery {
    pub(super) async fn run(mut self) {
        while let Some(notice) = self.notices.recv().await {
            let outcome = if self.deliver(&notice).await { "delivered" } else { "failed" };
            self.counter.with_label_values(&[self.config.name.0.as_str(), outcome]).inc();
        }
    }

    async fn deliver(&self, notice: &Notice) -> bool {
        let mut retries = RETRIES.iter();
        loop {
            let Err(failure) = self.attempt(notice).await else { return true };
            let Failure { message, after, again } = failure;
            let webhook = &self.config.name.0;
            match retries.next().filter(|_| again) {
                Some(wait) => {
                    tracing::info!(webhook, message, "notice not delivered; trying again");
                    tokio::time::sleep(after.map_or(*wait, |it| it.min(LONGEST_RETRY))).await;
                }
                None => {
                    tracing::warn!(webhook, message, "notice not delivered");
                    return false;
                }
            }
        }
    }

    async fn attempt(&self, notice: &Notice) -> Result<(), Failure> {
        let never = |message: String| Failure { message, after: None, again: false };
        let (body, headers) = self.message(notice).map_err(never)?;
        let url = self.config.url.0.clone();
        let policy = self.config.policy();
        let request = Request::post(url, body).source_headers(headers);
        let response = self.fetcher.send(&policy, request).await.map_err(|error| Failure {
            message: self.config.explain(&error),
            after: None,
            again: error.is_transient(),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let after = response.headers().get(header::RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
        Err(Failure {
            message: format!("answered with {}", status.as_u16()),
            after: after.map(Duration::from_secs),
            again: status.is_server_error()
                || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS),
        })
    }

    /// The body and everything around it.
    fn message(&self, notice: &Notice) -> Result<(Body, HeaderMap), String> {
        let configured = self.config.headers.0.iter();
        let configured = configured.map(|(name, value)| (name.as_str(), value.0.as_str()));
        let mut headers = source_headers(configured).map_err(|error| error.to_string())?;
        let event = notice.what.name();
        let (content_type, bytes) = match self.config.kind {
            WebhookKind::Json => {
                let json = serde_json::to_vec(notice).map_err(|error| error.to_string())?;
                ("application/json", Bytes::from(json))
            }
            WebhookKind::Ntfy => {
                headers.insert("title", HeaderValue::from_static("Pitwall"));
                headers.insert("priority", HeaderValue::from_static(event.priority()));
                headers.insert("tags", HeaderValue::from_static(event.as_str()));
                ("text/plain; charset=utf-8", Bytes::from(notice.text.clone()))
            }
        };
        headers.insert(EVENT, HeaderValue::from_static(event.as_str()));
        headers.insert(ID, HeaderValue::from_str(&notice.id).map_err(|error| error.to_string())?);
        if let Some(secret) = &self.secret {
            let signature = signature(secret, self.clock.now().as_second(), &bytes)?;
            let value = HeaderValue::from_str(&signature).map_err(|error| error.to_string())?;
            headers.insert(SIGNATURE, value);
        }
        Ok((Body { content_type: HeaderValue::from_static(content_type), bytes }, headers))
    }
}

/// `t=UNIX SECONDS,v1=HEX` of HMAC-SHA256 over `t.body`: the time is signed too, so that a
/// message that was overheard cannot be sent again later.
pub(super) fn signature(secret: &[u8], time: i64, body: &[u8]) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|error| error.to_string())?;
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    let hex: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("t={time},v1={hex}"))
}
