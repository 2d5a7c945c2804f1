//! [`test_webhooks`]: sends each webhook a test alert and says what it answered.

use std::sync::Arc;
use std::time::Duration;

use pitwall_fetch::Fetcher;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Webhook;
use super::delivery::send_alert;
use crate::clock::Clock;
use crate::model::alert::{Alert, AlertEvent};

/// An operator waits for the answers, so that a webhook has less time than for an alert.
const TEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Tests the webhooks that are configured when it runs.
pub(crate) struct NotificationTester {
    webhooks: Box<dyn Fn() -> Vec<Webhook> + Send + Sync>,
    fetcher: Arc<Fetcher>,
}

/// Response of `POST /api/notifications/test`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookTestResults {
    /// In the order of the configuration.
    pub webhooks: Vec<WebhookTestResult>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookTestResult {
    /// Name of the webhook.
    pub webhook: String,
    pub delivered: bool,
    /// The status that it answered with, or why the test was not delivered.
    pub answer: String,
    pub duration_ms: u64,
}

impl NotificationTester {
    pub(crate) fn new(
        webhooks: Box<dyn Fn() -> Vec<Webhook> + Send + Sync>,
        fetcher: Arc<Fetcher>,
    ) -> Self {
        Self { webhooks, fetcher }
    }

    pub(crate) async fn run(&self) -> WebhookTestResults {
        test_webhooks(&(self.webhooks)(), &self.fetcher).await
    }
}

/// Sends one test to each webhook, whatever `events` it has, to all at once and without retries.
pub async fn test_webhooks(webhooks: &[Webhook], fetcher: &Fetcher) -> WebhookTestResults {
    let tests = webhooks.iter().map(|webhook| test_webhook(webhook, fetcher));
    WebhookTestResults { webhooks: futures::future::join_all(tests).await }
}

async fn test_webhook(webhook: &Webhook, fetcher: &Fetcher) -> WebhookTestResult {
    let (name, clock) = (webhook.config.name.0.clone(), Clock::system());
    let alert = Alert::new(AlertEvent::Test { webhook: name.clone() }, clock.now());
    let began_at = Instant::now();
    let sent = send_alert(webhook, fetcher, &clock, &alert);
    let (delivered, answer) = match tokio::time::timeout(TEST_TIMEOUT, sent).await {
        Ok(Ok(status)) => (true, format!("answered with {}", status.as_u16())),
        Ok(Err(failure)) => (false, failure.message),
        Err(_) => (false, format!("no answer within {} s", TEST_TIMEOUT.as_secs())),
    };
    let duration_ms = u64::try_from(began_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    WebhookTestResult { webhook: name, delivered, answer, duration_ms }
}
