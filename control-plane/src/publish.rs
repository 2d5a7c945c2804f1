//! The picture at one moment as an [`UpstreamMap`] with its public documents. Pure.
//!
//! - [`calendar`], [`guide`], [`playlist`]: the documents that are not JSON.
//! - [`naming`]: what renditions are called.
//! - [`site`]: where their links lead.

pub(crate) mod calendar;
mod guide;
mod naming;
mod playlist;
mod site;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{
    Bootstrap, Document, Documents, Explanation, ExtractorCount, ExtractorError, ExtractorState,
    ExtractorStatus, Extractors, PublicRendition, PublicSource, PublicStream, Schedule,
    ScheduleStatus, SessionStatus, Status, StreamCount, Streams,
};
use pitwall_upstream_map::{Health, Profile, ProfileId, Stream, StreamId, Upstream, UpstreamMap};

use self::naming::Usual;
pub use self::site::Site;
use crate::engine::known::{KnownStream, KnownStreams};
use crate::engine::order::{self, Place, Ranked, Ranking};
use crate::engine::sources::SourceState;
use crate::engine::work::CHECK;
use crate::engine::{Key, cause};
use crate::rank::{RankConfig, explain};
use crate::schedule::{self, window};
use crate::source::Source;

pub(crate) struct Picture<'a> {
    pub(crate) version: u64,
    pub(crate) now: Timestamp,
    pub(crate) started_at: Timestamp,
    pub(crate) sources: &'a [SourceState],
    pub(crate) streams: &'a Ranked<'a>,
    /// All of these, and those without an upstream.
    pub(crate) known: &'a KnownStreams,
    pub(crate) schedule: &'a schedule::State,
    pub(crate) site: &'a Site,
    pub(crate) watched: &'a BTreeMap<StreamId, usize>,
    pub(crate) rank: &'a RankConfig,
}

/// What every session is at `now`, and whether it is past its nominal end: when this changes
/// there is news.
pub(crate) fn phases(schedule: &Schedule, now: Timestamp) -> Vec<(SessionStatus, bool)> {
    let sessions = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
    let phase = |session| (window::status(session, now), window::in_margin(session, now));
    sessions.map(phase).collect()
}

pub(crate) fn build(picture: &Picture<'_>) -> Result<UpstreamMap, serde_json::Error> {
    Ok(UpstreamMap {
        version: picture.version,
        streams: picture.streams().collect(),
        profiles: picture.profiles(),
        documents: picture.documents()?,
    })
}

impl Picture<'_> {
    /// Those that are down too: whoever plays them is told to wait, not that they are gone.
    fn streams(&self) -> impl Iterator<Item = (StreamId, Arc<Stream>)> {
        self.known.iter().map(|(id, known)| {
            let ranking = self.streams.get(id);
            let places = places(ranking);
            let usual = usual(places);
            let stream = Stream {
                id: id.clone(),
                feed: known.feed.clone(),
                switched: ranking.map_or(0, |ranking| ranking.switched),
                pin: ranking.and_then(|ranking| ranking.pin.clone()),
                upstreams: places.iter().map(|place| upstream(place, &usual)).collect(),
                outage: known.outage,
            };
            (id.clone(), Arc::new(stream))
        })
    }

    /// Every source's own, and one for each stream that needs other headers.
    fn profiles(&self) -> BTreeMap<ProfileId, Arc<Profile>> {
        let own = self.sources.iter().map(|state| {
            let source = &*state.source;
            (ProfileId(source.name.clone()), profile(source, &source.headers))
        });
        let places = self.streams.values().flat_map(|ranking| &ranking.places);
        let special = places.map(|place| {
            let (source, headers) = (place.source, &place.contender.candidate.headers);
            (profile_id(source, place.key, headers), profile(source, headers))
        });
        own.chain(special).map(|(id, profile)| (id, Arc::new(profile))).collect()
    }

    fn documents(&self) -> Result<Documents, serde_json::Error> {
        let (version, generated_at) = (self.version, self.now);
        let streams = self.public_streams();
        let schedule =
            window::at(&self.schedule.schedule, self.now, order::watchable(self.streams));
        let session = window::current(&schedule).cloned();
        let extractors = self.extractors();
        let status = Status {
            version,
            generated_at,
            started_at: self.started_at,
            schedule: ScheduleStatus {
                source: schedule.source.clone(),
                fetched_at: schedule.fetched_at,
                stale_since: schedule.stale_since,
                error: self.schedule.error.clone(),
                disagreements: self.schedule.disagreements,
                providers: self.schedule.providers.clone(),
            },
            streams: StreamCount {
                total: streams.len(),
                healthy: streams.iter().filter(|one| one.health == Health::Healthy).count(),
                down: streams.iter().filter(|one| one.health == Health::Down).count(),
            },
            extractors: ExtractorCount {
                total: self.sources.len(),
                failing: extractors
                    .iter()
                    .filter(|one| one.state == ExtractorState::Failing)
                    .count(),
            },
        };
        Ok(Documents {
            bootstrap: Document::of(&Bootstrap {
                version,
                generated_at,
                session,
                streams: streams.clone(),
            })?,
            calendar: Document::text(calendar::write(&schedule, self.site)),
            guide: Document::text(guide::write(&schedule, &streams, self.now, self.site)),
            playlist: Document::text(playlist::write(&streams, self.site)),
            schedule: Document::of(&schedule)?,
            streams: Document::of(&Streams { version, generated_at, streams })?,
            extractors: Document::of(&Extractors { extractors })?,
            status: Document::of(&status)?,
            explain: self.explanations()?,
        })
    }

    /// A source that runs without a failure and finds what is down works for nobody: a static one
    /// never fails by itself.
    fn extractors(&self) -> Vec<ExtractorStatus> {
        let mut dead: BTreeMap<usize, ExtractorError> = BTreeMap::new();
        for place in self.streams.values().flat_map(|ranking| &ranking.places) {
            let Place { key, contender, .. } = place;
            let Some(state) = self.sources.get(key.source) else { continue };
            if place.health == Health::Down && state.lists(contender.found()) {
                let error = contender.error.as_deref().unwrap_or("a check failed");
                let message = format!("{}: {error}", contender.candidate.feed);
                let error = || ExtractorError { step: CHECK.to_owned(), message };
                dead.entry(key.source).or_insert_with(error);
            }
        }
        let states = self.sources.iter().enumerate();
        states.map(|(source, state)| state.status(dead.get(&source))).collect()
    }

    fn explanations(&self) -> Result<BTreeMap<StreamId, Document>, serde_json::Error> {
        let explained = self.known.iter().map(|(id, known)| {
            let viewers = self.watched.get(id).copied().unwrap_or(0);
            let explanation = match self.streams.get(id) {
                Some(ranking) => explain::explain(id, ranking, viewers, self.rank, self.now),
                None => Explanation {
                    stream: id.clone(),
                    feed: known.feed.clone(),
                    generated_at: self.now,
                    viewers,
                    summary: format!("Nothing plays: {}.", self.cause(id, known)),
                    upstreams: Vec::new(),
                },
            };
            Ok((id.clone(), Document::of(&explanation)?))
        });
        explained.collect()
    }

    /// In the order of the configuration, then in that in which sources found them.
    fn public_streams(&self) -> Vec<PublicStream> {
        let mut streams: Vec<_> = self.known.iter().collect();
        streams.sort_by_cached_key(|(id, _)| {
            let places = places(self.streams.get(*id)).iter();
            let found = places.map(|place| (place.key.source, place.contender.candidate.position));
            let named = || self.known.named_by(id).into_iter();
            found.min().or_else(|| named().map(|(source, (position, _))| (source, position)).min())
        });
        streams.into_iter().map(|(id, known)| self.public_stream(id, known)).collect()
    }

    fn public_stream(&self, id: &StreamId, known: &KnownStream) -> PublicStream {
        let ranking = self.streams.get(id);
        let places = places(ranking);
        let active = ranking.and_then(Ranking::active).map(|place| place.key);
        let source = |place: &Place<'_>| public_source(place, active == Some(place.key));
        let usual = usual(places);
        let renditions = |place: &Place<'_>| {
            let renditions = place.contender.renditions().map(|one| usual.name(one));
            renditions.map(|one| PublicRendition::from(&one)).collect()
        };
        let stream = PublicStream {
            id: id.clone(),
            feed: known.feed.clone(),
            playlist: format!("/live/{id}/index.m3u8"),
            health: Health::Down,
            down_since: None,
            reason: None,
            checked_at: None,
            sources: Vec::new(),
            renditions: Vec::new(),
        };
        // What passed a check within the interval; what may play still, for want of better.
        let up = || places.iter().filter(|place| place.health != Health::Down);
        let listed: Vec<_> = up().filter(|place| place.listed).collect();
        let (health, shown) = match listed.first() {
            Some(first) => (first.health, listed),
            None => (Health::Degraded, up().collect()),
        };
        if let Some(plays) = shown.first() {
            return PublicStream {
                health,
                checked_at: Some(plays.contender.checked_at),
                sources: shown.iter().map(|place| source(place)).collect(),
                renditions: renditions(plays),
                ..stream
            };
        }
        let (places, absent) = (places.iter(), self.absent(id, known));
        PublicStream {
            down_since: known.down_since(),
            reason: Some(self.cause(id, known)),
            checked_at: places.clone().map(|place| place.contender.checked_at).max(),
            sources: places.clone().map(source).chain(absent).collect(),
            renditions: places.clone().next().map(renditions).unwrap_or_default(),
            ..stream
        }
    }

    /// Sources that should play a stream, and of which nothing has ever passed a check.
    fn absent(&self, id: &StreamId, known: &KnownStream) -> Vec<PublicSource> {
        let places = places(self.streams.get(id));
        let named = self.known.named_by(id).into_iter();
        let absent = named.filter(|(index, _)| places.iter().all(|it| it.key.source != *index));
        let absent = absent.filter_map(|(index, (_, refused))| {
            let state = self.sources.get(index)?;
            let source = &state.source;
            Some(PublicSource {
                name: source.name.clone(),
                label: source.label.clone(),
                note: source.note.clone(),
                kind: source.kind().to_owned(),
                active: false,
                health: Health::Down,
                score: 0.0,
                latency_ms: None,
                expires_at: None,
                error: Some(cause::of_find(&known.feed, refused, state)),
            })
        });
        absent.collect()
    }

    fn cause(&self, id: &StreamId, known: &KnownStream) -> String {
        let places = places(self.streams.get(id)).iter();
        let upstreams = places.map(|place| (place.key.source, place.contender));
        let finds = self.known.named_by(id);
        cause::of_stream(&known.feed, upstreams, &finds, self.sources, self.now)
    }
}

fn places<'a>(ranking: Option<&'a Ranking<'a>>) -> &'a [Place<'a>] {
    ranking.map_or(&[], |ranking| &ranking.places)
}

fn usual<'a>(places: &'a [Place<'a>]) -> Usual<'a> {
    let mut configured: Vec<_> = places.iter().collect();
    configured.sort_by_key(|place| (place.key.source, place.key.ordinal));
    Usual::of(configured.into_iter().flat_map(|place| &place.contender.checked.renditions))
}

fn upstream(place: &Place<'_>, usual: &Usual<'_>) -> Upstream {
    let Place { key, contender, source, health, score, .. } = place;
    Upstream {
        source: source.name.clone(),
        profile: profile_id(source, key, &contender.candidate.headers),
        generation: contender.generation,
        playlist: contender.candidate.playlist.clone(),
        expires_at: contender.expiry.at,
        health: *health,
        score: *score,
        variables: contender.checked.variables.encode(),
        renditions: contender.renditions().map(|one| usual.name(one)).collect(),
    }
}

fn public_source(place: &Place<'_>, active: bool) -> PublicSource {
    let Place { contender, source, health, score, .. } = place;
    let latency = contender.record.latency();
    PublicSource {
        name: source.name.clone(),
        label: contender.candidate.label.clone(),
        note: source.note.clone(),
        kind: source.kind().to_owned(),
        active,
        health: *health,
        score: *score,
        latency_ms: latency.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
        expires_at: contender.expiry.at,
        error: contender.error.clone(),
    }
}

fn profile_id(source: &Source, key: &Key, headers: &[(String, String)]) -> ProfileId {
    let name = &source.name;
    ProfileId(match key.ordinal {
        _ if headers == source.headers => name.clone(),
        0 => format!("{name}/{}", key.stream),
        ordinal => format!("{name}/{}/{}", key.stream, ordinal + 1),
    })
}

fn profile(source: &Source, headers: &[(String, String)]) -> Profile {
    Profile {
        headers: headers.to_vec(),
        allow_private: source.allow_private.clone(),
        ports: source.ports.clone(),
        token_parameters: source.token_parameters.clone(),
        connections: source.connections.map(NonZeroU32::get),
    }
}

#[cfg(test)]
mod tests;
