//! [`NotificationTest`]: sends each webhook a test alert and says what it answered.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::delivery::WebhookClient;
use crate::model::alert::{Alert, AlertEvent};

/// An operator waits for the answers, so that a webhook has less time than for an alert.
const TEST_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct NotificationTest(pub(super) Vec<Arc<WebhookClient>>);

/// Response of `POST /api/notifications/test`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct WebhookTestResults {
    /// In the order of the configuration.
    webhooks: Vec<WebhookTestResult>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct WebhookTestResult {
    /// Name of the webhook.
    webhook: String,
    delivered: bool,
    /// The status that it answered with, or why the test was not delivered.
    answer: String,
    duration_ms: u64,
}

impl NotificationTest {
    /// Sends one test to each webhook, to all at once and without retries.
    pub(crate) async fn run(&self) -> WebhookTestResults {
        let tests = self.0.iter().map(|client| test_webhook(client));
        WebhookTestResults { webhooks: futures::future::join_all(tests).await }
    }
}

async fn test_webhook(client: &WebhookClient) -> WebhookTestResult {
    let webhook = client.config.name.0.clone();
    let alert = Alert::new(AlertEvent::Test { webhook: webhook.clone() }, client.clock.now());
    let began_at = Instant::now();
    let (delivered, answer) = match tokio::time::timeout(TEST_TIMEOUT, client.send(&alert)).await {
        Ok(Ok(status)) => (true, format!("answered with {}", status.as_u16())),
        Ok(Err(failure)) => (false, failure.message),
        Err(_) => (false, format!("no answer within {} s", TEST_TIMEOUT.as_secs())),
    };
    let duration_ms = u64::try_from(began_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    WebhookTestResult { webhook, delivered, answer, duration_ms }
}
