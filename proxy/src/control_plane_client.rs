//! [`ControlPlaneClient`]: forwards commands to the leading control plane. Of several control
//! planes one leads: they are tried in turn, beginning with the one that executed the last command.
//!
//! A command is executed at most once. A control plane that cannot be connected to has not received
//! it, and one that responds 503 has not executed it: the next one is tried. A control plane that
//! received a command and does not respond may have executed it: a `GET` is then sent to the next
//! one, and any other command fails with [`Problem::CommandOutcomeUnknown`].

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use pingora::protocols::http::ServerSession;
use pitwall_fetch::RequestBody;
use pitwall_fetch::{
    AddressPolicy, FetchError, FetchErrorKind, Fetcher, PrivateRange, Request, Timeouts,
};
use pitwall_upstream_map::trace_context::{TRACEPARENT, X_REQUEST_ID, outgoing_context};
use pitwall_upstream_map::{CommandKey, PRECONDITION_HEADERS};
use url::{Position, Url};

use crate::http::admin_token::bearer_token;
use crate::http::admission::read_body;
use crate::http::problem::Problem;
use crate::http::request_id::RequestId;
use crate::http::response::Response;

/// Short, as control planes are in the same network as the edge.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A leader responds within 7 s whatever its store does, and a standby, which forwards the command
/// to it, waits a little longer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Once refusals (503) have taken this long together, no further control plane is tried: they wait
/// for the store, and the next one would wait for the same store.
const RETRY_TIME_BUDGET: Duration = Duration::from_secs(2);
/// Limit of a response's body: more than any trace has.
const RESPONSE_MAX_BYTES: usize = 16 << 20;
/// The response fields that are forwarded to the client.
const FORWARDED_RESPONSE_HEADERS: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::ALLOW,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    header::ETAG,
];

/// Forwards commands to the control planes of `[edge] control`.
pub struct ControlPlaneClient {
    addresses: Vec<SocketAddr>,
    fetcher: Fetcher,
    policy: AddressPolicy,
    /// Index of the address whose control plane executed the last command.
    leader_index: AtomicUsize,
}

/// A command as a client sent it. Of its fields only [`PRECONDITION_HEADERS`] and, with a body,
/// `Content-Type` are forwarded. An admin token in `Authorization` becomes a
/// signature, and is never sent itself.
pub struct CommandRequest {
    pub method: Method,
    pub path_and_query: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Its id and the trace that it belongs to, which are forwarded too.
    pub request_id: RequestId,
}

/// Limit of a command's body.
const BODY_MAX_BYTES: usize = 64 << 10;

impl CommandRequest {
    /// # Errors
    /// The problem of [`read_body`].
    pub async fn read(
        session: &mut ServerSession,
        request_id: &RequestId,
    ) -> Result<Self, Problem> {
        let body = read_body(session, BODY_MAX_BYTES).await?;
        let request = session.req_header();
        let path_and_query = request.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
        // HEAD is forwarded as GET, so that its response has the fields of the whole one (RFC 9110,
        // 9.3.2).
        let method = match request.method {
            Method::HEAD => Method::GET,
            ref method => method.clone(),
        };
        let (headers, request_id) = (request.headers.clone(), request_id.clone());
        Ok(Self { method, path_and_query, headers, body, request_id })
    }
}

impl CommandRequest {
    /// The fields by which the control plane's log and spans name the same request.
    fn trace_headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let RequestId { id, trace, .. } = &self.request_id;
        let trace = HeaderValue::try_from(outgoing_context(*trace).to_string()).ok();
        let trace = trace.map(|trace| (TRACEPARENT, trace));
        trace.into_iter().chain([(X_REQUEST_ID, id.clone())])
    }
}

impl ControlPlaneClient {
    /// `own_listeners`: listeners of this edge, to which no command is sent, so that none loops.
    pub fn new(addresses: Vec<SocketAddr>, own_listeners: Vec<SocketAddr>) -> Self {
        let timeouts = Timeouts {
            connect: CONNECT_TIMEOUT,
            first_byte: RESPONSE_TIMEOUT,
            ..Timeouts::default()
        };
        let range = |address: &SocketAddr| address.ip().to_string().parse::<PrivateRange>();
        let policy = AddressPolicy {
            allow_private: addresses.iter().filter_map(|it| Some(range(it).ok()?.0)).collect(),
            ports: addresses.iter().map(SocketAddr::port).collect(),
        };
        let fetcher = Fetcher::new(timeouts, own_listeners);
        Self { addresses, fetcher, policy, leader_index: AtomicUsize::new(0) }
    }

    /// Sends a command to the control planes in turn until one executes it, and gives its response,
    /// or the last refusal (503).
    ///
    /// # Errors
    /// [`Problem::ControlUnreachable`] when no control plane received the command,
    /// [`Problem::CommandOutcomeUnknown`] when one received it and did not respond.
    pub async fn forward_command(&self, command: &CommandRequest) -> Result<Response, Problem> {
        let is_repeatable = command.method == Method::GET;
        let first = self.leader_index.load(Ordering::Relaxed);
        let mut problem = Problem::ControlUnreachable;
        let mut refusal = None;
        let mut refusal_time = Duration::ZERO;
        let candidates = self.addresses.iter().enumerate().cycle().skip(first);
        for (index, address) in candidates.take(self.addresses.len()) {
            let sent_at = Instant::now();
            match self.send_command(*address, command).await {
                Ok((StatusCode::SERVICE_UNAVAILABLE, response)) => {
                    refusal = Some(response);
                    refusal_time += sent_at.elapsed();
                    if refusal_time > RETRY_TIME_BUDGET {
                        break;
                    }
                }
                Ok((_, response)) => {
                    self.leader_index.store(index, Ordering::Relaxed);
                    return Ok(response);
                }
                Err(error) => {
                    tracing::warn!(%address, %error, "a control plane does not respond: check that it runs and that [edge] control names it");
                    if !error.is_unsent() {
                        problem = Problem::CommandOutcomeUnknown;
                        if !is_repeatable {
                            return Err(problem);
                        }
                    }
                }
            }
        }
        refusal.ok_or(problem)
    }

    async fn send_command(
        &self,
        address: SocketAddr,
        command: &CommandRequest,
    ) -> Result<(StatusCode, Response), FetchError> {
        let bad_url = |_| FetchError::from(FetchErrorKind::BadUrl("not a path"));
        let url =
            Url::parse(&format!("http://{address}{}", command.path_and_query)).map_err(bad_url)?;
        let mut request = Request { method: command.method.clone(), ..Request::get(url) };
        if !command.body.is_empty() {
            let content_type = command.headers.get(header::CONTENT_TYPE).cloned();
            let content_type = content_type.unwrap_or(HeaderValue::from_static(""));
            request.body = Some(RequestBody { content_type, bytes: command.body.clone().into() });
        }
        for name in PRECONDITION_HEADERS {
            if let Some(value) = command.headers.get(&name) {
                request.source_headers.insert(name, value.clone());
            }
        }
        if let Some(token) = bearer_token(&command.headers) {
            let path_and_query = &request.url[Position::BeforePath..Position::AfterQuery];
            let signature = CommandKey::of_admin_token(token).sign(
                &command.method,
                path_and_query,
                &request.source_headers,
                &command.body,
                Timestamp::now().as_second(),
            );
            request.source_headers.insert(header::AUTHORIZATION, signature.to_header());
        }
        request.source_headers.extend(command.trace_headers());
        let received = self.fetcher.send(&self.policy, request).await?;
        let status = received.status();
        let mut response = Response::new(status);
        for name in FORWARDED_RESPONSE_HEADERS {
            let value = received.headers().get(&name).and_then(|value| value.to_str().ok());
            if let Some(value) = value {
                response = response.with_header(name, value);
            }
        }
        Ok((status, response.with_body(received.bytes(RESPONSE_MAX_BYTES).await?)))
    }
}

#[cfg(test)]
mod tests;
