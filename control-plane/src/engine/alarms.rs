//! What an operator is told: transitions between two looks at the same picture. Each is told
//! once, not as often as it is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pitwall_upstream_map::documents::Session;
use pitwall_upstream_map::{Health, StreamId};
use tokio::time::Instant;

use super::order::{self, Place, Ranked, Ranking};
use super::{Engine, Key};
use crate::schedule::window;
use crate::webhooks::notice::{Notice, What};

#[derive(Default)]
pub(crate) struct Alarms {
    looked: Option<Instant>,
    /// Sources of which something plays.
    alive: BTreeSet<usize>,
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
/// A source that dies again and again is told again after this.
const QUIET: Duration = Duration::from_mins(10);

impl Engine {
    /// Tells what has happened since the last look.
    pub(super) fn look_out(&mut self) {
        if self.alarms.looked.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        let now = self.clock.now();
        let mut alarms = std::mem::take(&mut self.alarms);
        let schedule = self.schedule.borrow();
        let sessions = schedule.schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        let ranked = self.ranked();
        let watchable = order::watchable(&ranked);
        let mut on = sessions.filter(|session| window::is_on(session, now, watchable));
        let news = alarms.look(&ranked, on.next().filter(|_| !watchable));
        drop(schedule);
        self.alarms = alarms;
        for what in news {
            self.notifier.tell(Notice::new(what, now));
        }
    }
}

impl Alarms {
    /// `missed`: the session that is on while nothing can be watched.
    fn look(&mut self, ranked: &Ranked<'_>, missed: Option<&Session>) -> Vec<What> {
        self.looked = Some(Instant::now());
        let mut news = self.deaths(ranked);
        for (stream, ranking) in ranked {
            news.extend(self.failover(stream, ranking));
            news.extend(self.backup(stream, ranking));
        }
        self.on_backup.retain(|stream, _| ranked.contains_key(stream));
        self.playing.retain(|stream, _| ranked.contains_key(stream));
        news.extend(self.drought(missed));
        news
    }

    fn deaths(&mut self, ranked: &Ranked<'_>) -> Vec<What> {
        let places = || ranked.values().flat_map(|ranking| &ranking.places);
        let playing = places().filter(|place| place.health != Health::Down);
        let alive: BTreeSet<usize> = playing.map(|place| place.key.source).collect();
        let before = std::mem::replace(&mut self.alive, alive);
        let quiet = |told: &BTreeMap<usize, Instant>, source: &usize| {
            told.get(source).is_some_and(|told| told.elapsed() < QUIET)
        };
        let dead = before.difference(&self.alive).filter(|source| !quiet(&self.told, source));
        let dead: Vec<usize> = dead.copied().collect();
        let news = dead.iter().filter_map(|source| {
            let of_source: Vec<_> = places().filter(|place| place.key.source == *source).collect();
            Some(What::SourceDead {
                source: of_source.first()?.source.name.clone(),
                streams: of_source.iter().map(|place| place.key.stream.clone()).collect(),
                reason: of_source.first()?.contender.error.clone(),
            })
        });
        let news = news.collect();
        self.told.extend(dead.iter().map(|source| (*source, Instant::now())));
        news
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
