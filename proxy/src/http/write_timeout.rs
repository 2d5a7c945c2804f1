//! How long a viewer may take to read what is written, and to send the rest of a request.

use std::time::Duration;

use pingora::protocols::http::ServerSession;

/// How long the write of one body chunk may take at least.
const WRITE_MIN_TIMEOUT: Duration = Duration::from_secs(80);
/// The slowest reader for whom a large chunk's timeout is long enough: a tenth less than 100
/// kbit/s.
const WRITE_MIN_BYTES_PER_SECOND: usize = 11_000;
/// How long the unread rest of a request's body may take to arrive before its connection is closed.
const REQUEST_BODY_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Sets the timeouts of a request: a viewer who stops reading must not hold a connection for ever,
/// but a slow one may.
pub fn set_timeouts(session: &mut ServerSession) {
    session.set_write_timeout(Some(WRITE_MIN_TIMEOUT));
    session.set_total_drain_timeout(Some(REQUEST_BODY_DRAIN_TIMEOUT));
}

/// Extends the timeout of the next write, of a chunk of `bytes`, where the chunk is large.
pub fn extend_write_timeout(session: &mut ServerSession, bytes: usize) {
    session.set_write_timeout(Some(write_timeout(bytes)));
}

fn write_timeout(bytes: usize) -> Duration {
    WRITE_MIN_TIMEOUT.max(Duration::from_secs(bytes.div_ceil(WRITE_MIN_BYTES_PER_SECOND) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_chunk_has_a_longer_write_timeout() {
        for (bytes, seconds) in
            [(0, 80), (500_000, 80), (1_000_000, 91), (4_000_000, 364), (4 * 1024 * 1024, 382)]
        {
            assert_eq!(write_timeout(bytes), Duration::from_secs(seconds), "{bytes}");
        }
    }
}
