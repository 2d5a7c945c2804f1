//! Forwards commands from a standby to the leader, whose address is in the lease.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderName, HeaderValue, header};
use pitwall_fetch::RequestBody as Sent;
use pitwall_fetch::{AddressPolicy, FetchError, Request as Outgoing};
use pitwall_upstream_map::trace_context::{
    self, TRACEPARENT, TraceContext, X_REQUEST_ID, outgoing_context,
};
use pitwall_upstream_map::{Leadership, PRECONDITION_HEADERS};
use url::{Position, Url};

use super::CommandServer;
use super::problem::Problem;
use super::routes::{BODY_MAX_BYTES, COMMAND_TIMEOUT};

/// Marks a forwarded command. A control plane that receives one and does not lead either does not
/// forward it, so that two control planes that each take the other for the leader do not loop.
const FORWARDED_HEADER: HeaderName = HeaderName::from_static("pitwall-passed-on");
/// The leader's own timeout plus one second.
const LEADER_RESPONSE_TIMEOUT: Duration = COMMAND_TIMEOUT.saturating_add(Duration::from_secs(1));
/// Larger than any trace.
const LEADER_RESPONSE_MAX_BYTES: usize = 16 << 20;
/// The header fields of the leader's response that are passed on.
const FORWARDED_RESPONSE_HEADERS: [HeaderName; 5] =
    [header::CONTENT_TYPE, header::CACHE_CONTROL, header::ALLOW, header::RETRY_AFTER, header::ETAG];
/// Private address ranges in which a leader may be. None contains a metadata service.
const LEADER_PRIVATE_RANGES: [&str; 7] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "::1/128",
];

/// Forwards a command that was authorized here already, with a signature.
pub(super) async fn forward_to_leader(
    commands: &CommandServer,
    request: Request,
) -> Result<Response, Problem> {
    let Leadership::Standby(Some(leader)) = commands.store.leadership() else {
        return Err(commands.not_leading_problem());
    };
    if request.headers().contains_key(FORWARDED_HEADER) {
        return Err(Problem::LeaderUndecided);
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let url = Url::parse(&format!("http://{leader}{path}")).map_err(|_| Problem::StandingBy)?;
    let policy = AddressPolicy {
        allow_private: LEADER_PRIVATE_RANGES
            .iter()
            .filter_map(|range| range.parse().ok())
            .collect(),
        ports: url.port().into_iter().collect(),
    };
    let (parts, body) = request.into_parts();
    let body =
        axum::body::to_bytes(body, BODY_MAX_BYTES).await.map_err(|_| Problem::BodyTooLarge)?;
    let path_and_query = &url[Position::BeforePath..Position::AfterQuery];
    let authorization = commands.authorizer.authorization_for_leader(&parts, path_and_query, &body);
    let method = parts.method;
    let mut outgoing =
        Outgoing { method, ..Outgoing::get(url).with_first_byte_timeout(LEADER_RESPONSE_TIMEOUT) };
    if !body.is_empty() {
        let content_type = parts.headers.get(header::CONTENT_TYPE).cloned();
        let content_type = content_type.unwrap_or(HeaderValue::from_static(""));
        outgoing.body = Some(Sent { content_type, bytes: body });
    }
    if let Some(authorization) = authorization {
        outgoing.source_headers.insert(header::AUTHORIZATION, authorization);
    }
    for name in PRECONDITION_HEADERS {
        if let Some(value) = parts.headers.get(&name) {
            outgoing.source_headers.insert(name, value.clone());
        }
    }
    outgoing.source_headers.insert(FORWARDED_HEADER, HeaderValue::from_static("1"));
    if let Some(id) = trace_context::find_request_id(&parts.headers) {
        outgoing.source_headers.insert(X_REQUEST_ID, id.clone());
    }
    let trace = TraceContext::of_headers(&parts.headers).map(outgoing_context);
    if let Some(Ok(trace)) = trace.map(|trace| HeaderValue::try_from(trace.to_string())) {
        outgoing.source_headers.insert(TRACEPARENT, trace);
    }
    send_to_leader(commands, &policy, outgoing).await.map_err(|error| {
        tracing::warn!(place = leader, %error, "a command could not be forwarded to the leader; check [control] advertise");
        if error.is_unsent() { Problem::LeaderUnreachable } else { Problem::OutcomeUnknown }
    })
}

async fn send_to_leader(
    commands: &CommandServer,
    policy: &AddressPolicy,
    outgoing: Outgoing<'_>,
) -> Result<Response, FetchError> {
    let leader_response = commands.fetcher.send(policy, outgoing).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = leader_response.status();
    for name in FORWARDED_RESPONSE_HEADERS {
        if let Some(value) = leader_response.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    *response.body_mut() = Body::from(leader_response.bytes(LEADER_RESPONSE_MAX_BYTES).await?);
    Ok(response)
}
