//! [`LoopbackProxy`]: the only network path of programs and browsers. It is an HTTP proxy on loopback
//! for one run, under the address policy of the run's source. Each connection is vetted when it is
//! dialled, so that a redirect, a script or a name that resolves differently the second time
//! reaches nothing that a recipe could not reach either.

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
use pitwall_fetch::{AddressPolicy, FetchError, FetchErrorKind, Fetcher, PolicyDenial, parse_url};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

use super::StepFailure;
use crate::source::Source;

/// Handle of one run's proxy; its listener, connections and tunnels end when it is dropped.
pub(super) struct LoopbackProxy {
    address: SocketAddr,
    secret: String,
    first_denial: Arc<OnceLock<PolicyDenial>>,
    /// Dropping the sender ends every task of the proxy.
    _shutdown: watch::Sender<()>,
}

/// The state that the proxy's connections share.
#[derive(Clone)]
struct EgressServer {
    fetcher: Arc<Fetcher>,
    policy: AddressPolicy,
    /// The required value of `Proxy-Authorization`: other programs on this machine must not send
    /// requests under the source's policy.
    expected_authorization: HeaderValue,
    first_denial: Arc<OnceLock<PolicyDenial>>,
    shutdown: watch::Receiver<()>,
}

type ProxyRequest = http::Request<Incoming>;
type ProxyResponse = http::Response<UnsyncBoxBody<Bytes, hyper::Error>>;

const PROXY_USER: &str = "pitwall";

/// Fields about one connection, which a proxy must not forward (RFC 9110, section 7.6.1).
const HOP_BY_HOP_FIELDS: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("proxy-connection"),
];

impl LoopbackProxy {
    pub(super) async fn start(
        fetcher: Arc<Fetcher>,
        policy: AddressPolicy,
    ) -> Result<Self, StepFailure> {
        let broken = |error: &dyn std::fmt::Display| {
            StepFailure::transient("no way out could be opened").with_detail(error)
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| broken(&error))?;
        let address = listener.local_addr().map_err(|error| broken(&error))?;
        let secret = format!("{:032x}", rand::random::<u128>());
        let basic = format!("Basic {}", STANDARD.encode(format!("{PROXY_USER}:{secret}")));
        let expected_authorization =
            HeaderValue::from_str(&basic).map_err(|error| broken(&error))?;
        let first_denial = Arc::new(OnceLock::new());
        let (sender, shutdown) = watch::channel(());
        let server = EgressServer {
            fetcher,
            policy,
            expected_authorization,
            first_denial: first_denial.clone(),
            shutdown,
        };
        tokio::spawn(server.accept_connections(listener));
        Ok(Self { address, secret, first_denial, _shutdown: sender })
    }

    /// The proxy's URL with its credentials, for programs.
    pub(super) fn url_with_credentials(&self) -> String {
        format!("http://{PROXY_USER}:{}@{}", self.secret, self.address)
    }

    /// The proxy's URL without credentials, for browsers: they answer its 407 with
    /// [`client_credentials`](Self::client_credentials).
    pub(super) fn url_without_credentials(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn client_credentials(&self) -> (&str, &str) {
        (PROXY_USER, &self.secret)
    }

    /// The failure of the first connection that the policy denied, with the source's key that would
    /// have allowed it; `None` if the policy denied none.
    pub(super) fn denial_failure(&self, source: &Source) -> Option<StepFailure> {
        let first = FetchError::from(*self.first_denial.get()?);
        Some(StepFailure::from_source_fetch(&first, source))
    }
}

impl EgressServer {
    async fn accept_connections(mut self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.shutdown.changed() => return,
            };
            // An error of one accept, such as no free file descriptor, may pass: the loop goes on.
            let Ok((stream, _)) = accepted else {
                tokio::task::yield_now().await;
                continue;
            };
            let server = self.clone();
            self.spawn_until_shutdown(async move {
                let service = service_fn(|request| {
                    let server = server.clone();
                    async move {
                        Ok::<_, std::convert::Infallible>(server.handle_request(request).await)
                    }
                });
                let http = hyper::server::conn::http1::Builder::new();
                // An error of the connection is seen by the client, which reports it.
                let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
            });
        }
    }

    /// Runs `work` until it is done or the run has ended.
    fn spawn_until_shutdown(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                _ = shutdown.changed() => {}
            }
        });
    }

    async fn handle_request(&self, request: ProxyRequest) -> ProxyResponse {
        if request.headers().get(header::PROXY_AUTHORIZATION) != Some(&self.expected_authorization)
        {
            let mut response = error_response(
                StatusCode::PROXY_AUTHENTICATION_REQUIRED,
                "this proxy serves the run that started it only",
            );
            let basic = HeaderValue::from_static("Basic realm=\"pitwall\"");
            response.headers_mut().insert(header::PROXY_AUTHENTICATE, basic);
            return response;
        }
        let response = match *request.method() {
            Method::CONNECT => self.open_tunnel(request).await,
            _ => self.forward_request(request).await,
        };
        response.unwrap_or_else(|error| {
            if let Some(denial) = error.denial() {
                self.first_denial.get_or_init(|| denial);
            }
            let status = match error.kind {
                FetchErrorKind::BadUrl(_) => StatusCode::BAD_REQUEST,
                FetchErrorKind::Denied => StatusCode::FORBIDDEN,
                FetchErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::BAD_GATEWAY,
            };
            error_response(status, &error.public_text())
        })
    }

    async fn dial(&self, url: &str) -> Result<(Url, TcpStream), FetchError> {
        let url = parse_url(url)?;
        let stream = self.fetcher.dial(&self.policy, &url).await?;
        Ok((url, stream))
    }

    /// Answers CONNECT: the proxy copies bytes both ways and does not look at them.
    async fn open_tunnel(&self, request: ProxyRequest) -> Result<ProxyResponse, FetchError> {
        let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let (_, mut upstream) = self.dial(&format!("https://{authority}/")).await?;
        self.spawn_until_shutdown(async move {
            if let Ok(client) = hyper::upgrade::on(request).await {
                let mut client = TokioIo::new(client);
                let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
            }
        });
        Ok(http::Response::new(Full::default().map_err(|never| match never {}).boxed_unsync()))
    }

    /// Forwards a plain HTTP request over a connection of its own.
    async fn forward_request(
        &self,
        mut request: ProxyRequest,
    ) -> Result<ProxyResponse, FetchError> {
        if request.uri().scheme_str() != Some("http") {
            return Err(FetchErrorKind::BadUrl("only CONNECT leads to https").into());
        }
        let (url, stream) = self.dial(&request.uri().to_string()).await?;
        let broken = |_| FetchError::from(FetchErrorKind::Body);
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(broken)?;
        self.spawn_until_shutdown(async move {
            let _ = connection.await;
        });
        HOP_BY_HOP_FIELDS.iter().for_each(|name| drop(request.headers_mut().remove(name)));
        let host = request.uri().authority().and_then(|host| host.as_str().parse().ok());
        request
            .headers_mut()
            .insert(header::HOST, host.ok_or(FetchErrorKind::BadUrl("a URL without a host"))?);
        let path = url.query().map_or(url.path().to_owned(), |q| format!("{}?{q}", url.path()));
        *request.uri_mut() =
            path.parse::<Uri>().map_err(|_| FetchErrorKind::BadUrl("not a path"))?;
        let mut response = sender.send_request(request).await.map_err(broken)?;
        HOP_BY_HOP_FIELDS.iter().for_each(|name| drop(response.headers_mut().remove(name)));
        Ok(response.map(|body| body.boxed_unsync()))
    }
}

fn error_response(status: StatusCode, message: &str) -> ProxyResponse {
    let body = Full::new(Bytes::copy_from_slice(message.as_bytes()));
    let mut response = http::Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
