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

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use pitwall_fetch::{AddressPolicy, FetchError, Fetcher, PolicyDenial, PrivateRange};
use prometheus::{IntCounterVec, Opts, Registry};
use serde::Deserialize;
use tokio::sync::mpsc;

use self::delivery::DeliveryWorker;
pub(crate) use self::notification_test::NotificationTester;
pub use self::notification_test::{WebhookTestResult, WebhookTestResults, test_webhooks};
use crate::clock::Clock;
use crate::model::alert::{Alert, EventName};
use crate::settings::{HeaderTable, HeaderText, HttpUrl, SourceName};

/// One `[[webhook]]`.
#[derive(Clone, PartialEq, Deserialize)]
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
    pub fn fetch_policy(&self) -> AddressPolicy {
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
pub struct WebhookSecretError {
    pub name: String,
    pub path: PathBuf,
    pub why: String,
}

/// How many alerts a queue holds: a failing network makes alerts for every stream and source at
/// once.
const ALERT_QUEUE_CAPACITY: usize = 1024;
const SECRET_MIN_BYTES: usize = 32;
/// What may become of an alert, as its counter names it.
const ALERT_OUTCOMES: [&str; 3] = ["delivered", "failed", "dropped"];

/// One `[[webhook]]` with the secret that its file held when it was loaded.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    config: WebhookConfig,
    secret: Option<Vec<u8>>,
}

impl Webhook {
    /// # Errors
    /// The secret cannot be read or is too short.
    pub fn load(config: WebhookConfig) -> Result<Self, WebhookSecretError> {
        let secret = config.secret_file.as_deref().map(|path| read_secret(&config.name.0, path));
        Ok(Self { secret: secret.transpose()?, config })
    }

    pub fn name(&self) -> &str {
        &self.config.name.0
    }
}

/// Queues alerts without waiting.
pub(crate) struct Notifier {
    webhooks: Vec<(Webhook, mpsc::Sender<Arc<Alert>>)>,
    alert_counter: IntCounterVec,
    workers: mpsc::UnboundedSender<DeliveryWorker>,
    fetcher: Arc<Fetcher>,
    clock: Clock,
}

/// The tasks that deliver queued alerts, as the [`Notifier`] makes them.
pub(crate) struct DeliveryTasks(mpsc::UnboundedReceiver<DeliveryWorker>);

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

fn read_secret(name: &str, path: &Path) -> Result<Vec<u8>, WebhookSecretError> {
    let error =
        |why: String| WebhookSecretError { name: name.to_owned(), path: path.to_owned(), why };
    let text = std::fs::read(path).map_err(|cause| error(cause.to_string()))?;
    let secret = text.trim_ascii();
    if secret.len() < SECRET_MIN_BYTES {
        return Err(error(format!("holds less than {SECRET_MIN_BYTES} bytes")));
    }
    Ok(secret.to_owned())
}

impl Notifier {
    /// A notifier without webhooks, and the deliveries of those that it will have.
    pub(crate) fn new(
        fetcher: Arc<Fetcher>,
        clock: Clock,
        alert_counter: IntCounterVec,
    ) -> (Self, DeliveryTasks) {
        let (workers, started) = mpsc::unbounded_channel();
        let notifier = Self { webhooks: Vec::new(), alert_counter, workers, fetcher, clock };
        (notifier, DeliveryTasks(started))
    }

    /// Replaces the webhooks. One that stays as it was keeps its queue; of one that goes or changes
    /// the alerts that are queued are still delivered, as it was configured before.
    pub(crate) fn set_webhooks(&mut self, webhooks: &[Webhook]) {
        let mut before = std::mem::take(&mut self.webhooks);
        for webhook in webhooks {
            let kept = before.iter().position(|(one, _)| one == webhook);
            let webhook = match kept {
                Some(index) => before.swap_remove(index),
                None => (webhook.clone(), self.start_worker(webhook)),
            };
            self.webhooks.push(webhook);
        }
        for (gone, _) in before {
            let name = gone.config.name.0.as_str();
            if webhooks.iter().all(|webhook| webhook.config.name.0 != name) {
                for outcome in ALERT_OUTCOMES {
                    // Removal fails only if the series does not exist, which is ignored.
                    let _ = self.alert_counter.remove_label_values(&[name, outcome]);
                }
            }
        }
    }

    fn start_worker(&self, webhook: &Webhook) -> mpsc::Sender<Arc<Alert>> {
        // All series exist from the start, as an alerting rule does not fire on an absent series.
        for outcome in ALERT_OUTCOMES {
            self.alert_counter.with_label_values(&[webhook.config.name.0.as_str(), outcome]);
        }
        let (sender, alerts) = mpsc::channel(ALERT_QUEUE_CAPACITY);
        let worker = DeliveryWorker {
            webhook: webhook.clone(),
            fetcher: self.fetcher.clone(),
            clock: self.clock.clone(),
            alerts,
            alert_counter: self.alert_counter.clone(),
        };
        // Sending fails when the process stops, and then nothing is delivered any more.
        let _ = self.workers.send(worker);
        sender
    }

    pub(crate) fn notify(&self, alert: Alert) {
        let event = alert.what.event_name();
        tracing::info!(event = event.as_str(), text = alert.text, "alert");
        let alert = Arc::new(alert);
        for (Webhook { config, .. }, sender) in &self.webhooks {
            let wanted = config.events.as_ref().is_none_or(|events| events.contains(&event));
            if wanted && sender.try_send(alert.clone()).is_err() {
                self.alert_counter.with_label_values(&[config.name.0.as_str(), "dropped"]).inc();
            }
        }
    }

    /// A notifier with one webhook, whose alerts the receiver gets.
    #[cfg(test)]
    pub(crate) fn with_receiver() -> (Self, Webhook, mpsc::Receiver<Arc<Alert>>) {
        let (sender, receiver) = mpsc::channel(ALERT_QUEUE_CAPACITY);
        let config: WebhookConfig =
            toml::from_str("name = 'test'\nurl = 'https://hook.example/'").unwrap();
        let webhook = Webhook { config, secret: None };
        let alert_counter = IntCounterVec::new(Opts::new("test", "test"), &["webhook", "outcome"]);
        let fetcher = Arc::new(Fetcher::new(pitwall_fetch::Timeouts::default(), Vec::new()));
        let (mut notifier, _) = Self::new(fetcher, Clock::system(), alert_counter.unwrap());
        notifier.webhooks.push((webhook.clone(), sender));
        (notifier, webhook, receiver)
    }
}

impl DeliveryTasks {
    /// Ends when the [`Notifier`] is dropped and all that was queued is delivered.
    pub(crate) async fn run(mut self) {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                worker = self.0.recv() => match worker {
                    Some(worker) => running.push(worker.run()),
                    None => break,
                },
                Some(()) = running.next() => {}
            }
        }
        while running.next().await.is_some() {}
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
