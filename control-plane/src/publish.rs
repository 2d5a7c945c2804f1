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
    Bootstrap, Document, Documents, ExtractorCount, Extractors, PublicRendition, PublicSource,
    PublicStream, Schedule, ScheduleStatus, SessionStatus, Status, StreamCount, Streams,
};
use pitwall_upstream_map::{Health, Profile, ProfileId, Stream, StreamId, Upstream, UpstreamMap};

use self::naming::Usual;
pub use self::site::Site;
use crate::engine::Key;
use crate::engine::order::{self, Place, Ranked};
use crate::engine::sources::SourceState;
use crate::rank::{RankConfig, explain};
use crate::schedule::{self, window};
use crate::source::Source;

pub(crate) struct Picture<'a> {
    pub(crate) version: u64,
    pub(crate) now: Timestamp,
    pub(crate) started_at: Timestamp,
    pub(crate) sources: &'a [SourceState],
    pub(crate) streams: &'a Ranked<'a>,
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
        self.streams.iter().filter_map(|(id, ranking)| {
            let feed = ranking.places.first()?.contender.candidate.feed.clone();
            let usual = usual(&ranking.places);
            let upstreams = ranking.places.iter().map(|place| upstream(place, &usual)).collect();
            let (id, switched, pin) = (id.clone(), ranking.switched, ranking.pin.clone());
            Some((id.clone(), Arc::new(Stream { id, feed, switched, pin, upstreams })))
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
        let extractors = self.sources.iter().map(SourceState::status).collect();
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
            },
            extractors: ExtractorCount {
                total: self.sources.len(),
                failing: self.sources.iter().filter(|state| state.failing()).count(),
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

    fn explanations(&self) -> Result<BTreeMap<StreamId, Document>, serde_json::Error> {
        let explained = self.streams.iter().map(|(id, ranking)| {
            let viewers = self.watched.get(id).copied().unwrap_or(0);
            let explanation = explain::explain(id, ranking, viewers, self.rank, self.now);
            Ok((id.clone(), Document::of(&explanation)?))
        });
        explained.collect()
    }

    /// What passed a check within the interval, as the configuration has it.
    fn public_streams(&self) -> Vec<PublicStream> {
        let mut streams: Vec<_> = self.streams.iter().collect();
        streams.sort_by_key(|(_, ranking)| {
            let places = ranking.places.iter();
            places.map(|place| (place.key.source, place.contender.candidate.position)).min()
        });
        let streams = streams.into_iter().filter_map(|(id, ranking)| {
            let listed: Vec<_> = ranking.places.iter().filter(|place| place.listed).collect();
            let plays = listed.first()?;
            let active = ranking.active().map(|place| place.key);
            let source = |place: &&Place<'_>| public_source(place, active == Some(place.key));
            let usual = usual(&ranking.places);
            let renditions = plays.contender.renditions().map(|one| usual.name(one));
            Some(PublicStream {
                id: id.clone(),
                feed: plays.contender.candidate.feed.clone(),
                playlist: format!("/live/{id}/index.m3u8"),
                health: plays.health,
                checked_at: Some(plays.contender.checked_at),
                sources: listed.iter().map(source).collect(),
                renditions: renditions.map(|one| PublicRendition::from(&one)).collect(),
            })
        });
        streams.collect()
    }
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
