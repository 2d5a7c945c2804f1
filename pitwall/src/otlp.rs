//! Spans, exported by OTLP over HTTP (feature `otlp`), where `OTEL_EXPORTER_OTLP_ENDPOINT` or
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set. Everything else is as OpenTelemetry's own variables
//! say: the service's name, the sampler, header fields and timeouts.

use std::sync::OnceLock;

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use pitwall_proxy::{Server, TaskEnd};
use pitwall_upstream_map::trace_context::{SpanExporterHooks, TraceContext};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

const ENDPOINT_VARIABLES: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
const DEFAULT_SERVICE_NAME: &str = "pitwall";

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// The layer that exports spans; `None` where no collector is set, or it cannot be used.
pub(crate) fn layer<S>() -> Option<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !ENDPOINT_VARIABLES.into_iter().any(is_set) {
        return None;
    }
    // For a collector behind TLS; only the first provider of a process counts.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match make_provider(None) {
        Ok(provider) => {
            SpanExporterHooks { set_parent, context_of }.install();
            let layer = layer_of(PROVIDER.get_or_init(|| provider));
            Some(layer)
        }
        Err(error) => {
            let error = anyhow::Error::new(error).context("no spans are exported");
            crate::terminal::print_error(&error);
            None
        }
    }
}

/// Sends what has not been sent yet. Spans end with the process otherwise.
pub(crate) fn flush() {
    if let Some(provider) = PROVIDER.get() {
        // A collector that is gone loses spans, which is all that can happen.
        let _ = provider.shutdown();
    }
}

/// Flushes when the server stops, as Pingora ends the process itself.
pub(crate) fn flush_at_stop(server: &mut Server) {
    server.add_task_until(TaskEnd::LastViewer, "spans", 1, |stop| async {
        stop.await;
        // It fails only if it panics.
        let _ = tokio::task::spawn_blocking(flush).await;
    });
}

/// `endpoint`: of the collector; by default that of the environment.
fn make_provider(endpoint: Option<&str>) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    let exporter = match endpoint {
        Some(endpoint) => exporter.with_endpoint(endpoint).build()?,
        None => exporter.build()?,
    };
    let resource = match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => Resource::builder(),
        None => Resource::builder().with_service_name(DEFAULT_SERVICE_NAME),
    };
    let builder = SdkTracerProvider::builder().with_batch_exporter(exporter);
    Ok(builder.with_resource(resource.build()).build())
}

/// Exports the spans of Pitwall, and none of the libraries below; log lines are none.
fn layer_of<S>(provider: &SdkTracerProvider) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let is_own_span = |metadata: &tracing::Metadata<'_>| {
        metadata.is_span() && metadata.target().starts_with("pitwall")
    };
    let filter = filter_fn(is_own_span).with_max_level_hint(LevelFilter::DEBUG);
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(DEFAULT_SERVICE_NAME))
        .with_location(false)
        .with_threads(false)
        .with_filter(filter)
        .boxed()
}

fn set_parent(span: &Span, context: TraceContext) {
    let remote = SpanContext::new(
        TraceId::from_bytes(context.trace_id.to_be_bytes()),
        SpanId::from_bytes(context.parent_id.to_be_bytes()),
        TraceFlags::new(u8::from(context.is_sampled)),
        true,
        TraceState::default(),
    );
    // It fails for a span that is filtered out, which nobody will miss.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote));
}

fn context_of(span: &Span) -> Option<TraceContext> {
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| TraceContext {
        trace_id: u128::from_be_bytes(span.trace_id().to_bytes()),
        parent_id: u64::from_be_bytes(span.span_id().to_bytes()),
        is_sampled: span.is_sampled(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// A collector: what it gets in one request.
    fn collect_once(listener: TcpListener) -> (String, Vec<u8>) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0);
        }
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
        });
        let mut body = vec![0; length.unwrap()];
        reader.read_exact(&mut body).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        (head, body)
    }

    #[test]
    fn spans_reach_a_collector_in_the_callers_trace() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let collector = std::thread::spawn(move || collect_once(listener));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let provider = make_provider(Some(&endpoint)).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer_of(&provider));
        let field = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::parse(field).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let request = tracing::debug_span!("request");
            set_parent(&request, context);
            let outgoing = request.in_scope(|| {
                tracing::debug_span!(target: "hyper", "connection").in_scope(|| {});
                tracing::debug_span!("fetch").in_scope(|| context_of(&Span::current()))
            });
            let outgoing = outgoing.unwrap();
            assert_eq!((outgoing.trace_id, outgoing.is_sampled), (context.trace_id, true));
            assert_ne!(outgoing.parent_id, context.parent_id);
        });
        provider.shutdown().unwrap();
        let (head, body) = collector.join().unwrap();
        assert!(head.starts_with("POST /v1/traces "), "{head}");
        let holds = |text: &[u8]| body.windows(text.len()).any(|part| part == text);
        for (text, expected) in [
            (&b"request"[..], true),
            (b"fetch", true),
            (b"connection", false),
            (DEFAULT_SERVICE_NAME.as_bytes(), true),
            (&context.trace_id.to_be_bytes(), true),
            (&context.parent_id.to_be_bytes(), true),
        ] {
            assert_eq!(holds(text), expected, "{:?}", String::from_utf8_lossy(text));
        }
    }
}
