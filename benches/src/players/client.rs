//! The HTTP client of one player: it has its own connections, follows redirects and discards
//! bodies.

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

/// Timeout of one response, by which time a player's buffer has long been empty.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Size limit of a playlist.
const PLAYLIST_MAX_BYTES: usize = 16 << 20;

/// Why a virtual player cannot fetch a playlist or segment.
#[derive(Debug, thiserror::Error)]
pub enum PlaybackError {
    #[error("{0} is not a URL of a playlist")]
    InvalidUrl(String),
    #[error("no certificates to verify servers with: {0}")]
    Certificates(#[source] std::io::Error),
    #[error("no connection: {}", innermost_cause(.0))]
    Connection(#[from] hyper_util::client::legacy::Error),
    #[error("the answer broke off: {0}")]
    Body(#[from] hyper::Error),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("more than {MAX_REDIRECTS} redirects, or one to nowhere")]
    TooManyRedirects,
    #[error("no answer in {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout,
    #[error("the playlist is longer than {PLAYLIST_MAX_BYTES} bytes")]
    PlaylistTooLong,
    #[error("no playlist: {0}")]
    InvalidPlaylist(#[from] pitwall_hls::InvalidPlaylist),
    #[error("a playlist without variants or segments")]
    EmptyPlaylist,
}

/// The innermost source of an error: "connection refused" says more than "client error".
fn innermost_cause(error: &dyn std::error::Error) -> String {
    let innermost = std::iter::successors(Some(error), |error| error.source()).last();
    innermost.unwrap_or(error).to_string()
}

impl PlaybackError {
    /// Whether this machine lacks something for one more connection: open files or ports.
    pub fn is_local(&self) -> bool {
        use rustix::io::Errno;
        let causes = std::iter::successors(Some(self as &dyn std::error::Error), |it| it.source());
        causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()?.raw_os_error()).any(
            |code| {
                [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS]
                    .contains(&Errno::from_raw_os_error(code))
            },
        )
    }
}

/// The version of HTTP that players speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// What the server chooses with TLS (ALPN), and HTTP/1.1 without.
    #[default]
    Negotiated,
    Http1,
    /// Without TLS as well, by prior knowledge (RFC 9113, 3.3).
    Http2,
}

/// What all players share: name resolution and TLS settings, but no connections.
#[derive(Clone, Debug)]
pub struct Connector {
    https: HttpsConnector<HttpConnector>,
    version: HttpVersion,
}

impl Connector {
    /// # Errors
    /// [`PlaybackError::Certificates`] when the platform's root certificates cannot be loaded.
    pub fn new(version: HttpVersion) -> Result<Self, PlaybackError> {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        let builder = HttpsConnectorBuilder::new()
            .with_provider_and_platform_verifier(rustls::crypto::ring::default_provider())
            .map_err(PlaybackError::Certificates)?;
        let builder = builder.https_or_http();
        let https = match version {
            HttpVersion::Negotiated => builder.enable_http1().enable_http2().wrap_connector(http),
            HttpVersion::Http1 => builder.enable_http1().wrap_connector(http),
            HttpVersion::Http2 => builder.enable_http2().wrap_connector(http),
        };
        Ok(Self { https, version })
    }
}

pub(super) struct PlayerHttpClient(Pool<HttpsConnector<HttpConnector>, Empty<Bytes>>);

/// Version and size of a response, and the times from its request to its first and last byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseTiming {
    pub(super) version: http::Version,
    pub(super) first_byte: Duration,
    pub(super) last_byte: Duration,
    pub(super) bytes: u64,
}

impl PlayerHttpClient {
    pub(super) fn new(connector: &Connector) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .http2_only(connector.version == HttpVersion::Http2)
            .build(connector.https.clone());
        Self(pool)
    }

    /// Fetches a playlist; the URL is the one after redirects.
    pub(super) async fn fetch_playlist(
        &self,
        url: &Url,
    ) -> Result<(Url, Bytes, ResponseTiming), PlaybackError> {
        let mut body = BytesMut::new();
        let append = |chunk: Bytes| {
            body.extend_from_slice(&chunk);
            if body.len() > PLAYLIST_MAX_BYTES {
                Err(PlaybackError::PlaylistTooLong)
            } else {
                Ok(())
            }
        };
        let (base, timing) = self.fetch_with_timeout(url, append).await?;
        Ok((base, body.freeze(), timing))
    }

    /// Fetches a segment and discards its body; `range` is (length, offset) in bytes.
    pub(super) async fn fetch_segment(
        &self,
        url: &Url,
        range: Option<(u64, u64)>,
    ) -> Result<ResponseTiming, PlaybackError> {
        let fetch = self.fetch(url, range, |_| Ok(()));
        Ok(with_timeout(fetch).await?.1)
    }

    async fn fetch_with_timeout(
        &self,
        url: &Url,
        on_chunk: impl FnMut(Bytes) -> Result<(), PlaybackError>,
    ) -> Result<(Url, ResponseTiming), PlaybackError> {
        with_timeout(self.fetch(url, None, on_chunk)).await
    }

    async fn fetch(
        &self,
        url: &Url,
        range: Option<(u64, u64)>,
        mut on_chunk: impl FnMut(Bytes) -> Result<(), PlaybackError>,
    ) -> Result<(Url, ResponseTiming), PlaybackError> {
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
            let request = request
                .body(Empty::new())
                .map_err(|_| PlaybackError::InvalidUrl(url.as_str().to_owned()))?;
            let response = self.0.request(request).await?;
            if response.status().is_redirection() {
                let location = response.headers().get(header::LOCATION);
                let next = location.and_then(|next| url.join(next.to_str().ok()?).ok());
                url = next.ok_or(PlaybackError::TooManyRedirects)?;
                continue;
            }
            if !response.status().is_success() {
                return Err(PlaybackError::Status(response.status()));
            }
            let first_byte = started.elapsed();
            let version = response.version();
            let mut body = response.into_body();
            let mut bytes = 0;
            while let Some(frame) = body.frame().await {
                if let Ok(chunk) = frame?.into_data() {
                    bytes += chunk.len() as u64;
                    on_chunk(chunk)?;
                }
            }
            let last_byte = started.elapsed();
            return Ok((url, ResponseTiming { version, first_byte, last_byte, bytes }));
        }
        Err(PlaybackError::TooManyRedirects)
    }
}

async fn with_timeout<T>(
    response: impl Future<Output = Result<T, PlaybackError>>,
) -> Result<T, PlaybackError> {
    tokio::time::timeout(REQUEST_TIMEOUT, response).await.unwrap_or(Err(PlaybackError::Timeout))
}
