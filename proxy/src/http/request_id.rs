//! [`RequestId`]: the name of one request, which the client gets back in `X-Request-Id` and finds
//! in the access log.

use http::{HeaderMap, HeaderValue};
use pitwall_upstream_map::trace_context::{self, TraceContext};

/// The id of a request and the trace that it belongs to.
#[derive(Clone, Debug)]
pub struct RequestId {
    pub id: HeaderValue,
    pub trace: TraceContext,
    /// The trace was begun by the client.
    is_remote: bool,
}

impl RequestId {
    /// Takes over the id and trace that the client or a proxy in front has given the request, as
    /// far as they are valid. A new id is that of the trace, so that one search finds both.
    pub fn of_headers(headers: &HeaderMap) -> Self {
        let remote = TraceContext::of_headers(headers);
        let trace = remote.unwrap_or_else(TraceContext::new_root);
        let given = trace_context::find_request_id(headers).cloned();
        let id = given.unwrap_or_else(|| id_of_trace(trace.trace_id));
        Self { id, trace, is_remote: remote.is_some() }
    }

    /// The context that the client has sent.
    pub fn remote_trace(&self) -> Option<TraceContext> {
        self.is_remote.then_some(self.trace)
    }

    pub fn as_str(&self) -> &str {
        self.id.to_str().unwrap_or("none")
    }
}

/// The 32 hexadecimal digits of a trace's id.
fn id_of_trace(trace_id: u128) -> HeaderValue {
    let mut text = [0; 32];
    for (digit, at) in text.iter_mut().rev().zip((0..).step_by(4)) {
        *digit = match (trace_id >> at) as u8 & 0xF {
            value @ 0..10 => b'0' + value,
            value => b'a' + (value - 10),
        };
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use pitwall_upstream_map::trace_context::{REQUEST_ID_MAX_BYTES, X_REQUEST_ID};

    use super::*;

    #[test]
    fn a_given_id_is_taken_over_if_a_log_line_can_hold_it() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        let long = "a".repeat(REQUEST_ID_MAX_BYTES + 1);
        for (given, is_taken) in [
            ("5f0c9f1c-1f0e-4d0c-8a3b-6a7e2d9c4b10", true),
            ("Root=1-67891233-abcdef012345678912345678", true),
            ("a", true),
            ("", false),
            ("two words", false),
            ("\"quoted\"", false),
            ("a\tb", false),
            (&long, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, given.parse().unwrap());
            headers
                .insert("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01").parse().unwrap());
            let expected = if is_taken { given } else { TRACE };
            assert_eq!(RequestId::of_headers(&headers).as_str(), expected, "{given:?}");
        }
        let made = RequestId::of_headers(&HeaderMap::new());
        assert_eq!(made.as_str(), format!("{:032x}", made.trace.trace_id));
    }
}
