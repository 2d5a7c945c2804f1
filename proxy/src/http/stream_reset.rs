//! Notices that a client of HTTP/2 has given up a request.
//!
//! A stream that is reset makes room for another at once, whatever still works for it: without this, a client that resets
//! each of its requests, or closes its connection after them, would have any number of them worked on.

use std::future::pending;

use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType};

/// Resolves to an error of the downstream when the client resets the stream of an HTTP/2 request or closes its connection;
/// never for HTTP/1, whose connection has one request at a time.
pub async fn wait_for_reset(session: &mut ServerSession) -> Box<Error> {
    let Some(closed) = session.watch_h2_stream_close() else {
        return pending().await;
    };
    match closed.await {
        Ok(reason) => Error::explain(ErrorType::H2Error, format!("reset by the client: {reason}")),
        Err(error) => error,
    }
    .into_down()
}
