//! [`BrowserRun`]: shows a page in a browser and captures its requests for playlists.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::captured_request::CapturedRequest;
use super::cdp::{CdpCall, CdpConnection, CdpMessage};
use super::selection;
use crate::extract::StepFailure;
use crate::extract::egress::EgressProxy;

pub(super) struct BrowserRun<'a> {
    pub(super) url: &'a Url,
    pub(super) click_selectors: &'a [String],
    /// The source's headers, sent to the origin of `url` only.
    pub(super) headers: &'a [(String, String)],
    pub(super) egress: &'a EgressProxy,
}

/// The state of a run: the browser's messages in, calls to the browser out. Does no I/O.
pub(super) struct NetworkMonitor<'a> {
    run: &'a BrowserRun<'a>,
    /// By session and request id.
    requests: HashMap<(String, String), CapturedRequest>,
    request_order: Vec<(String, String)>,
    /// The requests whose bodies were asked for, by the number of the call.
    pending_bodies: HashMap<u64, (String, String)>,
    /// The session of the page itself; frames and workers have sessions of their own.
    page_session: String,
    click_count: usize,
    pending_click: Option<u64>,
}

/// Requests that are tracked: a player's page sends fewer.
const MAX_REQUESTS: usize = 5_000;
const BODY_MAX_BYTES: usize = 512 << 10;
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
        let page = page["sessionId"].as_str().ok_or("the browser has no session")?.to_owned();
        for call in session_setup_calls(&page) {
            cdp.call(call).await?;
        }
        let mut monitor = NetworkMonitor::new(self, page.clone());
        let navigate = json!({"url": self.url.as_str()});
        cdp.send(&CdpCall::new(Some(&page), "Page.navigate", navigate)).await?;
        let mut deadline = Instant::now() + watch_duration;
        let mut clicks = tokio::time::interval(CLICK_INTERVAL);
        let mut settling = false;
        loop {
            let calls = tokio::select! {
                () = tokio::time::sleep_until(deadline) => break,
                message = cdp.next_message() => monitor.handle_message(message?),
                _ = clicks.tick() => monitor.next_click().into_iter().collect(),
            };
            for (call, purpose) in calls {
                let id = cdp.send(&call).await?;
                monitor.register_call(id, purpose);
            }
            if !settling && monitor.has_playlist() {
                settling = true;
                deadline = deadline.min(Instant::now() + PLAYLIST_SETTLE_DURATION);
            }
        }
        Ok(monitor.into_playlists())
    }
}

/// What a call's reply is for.
pub(super) enum CallPurpose {
    Other,
    /// The body of the request with this session and request id.
    Body((String, String)),
    Click,
}

/// The calls after which a session reports its requests, pauses them for
/// [`NetworkMonitor::handle_message`], and attaches to its frames and workers.
fn session_setup_calls(session: &str) -> Vec<CdpCall> {
    let call = |method, parameters| CdpCall::new(Some(session), method, parameters);
    let attach = json!({"autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true});
    vec![
        call(
            "Network.enable",
            json!({"maxTotalBufferSize": 16 << 20, "maxResourceBufferSize": 1 << 20}),
        ),
        call(
            "Fetch.enable",
            json!({"handleAuthRequests": true, "patterns": [{"urlPattern": "*"}]}),
        ),
        call("Target.setAutoAttach", attach),
    ]
}

impl<'a> NetworkMonitor<'a> {
    pub(super) fn new(run: &'a BrowserRun<'a>, page_session: String) -> Self {
        Self {
            run,
            requests: HashMap::new(),
            request_order: Vec::new(),
            pending_bodies: HashMap::new(),
            page_session,
            click_count: 0,
            pending_click: None,
        }
    }

    pub(super) fn register_call(&mut self, id: u64, purpose: CallPurpose) {
        match purpose {
            CallPurpose::Other => {}
            CallPurpose::Body(key) => drop(self.pending_bodies.insert(id, key)),
            CallPurpose::Click => self.pending_click = Some(id),
        }
    }

    /// The call that clicks the next selector, unless the reply to the last click is pending.
    pub(super) fn next_click(&mut self) -> Option<(CdpCall, CallPurpose)> {
        let selector = self
            .run
            .click_selectors
            .get(self.click_count)
            .filter(|_| self.pending_click.is_none())?;
        let selector = Value::from(selector.as_str());
        let code = format!("(e => !!e && (e.click(), true))(document.querySelector({selector}))");
        let evaluate = json!({"expression": code, "userGesture": true, "returnByValue": true});
        Some((
            CdpCall::new(Some(&self.page_session), "Runtime.evaluate", evaluate),
            CallPurpose::Click,
        ))
    }

    pub(super) fn handle_message(&mut self, message: CdpMessage) -> Vec<(CdpCall, CallPurpose)> {
        if let Some(id) = message.id {
            self.handle_reply(id, &message);
            return Vec::new();
        }
        let session = message.session.unwrap_or_default();
        let parameters = &message.parameters;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = || (session.clone(), text(&parameters["requestId"]));
        let call = |method, parameters| {
            vec![(CdpCall::new(Some(&session), method, parameters), CallPurpose::Other)]
        };
        match message.method.as_str() {
            "Fetch.requestPaused" => {
                let mut arguments = json!({"requestId": parameters["requestId"]});
                if let Some(headers) = self.override_headers(&parameters["request"]) {
                    arguments["headers"] = headers;
                }
                call("Fetch.continueRequest", arguments)
            }
            "Fetch.authRequired" => {
                let (user, password) = self.run.egress.credentials();
                let response = match text(&parameters["authChallenge"]["source"]).as_str() {
                    "Proxy" => json!({
                        "response": "ProvideCredentials", "username": user, "password": password,
                    }),
                    _ => json!({"response": "CancelAuth"}),
                };
                let arguments = json!({"requestId": parameters["requestId"], "authChallengeResponse": response});
                call("Fetch.continueWithAuth", arguments)
            }
            "Network.requestWillBeSent" => {
                self.record_request(key(), &parameters["request"]);
                Vec::new()
            }
            "Network.requestWillBeSentExtraInfo" => {
                self.record_extra_headers(key(), &parameters["headers"]);
                Vec::new()
            }
            "Network.responseReceived" => {
                if let Some(captured) = self.requests.get_mut(&key()) {
                    let status = parameters["response"]["status"].as_u64().unwrap_or(0);
                    captured.status = u16::try_from(status).unwrap_or(0);
                    captured.mime = text(&parameters["response"]["mimeType"]);
                }
                Vec::new()
            }
            "Network.loadingFinished" => {
                let key = key();
                if !self.requests.get(&key).is_some_and(selection::is_playlist_like) {
                    return Vec::new();
                }
                let get = json!({"requestId": key.1});
                vec![(
                    CdpCall::new(Some(&session), "Network.getResponseBody", get),
                    CallPurpose::Body(key),
                )]
            }
            "Target.attachedToTarget" => {
                let inner = text(&parameters["sessionId"]);
                let mut calls = session_setup_calls(&inner);
                calls.push(CdpCall::new(
                    Some(&inner),
                    "Runtime.runIfWaitingForDebugger",
                    json!({}),
                ));
                calls.into_iter().map(|call| (call, CallPurpose::Other)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn handle_reply(&mut self, id: u64, message: &CdpMessage) {
        if let Some(key) = self.pending_bodies.remove(&id) {
            let body = message.result["body"].as_str().unwrap_or_default();
            let encoded = message.result["base64Encoded"].as_bool().unwrap_or(false);
            if let Some(captured) = self.requests.get_mut(&key) {
                captured.body = selection::decode_body(body, encoded, BODY_MAX_BYTES);
            }
        } else if self.pending_click == Some(id) {
            self.pending_click = None;
            self.click_count += usize::from(message.result["result"]["value"] == Value::Bool(true));
        }
    }

    /// Records a request. A redirect is reported again under the same id, and does not replace the
    /// first URL.
    fn record_request(&mut self, key: (String, String), request: &Value) {
        if self.requests.len() >= MAX_REQUESTS || self.requests.contains_key(&key) {
            let captured = self.requests.get_mut(&key).filter(|captured| captured.url.is_empty());
            if let Some(captured) = captured {
                captured.url = request["url"].as_str().unwrap_or_default().to_owned();
            }
            return;
        }
        let url = request["url"].as_str().unwrap_or_default().to_owned();
        let captured = CapturedRequest {
            url,
            headers: header_pairs(&request["headers"]),
            ..CapturedRequest::default()
        };
        self.request_order.push(key.clone());
        self.requests.insert(key, captured);
    }

    /// Adds the headers that the network stack sends, such as cookies. The browser reports them in
    /// an event of their own, which may come before the one of the request.
    fn record_extra_headers(&mut self, key: (String, String), headers: &Value) {
        if self.requests.len() >= MAX_REQUESTS && !self.requests.contains_key(&key) {
            return;
        }
        let order = &mut self.request_order;
        let captured = self.requests.entry(key.clone()).or_insert_with(|| {
            order.push(key);
            CapturedRequest::default()
        });
        // Headers that are known stay: they are those of the first hop, whose URL is recorded.
        let known: Vec<String> =
            captured.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        let fresh = header_pairs(headers).into_iter();
        captured.headers.extend(fresh.filter(|(name, _)| !known.contains(&name.to_lowercase())));
    }

    fn override_headers(&self, request: &Value) -> Option<Value> {
        let url = Url::parse(request["url"].as_str()?).ok()?;
        if self.run.headers.is_empty() || url.origin() != self.run.url.origin() {
            return None;
        }
        let mut headers = header_pairs(&request["headers"]);
        crate::extract::headers::overlay_headers(&mut headers, self.run.headers.iter().cloned());
        let entry = |(name, value)| json!({"name": name, "value": value});
        Some(headers.into_iter().map(entry).collect())
    }

    pub(super) fn has_playlist(&self) -> bool {
        self.requests
            .values()
            .any(|captured| !captured.body.is_empty() && selection::is_playlist(captured))
    }

    pub(super) fn into_playlists(mut self) -> Vec<CapturedRequest> {
        let captured = self.request_order.iter().filter_map(|key| self.requests.remove(key));
        captured.filter(selection::is_playlist).collect()
    }
}

fn header_pairs(headers: &Value) -> Vec<(String, String)> {
    let headers = headers.as_object().into_iter().flatten();
    let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    headers.filter_map(pair).collect()
}
