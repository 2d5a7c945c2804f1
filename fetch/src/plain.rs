//! HTTP/1.1 over plain TCP, lean: one write and, for a small answer, one read a request; no task,
//! no copy of large bodies, and chunks that hold exactly their bytes.
//!
//! - [`connect`]: names and literals to a connection, racing over addresses.
//! - [`connection`]: a stream, and what has been read from it too early.
//! - [`pool`]: idle connections.
//! - [`request`], [`head`]: what is sent, what is answered.
//! - [`body`], [`chunked`], [`decode`]: framing undone, then the coding.
//!
//! Deliberately absent: pipelining, request bodies that stream, HTTP/2, proxies, upgrades.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::error::{FetchError, Kind};
use crate::fetcher::{Ourselves, Request};
use crate::policy::Policy;
use crate::reason::Denial;
use body::Body;
use connection::Connection;
use decode::{Coding, Decoded};
use head::{Framing, Head};
use pool::Pool;

mod body;
mod chunked;
mod connect;
mod connection;
mod decode;
mod head;
mod pool;
mod request;

/// Sends requests under one policy. A connection opened under a wider policy is in another
/// client's pool.
pub(crate) struct Client {
    policy: Policy,
    own: Arc<Ourselves>,
    connect: Duration,
    pool: Arc<Pool>,
}

/// A head, and a body still to be read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    content: Content,
}

enum Content {
    Raw(Body),
    Decoded(Box<Decoded>),
}

impl Client {
    pub(crate) fn new(policy: Policy, own: Arc<Ourselves>, connect: Duration) -> Self {
        Self { policy, own, connect, pool: Arc::default() }
    }

    pub(crate) async fn send(
        &self,
        request: &Request<'_>,
        cookie: Option<&HeaderValue>,
    ) -> Result<Answer, FetchError> {
        // An idle connection may be closed while a request is on its way. Only what can be sent
        // again without harm is sent on one.
        let repeatable =
            request.body.is_none() && matches!(request.method, Method::GET | Method::HEAD);
        if repeatable && let Some(mut connection) = self.pool.take(request::origin(&request.url)) {
            self.vet(&connection)?;
            match exchange(&mut connection, request, cookie).await {
                Ok(head) => return Ok(self.answer(connection, head)),
                Err(error) if connection.has_answered() => return Err(error),
                Err(_) => {}
            }
        }
        let stream = connect::connect(&self.policy, &request.url, self.connect).await?;
        let mut connection = Connection::new(stream, request::origin(&request.url))?;
        self.vet(&connection)?;
        let head = exchange(&mut connection, request, cookie).await?;
        Ok(self.answer(connection, head))
    }

    /// Whoever answers is judged too, not only the name that led there.
    fn vet(&self, connection: &Connection) -> Result<(), FetchError> {
        let peer = connection.peer();
        self.policy.check_address(peer.ip())?;
        if self.own.contains(peer.ip(), Some(peer.port())) {
            return Err(Denial::OwnListener.into());
        }
        Ok(())
    }

    fn answer(&self, connection: Connection, head: Head) -> Answer {
        let Head { status, mut headers, framing, keep_alive } = head;
        let coding = Coding::of(&headers);
        if coding.is_some() {
            // They speak of the encoded body.
            headers.remove(header::CONTENT_ENCODING);
            headers.remove(header::CONTENT_LENGTH);
        }
        let empty = framing == Framing::Empty;
        let body = Body::new(connection, framing, keep_alive, self.pool.clone());
        let content = match coding {
            Some(coding) if !empty => Content::Decoded(Box::new(Decoded::new(coding, body))),
            _ => Content::Raw(body),
        };
        Answer { status, headers, content }
    }
}

async fn exchange(
    connection: &mut Connection,
    request: &Request<'_>,
    cookie: Option<&HeaderValue>,
) -> Result<Head, FetchError> {
    connection
        .write(|buffer| request::render(buffer, request, cookie))
        .await
        .map_err(|error| FetchError::of_io(Kind::Body, &error))?;
    head::read(connection, &request.method).await
}

impl Answer {
    /// The next piece of the body, decoded; `None` at its end.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, FetchError>> {
        match &mut self.content {
            Content::Raw(body) => body.poll_chunk(cx),
            Content::Decoded(decoded) => decoded.poll_chunk(cx),
        }
    }
}

#[cfg(test)]
mod tests;
