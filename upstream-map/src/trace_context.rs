//! [`TraceContext`]: the trace that a request belongs to, as `traceparent` carries it from a client
//! to an edge and from an edge to a control plane (W3C Trace Context, level 1), and the id of the
//! request, which goes the same way.

use std::fmt;
use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer than any UUID or id of a proxy.
pub const REQUEST_ID_MAX_BYTES: usize = 128;

/// The id that a request brings, if a log line can hold it as it is: no client writes a second
/// line, or a field of its own, into a log.
pub fn find_request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(byte);
    let id = headers.get(X_REQUEST_ID)?;
    let has_length = (1..=REQUEST_ID_MAX_BYTES).contains(&id.len());
    (has_length && id.as_bytes().iter().all(is_plain)).then_some(id)
}

/// A trace and the span in it that caused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Never 0.
    pub trace_id: u128,
    /// Never 0.
    pub parent_id: u64,
    pub is_sampled: bool,
}

impl TraceContext {
    /// The context of a trace that begins here.
    pub fn new_root() -> Self {
        let is_sampled = false;
        Self { trace_id: rand::random::<u128>().max(1), parent_id: random_span_id(), is_sampled }
    }

    /// The same trace, with another request as the cause.
    #[must_use]
    pub fn child(self) -> Self {
        Self { parent_id: random_span_id(), ..self }
    }

    /// Reads `traceparent`. A version above 00 may have more fields, which are ignored. `None`: it
    /// is invalid, and a new trace begins.
    pub fn parse(field: &str) -> Option<Self> {
        let mut parts = field.split('-');
        let version = parse_hex(parts.next()?, 2)?;
        let trace_id = parse_hex(parts.next()?, 32)?;
        let parent_id = u64::try_from(parse_hex(parts.next()?, 16)?).ok()?;
        let flags = parse_hex(parts.next()?, 2)?;
        let is_valid = version != 0xff
            && (version > 0 || parts.next().is_none())
            && trace_id != 0
            && parent_id != 0;
        is_valid.then_some(Self { trace_id, parent_id, is_sampled: flags & 1 == 1 })
    }

    /// Reads `traceparent` among the fields of a request.
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
    }
}

/// As `traceparent` is written.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.parent_id)
    }
}

fn random_span_id() -> u64 {
    rand::random::<u64>().max(1)
}

/// Exactly `length` lower-case hexadecimal digits.
fn parse_hex(text: &str, length: usize) -> Option<u128> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_valid = text.len() == length && text.bytes().all(is_hex);
    is_valid.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// How spans are connected to traces of other processes, where they are exported.
pub struct SpanExporterHooks {
    /// Makes the span the child of a span of another process.
    pub set_parent: fn(&Span, TraceContext),
    /// The context that a request from within the span carries.
    pub context_of: fn(&Span) -> Option<TraceContext>,
}

static TRACE_EXPORT: OnceLock<SpanExporterHooks> = OnceLock::new();

impl SpanExporterHooks {
    /// Connects the spans of this process, from now on; only the first call counts.
    pub fn install(self) {
        // A second exporter would send the same spans again.
        let _ = TRACE_EXPORT.set(self);
    }
}

/// Makes the span the child of a span of another process, where spans are exported.
pub fn set_parent(span: &Span, context: TraceContext) {
    if let Some(export) = TRACE_EXPORT.get() {
        (export.set_parent)(span, context);
    }
}

/// The context of a span that is exported; `None` where none are.
pub fn exported_context(span: &Span) -> Option<TraceContext> {
    (TRACE_EXPORT.get()?.context_of)(span)
}

/// The context that a request from within the current span carries: the span's own where spans are
/// exported, else a child of `context`.
pub fn outgoing_context(context: TraceContext) -> TraceContext {
    exported_context(&Span::current()).unwrap_or_else(|| context.child())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_field_is_taken_over() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (field, expected) in [
            (valid, Some(valid)),
            // What a later version appends is ignored (section 4).
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be",
                Some(valid),
            ),
            // Only the sampled flag is known.
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02",
                Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
            ),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", None),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", None),
            ("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
            ("", None),
        ] {
            let parsed = TraceContext::parse(field).map(|context| context.to_string());
            assert_eq!(parsed.as_deref(), expected, "{field}");
        }
    }

    #[test]
    fn a_child_belongs_to_the_same_trace() {
        let root = TraceContext::new_root();
        let child = outgoing_context(root);
        assert_eq!(child.trace_id, root.trace_id);
        assert_ne!(child.parent_id, root.parent_id);
    }
}
