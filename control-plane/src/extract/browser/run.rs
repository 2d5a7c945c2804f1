//! [`BrowserRun`]: shows a page in a browser, clicks, and captures the page's requests for playlists.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};
use url::Url;

use super::captured_request::CapturedRequest;
use super::cdp::{CdpCall, CdpConnection, CdpMessage};
use super::monitor::{NetworkMonitor, session_setup_calls};
use crate::extract::StepFailure;
use crate::extract::egress::LoopbackProxy;

pub(super) struct BrowserRun<'a> {
    pub(super) url: &'a Url,
    pub(super) click_selectors: &'a [String],
    /// The source's headers, sent to the origin of `url` only.
    pub(super) headers: &'a [(String, String)],
    pub(super) egress: &'a LoopbackProxy,
}

/// A browser that shows a page, with what it has told so far.
pub(super) struct MonitoredPage<'a> {
    pub(super) cdp: CdpConnection,
    pub(super) monitor: NetworkMonitor<'a>,
    /// The session of the page itself; workers, and frames in other processes, have their own.
    pub(super) session: String,
    /// When the page is no longer shown.
    pub(super) deadline: Instant,
}

/// How long the page is still shown after its first playlist, for that playlist's alternatives.
const PLAYLIST_SETTLE_DURATION: Duration = Duration::from_secs(2);
const CLICK_INTERVAL: Duration = Duration::from_millis(300);

impl BrowserRun<'_> {
    pub(super) async fn run(
        &self,
        endpoint: &Url,
        watch_duration: Duration,
    ) -> Result<Vec<CapturedRequest>, StepFailure> {
        let mut cdp = CdpConnection::connect(endpoint).await?;
        let context = cdp
            .call(CdpCall::new(
                None,
                "Target.createBrowserContext",
                json!({
                    "disposeOnDetach": true,
                    "proxyServer": self.egress.url_without_credentials(),
                    "proxyBypassList": "<-loopback>",
                }),
            ))
            .await?;
        let target = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = cdp.call(CdpCall::new(None, "Target.createTarget", target)).await?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let page = cdp.call(CdpCall::new(None, "Target.attachToTarget", attach)).await?;
        let session = page["sessionId"].as_str().ok_or("the browser has no session")?.to_owned();
        for call in session_setup_calls(&session) {
            cdp.call(call).await?;
        }
        let tracks_documents = !self.click_selectors.is_empty();
        if tracks_documents {
            cdp.send(&CdpCall::new(Some(&session), "Runtime.enable", json!({}))).await?;
        }
        let navigate = json!({"url": self.url.as_str()});
        cdp.send(&CdpCall::new(Some(&session), "Page.navigate", navigate)).await?;
        let monitor = NetworkMonitor::new(self.url, self.headers, self.egress, tracks_documents);
        let deadline = Instant::now() + watch_duration;
        let mut page = MonitoredPage { cdp, monitor, session, deadline };
        let mut selectors = self.click_selectors.iter().peekable();
        let mut clicks = tokio::time::interval(CLICK_INTERVAL);
        clicks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut settling = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(page.deadline) => break,
                message = page.cdp.next_message() => page.handle_message(message?).await?,
                _ = clicks.tick() => {
                    if let Some(selector) = selectors.peek()
                        && page.click(selector).await?
                    {
                        selectors.next();
                    }
                }
            };
            if !settling && page.monitor.has_playlist() {
                settling = true;
                page.deadline = page.deadline.min(Instant::now() + PLAYLIST_SETTLE_DURATION);
            }
        }
        Ok(page.monitor.into_playlists())
    }
}

impl MonitoredPage<'_> {
    async fn handle_message(&mut self, message: CdpMessage) -> Result<(), StepFailure> {
        for (call, purpose) in self.monitor.handle_message(message) {
            let id = self.cdp.send(&call).await?;
            self.monitor.register_call(id, purpose);
        }
        Ok(())
    }

    /// The result of a call, while other messages are handled; `None` if the browser refuses the
    /// call, or does not reply within `timeout` and while the page is shown: its frame may be gone.
    pub(super) async fn call(
        &mut self,
        call: CdpCall,
        timeout: Duration,
    ) -> Result<Option<Value>, StepFailure> {
        let id = self.cdp.send(&call).await?;
        let deadline = self.deadline.min(Instant::now() + timeout);
        loop {
            let message = tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(None),
                message = self.cdp.next_message() => message?,
            };
            if message.id == Some(id) {
                return Ok(message.error.is_none().then_some(message.result));
            }
            self.handle_message(message).await?;
        }
    }
}
