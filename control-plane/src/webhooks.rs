//! Sends alerts to the operator's webhooks: `[[webhook]]`.
//!
//! - [`alert`](crate::model::alert): the alerts.
//! - [`delivery`]: requests, retries and signatures.
//! - [`notification_test`]: whether each webhook takes an alert.
//!
//! Each webhook has its own queue, so that one that hangs blocks neither the others nor the control
//! plane. An alert that does not fit a queue is counted and dropped.

mod delivery;
mod notification_test;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pitwall_fetch::{AddressPolicy, FetchError, Fetcher, PolicyDenial, PrivateRange};
use prometheus::{IntCounterVec, Opts, Registry};
use serde::Deserialize;
use tokio::sync::mpsc;

use self::delivery::{DeliveryWorker, WebhookClient};
pub(crate) use self::notification_test::{NotificationTest, WebhookTestResults};
use crate::clock::Clock;
use crate::model::alert::{Alert, EventName};
use crate::settings::{HeaderTable, HeaderText, HttpUrl, SourceName};

/// One `[[webhook]]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Name of the webhook in metrics and logs.
    pub name: SourceName,
    pub url: HttpUrl,
    #[serde(default)]
    pub kind: WebhookKind,
    /// Events to send; all by default.
    pub events: Option<Vec<EventName>>,
    /// File of the secret that signs each message.
    pub secret_file: Option<PathBuf>,
    #[serde(default)]
    pub headers: HeaderTable<HeaderText>,
    #[serde(default)]
    pub allow_private: Vec<PrivateRange>,
}

/// Format of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookKind {
    #[default]
    Json,
    /// [ntfy](https://ntfy.sh), hosted or own server: a text, with title and priority in header
    /// fields.
    Ntfy,
}

impl WebhookConfig {
    /// The address policy of requests to this webhook.
    fn fetch_policy(&self) -> AddressPolicy {
        AddressPolicy {
            allow_private: self.allow_private.iter().map(|range| range.0).collect(),
            ports: self.url.0.port().into_iter().collect(),
        }
    }

    /// Why the address policy denies the webhook's URL, whatever addresses its name resolves to,
    /// with the key that would allow the URL.
    pub fn denial(&self) -> Option<String> {
        let error = self.fetch_policy().check_url(&self.url.0).err()?;
        error.is_denied().then(|| self.explain_fetch_error(&error))
    }

    fn explain_fetch_error(&self, error: &FetchError) -> String {
        match error.denial() {
            // The URL's own port is always allowed, and no key allows another port of a redirect.
            Some(PolicyDenial::Port(port)) => {
                format!("it redirects to port {port}, which is neither 80 nor 443 nor that of url")
            }
            _ => error.operator_text(&format!("in webhook {:?}", self.name.0)),
        }
    }
}

/// The secret of a webhook cannot be read or is too short.
#[derive(Debug, thiserror::Error)]
#[error("webhook {name:?}: secret_file: {}: {why}", path.display())]
pub struct WebhookError {
    pub name: String,
    pub path: PathBuf,
    pub why: String,
}

/// How many alerts a queue holds: a failing network makes alerts for every stream and source at
/// once.
const ALERT_QUEUE_CAPACITY: usize = 1024;
const SECRET_MIN_BYTES: usize = 32;

/// Queues alerts without waiting.
#[derive(Clone)]
pub(crate) struct Notifier {
    webhooks: Arc<[(WebhookConfig, mpsc::Sender<Arc<Alert>>)]>,
    alert_counter: IntCounterVec,
}

/// The tasks that deliver queued alerts.
pub(crate) struct WebhookDeliveries(Vec<DeliveryWorker>);

/// Registers the counter of alerts by webhook and outcome.
///
/// # Errors
/// The counter is already registered in `registry`.
pub(crate) fn register_alert_counter(registry: &Registry) -> prometheus::Result<IntCounterVec> {
    let alert_counter = IntCounterVec::new(
        Opts::new("pitwall_webhook_alerts_total", "Alerts by webhook and outcome of the delivery."),
        &["webhook", "outcome"],
    )?;
    registry.register(Box::new(alert_counter.clone()))?;
    Ok(alert_counter)
}

/// # Errors
/// The secret of a webhook cannot be read or is too short.
pub(crate) fn configure(
    configs: Vec<WebhookConfig>,
    fetcher: &Arc<Fetcher>,
    clock: &Clock,
    alert_counter: IntCounterVec,
) -> Result<(Notifier, WebhookDeliveries), WebhookError> {
    let mut deliveries = Vec::new();
    let mut webhooks = Vec::new();
    for config in configs {
        // All series exist from the start, as an alerting rule does not fire on an absent series.
        for outcome in ["delivered", "failed", "dropped"] {
            alert_counter.with_label_values(&[config.name.0.as_str(), outcome]);
        }
        let secret = config.secret_file.as_deref().map(|path| read_secret(&config.name.0, path));
        let (sender, receiver) = mpsc::channel(ALERT_QUEUE_CAPACITY);
        let client = WebhookClient {
            config: config.clone(),
            secret: secret.transpose()?,
            fetcher: fetcher.clone(),
            clock: clock.clone(),
        };
        deliveries.push(DeliveryWorker {
            client: Arc::new(client),
            alerts: receiver,
            alert_counter: alert_counter.clone(),
        });
        webhooks.push((config, sender));
    }
    Ok((Notifier { webhooks: webhooks.into(), alert_counter }, WebhookDeliveries(deliveries)))
}

fn read_secret(name: &str, path: &Path) -> Result<Vec<u8>, WebhookError> {
    let error = |why: String| WebhookError { name: name.to_owned(), path: path.to_owned(), why };
    let text = std::fs::read(path).map_err(|cause| error(cause.to_string()))?;
    let secret = text.trim_ascii();
    if secret.len() < SECRET_MIN_BYTES {
        return Err(error(format!("holds less than {SECRET_MIN_BYTES} bytes")));
    }
    Ok(secret.to_owned())
}

impl Notifier {
    pub(crate) fn notify(&self, alert: Alert) {
        let event = alert.what.event_name();
        tracing::info!(event = event.as_str(), text = alert.text, "alert");
        let alert = Arc::new(alert);
        for (config, sender) in &*self.webhooks {
            let wanted = config.events.as_ref().is_none_or(|events| events.contains(&event));
            if wanted && sender.try_send(alert.clone()).is_err() {
                self.alert_counter.with_label_values(&[config.name.0.as_str(), "dropped"]).inc();
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn with_receiver() -> (Self, mpsc::Receiver<Arc<Alert>>) {
        let (sender, receiver) = mpsc::channel(ALERT_QUEUE_CAPACITY);
        let config: WebhookConfig =
            toml::from_str("name = 'test'\nurl = 'https://hook.example/'").unwrap();
        let alert_counter = IntCounterVec::new(Opts::new("test", "test"), &["webhook", "outcome"]);
        (
            Self { webhooks: Arc::new([(config, sender)]), alert_counter: alert_counter.unwrap() },
            receiver,
        )
    }
}

impl WebhookDeliveries {
    /// A test of the same webhooks.
    pub(crate) fn notification_test(&self) -> NotificationTest {
        NotificationTest(self.0.iter().map(|worker| worker.client.clone()).collect())
    }

    /// Ends when the [`Notifier`] and its clones are dropped.
    pub(crate) async fn run(self) {
        futures::future::join_all(self.0.into_iter().map(DeliveryWorker::run)).await;
    }
}

/// Omits the URL and the header fields, which hold secrets.
impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig").field("name", &self.name.0).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
