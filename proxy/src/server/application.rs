//! [`EdgeApplication`]: one request of a connection, from its header until the connection is ready for the next one.
//!
//! Pingora frames requests and responses ([`ServerSession`]). Its proxy is not in between: upstreams are fetched from by
//! tasks that many requests share, and never by a request of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::ErrorType;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::server::ShutdownWatch;
use tracing::Instrument as _;

use crate::edge::Edge;
use crate::request_context::RequestContext;
use crate::server::connection;

/// How long an HTTP/2 connection without an open stream is kept alive.
const HTTP2_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How many bytes of a stream's body wait in HTTP/2's own buffer for a client that does not read: a connection of a hundred
/// streams holds a hundred times as many, which no budget of the cache counts once the body was written whole.
const HTTP2_SEND_BUFFER_BYTES: usize = 128 * 1024;

/// The edge as Pingora's HTTP application.
pub(super) struct EdgeApplication {
    edge: Edge,
    options: HttpServerOptions,
}

impl EdgeApplication {
    pub(super) fn new(edge: Edge) -> Self {
        // HTTP/2 without TLS stays off: Pingora would wait for its preface on every connection,
        // without a timeout, and browsers speak HTTP/2 only over TLS.
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(HTTP2_IDLE_TIMEOUT);
        Self { edge, options }
    }
}

#[async_trait]
impl HttpServerApp for EdgeApplication {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !read_header(&mut session).await {
            return None;
        }
        // Counts the request until its connection is ready for the next one, so that no drain ends between the two.
        let mut context = RequestContext::begin(session.req_header(), self.edge.metrics());
        let span = context.span();
        let answered = self.edge.answer(&mut session, &mut context).instrument(span).await;
        context.record_completion(&session, &answered, self.edge.metrics());
        // A response that broke off gets no end, so that the client cannot take it for a whole one.
        answered.ok()?;
        // Sends what is held back, and reads what is left of the request's body.
        let (stream, next_request) = session.finish().await.ok()??.into_parts();
        let stream = connection::unread(stream, next_request)?;
        Some(ReusedHttpStream::new(stream, None))
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    fn h2_options(&self) -> Option<H2Options> {
        // With Pingora's limits of streams and header lists.
        let mut options = default_h2_options();
        options.max_send_buffer_size(HTTP2_SEND_BUFFER_BYTES);
        Some(options)
    }
}

/// Reads the header of a request; false where there is none, and the connection ends.
async fn read_header(session: &mut ServerSession) -> bool {
    let error = match session.read_request().await {
        Ok(is_request) => return is_request,
        Err(error) => error,
    };
    tracing::debug!(%error, "a request has no valid header");
    if error.etype() == &ErrorType::InvalidHTTPHeader {
        // Fails where the client has left.
        let _ = session.respond_error(400).await;
    }
    session.shutdown().await;
    false
}
