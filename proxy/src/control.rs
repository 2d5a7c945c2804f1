//! Commands, passed on to the control plane that leads. Several may be configured, of which one
//! leads: each is asked in turn, from the one on that did the last command.
//!
//! A command is done once or not at all. A control plane that cannot be connected to has not got
//! it, and one that answers 503 says that it has not done it: the next is asked. One that got it
//! and says nothing may have done it, and whoever asked is told that this is not known; only what
//! changes nothing is asked of another one then.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pitwall_fetch::fetcher::Body;
use pitwall_fetch::{FetchError, Fetcher, Kind, Policy, PrivateRange, Request, Timeouts};
use url::Url;

use crate::answer::Answer;
use crate::problem::Problem;

/// They are near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A control plane answers within 7 s whatever its store does, and one that stands by waits a little
/// longer for the one that leads.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A refusal takes so long where the store stands still, and others would wait for the same store.
const LONGEST_REFUSAL: Duration = Duration::from_secs(2);
/// More than any trace.
const ANSWER_MAX_BYTES: usize = 16 << 20;
/// What of an answer is passed back.
const PASSED_BACK: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::ALLOW,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
];

pub struct Control {
    addresses: Vec<SocketAddr>,
    fetcher: Fetcher,
    policy: Policy,
    /// Which of the addresses did the last command.
    last: AtomicUsize,
}

/// Of a request, what a control plane is sent.
pub struct Command {
    pub method: Method,
    pub path_and_query: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Control {
    /// `own`: listeners of this edge, none of which is a control plane.
    pub fn new(addresses: Vec<SocketAddr>, own: Vec<SocketAddr>) -> Self {
        let timeouts = Timeouts {
            connect: CONNECT_TIMEOUT,
            first_byte: ANSWER_TIMEOUT,
            ..Timeouts::default()
        };
        let range = |address: &SocketAddr| address.ip().to_string().parse::<PrivateRange>();
        let policy = Policy {
            allow_private: addresses.iter().filter_map(|it| Some(range(it).ok()?.0)).collect(),
            ports: addresses.iter().map(SocketAddr::port).collect(),
        };
        let fetcher = Fetcher::new(timeouts, own);
        Self { addresses, fetcher, policy, last: AtomicUsize::new(0) }
    }

    pub async fn pass_on(&self, command: &Command) -> Result<Answer, Problem> {
        let repeatable = command.method == Method::GET;
        let first = self.last.load(Ordering::Relaxed);
        let mut outcome = Problem::ControlUnreachable;
        let mut refusal = None;
        let mut waited = Duration::ZERO;
        let turns = self.addresses.iter().enumerate().cycle().skip(first);
        for (index, address) in turns.take(self.addresses.len()) {
            let asked = Instant::now();
            match self.ask(*address, command).await {
                Ok((StatusCode::SERVICE_UNAVAILABLE, answer)) => {
                    refusal = Some(answer);
                    waited += asked.elapsed();
                    if waited > LONGEST_REFUSAL {
                        break;
                    }
                }
                Ok((_, answer)) => {
                    self.last.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => {
                    tracing::warn!(%address, %error, "a control plane does not answer");
                    if !error.is_unsent() {
                        outcome = Problem::OutcomeUnknown;
                        if !repeatable {
                            return Err(outcome);
                        }
                    }
                }
            }
        }
        refusal.ok_or(outcome)
    }

    async fn ask(
        &self,
        address: SocketAddr,
        command: &Command,
    ) -> Result<(StatusCode, Answer), FetchError> {
        let bad = |_| FetchError::from(Kind::BadUrl("not a path"));
        let url =
            Url::parse(&format!("http://{address}{}", command.path_and_query)).map_err(bad)?;
        let mut request = Request { method: command.method.clone(), ..Request::get(url) };
        if !command.body.is_empty() {
            let content_type = command.headers.get(header::CONTENT_TYPE).cloned();
            let content_type = content_type.unwrap_or(HeaderValue::from_static(""));
            request.body = Some(Body { content_type, bytes: command.body.clone().into() });
        }
        if let Some(token) = command.headers.get(header::AUTHORIZATION) {
            request.source_headers.insert(header::AUTHORIZATION, token.clone());
        }
        let response = self.fetcher.send(&self.policy, request).await?;
        let status = response.status();
        let mut answer = Answer::new(status);
        for name in PASSED_BACK {
            let value = response.headers().get(&name).and_then(|value| value.to_str().ok());
            if let Some(value) = value {
                answer = answer.header(name, value);
            }
        }
        Ok((status, answer.body(response.bytes(ANSWER_MAX_BYTES).await?)))
    }
}

#[cfg(test)]
mod tests;
