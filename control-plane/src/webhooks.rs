//! Tells the operator's other machines what happened: `[[webhook]]`.
//!
//! - [`notice`]: what is told.
//! - [`delivery`]: requests, retries, signatures.
//!
//! Each webhook has a queue of its own: one that hangs holds up neither the others nor the
//! control plane. What does not fit is counted and forgotten.

mod delivery;
pub(crate) mod notice;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pitwall_fetch::{Denial, FetchError, Fetcher, Policy, PrivateRange};
use prometheus::{IntCounterVec, Opts, Registry};
use serde::Deserialize;
use tokio::sync::mpsc;

use self::delivery::Delivery;
use self::notice::{EventName, Notice};
use crate::clock::Clock;
use crate::settings::{HeaderTable, HeaderText, HttpUrl, SourceName};

/// One `[[webhook]]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// How metrics and logs call it.
    pub name: SourceName,
    pub url: HttpUrl,
    #[serde(default)]
    pub kind: WebhookKind,
    /// All, unless it is said.
    pub events: Option<Vec<EventName>>,
    /// Signs what is sent.
    pub secret_file: Option<PathBuf>,
    #[serde(default)]
    pub headers: HeaderTable<HeaderText>,
    #[serde(default)]
    pub allow_private: Vec<PrivateRange>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookKind {
    #[default]
    Json,
    /// <https://ntfy.sh> or one's own: text, with title and priority in headers.
    Ntfy,
}

impl WebhookConfig {
    /// Where it may lead.
    fn policy(&self) -> Policy {
        Policy {
            allow_private: self.allow_private.iter().map(|range| range.0).collect(),
            ports: self.url.0.port().into_iter().collect(),
        }
    }

    /// What the address policy forbids of its URL whatever its name resolves to, with the key that
    /// would allow it.
    pub fn denial(&self) -> Option<String> {
        let error = self.policy().check(&self.url.0).err()?;
        error.is_denied().then(|| self.explain(&error))
    }

    fn explain(&self, error: &FetchError) -> String {
        match error.denial() {
            // Its own port is open, and there is no key for that of a redirect.
            Some(Denial::Port(port)) => {
                format!("it redirects to port {port}, which is neither 80 nor 443 nor that of url")
            }
            _ => error.operator(&format!("in webhook {:?}", self.name.0)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("webhook {name:?}: secret_file: {}: {why}", path.display())]
pub struct WebhookError {
    pub name: String,
    pub path: PathBuf,
    pub why: String,
}

/// How many notices wait for a webhook that is slow: a network that fails takes every stream of every
/// source with it.
const QUEUE: usize = 1024;
const SHORTEST_SECRET: usize = 32;

/// Takes notices; never waits.
#[derive(Clone)]
pub(crate) struct Notifier {
    webhooks: Arc<[(WebhookConfig, mpsc::Sender<Arc<Notice>>)]>,
    counter: IntCounterVec,
}

/// What has to run so that notices arrive.
pub(crate) struct Webhooks(Vec<Delivery>);

pub(crate) fn configure(
    configs: Vec<WebhookConfig>,
    fetcher: &Arc<Fetcher>,
    clock: &Clock,
    registry: &Registry,
) -> Result<(Notifier, Webhooks), crate::control::SetupError> {
    let counter = IntCounterVec::new(
        Opts::new("pitwall_webhook_notices_total", "Notices by webhook and what became of them."),
        &["webhook", "outcome"],
    )?;
    registry.register(Box::new(counter.clone()))?;
    let mut deliveries = Vec::new();
    let mut webhooks = Vec::new();
    for config in configs {
        // Series that are there before anything happened: an absent one alerts nobody.
        for outcome in ["delivered", "failed", "dropped"] {
            counter.with_label_values(&[config.name.0.as_str(), outcome]);
        }
        let secret = config.secret_file.as_deref().map(|path| secret(&config.name.0, path));
        let (sender, receiver) = mpsc::channel(QUEUE);
        deliveries.push(Delivery {
            config: config.clone(),
            secret: secret.transpose()?,
            fetcher: fetcher.clone(),
            clock: clock.clone(),
            notices: receiver,
            counter: counter.clone(),
        });
        webhooks.push((config, sender));
    }
    Ok((Notifier { webhooks: webhooks.into(), counter }, Webhooks(deliveries)))
}

fn secret(name: &str, path: &Path) -> Result<Vec<u8>, WebhookError> {
    let error = |why: String| WebhookError { name: name.to_owned(), path: path.to_owned(), why };
    let text = std::fs::read(path).map_err(|cause| error(cause.to_string()))?;
    let secret = text.trim_ascii();
    if secret.len() < SHORTEST_SECRET {
        return Err(error(format!("holds less than {SHORTEST_SECRET} bytes")));
    }
    Ok(secret.to_owned())
}

impl Notifier {
    pub(crate) fn tell(&self, notice: Notice) {
        let event = notice.what.name();
        tracing::info!(event = event.as_str(), text = notice.text, "notice");
        let notice = Arc::new(notice);
        for (config, sender) in &*self.webhooks {
            let wanted = config.events.as_ref().is_none_or(|events| events.contains(&event));
            if wanted && sender.try_send(notice.clone()).is_err() {
                self.counter.with_label_values(&[config.name.0.as_str(), "dropped"]).inc();
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn listening() -> (Self, mpsc::Receiver<Arc<Notice>>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let config: WebhookConfig =
            toml::from_str("name = 'test'\nurl = 'https://hook.example/'").unwrap();
        let counter = IntCounterVec::new(Opts::new("test", "test"), &["webhook", "outcome"]);
        (Self { webhooks: Arc::new([(config, sender)]), counter: counter.unwrap() }, receiver)
    }
}

impl Webhooks {
    /// Ends when nobody tells any more.
    pub(crate) async fn run(self) {
        futures::future::join_all(self.0.into_iter().map(Delivery::run)).await;
    }
}

/// Without URL and headers, which hold secrets.
impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig").field("name", &self.name.0).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
