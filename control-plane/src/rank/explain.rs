//! Why a stream's upstreams stand as they do, in words and numbers. Nothing in it names a URL.

use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{ExplainedUpstream, Explanation};
use pitwall_upstream_map::{Health, StreamId};

use super::{RankConfig, Why};
use crate::engine::order::{Place, Ranking};

pub(crate) fn explain(
    stream: &StreamId,
    ranking: &Ranking<'_>,
    viewers: usize,
    config: &RankConfig,
    now: Timestamp,
) -> Explanation {
    let feed = ranking.places.first().map(|place| place.contender.candidate.feed.clone());
    let active = ranking.active();
    let upstream = |place: &Place<'_>| {
        let plays = active.filter(|active| active.key != place.key);
        explained(place, reason(place, plays), plays.is_none() && active.is_some(), now)
    };
    Explanation {
        stream: stream.clone(),
        feed: feed.unwrap_or_default(),
        generated_at: now,
        viewers,
        summary: summary(ranking, config),
        upstreams: ranking.places.iter().map(upstream).collect(),
    }
}

fn summary(ranking: &Ranking<'_>, config: &RankConfig) -> String {
    let Some(active) = ranking.active() else {
        return "Nothing plays: every upstream is down.".to_owned();
    };
    let name = &active.source.name;
    let others = ranking.places.iter().filter(|place| place.key != active.key);
    let fit: Vec<_> = others.filter(|place| place.health == Health::Healthy).collect();
    let seconds = |left: Duration| left.as_secs_f64().ceil();
    match ranking.why {
        Why::Pinned => format!("{name} plays because an operator chose it."),
        Why::Blip => format!("{name} keeps playing: it failed once, which is not confirmed yet."),
        Why::Margin { ahead } if ahead > 0.0 => format!(
            "{name} keeps playing: another scores {ahead:.2} more, and it takes {:.2} to move viewers.",
            config.margin.0
        ),
        Why::Held { left } => format!(
            "{name} keeps playing: viewers were moved just now and stay for {} s more.",
            seconds(left)
        ),
        Why::FailBack { left } => format!(
            "{name} keeps playing: one of higher priority is back and has to be fine for {} s more.",
            seconds(left)
        ),
        Why::Best | Why::Margin { .. } => {
            match fit.iter().max_by(|a, b| a.score.total_cmp(&b.score)) {
                None => format!("{name} plays: nothing else is healthy."),
                Some(next) if next.source.priority < active.source.priority => {
                    format!("{name} plays: of those that are healthy it has the highest priority.")
                }
                Some(next) => format!(
                    "{name} plays: it scores {:.2}, the next best {:.2}.",
                    active.score, next.score
                ),
            }
        }
    }
}

/// `plays`: who does instead.
fn reason(place: &Place<'_>, plays: Option<&Place<'_>>) -> String {
    let error = place.contender.error.as_deref().unwrap_or("a check failed");
    match (place.health, plays) {
        (Health::Down, _) => format!("Down: {error}. It is tried again after a pause."),
        (Health::Degraded, None) => format!("Plays, for want of better: {error}."),
        (Health::Degraded, Some(_)) => format!("On trial: {error}."),
        (Health::Healthy, None) => "Plays.".to_owned(),
        (Health::Healthy, Some(plays)) => {
            let (own, other) = (place.source.priority, plays.source.priority);
            let name = &plays.source.name;
            let behind = plays.score - place.score;
            match () {
                () if own < other => format!("Its priority {own} is below the {other} of {name}."),
                () if own > other => {
                    format!(
                        "Its priority {own} is above the {other} of {name}, which keeps playing."
                    )
                }
                () if behind >= 0.005 => format!("Scores {behind:.2} less than {name}."),
                () if behind <= -0.005 => {
                    format!("Scores {:.2} more than {name}, which keeps playing.", -behind)
                }
                () => format!("Scores the same as {name}."),
            }
        }
    }
}

fn explained(place: &Place<'_>, reason: String, active: bool, now: Timestamp) -> ExplainedUpstream {
    let Place { contender, source, health, score, parts, .. } = place;
    let latency = contender.record.latency();
    ExplainedUpstream {
        source: source.name.clone(),
        label: contender.candidate.label.clone(),
        active,
        health: *health,
        reason,
        priority: source.priority,
        score: *score,
        parts: parts.clone(),
        breaker: contender.breaker.state(),
        checked_at: contender.checked_at,
        error: contender.error.clone(),
        expires_at: contender.expiry.at,
        expiry: contender.expiry.source,
        latency_ms: latency.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
        throughput: contender.record.throughput(),
        bitrate: contender.checked.sample.bit_rate,
        behind_seconds: contender.checked.head.lag(now).map(|lag| lag.as_secs_f64()),
    }
}
