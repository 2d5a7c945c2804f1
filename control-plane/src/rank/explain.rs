//! The explanation of a stream's ranking as text and numbers; it contains no URL.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use pitwall_upstream_map::documents::{ExplainedUpstream, Explanation};
use pitwall_upstream_map::{Health, StreamId};

use super::RankConfig;
use crate::model::continuity::Continuity;
use crate::model::figures::Figures;
use crate::model::ranking::{RankedUpstream, Ranking, SelectionReason};

pub(crate) fn explain_stream(
    stream: &StreamId,
    ranking: &Ranking<'_>,
    viewers: usize,
    config: &RankConfig,
    now: Timestamp,
) -> Explanation {
    let feed = ranking.upstreams.first().map(|first| first.upstream.candidate.feed.clone());
    let active = ranking.active();
    let explain = |upstream: &RankedUpstream<'_>| {
        let other_active = active.filter(|active| active.key != upstream.key);
        explained_upstream(
            upstream,
            upstream_reason(upstream, other_active),
            other_active.is_none() && active.is_some(),
        )
    };
    Explanation {
        stream: stream.clone(),
        feed: feed.unwrap_or_default(),
        viewers,
        summary: selection_summary(ranking, config, now),
        upstreams: ranking.upstreams.iter().map(explain).collect(),
    }
}

fn selection_summary(ranking: &Ranking<'_>, config: &RankConfig, now: Timestamp) -> String {
    let Some(active) = ranking.active() else {
        return "Nothing plays: every upstream is down.".to_owned();
    };
    let name = &active.source.name;
    let others = ranking.upstreams.iter().filter(|other| other.key != active.key);
    let healthy: Vec<_> = others.filter(|other| other.health == Health::Healthy).collect();
    let score = |ranked: &RankedUpstream<'_>| ranked.upstream.figures.score;
    let best = healthy.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
    let ahead = best.map_or(0.0, |best| score(best) - score(active));
    // A time of day and no countdown, so that the document stays as it is.
    let until = |left: Duration| {
        let until = now.checked_add(left).unwrap_or(now);
        until.round(Unit::Second).unwrap_or(until).strftime("%H:%M:%S UTC").to_string()
    };
    match ranking.reason {
        SelectionReason::Pinned => format!("{name} plays because an operator chose it."),
        SelectionReason::UnconfirmedFailure => {
            format!("{name} keeps playing: it failed once, which is not confirmed yet.")
        }
        SelectionReason::WithinMargin if ahead >= 0.005 => format!(
            "{name} keeps playing: another scores {ahead:.2} more, and it takes {:.2} to move viewers.",
            config.margin.0
        ),
        SelectionReason::HoldDown { left } => format!(
            "{name} keeps playing: viewers were moved just now and stay until {}.",
            until(left)
        ),
        SelectionReason::FailBackPending { left } => format!(
            "{name} keeps playing: one of higher priority is back and has to be fine until {}.",
            until(left)
        ),
        SelectionReason::Best | SelectionReason::WithinMargin => match best {
            None => format!("{name} plays: nothing else is healthy."),
            Some(next) if next.source.priority < active.source.priority => {
                format!("{name} plays: of those that are healthy it has the highest priority.")
            }
            Some(next) => format!(
                "{name} plays: it scores {:.2}, the next best {:.2}.",
                score(active),
                score(next)
            ),
        },
    }
}

/// `active`: the active upstream when that is another one.
fn upstream_reason(ranked: &RankedUpstream<'_>, active: Option<&RankedUpstream<'_>>) -> String {
    let error = ranked.upstream.last_error.as_deref().unwrap_or("a check failed");
    match (ranked.health, active) {
        (Health::Down, _) => format!("Down: {error}. It is tried again after a pause."),
        (Health::Degraded, None) => format!("Plays, for want of better: {error}."),
        (Health::Degraded, Some(_)) => format!("On trial: {error}."),
        (Health::Healthy, None) => "Plays.".to_owned(),
        (Health::Healthy, Some(active)) => {
            let (own, other) = (ranked.source.priority, active.source.priority);
            let name = &active.source.name;
            let behind = active.upstream.figures.score - ranked.upstream.figures.score;
            let place = match () {
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
            };
            format!("{place}{}", splice_warning(active.continuity_to(ranked)))
        }
    }
}

/// What an operator should know before viewers are moved.
fn splice_warning(continuity: Continuity) -> &'static str {
    match continuity {
        Continuity::Same => "",
        Continuity::OtherInitSection => {
            " Its initialization section is another one: players outside browsers lose the picture behind a switch."
        }
        Continuity::OtherContainer => {
            " Its container is another one: players begin anew behind a switch."
        }
    }
}

fn explained_upstream(
    ranked: &RankedUpstream<'_>,
    reason: String,
    active: bool,
) -> ExplainedUpstream {
    let RankedUpstream { upstream, source, health, .. } = ranked;
    let Figures { measured_at, score, score_parts, latency, throughput, bit_rate, lag, .. } =
        &upstream.figures;
    ExplainedUpstream {
        source: source.name.clone(),
        label: upstream.candidate.label.clone(),
        active,
        health: *health,
        reason,
        priority: source.priority,
        score: *score,
        parts: score_parts.clone(),
        breaker: upstream.breaker.state(),
        measured_at: measured_at.unwrap_or_default(),
        error: upstream.last_error.clone(),
        expires_at: upstream.expiry.expires_at,
        expiry: upstream.expiry.source,
        latency_ms: latency.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
        throughput: *throughput,
        bitrate: *bit_rate,
        behind_seconds: lag.map(|lag| lag.as_secs_f64()),
    }
}
