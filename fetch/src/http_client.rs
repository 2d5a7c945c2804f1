//! HTTP/1.1 over plain TCP: one write and, for a small response, one read per request; no task, no
//! copy of large bodies, and chunks that hold exactly their bytes.
//!
//! - [`connector`]: resolves a host and connects, racing over its addresses.
//! - [`connection`]: a TCP stream with a buffer.
//! - [`pool`]: idle connections.
//! - [`request_writer`], [`response_head`]: writing of requests, parsing of response heads.
//! - [`body`], [`chunked`]: message framing.
//!
//! Deliberately absent: pipelining, streamed request bodies, HTTP/2, proxies, upgrades.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::error::{FetchError, FetchErrorKind};
use crate::own_listeners::OwnListeners;
use crate::policy::AddressPolicy;
use crate::request::Request;
pub(crate) use body::FramedBody;
#[cfg(any(test, feature = "fuzzing"))]
pub use chunked::fuzzing::chunked_body;
use connection::Connection;
use pool::ConnectionPool;
pub(crate) use response_head::HEAD_MAX_FIELDS;
use response_head::ResponseHead;
#[cfg(any(test, feature = "fuzzing"))]
pub use response_head::fuzzing::response_head;

mod body;
mod chunked;
mod connection;
mod connector;
mod pool;
mod request_writer;
mod response_head;

/// Sends requests under one policy. A connection opened under a wider policy is in another client's
/// pool.
pub(crate) struct HttpClient {
    policy: AddressPolicy,
    own_listeners: Arc<OwnListeners>,
    connect_timeout: Duration,
    pool: Arc<ConnectionPool>,
}

/// A response head, with the body still to be read.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: FramedBody,
}

impl HttpClient {
    pub(crate) fn new(
        policy: AddressPolicy,
        own_listeners: Arc<OwnListeners>,
        connect_timeout: Duration,
    ) -> Self {
        Self { policy, own_listeners, connect_timeout, pool: Arc::default() }
    }

    pub(crate) async fn send(
        &self,
        request: &Request<'_>,
        cookie: Option<&HeaderValue>,
    ) -> Result<HttpResponse, FetchError> {
        // The server may close an idle connection while a request is on its way, so only requests
        // that can be repeated without harm are sent on one.
        let is_repeatable =
            request.body.is_none() && matches!(request.method, Method::GET | Method::HEAD);
        if is_repeatable
            && let Some(mut connection) =
                self.pool.take(request_writer::host_and_port(&request.url))
        {
            self.vet_peer(&connection)?;
            match send_and_read_head(&mut connection, request, cookie).await {
                Ok(head) => return Ok(self.build_response(connection, head)),
                Err(error) if connection.has_received_bytes() => return Err(error),
                Err(_) => {}
            }
        }
        let stream = connector::connect(
            &self.policy,
            &self.own_listeners,
            &request.url,
            self.connect_timeout,
        )
        .await?;
        let mut connection = Connection::new(stream, request_writer::host_and_port(&request.url))?;
        self.vet_peer(&connection)?;
        let head = send_and_read_head(&mut connection, request, cookie).await?;
        Ok(self.build_response(connection, head))
    }

    /// Checks the address of the peer too, not only the name that led there.
    fn vet_peer(&self, connection: &Connection) -> Result<(), FetchError> {
        let peer = connection.peer();
        self.policy.check_address(peer.ip())?;
        Ok(self.own_listeners.check_address(peer)?)
    }

    fn build_response(&self, connection: Connection, head: ResponseHead) -> HttpResponse {
        let ResponseHead { status, headers, framing, keep_alive } = head;
        let body = FramedBody::new(connection, framing, keep_alive, self.pool.clone());
        HttpResponse { status, headers, body }
    }
}

async fn send_and_read_head(
    connection: &mut Connection,
    request: &Request<'_>,
    cookie: Option<&HeaderValue>,
) -> Result<ResponseHead, FetchError> {
    connection
        .write(|buffer| request_writer::write_request(buffer, request, cookie))
        .await
        .map_err(|error| FetchError::of_io(FetchErrorKind::Body, &error))?;
    response_head::read_head(connection, &request.method).await
}

#[cfg(test)]
mod differential_tests;
#[cfg(test)]
mod tests;
