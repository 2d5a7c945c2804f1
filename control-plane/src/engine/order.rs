//! Every stream's upstreams, best first, and who plays.

use std::collections::BTreeMap;
use std::time::Duration;

use pitwall_upstream_map::documents::ScorePart;
use pitwall_upstream_map::{Health, Pin, StreamId};
use tokio::time::Instant;

use super::contender::Contender;
use super::publishing::COALESCE;
use super::{Engine, Key, TICK};
use crate::rank::{self, Standing, Tenure, Why};
use crate::source::Source;

/// Who plays a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Playing {
    pub(crate) key: Key,
    pub(crate) since: Instant,
    /// When the sources of a stream that came up have all had a chance: until then moving is
    /// settling. Whoever played before a restart has settled.
    pub(crate) settled_at: Instant,
    /// By an operator, until it is down.
    pub(crate) pinned: bool,
    /// By an operator: no version of the map before this one says so. 0: by ranking.
    pub(crate) switched: u64,
}

pub(super) const SETTLING: Duration = Duration::from_secs(15);

pub(crate) type Ranked<'a> = BTreeMap<StreamId, Ranking<'a>>;

/// The upstreams of one stream.
pub(crate) struct Ranking<'a> {
    /// Best first; the first one that is not down plays.
    pub(crate) places: Vec<Place<'a>>,
    pub(crate) why: Why,
    pub(crate) pinned: bool,
    /// As [`Playing::switched`] of the first one.
    pub(crate) switched: u64,
    /// Whom an operator wants, also while nothing plays, or while that one is waited for.
    pub(crate) pin: Option<Pin>,
}

#[derive(Clone)]
pub(crate) struct Place<'a> {
    pub(crate) key: &'a Key,
    pub(crate) contender: &'a Contender,
    pub(crate) source: &'a Source,
    pub(crate) health: Health,
    /// It passed a check within the interval.
    pub(crate) listed: bool,
    pub(crate) parts: Vec<ScorePart>,
    pub(crate) score: f64,
}

impl<'a> Ranking<'a> {
    pub(crate) fn active(&self) -> Option<&Place<'a>> {
        self.places.first().filter(|place| place.health != Health::Down)
    }
}

/// Can something be watched?
pub(crate) fn watchable(ranked: &Ranked<'_>) -> bool {
    let mut active = ranked.values().filter_map(Ranking::active);
    active.any(|place| place.health == Health::Healthy)
}

impl Engine {
    /// How old the last passed check of something that is listed may be: it is taken off the
    /// list before the interval ends, not after.
    pub(super) fn shown_for(&self) -> Duration {
        self.check_every.saturating_sub(TICK + COALESCE)
    }

    pub(super) fn ranked(&self) -> Ranked<'_> {
        self.ranked_with(None)
    }

    /// As it would be if that one played.
    pub(super) fn ranked_with(&self, word: Option<&Playing>) -> Ranked<'_> {
        let mut streams: BTreeMap<StreamId, Vec<Place<'_>>> = BTreeMap::new();
        for (key, contender) in &self.contenders {
            let place = self.place(key, contender);
            streams.entry(key.stream.clone()).or_default().extend(place);
        }
        let rankings = streams.into_iter().map(|(stream, places)| {
            let ranking = self.ranking(&stream, places, word);
            (stream, ranking)
        });
        rankings.collect()
    }

    fn place<'a>(&'a self, key: &'a Key, contender: &'a Contender) -> Option<Place<'a>> {
        let source = &*self.sources.get(key.source)?.source;
        let shown = contender.record.parts(contender.bit_rate()).map(|part| ScorePart {
            name: part.name.to_owned(),
            value: part.value,
            weight: part.weight,
            points: part.value * part.weight,
        });
        let renditions = &contender.checked.renditions;
        let preferred = self.rank.preferences(&key.stream, &source.name, renditions);
        let preferred = preferred.map(|preference| ScorePart {
            name: preference.name.clone(),
            value: 1.0,
            weight: preference.points.0,
            points: preference.points.0,
        });
        let parts: Vec<_> = shown.into_iter().chain(preferred).collect();
        let score = parts.iter().map(|part| part.points).sum();
        let (health, listed) = (contender.health(), contender.listed(self.shown_for()));
        Some(Place { key, contender, source, health, listed, parts, score })
    }

    fn ranking<'a>(
        &self,
        stream: &StreamId,
        places: Vec<Place<'a>>,
        word: Option<&Playing>,
    ) -> Ranking<'a> {
        let word = word.filter(|word| word.key.stream == *stream);
        let playing = word.or_else(|| self.incumbent(stream, &places));
        let standings: Vec<_> = places
            .iter()
            .map(|place| Standing {
                health: place.health,
                blip: place.contender.breaker.blip(),
                priority: place.source.priority,
                score: place.score,
                order: place.key.source,
                current: playing.is_some_and(|playing| playing.key == *place.key),
                healthy_for: place.contender.breaker.healthy_for(),
            })
            .collect();
        let tenure = playing.map_or_else(Tenure::default, |playing| Tenure {
            lasts: playing.since.elapsed(),
            pinned: playing.pinned,
            settled: Instant::now() >= playing.settled_at,
        });
        let order = rank::order(&standings, tenure, &self.rank);
        let places = order.indices.iter().filter_map(|&index| places.get(index).cloned());
        let places: Vec<_> = places.collect();
        let pinned = order.why == Why::Pinned;
        let first = places.first().map(|place| place.key);
        let stays = playing.filter(|playing| first == Some(&playing.key));
        let switched = stays.map_or(0, |playing| playing.switched);
        let active = places.first().filter(|place| place.health != Health::Down);
        let kept = playing.filter(|it| active.is_none_or(|active| *active.key == it.key));
        let awaited = || self.memory.awaited(stream).filter(|_| word.is_none());
        let pinned_one = kept.filter(|it| it.pinned).or_else(awaited);
        let pin = pinned_one.and_then(|it| {
            let source = self.sources.get(it.key.source)?.source.name.clone();
            Some(Pin { source, version: it.switched })
        });
        Ranking { places, why: order.why, pinned, switched, pin }
    }

    /// Who plays, or played before the last restart and is back.
    fn incumbent(&self, stream: &StreamId, places: &[Place<'_>]) -> Option<&Playing> {
        let back = |playing: &&Playing| {
            let there = places.iter().find(|place| *place.key == playing.key);
            self.memory.starting() && there.is_some_and(|place| place.health == Health::Healthy)
        };
        let remembered = self.memory.playing.get(stream).filter(back);
        remembered.or_else(|| self.playing.get(stream))
    }

    /// Takes note of who plays by `ranked`, as (stream, key, pinned).
    pub(super) fn played(&mut self, active: Vec<(StreamId, Key, bool)>) {
        let starting = self.memory.starting();
        for (stream, key, pinned) in active {
            let remembered = self.memory.playing.get(&stream);
            let back = remembered.filter(|one| starting && one.key == key);
            let told = back.map_or(0, |one| one.switched);
            let now = Instant::now();
            let settled = back.map_or(now + SETTLING, |one| one.settled_at);
            // Back in its place: from here on it is like any other.
            if !starting || back.is_some() {
                self.memory.playing.remove(&stream);
            }
            let (since, settled_at, switched) = match self.playing.get(&stream) {
                Some(last) if last.key == key => {
                    (last.since, last.settled_at.min(settled), last.switched.max(told))
                }
                Some(last) => (now, last.settled_at.min(settled), told),
                None => (now, settled, told),
            };
            self.playing.insert(stream, Playing { key, since, settled_at, pinned, switched });
        }
        let there = |stream: &StreamId| self.contenders.keys().any(|key| key.stream == *stream);
        let gone: Vec<_> = self.playing.keys().filter(|one| !there(one)).cloned().collect();
        gone.iter().for_each(|stream| drop(self.playing.remove(stream)));
    }
}
