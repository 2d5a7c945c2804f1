//! [`send_alert`]: sends an alert to one webhook, signed. [`DeliveryWorker`]: sends the alerts of one
//! webhook in order, with retries.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pitwall_fetch::RequestBody;
use pitwall_fetch::{Fetcher, Request, parse_source_headers};
use prometheus::IntCounterVec;
use sha2::Sha256;
use tokio::sync::mpsc;

use super::{Webhook, WebhookKind};
use crate::clock::Clock;
use crate::model::alert::Alert;

pub(super) struct DeliveryWorker {
    pub(super) webhook: Webhook,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) clock: Clock,
    pub(super) alerts: mpsc::Receiver<Arc<Alert>>,
    pub(super) alert_counter: IntCounterVec,
}

/// Delays before the retries of an alert; after the last retry the alert is dropped as outdated.
const RETRY_DELAYS: [Duration; 4] = [
    Duration::from_secs(2),
    Duration::from_secs(8),
    Duration::from_secs(32),
    Duration::from_secs(128),
];
/// Upper bound of a Retry-After that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

const ID_HEADER: HeaderName = HeaderName::from_static("x-pitwall-id");
const EVENT_HEADER: HeaderName = HeaderName::from_static("x-pitwall-event");
const SIGNATURE_HEADER: HeaderName = HeaderName::from_static("x-pitwall-signature");

/// Why an attempt failed.
pub(super) struct DeliveryFailure {
    pub(super) message: String,
    /// The webhook's Retry-After.
    retry_after: Option<Duration>,
    is_retryable: bool,
}

impl DeliveryWorker {
    pub(super) async fn run(mut self) {
        while let Some(alert) = self.alerts.recv().await {
            let outcome = if self.deliver(&alert).await { "delivered" } else { "failed" };
            self.alert_counter
                .with_label_values(&[self.webhook.config.name.0.as_str(), outcome])
                .inc();
        }
    }

    async fn deliver(&self, alert: &Alert) -> bool {
        let mut retries = RETRY_DELAYS.iter();
        loop {
            let sent = send_alert(&self.webhook, &self.fetcher, &self.clock, alert).await;
            let Err(failure) = sent else { return true };
            let DeliveryFailure { message, retry_after, is_retryable } = failure;
            let webhook = &self.webhook.config.name.0;
            match retries.next().filter(|_| is_retryable) {
                Some(delay) => {
                    tracing::info!(
                        webhook,
                        message,
                        "the alert was not delivered; the delivery is retried"
                    );
                    tokio::time::sleep(retry_after.map_or(*delay, |it| it.min(RETRY_AFTER_MAX)))
                        .await;
                }
                None => {
                    tracing::warn!(
                        webhook,
                        message,
                        "the alert was not delivered and is dropped; check the webhook"
                    );
                    return false;
                }
            }
        }
    }
}

/// Sends an alert once; gives the webhook's status.
pub(super) async fn send_alert(
    webhook: &Webhook,
    fetcher: &Fetcher,
    clock: &Clock,
    alert: &Alert,
) -> Result<StatusCode, DeliveryFailure> {
    let permanent =
        |message: String| DeliveryFailure { message, retry_after: None, is_retryable: false };
    let (body, headers) = webhook.build_message(clock, alert).map_err(permanent)?;
    let url = webhook.config.url.0.clone();
    let policy = webhook.config.fetch_policy();
    let request = Request::post(url, body).with_source_headers(headers);
    let response = fetcher.send(&policy, request).await.map_err(|error| DeliveryFailure {
        message: webhook.config.explain_fetch_error(&error),
        retry_after: None,
        is_retryable: error.is_transient(),
    })?;
    let status = response.status();
    if status.is_success() {
        return Ok(status);
    }
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    Err(DeliveryFailure {
        message: format!("answered with {}", status.as_u16()),
        retry_after: retry_after.map(Duration::from_secs),
        is_retryable: status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS),
    })
}

impl Webhook {
    /// The body and the header fields of a message.
    fn build_message(
        &self,
        clock: &Clock,
        alert: &Alert,
    ) -> Result<(RequestBody, HeaderMap), String> {
        let configured = self.config.headers.0.iter();
        let configured = configured.map(|(name, value)| (name.as_str(), value.0.as_str()));
        let mut headers = parse_source_headers(configured).map_err(|error| error.to_string())?;
        let event = alert.what.event_name();
        let (content_type, bytes) = match self.config.kind {
            WebhookKind::Json => {
                let json = serde_json::to_vec(alert).map_err(|error| error.to_string())?;
                ("application/json", Bytes::from(json))
            }
            WebhookKind::Ntfy => {
                headers.insert("title", HeaderValue::from_static("Pitwall"));
                headers.insert("priority", HeaderValue::from_static(event.priority()));
                headers.insert("tags", HeaderValue::from_static(event.as_str()));
                ("text/plain; charset=utf-8", Bytes::from(alert.text.clone()))
            }
        };
        headers.insert(EVENT_HEADER, HeaderValue::from_static(event.as_str()));
        headers.insert(
            ID_HEADER,
            HeaderValue::from_str(&alert.id).map_err(|error| error.to_string())?,
        );
        if let Some(secret) = &self.secret {
            let signature = sign_body(secret, clock.now().as_second(), &bytes)?;
            let value = HeaderValue::from_str(&signature).map_err(|error| error.to_string())?;
            headers.insert(SIGNATURE_HEADER, value);
        }
        Ok((RequestBody { content_type: HeaderValue::from_static(content_type), bytes }, headers))
    }
}

/// `t=UNIX SECONDS,v1=HEX` of HMAC-SHA256 over `t.body`: the time is signed too, so that an
/// intercepted message cannot be replayed later.
pub(super) fn sign_body(secret: &[u8], time: i64, body: &[u8]) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|error| error.to_string())?;
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    let hex: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("t={time},v1={hex}"))
}
