//! The picture at one moment as an [`UpstreamMap`] with its public documents. Pure.
//!
//! - [`calendar`], [`guide`], [`playlist`]: the documents that are not JSON.
//! - [`site`]: where their links lead.

mod calendar;
mod guide;
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

pub use self::site::Site;
use crate::engine::Key;
use crate::engine::contender::Contender;
use crate::engine::sources::SourceState;
use crate::schedule::{self, window};
use crate::source::Source;

pub(crate) struct Picture<'a> {
    pub(crate) version: u64,
    pub(crate) now: Timestamp,
    pub(crate) started_at: Timestamp,
    pub(crate) sources: &'a [SourceState],
    /// Upstreams best first.
    pub(crate) streams: &'a Ranked<'a>,
    pub(crate) schedule: &'a schedule::State,
    pub(crate) site: &'a Site,
}

pub(crate) type Ranked<'a> = BTreeMap<StreamId, Vec<(&'a Key, &'a Contender)>>;

/// What every session is at `now`: when this changes there is news.
pub(crate) fn statuses(schedule: &Schedule, now: Timestamp) -> Vec<SessionStatus> {
    let sessions = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
    sessions.map(|session| window::status(session, now)).collect()
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
    fn source(&self, key: &Key) -> Option<&Source> {
        self.sources.get(key.source).map(|state| &*state.source)
    }

    fn streams(&self) -> impl Iterator<Item = (StreamId, Stream)> {
        self.streams.iter().filter_map(|(id, ranked)| {
            let feed = ranked.first()?.1.candidate.feed.clone();
            let upstream = |(key, contender): &(&Key, &Contender)| {
                Some(upstream(self.source(key)?, key, contender))
            };
            let upstreams = ranked.iter().filter_map(upstream).collect();
            Some((id.clone(), Stream { id: id.clone(), feed, upstreams }))
        })
    }

    /// Every source's own, and one for each stream that needs other headers.
    fn profiles(&self) -> BTreeMap<ProfileId, Arc<Profile>> {
        let own = self.sources.iter().map(|state| {
            let source = &*state.source;
            (ProfileId(source.name.clone()), profile(source, &source.headers))
        });
        let special = self.streams.values().flatten().filter_map(|(key, contender)| {
            let source = self.source(key)?;
            let headers = &contender.candidate.headers;
            Some((profile_id(source, key, headers), profile(source, headers)))
        });
        own.chain(special).map(|(id, profile)| (id, Arc::new(profile))).collect()
    }

    fn documents(&self) -> Result<Documents, serde_json::Error> {
        let (version, generated_at) = (self.version, self.now);
        let streams = self.public_streams();
        let schedule = window::at(&self.schedule.schedule, self.now, self.watchable());
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
            explain: BTreeMap::new(),
        })
    }

    fn watchable(&self) -> bool {
        self.streams.values().flatten().any(|(_, one)| one.health == Health::Healthy)
    }

    /// What plays before what does not, else as the configuration has them.
    fn public_streams(&self) -> Vec<PublicStream> {
        let mut streams: Vec<_> = self.streams.iter().collect();
        streams.sort_by_key(|(_, ranked)| {
            let down = ranked.iter().all(|(_, one)| one.health == Health::Down);
            let place = ranked.iter().map(|(key, one)| (key.source, one.candidate.position)).min();
            (down, place)
        });
        let streams = streams.into_iter().filter_map(|(id, ranked)| {
            let (_, first) = ranked.first()?;
            let active = ranked.iter().position(|(_, one)| one.health != Health::Down);
            let plays = active.and_then(|index| ranked.get(index)).map(|(_, contender)| contender);
            let source = |(index, (key, contender)): (usize, &(&Key, &Contender))| {
                Some(public_source(self.source(key)?, contender, active == Some(index)))
            };
            Some(PublicStream {
                id: id.clone(),
                feed: first.candidate.feed.clone(),
                playlist: format!("/live/{id}/index.m3u8"),
                health: plays.map_or(Health::Down, |one| one.health),
                checked_at: Some(plays.unwrap_or(first).checked_at),
                sources: ranked.iter().enumerate().filter_map(source).collect(),
                renditions: plays
                    .map(|one| one.checked.renditions.iter().map(PublicRendition::from).collect())
                    .unwrap_or_default(),
            })
        });
        streams.collect()
    }
}

fn upstream(source: &Source, key: &Key, contender: &Contender) -> Upstream {
    Upstream {
        source: source.name.clone(),
        profile: profile_id(source, key, &contender.candidate.headers),
        generation: contender.generation,
        playlist: contender.candidate.playlist.clone(),
        expires_at: contender.candidate.expires_at,
        health: contender.health,
        score: contender.record.score(),
        variables: contender.checked.variables.encode(),
        renditions: contender.checked.renditions.clone(),
    }
}

fn public_source(source: &Source, contender: &Contender, active: bool) -> PublicSource {
    let latency = contender.record.latency();
    PublicSource {
        name: source.name.clone(),
        label: contender.candidate.label.clone(),
        note: source.note.clone(),
        kind: source.kind().to_owned(),
        active,
        health: contender.health,
        score: contender.record.score(),
        latency_ms: latency.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
        expires_at: contender.candidate.expires_at,
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
