//! [`AlertState`]: alerts to the operator, derived from the differences between two evaluations, so
//! that each event is reported once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::Session;
use pitwall_upstream_map::{Health, StreamId, UpstreamMap};
use tokio::time::Instant;

use super::Engine;
use crate::model::alert::{Alert, AlertEvent};
use crate::model::known_streams::KnownStreams;
use crate::model::ranking::{self, RankedUpstream, Ranking, StreamRankings};
use crate::model::source_state::{self, SourceState};
use crate::model::{UpstreamKey, outage_cause};
use crate::schedule::live_window;

#[derive(Default)]
pub(crate) struct AlertState {
    last_evaluated_at: Option<Instant>,
    /// Sources of which at least one upstream is not down.
    live_sources: BTreeSet<usize>,
    /// Sources that died and are still dead, and whose death has not been reported yet.
    unreported_dead_sources: BTreeSet<usize>,
    active_upstreams: BTreeMap<StreamId, UpstreamKey>,
    /// Since when a stream runs on a backup, and whether that was reported.
    on_backup_since: BTreeMap<StreamId, (Instant, bool)>,
    /// Since when no stream is healthy during a session, and whether that was reported.
    no_healthy_stream_since: Option<(Instant, bool)>,
    /// When a source's death was last reported.
    death_alerted_at: BTreeMap<usize, Instant>,
}

const EVALUATION_INTERVAL: Duration = Duration::from_secs(1);
/// A failover that is undone within this time is reported as a failover only.
const ON_BACKUP_ALERT_DELAY: Duration = Duration::from_mins(1);
/// Time for sources to be extracted before a lack of healthy streams is reported.
const NO_HEALTHY_STREAM_ALERT_DELAY: Duration = Duration::from_secs(30);
/// Minimum time between two reports of one source's death.
const SOURCE_DEAD_ALERT_COOLDOWN: Duration = Duration::from_mins(10);

/// The state that alerts are derived from.
#[derive(Clone, Copy)]
struct AlertInput<'a> {
    rankings: &'a StreamRankings<'a>,
    known_streams: &'a KnownStreams,
    sources: &'a [SourceState],
    now: Timestamp,
}

impl Engine {
    /// Reports what has changed since the last evaluation.
    pub(super) fn send_due_alerts(&mut self) {
        let is_due = self
            .alert_state
            .last_evaluated_at
            .is_none_or(|last| last.elapsed() >= EVALUATION_INTERVAL);
        // Upstreams that the previous leader published and that are not found yet are not lost.
        if !is_due || self.inherited_upstreams.is_some() {
            return;
        }
        let now = self.clock.now();
        let mut alert_state = std::mem::take(&mut self.alert_state);
        let mut known_streams = std::mem::take(&mut self.known_streams);
        let schedule = self.schedule.borrow();
        let sessions = schedule.schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        let rankings = self.rank_streams();
        let has_healthy_stream = ranking::has_healthy_stream(&rankings);
        let mut live_sessions =
            sessions.filter(|session| live_window::is_on_air(session, now, has_healthy_stream));
        let (rankings, sources) = (&rankings, &*self.sources);
        let input = AlertInput { rankings, known_streams: &known_streams, sources, now };
        let mut events =
            alert_state.evaluate(&input, live_sessions.next().filter(|_| !has_healthy_stream));
        let due = known_streams.streams_with_due_alert();
        // The published map carries which outages were reported, for the next leader.
        let changed = !due.is_empty();
        for stream in due {
            let active = rankings.get(&stream).and_then(Ranking::active);
            let active_source = active.map(|active| active.source.name.clone());
            let cause = AlertInput { rankings, known_streams: &known_streams, sources, now }
                .outage_cause(&stream);
            events.extend(known_streams.take_due_alert(stream, active_source, cause));
        }
        drop(schedule);
        (self.alert_state, self.known_streams) = (alert_state, known_streams);
        self.needs_publication |= changed;
        for event in events {
            self.notifier.notify(Alert::new(event, now));
        }
    }
}

impl AlertInput<'_> {
    /// `None` when the source has no stream, so that nobody misses it.
    fn source_dead_event(&self, source: usize) -> Option<AlertEvent> {
        let state = self.sources.get(source)?;
        let mut streams: Vec<StreamId> = Vec::new();
        let mut reason = None;
        for (stream, known) in self.known_streams.iter() {
            let feed = &known.feed;
            let mut upstreams = self.rankings.get(stream).into_iter().flat_map(|it| &it.upstreams);
            let cause = match upstreams.find(|ranked| ranked.key.source == source) {
                Some(ranked) => {
                    outage_cause::upstream_cause(feed, ranked.upstream, state, self.now)
                }
                None => match self.known_streams.naming_sources(stream).get(&source) {
                    Some((_, rejection)) => outage_cause::find_cause(feed, *rejection, state),
                    None => continue,
                },
            };
            streams.push(stream.clone());
            reason.get_or_insert(cause);
        }
        let source = state.source.name.clone();
        (!streams.is_empty()).then_some(AlertEvent::SourceDead { source, streams, reason })
    }

    fn outage_cause(&self, stream: &StreamId) -> String {
        let upstreams =
            self.rankings.get(stream).into_iter().flat_map(|ranking| &ranking.upstreams);
        let upstreams = upstreams.map(|ranked| (ranked.key.source, ranked.upstream));
        let feed = self.known_streams.get(stream).map_or("", |known| &known.feed);
        outage_cause::stream_cause(
            feed,
            upstreams,
            &self.known_streams.naming_sources(stream),
            self.sources,
            self.now,
        )
    }
}

impl AlertState {
    /// `unserved`: the live session, while no stream is healthy.
    fn evaluate(&mut self, input: &AlertInput<'_>, unserved: Option<&Session>) -> Vec<AlertEvent> {
        self.last_evaluated_at = Some(Instant::now());
        let rankings = input.rankings;
        let mut events = self.source_dead_events(input);
        for (stream, ranking) in rankings {
            events.extend(self.failover_event(stream, ranking));
            events.extend(self.on_backup_event(stream, ranking));
        }
        self.on_backup_since.retain(|stream, _| rankings.contains_key(stream));
        self.active_upstreams.retain(|stream, _| rankings.contains_key(stream));
        events.extend(self.no_healthy_stream_event(unserved));
        events
    }

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
            ..Self::default()
        };
    }

    /// The deaths to report. A death within [`SOURCE_DEAD_ALERT_COOLDOWN`] of the last report is
    /// reported when that ends, unless the source is alive by then.
    fn source_dead_events(&mut self, input: &AlertInput<'_>) -> Vec<AlertEvent> {
        let upstreams = input.rankings.values().flat_map(|ranking| &ranking.upstreams);
        let playing = upstreams.filter(|ranked| ranked.health != Health::Down);
        let mut live_sources: BTreeSet<usize> = playing.map(|ranked| ranked.key.source).collect();
        // A source that has not run yet cannot be known to be dead.
        let has_not_run =
            |source: &&usize| input.sources.get(**source).is_some_and(|it| !it.has_run());
        live_sources.extend(self.live_sources.iter().filter(has_not_run));
        self.unreported_dead_sources.extend(self.live_sources.difference(&live_sources));
        self.unreported_dead_sources.retain(|source| !live_sources.contains(source));
        self.live_sources = live_sources;
        let is_cooling_down = |source: &usize| {
            self.death_alerted_at
                .get(source)
                .is_some_and(|alerted_at| alerted_at.elapsed() < SOURCE_DEAD_ALERT_COOLDOWN)
        };
        let due: Vec<usize> = self
            .unreported_dead_sources
            .iter()
            .copied()
            .filter(|one| !is_cooling_down(one))
            .collect();
        for source in &due {
            self.unreported_dead_sources.remove(source);
            self.death_alerted_at.insert(*source, Instant::now());
        }
        due.into_iter().filter_map(|source| input.source_dead_event(source)).collect()
    }

    /// A failover is reported only when the previously active upstream is not healthy; a move to a
    /// better upstream is not.
    fn failover_event(&mut self, stream: &StreamId, ranking: &Ranking<'_>) -> Option<AlertEvent> {
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
            (std::cmp::Reverse(ranked.source.priority), ranked.key.source, ranked.key.ordinal)
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
