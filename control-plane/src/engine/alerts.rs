//! [`AlertState`]: alerts to the operator, derived from the differences between two evaluations, so
//! that each event is reported once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pitwall_upstream_map::documents::Session;
use pitwall_upstream_map::{Health, StreamId, UpstreamMap};
use tokio::time::Instant;

use super::Engine;
use super::stream_review::ReviewedItems;
use crate::model::alert::{Alert, AlertEvent};
use crate::model::ranking::{RankedUpstream, Ranking};
use crate::model::source_state::{self, SourceState};
use crate::model::tracked_upstream::TrackedUpstream;
use crate::model::{UpstreamKey, outage_cause};

#[derive(Default)]
pub(crate) struct AlertState {
    /// Sources of which at least one upstream is not down.
    live_sources: BTreeSet<usize>,
    /// Sources that died and are still dead, and whose death has not been reported yet.
    unreported_dead_sources: BTreeSet<usize>,
    active_upstreams: BTreeMap<StreamId, UpstreamKey>,
    /// Since when a stream runs on a backup, and whether that was reported.
    on_backup_since: BTreeMap<StreamId, (Instant, bool)>,
    /// Since when no stream is healthy during a session, and whether that was reported.
    no_healthy_stream_since: Option<(Instant, bool)>,
    /// Sources that were reported dead and still are.
    reported_dead_sources: BTreeSet<usize>,
    /// Sources of which it was reported that they fail while they still play.
    reported_failing_sources: BTreeSet<usize>,
    /// When a source's death was last reported.
    death_alerted_at: BTreeMap<usize, Instant>,
}

/// A failover that is undone within this time is reported as a failover only.
const ON_BACKUP_ALERT_DELAY: Duration = Duration::from_mins(1);
/// Time for sources to be extracted before a lack of healthy streams is reported.
const NO_HEALTHY_STREAM_ALERT_DELAY: Duration = Duration::from_secs(30);
/// Minimum time between two reports of one source's death.
const SOURCE_DEAD_ALERT_COOLDOWN: Duration = Duration::from_mins(10);

impl Engine {
    /// Reports what has changed since the last tick.
    pub(super) fn send_alerts(&mut self) {
        let now = self.clock.now();
        let mut alert_state = std::mem::take(&mut self.alert_state);
        let ReviewedItems { streams, sources } = std::mem::take(&mut self.reviews.reviewed);
        let mut events = Vec::new();
        for source in sources {
            let has_run = self.sources.get(source).is_some_and(SourceState::has_run);
            let is_live = self.live_upstreams(source).next().is_some();
            alert_state.record_source_liveness(source, is_live, has_run);
            events.extend(self.source_failing_event(source, &mut alert_state));
            events.extend(self.source_back_event(source, &mut alert_state));
        }
        let due = alert_state.take_due_deaths();
        events.extend(due.into_iter().filter_map(|source| self.source_dead_event(source)));
        let on_backup = alert_state.on_backup_since.keys().filter(|one| !streams.contains(*one));
        for stream in streams.iter().chain(&on_backup.cloned().collect::<Vec<_>>()) {
            let ranking = self.rank_stream(stream, None);
            events.extend(alert_state.failover_event(stream, &ranking));
            events.extend(alert_state.on_backup_event(stream, &ranking));
        }
        let has_healthy_stream = self.counts.has_healthy();
        let unserved = self.session_on_air(has_healthy_stream).filter(|_| !has_healthy_stream);
        events.extend(alert_state.no_healthy_stream_event(unserved.as_ref()));
        self.alert_state = alert_state;
        for stream in self.known_streams.streams_with_due_alert() {
            let ranking = self.rank_stream(&stream, None);
            let active_source = ranking.active().map(|active| active.source.name.clone());
            let view = self.stream_view(&stream, &ranking);
            let cause = view.map(|view| view.outage_cause()).unwrap_or_default();
            // The published map carries which outages were reported, for the next leader.
            self.reviews.touch(&stream);
            events.extend(self.known_streams.take_due_alert(stream, active_source, cause));
        }
        for event in events {
            self.notifier.notify(Alert::new(event, now));
        }
    }

    /// Reported once, until a run of the source succeeds. `None` where nothing of it plays, which is
    /// another event.
    fn source_failing_event(
        &self,
        source: usize,
        alert_state: &mut AlertState,
    ) -> Option<AlertEvent> {
        let state = self.sources.get(source)?;
        let failure = state.repeated_failure()?;
        let alive: Vec<_> = self.live_upstreams(source).collect();
        if alive.is_empty() || !alert_state.reported_failing_sources.insert(source) {
            return None;
        }
        Some(AlertEvent::SourceFailing {
            source: state.source.name.clone(),
            streams: self.live_streams(source),
            reason: outage_cause::describe_failed_run(failure),
            token_ends_at: alive.iter().filter_map(|(_, it)| it.expiry.expires_at).min(),
        })
    }

    /// The end of what was reported of a source. `None` unless something of it plays.
    fn source_back_event(&self, source: usize, alert_state: &mut AlertState) -> Option<AlertEvent> {
        let state = self.sources.get(source)?;
        let is_live = alert_state.live_sources.contains(&source);
        let lives_again = is_live && alert_state.reported_dead_sources.remove(&source);
        let recovered = !state.is_failing() && alert_state.reported_failing_sources.remove(&source);
        (lives_again || recovered && is_live).then(|| AlertEvent::SourceBack {
            source: state.source.name.clone(),
            streams: self.live_streams(source),
        })
    }

    fn live_upstreams(
        &self,
        source: usize,
    ) -> impl Iterator<Item = (&UpstreamKey, &TrackedUpstream)> {
        self.upstreams.of_source(source).filter(|(_, upstream)| upstream.health() != Health::Down)
    }

    fn live_streams(&self, source: usize) -> Vec<StreamId> {
        let streams: BTreeSet<_> =
            self.live_upstreams(source).map(|(key, _)| &key.stream).collect();
        streams.into_iter().cloned().collect()
    }

    /// `None` when the source has no stream, so that nobody misses it.
    fn source_dead_event(&self, source: usize) -> Option<AlertEvent> {
        let state = self.sources.get(source)?;
        let tracked = self.upstreams.of_source(source).map(|(key, _)| &key.stream);
        let named: BTreeSet<_> = tracked.chain(self.known_streams.named_by(source)).collect();
        let mut streams: Vec<StreamId> = Vec::new();
        let mut reason = None;
        for stream in named {
            let Some(known) = self.known_streams.get(stream) else { continue };
            let feed = &known.feed;
            let ranking = self.rank_stream(stream, None);
            let mut upstreams = ranking.upstreams.iter();
            let cause = match upstreams.find(|ranked| ranked.key.source == source) {
                Some(ranked) => {
                    outage_cause::upstream_cause(feed, ranked.upstream, state, self.clock.now())
                }
                None => match self.known_streams.naming_sources(stream).get(&source) {
                    Some((_, rejection)) => {
                        outage_cause::describe_rejected_find(feed, *rejection, state)
                    }
                    None => continue,
                },
            };
            streams.push(stream.clone());
            reason.get_or_insert(cause);
        }
        let source = state.source.name.clone();
        (!streams.is_empty()).then_some(AlertEvent::SourceDead { source, streams, reason })
    }
}

impl AlertState {
    /// Takes over the live sources of the previous leader's map; those that are not found again
    /// count as dead.
    pub(super) fn inherit(&mut self, map: &UpstreamMap, sources: &[SourceState]) {
        let upstreams = map.streams.values().flat_map(|stream| &stream.upstreams);
        let live_sources = upstreams.filter(|one| one.health != Health::Down);
        let live_sources = live_sources
            .filter_map(|one| source_state::source_index(sources, &one.source))
            .collect();
        *self = Self {
            live_sources,
            death_alerted_at: std::mem::take(&mut self.death_alerted_at),
            reported_dead_sources: std::mem::take(&mut self.reported_dead_sources),
            reported_failing_sources: std::mem::take(&mut self.reported_failing_sources),
            ..Self::default()
        };
    }

    /// The source is no longer configured.
    pub(super) fn forget_source(&mut self, source: usize) {
        self.live_sources.remove(&source);
        self.unreported_dead_sources.remove(&source);
        self.death_alerted_at.remove(&source);
        self.reported_dead_sources.remove(&source);
        self.reported_failing_sources.remove(&source);
    }

    /// Records whether an upstream of a source is not down.
    fn record_source_liveness(&mut self, source: usize, is_live: bool, has_run: bool) {
        // A source that has not run yet cannot be known to be dead.
        if is_live || !has_run && self.live_sources.contains(&source) {
            self.live_sources.insert(source);
            self.unreported_dead_sources.remove(&source);
        } else if self.live_sources.remove(&source) {
            self.unreported_dead_sources.insert(source);
        }
    }

    /// The deaths to report. A death within [`SOURCE_DEAD_ALERT_COOLDOWN`] of the last report is
    /// reported when that ends, unless the source is alive by then.
    fn take_due_deaths(&mut self) -> Vec<usize> {
        let alerted_at = &self.death_alerted_at;
        let is_due = |source: &usize| {
            let last = alerted_at.get(source);
            last.is_none_or(|last| last.elapsed() >= SOURCE_DEAD_ALERT_COOLDOWN)
        };
        let due: Vec<usize> =
            self.unreported_dead_sources.extract_if(.., |source| is_due(source)).collect();
        for source in &due {
            self.death_alerted_at.insert(*source, Instant::now());
            self.reported_dead_sources.insert(*source);
        }
        due
    }

    /// A failover is reported only when the previously active upstream is not healthy; a move to a
    /// better upstream is not.
    fn failover_event(&mut self, stream: &StreamId, ranking: &Ranking<'_>) -> Option<AlertEvent> {
        if ranking.upstreams.is_empty() {
            self.active_upstreams.remove(stream);
        }
        let active = ranking.active()?;
        let before = self.active_upstreams.insert(stream.clone(), active.key.clone())?;
        let from = ranking.upstreams.iter().find(|ranked| *ranked.key == before)?;
        (before != *active.key && from.health != Health::Healthy).then(|| AlertEvent::Failover {
            stream: stream.clone(),
            from: from.source.name.clone(),
            to: active.source.name.clone(),
            reason: from.upstream.last_error.clone(),
        })
    }

    fn on_backup_event(&mut self, stream: &StreamId, ranking: &Ranking<'_>) -> Option<AlertEvent> {
        let primary = ranking.upstreams.iter().min_by_key(|ranked| {
            let place = (ranked.config_position, ranked.key.ordinal);
            (std::cmp::Reverse(ranked.source.priority), place)
        });
        let weak = |ranked: &&RankedUpstream<'_>| ranked.health != Health::Healthy;
        let on_backup = primary.filter(weak).zip(ranking.active());
        let on_backup = on_backup.filter(|(primary, active)| primary.key != active.key);
        let Some((primary, active)) = on_backup else {
            self.on_backup_since.remove(stream);
            return None;
        };
        let (since, is_reported) =
            self.on_backup_since.entry(stream.clone()).or_insert((Instant::now(), false));
        if *is_reported || since.elapsed() < ON_BACKUP_ALERT_DELAY {
            return None;
        }
        *is_reported = true;
        Some(AlertEvent::OnBackup {
            stream: stream.clone(),
            source: active.source.name.clone(),
            instead_of: primary.source.name.clone(),
        })
    }

    fn no_healthy_stream_event(&mut self, unserved: Option<&Session>) -> Option<AlertEvent> {
        let Some(session) = unserved else {
            self.no_healthy_stream_since = None;
            return None;
        };
        let (since, is_reported) =
            self.no_healthy_stream_since.get_or_insert((Instant::now(), false));
        if *is_reported || since.elapsed() < NO_HEALTHY_STREAM_ALERT_DELAY {
            return None;
        }
        *is_reported = true;
        Some(AlertEvent::NoHealthyStream {
            session: session.id.clone(),
            name: session.name.clone(),
        })
    }
}
