//! [`NetworkMonitor`]: a page's requests for playlists, and its documents, as the browser tells them.

use std::collections::HashMap;

use serde_json::{Value, json};
use url::Url;

use super::captured_request::CapturedRequest;
use super::cdp::{CdpCall, CdpMessage};
use super::documents::DocumentTable;
use super::selection;
use crate::extract::egress::LoopbackProxy;

/// The state of a run: the browser's messages in, calls to the browser out. Does no I/O.
pub(super) struct NetworkMonitor<'a> {
    url: &'a Url,
    /// The source's headers, sent to the origin of `url` only.
    headers: &'a [(String, String)],
    egress: &'a LoopbackProxy,
    /// By session and request id.
    requests: HashMap<(String, String), CapturedRequest>,
    request_order: Vec<(String, String)>,
    /// The requests whose bodies were asked for, by the number of the call.
    pending_bodies: HashMap<u64, (String, String)>,
    /// Empty unless documents are tracked.
    documents: DocumentTable,
    tracks_documents: bool,
}

/// Requests that are tracked: a player's page sends fewer.
const MAX_REQUESTS: usize = 5_000;
const BODY_MAX_BYTES: usize = 512 << 10;
/// Larger bodies of which neither the URL nor the type says that they are a playlist are not read.
const UNTYPED_BODY_MAX_BYTES: f64 = 262_144.0;

/// What a call's reply is for.
pub(super) enum CallPurpose {
    Other,
    /// The body of the request with this session and request id.
    Body((String, String)),
}

/// The calls after which a session reports its requests, pauses them for
/// [`NetworkMonitor::handle_message`], and attaches to its frames and workers.
pub(super) fn session_setup_calls(session: &str) -> Vec<CdpCall> {
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
        // Without it, a dialog stops the page. Workers refuse the call.
        call("Page.enable", json!({})),
        call("Target.setAutoAttach", attach),
    ]
}

impl<'a> NetworkMonitor<'a> {
    pub(super) fn new(
        url: &'a Url,
        headers: &'a [(String, String)],
        egress: &'a LoopbackProxy,
        tracks_documents: bool,
    ) -> Self {
        Self {
            url,
            headers,
            egress,
            requests: HashMap::new(),
            request_order: Vec::new(),
            pending_bodies: HashMap::new(),
            documents: DocumentTable::default(),
            tracks_documents,
        }
    }

    pub(super) fn register_call(&mut self, id: u64, purpose: CallPurpose) {
        match purpose {
            CallPurpose::Other => {}
            CallPurpose::Body(key) => drop(self.pending_bodies.insert(id, key)),
        }
    }

    /// The documents that the page shows, its own and those of its frames.
    pub(super) fn document_table(&self) -> &DocumentTable {
        &self.documents
    }

    pub(super) fn handle_message(&mut self, message: CdpMessage) -> Vec<(CdpCall, CallPurpose)> {
        if let Some(id) = message.id {
            self.handle_reply(id, &message);
            return Vec::new();
        }
        self.documents.handle_event(&message);
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
                let (user, password) = self.egress.client_credentials();
                let response = match text(&parameters["authChallenge"]["source"]).as_str() {
                    "Proxy" => json!({
                        "response": "ProvideCredentials", "username": user, "password": password,
                    }),
                    _ => json!({"response": "CancelAuth"}),
                };
                let arguments = json!({"requestId": parameters["requestId"], "authChallengeResponse": response});
                call("Fetch.continueWithAuth", arguments)
            }
            // A person who wants to see the page confirms what it asks.
            "Page.javascriptDialogOpening" => {
                call("Page.handleJavaScriptDialog", json!({"accept": true}))
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
                    captured.is_from_service_worker =
                        parameters["response"]["fromServiceWorker"].as_bool().unwrap_or(false);
                }
                Vec::new()
            }
            "Network.loadingFinished" => {
                let key = key();
                let length = parameters["encodedDataLength"].as_f64().unwrap_or(0.0);
                let is_small = length <= UNTYPED_BODY_MAX_BYTES;
                let may_be_playlist = |request: &CapturedRequest| {
                    selection::is_playlist_like(request)
                        || is_small && selection::has_generic_type(request)
                };
                if !self.requests.get(&key).is_some_and(may_be_playlist) {
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
                if self.tracks_documents {
                    calls.push(CdpCall::new(Some(&inner), "Runtime.enable", json!({})));
                }
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
        if self.headers.is_empty() || url.origin() != self.url.origin() {
            return None;
        }
        let mut headers = header_pairs(&request["headers"]);
        crate::extract::headers::overlay_headers(&mut headers, self.headers.iter().cloned());
        let entry = |(name, value)| json!({"name": name, "value": value});
        Some(headers.into_iter().map(entry).collect())
    }

    pub(super) fn has_playlist(&self) -> bool {
        self.requests
            .values()
            .any(|captured| !captured.body.is_empty() && selection::is_playlist(captured))
    }

    pub(super) fn into_playlists(mut self) -> Vec<CapturedRequest> {
        self.attribute_service_worker_bodies();
        let captured = self.request_order.iter().filter_map(|key| self.requests.remove(key));
        captured.filter(selection::is_playlist).collect()
    }
}

impl NetworkMonitor<'_> {
    /// A page's request that its service worker answers never leaves the browser. Where the worker
    /// requested a playlist for it, whose body the browser shows at the page's request alone, that
    /// request replaces the page's.
    fn attribute_service_worker_bodies(&mut self) {
        for key in self.request_order.clone() {
            let Some(answered) = self.requests.get(&key) else { continue };
            if !answered.is_from_service_worker || !selection::is_playlist(answered) {
                continue;
            }
            let is_unread = |request: &CapturedRequest| {
                request.body.is_empty()
                    && (200..300).contains(&request.status)
                    && selection::is_playlist_like(request)
            };
            let of_worker = self
                .request_order
                .iter()
                .find(|other| other.0 != key.0 && self.requests.get(*other).is_some_and(is_unread));
            let Some(of_worker) = of_worker.cloned() else { continue };
            let body = self.requests.remove(&key).map(|answered| answered.body);
            if let Some(request) = self.requests.get_mut(&of_worker) {
                request.body = body.unwrap_or_default();
            }
        }
    }
}

fn header_pairs(headers: &Value) -> Vec<(String, String)> {
    let headers = headers.as_object().into_iter().flatten();
    let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    headers.filter_map(pair).collect()
}
