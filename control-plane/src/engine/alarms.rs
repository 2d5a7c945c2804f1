//! What an operator is told: transitions between two looks at the same picture. Each is told
//! once, not as often as it is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::Session;
use pitwall_upstream_map::{Health, StreamId, UpstreamMap};
use tokio::time::Instant;

use super::known::KnownStreams;
use super::order::{self, Place, Ranked, Ranking};
use super::sources::{self, SourceState};
use super::{Engine, Key, cause};
use crate::schedule::window;
use crate::webhooks::notice::{Notice, What};

#[derive(Default)]
pub(crate) struct Alarms {
    looked: Option<Instant>,
    /// Sources of which something plays.
    alive: BTreeSet<usize>,
    /// Sources that died and are still dead, which is not told yet.
    untold: BTreeSet<usize>,
    playing: BTreeMap<StreamId, Key>,
    /// Since when a stream runs on a backup, and whether that was told.
    on_backup: BTreeMap<StreamId, (Instant, bool)>,
    /// Since when nothing is healthy while a session is on, and whether that was told.
    dry: Option<(Instant, bool)>,
    /// When a source's death was told.
    told: BTreeMap<usize, Instant>,
}

const EVERY: Duration = Duration::from_secs(1);
/// A failover that is undone at once is told as a failover only.
const BACKUP_FOR: Duration = Duration::from_mins(1);
/// Time for a source to be found, and for an extractor to be quick.
const DRY_FOR: Duration = Duration::from_secs(30);
/// A source that dies again and again is told again after this, if it is dead then.
const QUIET: Duration = Duration::from_mins(10);

/// What is known at one moment.
#[derive(Clone, Copy)]
struct Picture<'a> {
    ranked: &'a Ranked<'a>,
    known: &'a KnownStreams,
    sources: &'a [SourceState],
    now: Timestamp,
}

impl Engine {
    /// Tells what has happened since the last look.
    pub(super) fn look_out(&mut self) {
        let is_due = self.alarms.looked.is_none_or(|last| last.elapsed() >= EVERY);
        // What is not found yet is not lost.
        if !is_due || self.inherited.is_some() {
            return;
        }
        let now = self.clock.now();
        let mut alarms = std::mem::take(&mut self.alarms);
        let mut known = std::mem::take(&mut self.known);
        let schedule = self.schedule.borrow();
        let sessions = schedule.schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        let ranked = self.ranked();
        let watchable = order::watchable(&ranked);
        let mut on = sessions.filter(|session| window::is_on(session, now, watchable));
        let (ranked, sources) = (&ranked, &*self.sources);
        let picture = Picture { ranked, known: &known, sources, now };
        let mut news = alarms.look(&picture, on.next().filter(|_| !watchable));
        let due = known.due();
        // The map says what was told, for whoever leads next.
        let changed = !due.is_empty();
        for stream in due {
            let active = ranked.get(&stream).and_then(Ranking::active);
            let plays = active.map(|place| place.source.name.clone());
            let why = Picture { ranked, known: &known, sources, now }.why(&stream);
            news.extend(known.tell(stream, plays, why));
        }
        drop(schedule);
        (self.alarms, self.known) = (alarms, known);
        self.dirty |= changed;
        for what in news {
            self.notifier.tell(Notice::new(what, now));
        }
    }
}

impl Picture<'_> {
    /// `None`: nobody misses it, for there is no stream that it should play.
    fn death(&self, source: usize) -> Option<What> {
        let state = self.sources.get(source)?;
        let mut streams: Vec<StreamId> = Vec::new();
        let mut reason = None;
        for (stream, known) in self.known.iter() {
            let feed = &known.feed;
            let mut places = self.ranked.get(stream).into_iter().flat_map(|it| &it.places);
            let cause = match places.find(|place| place.key.source == source) {
                Some(place) => cause::of_upstream(feed, place.contender, state, self.now),
                None => match self.known.named_by(stream).get(&source) {
                    Some((_, refused)) => cause::of_find(feed, *refused, state),
                    None => continue,
                },
            };
            streams.push(stream.clone());
            reason.get_or_insert(cause);
        }
        let source = state.source.name.clone();
        (!streams.is_empty()).then_some(What::SourceDead { source, streams, reason })
    }

    fn why(&self, stream: &StreamId) -> String {
        let places = self.ranked.get(stream).into_iter().flat_map(|ranking| &ranking.places);
        let upstreams = places.map(|place| (place.key.source, place.contender));
        let feed = self.known.get(stream).map_or("", |known| &known.feed);
        cause::of_stream(feed, upstreams, &self.known.named_by(stream), self.sources, self.now)
    }
}

impl Alarms {
    /// `missed`: the session that is on while nothing can be watched.
    fn look(&mut self, picture: &Picture<'_>, missed: Option<&Session>) -> Vec<What> {
        self.looked = Some(Instant::now());
        let ranked = picture.ranked;
        let mut news = self.deaths(picture);
        for (stream, ranking) in ranked {
            news.extend(self.failover(stream, ranking));
            news.extend(self.backup(stream, ranking));
        }
        self.on_backup.retain(|stream, _| ranked.contains_key(stream));
        self.playing.retain(|stream, _| ranked.contains_key(stream));
        news.extend(self.drought(missed));
        news
    }

    /// What the leader before had seen alive; whatever of it is not found any more has died since.
    pub(super) fn inherit(&mut self, map: &UpstreamMap, sources: &[SourceState]) {
        let upstreams = map.streams.values().flat_map(|stream| &stream.upstreams);
        let alive = upstreams.filter(|one| one.health != Health::Down);
        let alive = alive.filter_map(|one| sources::place(sources, &one.source)).collect();
        *self = Self { alive, told: std::mem::take(&mut self.told), ..Self::default() };
    }

    /// A death within the quiet period of the one before is told when that ends, unless the source
    /// is alive by then.
    fn deaths(&mut self, picture: &Picture<'_>) -> Vec<What> {
        let places = picture.ranked.values().flat_map(|ranking| &ranking.places);
        let playing = places.filter(|place| place.health != Health::Down);
        let mut alive: BTreeSet<usize> = playing.map(|place| place.key.source).collect();
        // Nobody can say that of one that has not been asked yet.
        let is_unasked =
            |source: &&usize| picture.sources.get(**source).is_some_and(|it| !it.has_run());
        alive.extend(self.alive.iter().filter(is_unasked));
        self.untold.extend(self.alive.difference(&alive));
        self.untold.retain(|source| !alive.contains(source));
        self.alive = alive;
        let is_quiet =
            |source: &usize| self.told.get(source).is_some_and(|told| told.elapsed() < QUIET);
        let due: Vec<usize> = self.untold.iter().copied().filter(|one| !is_quiet(one)).collect();
        for source in &due {
            self.untold.remove(source);
            self.told.insert(*source, Instant::now());
        }
        due.into_iter().filter_map(|source| picture.death(source)).collect()
    }

    /// Moved because who played does not any more; a move to something better is no news.
    fn failover(&mut self, stream: &StreamId, ranking: &Ranking<'_>) -> Option<What> {
        let active = ranking.active()?;
        let before = self.playing.insert(stream.clone(), active.key.clone())?;
        let from = ranking.places.iter().find(|place| *place.key == before)?;
        (before != *active.key && from.health != Health::Healthy).then(|| What::Failover {
            stream: stream.clone(),
            from: from.source.name.clone(),
            to: active.source.name.clone(),
            reason: from.contender.error.clone(),
        })
    }

    fn backup(&mut self, stream: &StreamId, ranking: &Ranking<'_>) -> Option<What> {
        let primary = ranking.places.iter().min_by_key(|place| {
            (std::cmp::Reverse(place.source.priority), place.key.source, place.key.ordinal)
        });
        let weak = |place: &&Place<'_>| place.health != Health::Healthy;
        let on_backup = primary.filter(weak).zip(ranking.active());
        let on_backup = on_backup.filter(|(primary, active)| primary.key != active.key);
        let Some((primary, active)) = on_backup else {
            self.on_backup.remove(stream);
            return None;
        };
        let (since, told) = self.on_backup.entry(stream.clone()).or_insert((Instant::now(), false));
        if *told || since.elapsed() < BACKUP_FOR {
            return None;
        }
        *told = true;
        Some(What::OnBackup {
            stream: stream.clone(),
            source: active.source.name.clone(),
            instead_of: primary.source.name.clone(),
        })
    }

    fn drought(&mut self, missed: Option<&Session>) -> Option<What> {
        let Some(session) = missed else {
            self.dry = None;
            return None;
        };
        let (since, told) = self.dry.get_or_insert((Instant::now(), false));
        if *told || since.elapsed() < DRY_FOR {
            return None;
        }
        *told = true;
        Some(What::NoHealthyStream { session: session.id.clone(), name: session.name.clone() })
    }
}
