//! Why nothing plays a stream, or nothing of a source, in words for the public: no URL, no host,
//! no token.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pitwall_upstream_map::documents::ExtractorError;

use super::contender::Contender;
use super::known::NamedBy;
use super::sources::SourceState;
use super::work::CHECK;

/// Of every source that should play it; several are named.
pub(crate) fn of_stream<'a>(
    feed: &str,
    upstreams: impl Iterator<Item = (usize, &'a Contender)>,
    named_by: &NamedBy<'_>,
    sources: &[SourceState],
    now: Timestamp,
) -> String {
    let mut causes: BTreeMap<usize, String> = BTreeMap::new();
    for (source, contender) in upstreams {
        let Some(state) = sources.get(source) else { continue };
        causes.entry(source).or_insert_with(|| of_upstream(feed, contender, state, now));
    }
    for (source, (_, refused)) in named_by {
        let Some(state) = sources.get(*source) else { continue };
        causes.entry(*source).or_insert_with(|| of_find(feed, *refused, state));
    }
    let name = |source: &usize| sources.get(*source).map_or("", |one| &one.source.name);
    match causes.len() {
        0 | 1 => causes.into_values().next().unwrap_or_default(),
        _ => {
            let causes = causes.iter().map(|(source, why)| format!("{}: {why}", name(source)));
            causes.collect::<Vec<_>>().join("; ")
        }
    }
}

/// What its check says, and what explains it: a token that has ended, a source that fails to
/// renew it.
pub(crate) fn of_upstream(
    feed: &str,
    contender: &Contender,
    state: &SourceState,
    now: Timestamp,
) -> String {
    let check = contender.error.as_deref().unwrap_or("a check failed");
    let ended = contender.expiry.at.filter(|at| *at <= now);
    let token = ended.map(|at| format!("its token ended at {}", clock_time(at, now)));
    let failures = state.failures(feed);
    let step = failures.iter().find(|failure| failure.step != CHECK);
    let step = step.map(|failure| of_step(feed, failure));
    match (token, step) {
        (Some(token), Some(step)) => format!("{token} and {step} ({check})"),
        (Some(token), None) => format!("{token} ({check})"),
        (None, Some(step)) => format!("{check}, and {step}"),
        (None, None) => check.to_owned(),
    }
}

/// Of what has never passed a check.
pub(crate) fn of_find(feed: &str, refused: Option<&str>, state: &SourceState) -> String {
    let failures = state.failures(feed);
    match (refused, failures.first()) {
        (Some(refused), _) => refused.to_owned(),
        (None, Some(failure)) => of_step(feed, failure),
        (None, None) if state.has_run() => "its source does not find it".to_owned(),
        (None, None) => "its source has not been asked yet".to_owned(),
    }
}

fn of_step(feed: &str, failure: &ExtractorError) -> String {
    let own = format!("{feed}: ");
    let bare = |text: &str| text.strip_prefix(&own).unwrap_or(text).to_owned();
    let (step, message) = (bare(&failure.step), bare(&failure.message));
    match message.as_str() {
        _ if step == CHECK => message,
        "nothing is there" => format!("{step} finds nothing"),
        _ => format!("{step} failed: {message}"),
    }
}

fn clock_time(at: Timestamp, now: Timestamp) -> String {
    let today = now.duration_since(at).as_hours() < 24;
    let format = if today { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S UTC" };
    at.strftime(format).to_string()
}
