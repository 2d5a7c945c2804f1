//! A control plane that stands by passes commands on to the one that leads, whose place stands
//! in the lease.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderName, HeaderValue, header};
use pitwall_fetch::fetcher::Body as Sent;
use pitwall_fetch::{FetchError, Policy, Request as Outgoing};
use pitwall_upstream_map::Leadership;
use url::Url;

use super::Commands;
use super::problem::Problem;
use super::routes::{LONGEST_BODY, PATIENCE};

/// On a command that was passed on once. Whoever gets it and does not lead either passes it no
/// further: two who each take the other for the leader do not send it to and fro.
const PASSED_ON: HeaderName = HeaderName::from_static("pitwall-passed-on");
/// The leader has its own time to answer, or to say that it cannot, and a little more.
const ANSWER_TIMEOUT: Duration = PATIENCE.saturating_add(Duration::from_secs(1));
/// More than any trace.
const LONGEST_ANSWER: usize = 16 << 20;
/// What of an answer is the leader's.
const KEPT: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::CACHE_CONTROL, header::ALLOW, header::RETRY_AFTER];
/// Where operators have control planes. Metadata services are in none of them.
const PRIVATE: [&str; 7] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "::1/128",
];

/// With the token that it came with, which was judged here already.
pub(super) async fn pass_on(commands: &Commands, request: Request) -> Result<Response, Problem> {
    let Leadership::Theirs(Some(place)) = commands.store.leadership() else {
        return Err(commands.not_leading());
    };
    if request.headers().contains_key(PASSED_ON) {
        return Err(Problem::Undecided);
    }
    let asked = request.uri().path_and_query().map_or("/", |asked| asked.as_str());
    let url = Url::parse(&format!("http://{place}{asked}")).map_err(|_| Problem::StandingBy)?;
    let policy = Policy {
        allow_private: PRIVATE.iter().filter_map(|range| range.parse().ok()).collect(),
        ports: url.port().into_iter().collect(),
    };
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LONGEST_BODY).await.map_err(|_| Problem::BodyTooLarge)?;
    let method = parts.method;
    let mut outgoing = Outgoing { method, ..Outgoing::get(url).first_byte(ANSWER_TIMEOUT) };
    if !body.is_empty() {
        let content_type = parts.headers.get(header::CONTENT_TYPE).cloned();
        let content_type = content_type.unwrap_or(HeaderValue::from_static(""));
        outgoing.body = Some(Sent { content_type, bytes: body });
    }
    if let Some(token) = parts.headers.get(header::AUTHORIZATION) {
        outgoing.source_headers.insert(header::AUTHORIZATION, token.clone());
    }
    outgoing.source_headers.insert(PASSED_ON, HeaderValue::from_static("1"));
    answer(commands, &policy, outgoing).await.map_err(|error| {
        tracing::warn!(place, %error, "a command could not be passed on to the leader");
        if error.is_unsent() { Problem::LeaderSilent } else { Problem::Unanswered }
    })
}

async fn answer(
    commands: &Commands,
    policy: &Policy,
    outgoing: Outgoing<'_>,
) -> Result<Response, FetchError> {
    let answer = commands.fetcher.send(policy, outgoing).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    for name in KEPT {
        if let Some(value) = answer.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    *response.body_mut() = Body::from(answer.bytes(LONGEST_ANSWER).await?);
    Ok(response)
}
