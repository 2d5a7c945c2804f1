//! [`Outbound`]: how programs and browsers get out. A proxy on loopback, for one run and under
//! its source's policy: each connection is vetted when it is dialled, so a redirect, a script or
//! a name that changes its mind leads nowhere that a recipe could not go either.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pitwall_fetch::{Denial, FetchError, Fetcher, Kind, Policy, parse_url};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

use super::Failure;
use crate::source::Source;

pub(super) struct Outbound {
    address: SocketAddr,
    secret: String,
    refused: Arc<OnceLock<Denial>>,
    /// Everything that goes through it ends when this is dropped.
    _open: watch::Sender<()>,
}

/// One run's way out, as its connections share it.
#[derive(Clone)]
struct Gate {
    fetcher: Arc<Fetcher>,
    policy: Policy,
    /// What `Proxy-Authorization` has to say: other programs of this machine are no part of the run.
    expected: HeaderValue,
    refused: Arc<OnceLock<Denial>>,
    open: watch::Receiver<()>,
}

type Request = http::Request<Incoming>;
type Response = http::Response<UnsyncBoxBody<Bytes, hyper::Error>>;

const USER: &str = "pitwall";

/// About this connection, not about the message.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("proxy-connection"),
];

impl Outbound {
    pub(super) async fn open(fetcher: Arc<Fetcher>, policy: Policy) -> Result<Self, Failure> {
        let broken = |error: &dyn std::fmt::Display| {
            Failure::passing("no way out could be opened").detail(error)
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| broken(&error))?;
        let address = listener.local_addr().map_err(|error| broken(&error))?;
        let secret = format!("{:032x}", rand::random::<u128>());
        let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{secret}")));
        let expected = HeaderValue::from_str(&basic).map_err(|error| broken(&error))?;
        let refused = Arc::new(OnceLock::new());
        let (sender, open) = watch::channel(());
        let gate = Gate { fetcher, policy, expected, refused: refused.clone(), open };
        tokio::spawn(gate.accept(listener));
        Ok(Self { address, secret, refused, _open: sender })
    }

    /// With its credentials, for programs.
    pub(super) fn url(&self) -> String {
        format!("http://{USER}:{}@{}", self.secret, self.address)
    }

    /// Without them, for browsers, which ask.
    pub(super) fn server(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn credentials(&self) -> (&str, &str) {
        (USER, &self.secret)
    }

    /// What went wrong if the policy refused a connection, with the key of the source that would
    /// have allowed it.
    pub(super) fn refusal(&self, source: &Source) -> Option<Failure> {
        let first = FetchError::from(*self.refused.get()?);
        Some(Failure::of_fetch(&first, source))
    }
}

impl Gate {
    async fn accept(mut self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.open.changed() => return,
            };
            // Out of file descriptors, say: whoever comes next may fare better.
            let Ok((stream, _)) = accepted else {
                tokio::task::yield_now().await;
                continue;
            };
            let gate = self.clone();
            self.spawn(async move {
                let service = service_fn(|request| {
                    let gate = gate.clone();
                    async move { Ok::<_, std::convert::Infallible>(gate.answer(request).await) }
                });
                let server = hyper::server::conn::http1::Builder::new();
                // One that breaks off is its client's business.
                let _ =
                    server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
            });
        }
    }

    /// For as long as the run lasts.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut open = self.open.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                _ = open.changed() => {}
            }
        });
    }

    async fn answer(&self, request: Request) -> Response {
        if request.headers().get(header::PROXY_AUTHORIZATION) != Some(&self.expected) {
            let mut answer = refusal(StatusCode::PROXY_AUTHENTICATION_REQUIRED, "who is asking?");
            let basic = HeaderValue::from_static("Basic realm=\"pitwall\"");
            answer.headers_mut().insert(header::PROXY_AUTHENTICATE, basic);
            return answer;
        }
        let done = match *request.method() {
            Method::CONNECT => self.tunnel(request).await,
            _ => self.forward(request).await,
        };
        done.unwrap_or_else(|error| {
            if let Some(denial) = error.denial() {
                self.refused.get_or_init(|| denial);
            }
            let status = match error.kind {
                Kind::BadUrl(_) => StatusCode::BAD_REQUEST,
                Kind::Denied => StatusCode::FORBIDDEN,
                Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::BAD_GATEWAY,
            };
            refusal(status, &error.public())
        })
    }

    async fn dial(&self, url: &str) -> Result<(Url, TcpStream), FetchError> {
        let url = parse_url(url)?;
        let stream = self.fetcher.dial(&self.policy, &url).await?;
        Ok((url, stream))
    }

    /// What is said inside is between the client and the server.
    async fn tunnel(&self, request: Request) -> Result<Response, FetchError> {
        let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let (_, mut upstream) = self.dial(&format!("https://{authority}/")).await?;
        self.spawn(async move {
            if let Ok(client) = hyper::upgrade::on(request).await {
                let mut client = TokioIo::new(client);
                let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
            }
        });
        Ok(http::Response::new(Full::default().map_err(|never| match never {}).boxed_unsync()))
    }

    /// Plain http, one connection for each request.
    async fn forward(&self, mut request: Request) -> Result<Response, FetchError> {
        if request.uri().scheme_str() != Some("http") {
            return Err(Kind::BadUrl("only CONNECT leads to https").into());
        }
        let (url, stream) = self.dial(&request.uri().to_string()).await?;
        let broken = |_| FetchError::from(Kind::Body);
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(broken)?;
        self.spawn(async move {
            let _ = connection.await;
        });
        HOP_BY_HOP.iter().for_each(|name| drop(request.headers_mut().remove(name)));
        let host = request.uri().authority().and_then(|host| host.as_str().parse().ok());
        request
            .headers_mut()
            .insert(header::HOST, host.ok_or(Kind::BadUrl("a URL without a host"))?);
        let path = url.query().map_or(url.path().to_owned(), |q| format!("{}?{q}", url.path()));
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| Kind::BadUrl("not a path"))?;
        let mut answer = sender.send_request(request).await.map_err(broken)?;
        HOP_BY_HOP.iter().for_each(|name| drop(answer.headers_mut().remove(name)));
        Ok(answer.map(|body| body.boxed_unsync()))
    }
}

fn refusal(status: StatusCode, why: &str) -> Response {
    let body = Full::new(Bytes::copy_from_slice(why.as_bytes()));
    let mut answer = http::Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests;
