//! Why a stream or a source does not play, as public text: without URL, host or token.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pitwall_upstream_map::documents::ExtractorError;

use super::known_streams::SourcesNamingStream;
use super::run_report::CHECK_STEP;
use super::source_state::SourceState;
use super::tracked_upstream::TrackedUpstream;

/// The causes of every source that should play the stream, with names if there are several.
pub(crate) fn stream_cause<'a>(
    feed: &str,
    upstreams: impl Iterator<Item = (usize, &'a TrackedUpstream)>,
    naming_sources: &SourcesNamingStream<'_>,
    sources: &[SourceState],
    now: Timestamp,
) -> String {
    let mut causes: BTreeMap<usize, String> = BTreeMap::new();
    for (source, upstream) in upstreams {
        let Some(state) = sources.get(source) else { continue };
        causes.entry(source).or_insert_with(|| upstream_cause(feed, upstream, state, now));
    }
    for (source, (_, rejection)) in naming_sources {
        let Some(state) = sources.get(*source) else { continue };
        causes.entry(*source).or_insert_with(|| describe_rejected_find(feed, *rejection, state));
    }
    let name = |source: &usize| sources.get(*source).map_or("", |one| &one.source.name);
    match causes.len() {
        0 | 1 => causes.into_values().next().unwrap_or_default(),
        _ => {
            let causes = causes.iter().map(|(source, cause)| format!("{}: {cause}", name(source)));
            causes.collect::<Vec<_>>().join("; ")
        }
    }
}

/// The cause of an upstream's failure: its check's error, with an expired token or a failed
/// extraction that explains it.
pub(crate) fn upstream_cause(
    feed: &str,
    upstream: &TrackedUpstream,
    state: &SourceState,
    now: Timestamp,
) -> String {
    let check = upstream.last_error.as_deref().unwrap_or("a check failed");
    let ended = upstream.expiry.expires_at.filter(|at| *at <= now);
    let token = ended.map(|at| format!("its token ended at {}", format_clock_time(at, now)));
    let failures = state.failures_of_feed(feed);
    let step = failures.iter().find(|failure| failure.step != CHECK_STEP);
    let step = step.map(|failure| describe_failed_step(feed, failure));
    match (token, step) {
        (Some(token), Some(step)) => format!("{token} and {step} ({check})"),
        (Some(token), None) => format!("{token} ({check})"),
        (None, Some(step)) => format!("{check}, and {step}"),
        (None, None) => check.to_owned(),
    }
}

/// The cause for a find that has never passed a check.
pub(crate) fn describe_rejected_find(
    feed: &str,
    rejection: Option<&str>,
    state: &SourceState,
) -> String {
    let failures = state.failures_of_feed(feed);
    match (rejection, failures.first()) {
        (Some(rejection), _) => rejection.to_owned(),
        (None, Some(failure)) => describe_failed_step(feed, failure),
        (None, None) if state.has_run() => "its source does not find it".to_owned(),
        (None, None) => "its source has not been asked yet".to_owned(),
    }
}

/// Why a run of a source failed.
pub(crate) fn describe_failed_run(failure: &ExtractorError) -> String {
    describe_failed_step("", failure)
}

fn describe_failed_step(feed: &str, failure: &ExtractorError) -> String {
    let own = format!("{feed}: ");
    let bare = |text: &str| text.strip_prefix(&own).unwrap_or(text).to_owned();
    let (step, message) = (bare(&failure.step), bare(&failure.message));
    match message.as_str() {
        _ if step == CHECK_STEP => message,
        "nothing is there" => format!("{step} finds nothing"),
        _ => format!("{step} failed: {message}"),
    }
}

fn format_clock_time(at: Timestamp, now: Timestamp) -> String {
    let today = now.duration_since(at).as_hours() < 24;
    let format = if today { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S UTC" };
    at.strftime(format).to_string()
}
