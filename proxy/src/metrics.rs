//! [`Metrics`]: the Prometheus metrics of the edge, and [`upstream`], those of its requests to
//! upstreams. Label values are closed sets and names of configured sources: none comes from a
//! client, and none is a stream's name, which comes from upstream lists, so that the number of
//! series is bounded. The series of a label value are looked up once, and each exists from the
//! start, so that `increase()` sees its first count.

pub mod upstream;

use std::marker::PhantomData;
use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use self::upstream::UpstreamMetrics;

/// A closed set of label values.
pub trait Label: Copy + 'static {
    const TEXTS: &'static [&'static str];

    /// The position of this value in [`TEXTS`](Self::TEXTS).
    fn index(self) -> usize;

    fn text(self) -> &'static str {
        Self::TEXTS[self.index()]
    }
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($value:ident = $text:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($value),* }

        impl Label for $name {
            const TEXTS: &'static [&'static str] = &[$($text),*];

            fn index(self) -> usize {
                self as usize
            }
        }
    )*};
}
use labels;

labels! {
    /// What a request is for.
    RouteLabel {
        Refused = "refused", Multivariant = "multivariant", Media = "media", Segment = "segment",
        Proxy = "proxy", Relay = "relay", Health = "health", Events = "events",
        Command = "command", Api = "api", Page = "page",
    }

    /// How a request was answered.
    StatusLabel {
        Informational = "1xx", Successful = "2xx", Redirection = "3xx", ClientError = "4xx",
        ServerError = "5xx", None = "none", Aborted = "aborted",
    }

    /// Where the object of a request for media came from.
    CacheResult { Hit = "hit", Coalesced = "coalesced", Miss = "miss", Bypass = "bypass" }

    /// Outcome of looking for an object on disk.
    DiskReadResult { Hit = "hit", Miss = "miss", Damaged = "damaged" }

    /// What becomes of objects on disk.
    DiskWriteResult {
        Stored = "stored", Skipped = "skipped", Failed = "failed", Evicted = "evicted",
    }

    /// Outcome of a prefetch.
    PrefetchResult { Fetched = "fetched", Skipped = "skipped", Refused = "refused" }

    /// A part of the poll of a media playlist.
    PollStage {
        Fetch = "fetch", Splice = "splice", Rewrite = "rewrite", Prefetch = "prefetch",
        Publish = "publish",
    }
}

/// A metric for each value of a label.
#[derive(Clone)]
pub struct ByLabel<L, M>(Arc<[M]>, PhantomData<L>);

impl RouteLabel {
    /// The paths of a route, for people.
    pub fn template(self) -> &'static str {
        match self {
            Self::Refused => "-",
            Self::Multivariant => "/live/{stream}/index.m3u8",
            Self::Media => "/live/{stream}/{rendition}.m3u8",
            Self::Segment => "/live/{stream}/{rendition}/{segment}",
            Self::Proxy => "/proxy/{source}",
            Self::Relay => "/relay/{name}",
            Self::Health => "/healthz|/readyz",
            Self::Events => "/api/events",
            Self::Command => "/api/{command}",
            Self::Api => "/api/{document}",
            Self::Page => "/{page}",
        }
    }
}

impl StatusLabel {
    /// The class of an HTTP status; 0 is none.
    pub fn of(status: u16) -> Self {
        match status {
            100..200 => Self::Informational,
            200..300 => Self::Successful,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500..600 => Self::ServerError,
            _ => Self::None,
        }
    }
}

impl<L: Label, M> ByLabel<L, M> {
    fn new(metric: impl Fn(&str) -> M) -> Self {
        Self(L::TEXTS.iter().map(|text| metric(text)).collect(), PhantomData)
    }

    pub fn of(&self, label: L) -> &M {
        &self.0[label.index()]
    }
}

/// The metrics of the objects on disk; a clone shares them.
#[derive(Clone)]
pub struct DiskMetrics {
    pub bytes: IntGauge,
    pub reads: ByLabel<DiskReadResult, IntCounter>,
    pub writes: ByLabel<DiskWriteResult, IntCounter>,
}

/// The metrics of one edge; a clone shares them.
#[derive(Clone)]
pub struct Metrics {
    pub requests: ByLabel<RouteLabel, ByLabel<StatusLabel, IntCounter>>,
    pub request_duration: ByLabel<RouteLabel, Histogram>,
    pub first_byte_duration: ByLabel<RouteLabel, Histogram>,
    pub poll_stage_duration: ByLabel<PollStage, Histogram>,
    pub upstream: UpstreamMetrics,
    pub response_bytes: ByLabel<RouteLabel, IntCounter>,
    pub cache_requests: ByLabel<CacheResult, IntCounter>,
    pub disk: DiskMetrics,
    pub prefetches: ByLabel<PrefetchResult, IntCounter>,
    pub source_switches: IntCounterVec,
    pub cached_bytes: IntGauge,
    pub inflight_fetch_bytes: IntGauge,
    pub requests_in_flight: IntGauge,
    pub map_version: IntGauge,
    pub viewers: IntGauge,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// A metric is already registered in `registry`.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name, help, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauge = |name, help| register(registry, IntGauge::new(name, help)?);
        let requests = counters(
            "pitwall_http_requests_total",
            "HTTP requests that were answered.",
            &["route", "status"],
        )?;
        let request_duration = HistogramOpts::new(
            "pitwall_http_request_duration_seconds",
            "Seconds from the header of a request to the last byte of its response.",
        )
        .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]);
        let request_duration =
            register(registry, HistogramVec::new(request_duration, &["route"])?)?;
        let first_byte = HistogramOpts::new(
            "pitwall_http_first_byte_duration_seconds",
            "Seconds from the header of a request until the header of its response is sent.",
        )
        .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]);
        let first_byte = register(registry, HistogramVec::new(first_byte, &["route"])?)?;
        let poll_stages = HistogramOpts::new(
            "pitwall_poll_stage_duration_seconds",
            "Seconds that each stage of a poll of a media playlist takes: fetch, splice, rewrite, \
             prefetch (waiting for new segments), publish.",
        )
        .buckets(vec![0.0005, 0.002, 0.01, 0.05, 0.2, 1.0, 5.0]);
        let poll_stages = register(registry, HistogramVec::new(poll_stages, &["stage"])?)?;
        let response_bytes = counters(
            "pitwall_http_response_bytes_total",
            "Bytes of response bodies that were sent.",
            &["route"],
        )?;
        let cache_requests = counters(
            "pitwall_cache_requests_total",
            "Requests for media by cache result: hit, coalesced, miss or bypass.",
            &["result"],
        )?;
        let disk_reads = counters(
            "pitwall_disk_cache_reads_total",
            "Objects that were looked for on disk: hit, miss or damaged.",
            &["result"],
        )?;
        let disk_writes = counters(
            "pitwall_disk_cache_writes_total",
            "Objects stored on disk, skipped because too many waited, failed, or evicted for newer ones.",
            &["outcome"],
        )?;
        let prefetches = counters(
            "pitwall_prefetch_total",
            "New segments, maps and keys of watched playlists by outcome of their prefetch.",
            &["outcome"],
        )?;
        Ok(Self {
            requests: ByLabel::new(|route| {
                ByLabel::new(|status| requests.with_label_values(&[route, status]))
            }),
            request_duration: ByLabel::new(|route| request_duration.with_label_values(&[route])),
            first_byte_duration: ByLabel::new(|route| first_byte.with_label_values(&[route])),
            poll_stage_duration: ByLabel::new(|stage| poll_stages.with_label_values(&[stage])),
            upstream: UpstreamMetrics::new(registry)?,
            response_bytes: ByLabel::new(|route| response_bytes.with_label_values(&[route])),
            cache_requests: ByLabel::new(|result| cache_requests.with_label_values(&[result])),
            disk: DiskMetrics {
                bytes: gauge("pitwall_disk_cache_bytes", "Bytes of the objects on disk.")?,
                reads: ByLabel::new(|result| disk_reads.with_label_values(&[result])),
                writes: ByLabel::new(|outcome| disk_writes.with_label_values(&[outcome])),
            },
            prefetches: ByLabel::new(|outcome| prefetches.with_label_values(&[outcome])),
            source_switches: counters(
                "pitwall_source_switches_total",
                "Source switches of watched streams by reason.",
                &["reason"],
            )?,
            cached_bytes: gauge("pitwall_cache_bytes", "Bytes of complete objects in the cache.")?,
            inflight_fetch_bytes: gauge(
                "pitwall_inflight_fetch_bytes",
                "Bytes of bodies outside the cache: in flight, passed through, or evicted and still read.",
            )?,
            requests_in_flight: gauge(
                "pitwall_http_requests_in_flight",
                "HTTP requests that are being answered.",
            )?,
            map_version: gauge("pitwall_edge_map_version", "Version of the map in use.")?,
            viewers: gauge(
                "pitwall_viewers",
                "Playbacks: players that poll a stream's playlists.",
            )?,
        })
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
