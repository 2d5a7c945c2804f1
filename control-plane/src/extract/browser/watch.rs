//! [`Visit`]: shows a page and notes what goes over the network meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::cdp::{Call, Cdp, Message};
use super::pick;
use crate::extract::Failure;
use crate::extract::outbound::Outbound;

pub(super) struct Visit<'a> {
    pub(super) url: &'a Url,
    pub(super) click: &'a [String],
    /// The source's, for its own origin only.
    pub(super) headers: &'a [(String, String)],
    pub(super) outbound: &'a Outbound,
}

/// A request that looked like one for a playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// As it was asked for, before redirects.
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) status: u16,
    pub(super) mime: String,
    pub(super) body: String,
}

/// What is known so far. Pure: messages in, calls out.
pub(super) struct Watch<'a> {
    visit: &'a Visit<'a>,
    requests: HashMap<(String, String), Seen>,
    order: Vec<(String, String)>,
    /// Bodies that were asked for, by the number of the call.
    bodies: HashMap<u64, (String, String)>,
    /// The page itself; frames and workers have sessions of their own.
    page: String,
    clicked: usize,
    clicking: Option<u64>,
}

/// A page that asks for more than this is not a player.
const MAX_REQUESTS: usize = 5_000;
const MAX_BODY: usize = 512 << 10;
/// After the first playlist: its alternatives come within this.
const SETTLE: Duration = Duration::from_secs(2);
const CLICK_EVERY: Duration = Duration::from_millis(300);

impl Visit<'_> {
    pub(super) async fn run(&self, endpoint: &Url, wait: Duration) -> Result<Vec<Seen>, Failure> {
        let mut cdp = Cdp::connect(endpoint).await?;
        let context = cdp
            .call(Call::new(
                None,
                "Target.createBrowserContext",
                json!({
                    "disposeOnDetach": true,
                    "proxyServer": self.outbound.server(),
                    "proxyBypassList": "<-loopback>",
                }),
            ))
            .await?;
        let target = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = cdp.call(Call::new(None, "Target.createTarget", target)).await?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let page = cdp.call(Call::new(None, "Target.attachToTarget", attach)).await?;
        let page = page["sessionId"].as_str().ok_or("the browser has no session")?.to_owned();
        for call in enable(&page) {
            cdp.call(call).await?;
        }
        let mut watch = Watch::new(self, page.clone());
        let navigate = json!({"url": self.url.as_str()});
        cdp.send(&Call::new(Some(&page), "Page.navigate", navigate)).await?;
        let mut until = Instant::now() + wait;
        let mut clicks = tokio::time::interval(CLICK_EVERY);
        let mut settling = false;
        loop {
            let calls = tokio::select! {
                () = tokio::time::sleep_until(until) => break,
                message = cdp.next() => watch.handle(message?),
                _ = clicks.tick() => watch.click().into_iter().collect(),
            };
            for (call, about) in calls {
                let id = cdp.send(&call).await?;
                watch.sent(id, about);
            }
            if !settling && watch.has_playlist() {
                settling = true;
                until = until.min(Instant::now() + SETTLE);
            }
        }
        Ok(watch.playlists())
    }
}

/// What the answer to a call is about.
pub(super) enum About {
    Nothing,
    Body((String, String)),
    Click,
}

/// So that requests of this session are seen, and asked about.
fn enable(session: &str) -> Vec<Call> {
    let call = |method, parameters| Call::new(Some(session), method, parameters);
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

impl<'a> Watch<'a> {
    pub(super) fn new(visit: &'a Visit<'a>, page: String) -> Self {
        let (requests, order, bodies) = (HashMap::new(), Vec::new(), HashMap::new());
        Self { visit, requests, order, bodies, page, clicked: 0, clicking: None }
    }

    pub(super) fn sent(&mut self, id: u64, about: About) {
        match about {
            About::Nothing => {}
            About::Body(key) => drop(self.bodies.insert(id, key)),
            About::Click => self.clicking = Some(id),
        }
    }

    /// The next thing to click, unless the last click is still on its way.
    pub(super) fn click(&mut self) -> Option<(Call, About)> {
        let selector = self.visit.click.get(self.clicked).filter(|_| self.clicking.is_none())?;
        let selector = Value::from(selector.as_str());
        let code = format!("(e => !!e && (e.click(), true))(document.querySelector({selector}))");
        let evaluate = json!({"expression": code, "userGesture": true, "returnByValue": true});
        Some((Call::new(Some(&self.page), "Runtime.evaluate", evaluate), About::Click))
    }

    pub(super) fn handle(&mut self, message: Message) -> Vec<(Call, About)> {
        if let Some(id) = message.id {
            self.answer(id, &message);
            return Vec::new();
        }
        let session = message.session.unwrap_or_default();
        let parameters = &message.parameters;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = || (session.clone(), text(&parameters["requestId"]));
        let call = |method, parameters| {
            vec![(Call::new(Some(&session), method, parameters), About::Nothing)]
        };
        match message.method.as_str() {
            "Fetch.requestPaused" => {
                let mut go_on = json!({"requestId": parameters["requestId"]});
                if let Some(headers) = self.own_headers(&parameters["request"]) {
                    go_on["headers"] = headers;
                }
                call("Fetch.continueRequest", go_on)
            }
            "Fetch.authRequired" => {
                let (user, password) = self.visit.outbound.credentials();
                let answer = match text(&parameters["authChallenge"]["source"]).as_str() {
                    "Proxy" => json!({
                        "response": "ProvideCredentials", "username": user, "password": password,
                    }),
                    _ => json!({"response": "CancelAuth"}),
                };
                let answer =
                    json!({"requestId": parameters["requestId"], "authChallengeResponse": answer});
                call("Fetch.continueWithAuth", answer)
            }
            "Network.requestWillBeSent" => {
                self.asked(key(), &parameters["request"]);
                Vec::new()
            }
            "Network.requestWillBeSentExtraInfo" => {
                self.said(key(), &parameters["headers"]);
                Vec::new()
            }
            "Network.responseReceived" => {
                if let Some(seen) = self.requests.get_mut(&key()) {
                    let status = parameters["response"]["status"].as_u64().unwrap_or(0);
                    seen.status = u16::try_from(status).unwrap_or(0);
                    seen.mime = text(&parameters["response"]["mimeType"]);
                }
                Vec::new()
            }
            "Network.loadingFinished" => {
                let key = key();
                if !self.requests.get(&key).is_some_and(pick::may_be_playlist) {
                    return Vec::new();
                }
                let get = json!({"requestId": key.1});
                vec![(Call::new(Some(&session), "Network.getResponseBody", get), About::Body(key))]
            }
            "Target.attachedToTarget" => {
                let inner = text(&parameters["sessionId"]);
                let mut calls = enable(&inner);
                calls.push(Call::new(Some(&inner), "Runtime.runIfWaitingForDebugger", json!({})));
                calls.into_iter().map(|call| (call, About::Nothing)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn answer(&mut self, id: u64, message: &Message) {
        if let Some(key) = self.bodies.remove(&id) {
            let body = message.result["body"].as_str().unwrap_or_default();
            let encoded = message.result["base64Encoded"].as_bool().unwrap_or(false);
            if let Some(seen) = self.requests.get_mut(&key) {
                seen.body = pick::body(body, encoded, MAX_BODY);
            }
        } else if self.clicking == Some(id) {
            self.clicking = None;
            self.clicked += usize::from(message.result["result"]["value"] == Value::Bool(true));
        }
    }

    /// A redirect asks again under the same number: the first URL stays.
    fn asked(&mut self, key: (String, String), request: &Value) {
        if self.requests.len() >= MAX_REQUESTS || self.requests.contains_key(&key) {
            let seen = self.requests.get_mut(&key).filter(|seen| seen.url.is_empty());
            if let Some(seen) = seen {
                seen.url = request["url"].as_str().unwrap_or_default().to_owned();
            }
            return;
        }
        let url = request["url"].as_str().unwrap_or_default().to_owned();
        let seen = Seen { url, headers: pairs(&request["headers"]), ..Seen::default() };
        self.order.push(key.clone());
        self.requests.insert(key, seen);
    }

    /// Cookies and what else goes out is told apart from the rest, sooner or later.
    fn said(&mut self, key: (String, String), headers: &Value) {
        if self.requests.len() >= MAX_REQUESTS && !self.requests.contains_key(&key) {
            return;
        }
        let order = &mut self.order;
        let seen = self.requests.entry(key.clone()).or_insert_with(|| {
            order.push(key);
            Seen::default()
        });
        // Of the first hop: the URL that is kept is its.
        let known: Vec<String> = seen.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        let fresh = pairs(headers).into_iter();
        seen.headers.extend(fresh.filter(|(name, _)| !known.contains(&name.to_lowercase())));
    }

    fn own_headers(&self, request: &Value) -> Option<Value> {
        let url = Url::parse(request["url"].as_str()?).ok()?;
        if self.visit.headers.is_empty() || url.origin() != self.visit.url.origin() {
            return None;
        }
        let mut headers = pairs(&request["headers"]);
        crate::extract::headers::overlay(&mut headers, self.visit.headers.iter().cloned());
        let entry = |(name, value)| json!({"name": name, "value": value});
        Some(headers.into_iter().map(entry).collect())
    }

    pub(super) fn has_playlist(&self) -> bool {
        self.requests.values().any(|seen| !seen.body.is_empty() && pick::is_playlist(seen))
    }

    pub(super) fn playlists(mut self) -> Vec<Seen> {
        let seen = self.order.iter().filter_map(|key| self.requests.remove(key));
        seen.filter(pick::is_playlist).collect()
    }
}

fn pairs(headers: &Value) -> Vec<(String, String)> {
    let headers = headers.as_object().into_iter().flatten();
    let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    headers.filter_map(pair).collect()
}
