//! HTTP as one player has it: connections of its own, redirects followed, bodies thrown away.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;

const MAX_REDIRECTS: usize = 5;

/// A player gives up on an answer after that long; its buffer has run dry long before.
const PATIENCE: Duration = Duration::from_secs(20);

/// A playlist longer than this is none.
const LONGEST_PLAYLIST: usize = 16 << 20;

#[derive(Debug, thiserror::Error)]
pub enum CannotPlay {
    #[error("{0} is not a URL of a playlist")]
    Url(String),
    #[error("no certificates to verify servers with: {0}")]
    Certificates(#[source] std::io::Error),
    #[error("no connection: {}", cause(.0))]
    Connection(#[from] hyper_util::client::legacy::Error),
    #[error("the answer broke off: {0}")]
    Body(#[from] hyper::Error),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("more than {MAX_REDIRECTS} redirects, or one to nowhere")]
    Redirects,
    #[error("no answer in {} s", PATIENCE.as_secs())]
    Patience,
    #[error("the playlist is longer than {LONGEST_PLAYLIST} bytes")]
    TooLong,
    #[error("no playlist: {0}")]
    Playlist(#[from] pitwall_hls::InvalidPlaylist),
    #[error("a playlist without variants or segments")]
    Nothing,
}

/// The innermost: "connection refused" says more than "client error".
fn cause(error: &dyn std::error::Error) -> String {
    let innermost = std::iter::successors(Some(error), |error| error.source()).last();
    innermost.unwrap_or(error).to_string()
}

/// What all players share: name resolution and TLS, but no connection.
#[derive(Clone, Debug)]
pub struct Connector(HttpsConnector<HttpConnector>);

impl Connector {
    pub fn new() -> Result<Self, CannotPlay> {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        let builder = HttpsConnectorBuilder::new()
            .with_provider_and_platform_verifier(rustls::crypto::ring::default_provider())
            .map_err(CannotPlay::Certificates)?;
        let builder = builder.https_or_http().enable_http1().enable_http2();
        Ok(Self(builder.wrap_connector(http)))
    }
}

pub(super) struct Client(Pool<HttpsConnector<HttpConnector>, Empty<Bytes>>);

/// How an answer came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) first_byte: Duration,
    pub(super) whole: Duration,
    pub(super) bytes: u64,
}

impl Client {
    pub(super) fn new(connector: &Connector) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector.0.clone());
        Self(pool)
    }

    /// A playlist, and where it came from after redirects.
    pub(super) async fn playlist(&self, url: &Url) -> Result<(Url, Bytes, Timing), CannotPlay> {
        let mut body = BytesMut::new();
        let keep = |part: Bytes| {
            body.extend_from_slice(&part);
            if body.len() > LONGEST_PLAYLIST { Err(CannotPlay::TooLong) } else { Ok(()) }
        };
        let (base, timing) = self.get(url, keep).await?;
        Ok((base, body.freeze(), timing))
    }

    /// A segment, counted and thrown away.
    pub(super) async fn segment(
        &self,
        url: &Url,
        range: Option<(u64, u64)>,
    ) -> Result<Timing, CannotPlay> {
        let fetch = self.fetch(url, range, |_| Ok(()));
        Ok(within(fetch).await?.1)
    }

    async fn get(
        &self,
        url: &Url,
        keep: impl FnMut(Bytes) -> Result<(), CannotPlay>,
    ) -> Result<(Url, Timing), CannotPlay> {
        within(self.fetch(url, None, keep)).await
    }

    async fn fetch(
        &self,
        url: &Url,
        range: Option<(u64, u64)>,
        mut keep: impl FnMut(Bytes) -> Result<(), CannotPlay>,
    ) -> Result<(Url, Timing), CannotPlay> {
        let started = Instant::now();
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::get(url.as_str())
                .header(header::USER_AGENT, "pitwall-bench")
                .header(header::ACCEPT, "*/*");
            if let Some((length, offset)) = range {
                let last = (offset + length).saturating_sub(1);
                request = request.header(header::RANGE, format!("bytes={offset}-{last}"));
            }
            let request =
                request.body(Empty::new()).map_err(|_| CannotPlay::Url(url.as_str().to_owned()))?;
            let answer = self.0.request(request).await?;
            if answer.status().is_redirection() {
                let location = answer.headers().get(header::LOCATION);
                let next = location.and_then(|next| url.join(next.to_str().ok()?).ok());
                url = next.ok_or(CannotPlay::Redirects)?;
                continue;
            }
            if !answer.status().is_success() {
                return Err(CannotPlay::Status(answer.status()));
            }
            let first_byte = started.elapsed();
            let mut body = answer.into_body();
            let mut bytes = 0;
            while let Some(frame) = body.frame().await {
                if let Ok(part) = frame?.into_data() {
                    bytes += part.len() as u64;
                    keep(part)?;
                }
            }
            return Ok((url, Timing { first_byte, whole: started.elapsed(), bytes }));
        }
        Err(CannotPlay::Redirects)
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, CannotPlay>>) -> Result<T, CannotPlay> {
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or(Err(CannotPlay::Patience))
}
