//! Builds the [`UpstreamMap`] and its public documents from the engine's state at one moment. Pure
//! functions.
//!
//! - [`calendar`], [`xmltv_guide`], [`iptv_playlist`]: the documents that are not JSON.
//! - [`rendition_ids`]: ids of renditions.
//! - [`public_url`]: absolute links.

pub(crate) mod calendar;
mod iptv_playlist;
mod public_url;
mod rendition_ids;
mod xmltv_guide;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{
    Bootstrap, Document, Documents, Explanation, ExtractorCount, ExtractorError, ExtractorState,
    ExtractorStatus, Extractors, PublicRendition, PublicSource, PublicStream, Schedule,
    ScheduleStatus, SessionStatus, Status, StreamCount, Streams,
};
use pitwall_upstream_map::{
    Health, RequestProfile, RequestProfileId, Stream, StreamId, Upstream, UpstreamMap,
};

pub use self::public_url::PublicUrl;
use self::rendition_ids::UsualCompositions;
use crate::model::known_streams::{KnownStream, KnownStreams};
use crate::model::ranking::{self, RankedUpstream, Ranking, StreamRankings};
use crate::model::run_report::CHECK_STEP;
use crate::model::source_state::SourceState;
use crate::model::{UpstreamKey, outage_cause};
use crate::rank::{RankConfig, explain};
use crate::schedule::{self, live_window};
use crate::source::Source;

/// What a map is built from.
pub(crate) struct MapInput<'a> {
    pub(crate) version: u64,
    pub(crate) now: Timestamp,
    pub(crate) started_at: Timestamp,
    pub(crate) sources: &'a [SourceState],
    pub(crate) rankings: &'a StreamRankings<'a>,
    /// All streams, including those without an upstream.
    pub(crate) known_streams: &'a KnownStreams,
    pub(crate) schedule: &'a schedule::ScheduleState,
    pub(crate) public_url: &'a PublicUrl,
    pub(crate) viewers: &'a BTreeMap<StreamId, usize>,
    pub(crate) rank_config: &'a RankConfig,
}

/// Every session's status at `now`, and whether it is past its nominal end. A change requires a new
/// map.
pub(crate) fn session_phases(schedule: &Schedule, now: Timestamp) -> Vec<(SessionStatus, bool)> {
    let sessions = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
    let phase =
        |session| (live_window::status_at(session, now), live_window::is_in_margin(session, now));
    sessions.map(phase).collect()
}

pub(crate) fn build_map(input: &MapInput<'_>) -> Result<UpstreamMap, serde_json::Error> {
    Ok(UpstreamMap {
        version: input.version,
        streams: input.map_streams().collect(),
        profiles: input.profiles(),
        documents: input.build_documents()?,
    })
}

impl MapInput<'_> {
    /// Includes streams that are down: their viewers are told to wait instead of that the stream is
    /// gone.
    fn map_streams(&self) -> impl Iterator<Item = (StreamId, Arc<Stream>)> {
        self.known_streams.iter().map(|(id, known)| {
            let ranking = self.rankings.get(id);
            let upstreams = ranked_upstreams(ranking);
            let usual = usual_compositions(upstreams);
            let stream = Stream {
                id: id.clone(),
                feed: known.feed.clone(),
                switched: ranking.map_or(0, |ranking| ranking.switch_version),
                pin: ranking.and_then(|ranking| ranking.pin.clone()),
                upstreams: upstreams.iter().map(|ranked| map_upstream(ranked, &usual)).collect(),
                outage: known.outage,
            };
            (id.clone(), Arc::new(stream))
        })
    }

    /// One profile per source, and one for each upstream that needs other header fields.
    fn profiles(&self) -> BTreeMap<RequestProfileId, Arc<RequestProfile>> {
        let own = self.sources.iter().map(|state| {
            let source = &*state.source;
            (RequestProfileId(source.name.clone()), profile(source, &source.headers))
        });
        let upstreams = self.rankings.values().flat_map(|ranking| &ranking.upstreams);
        let special = upstreams.map(|ranked| {
            let (source, headers) = (ranked.source, &ranked.upstream.candidate.headers);
            (profile_id(source, ranked.key, headers), profile(source, headers))
        });
        own.chain(special).map(|(id, profile)| (id, Arc::new(profile))).collect()
    }

    fn build_documents(&self) -> Result<Documents, serde_json::Error> {
        let (version, generated_at) = (self.version, self.now);
        let streams = self.public_streams();
        let schedule = live_window::schedule_at(
            &self.schedule.schedule,
            self.now,
            ranking::has_healthy_stream(self.rankings),
        );
        let session = live_window::current_session(&schedule).cloned();
        let extractors = self.extractor_statuses();
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
            calendar: Document::from_text(calendar::write_icalendar(&schedule, self.public_url)),
            guide: Document::from_text(xmltv_guide::write_xmltv(
                &schedule,
                &streams,
                self.now,
                self.public_url,
            )),
            playlist: Document::from_text(iptv_playlist::write_m3u(&streams, self.public_url)),
            schedule: Document::of(&schedule)?,
            streams: Document::of(&Streams { version, generated_at, streams })?,
            extractors: Document::of(&Extractors { extractors })?,
            status: Document::of(&status)?,
            explain: self.explanations()?,
        })
    }

    /// A source that runs without a failure counts as failing while an upstream that it lists is
    /// down: a static source never fails by itself.
    fn extractor_statuses(&self) -> Vec<ExtractorStatus> {
        let mut dead: BTreeMap<usize, ExtractorError> = BTreeMap::new();
        for ranked in self.rankings.values().flat_map(|ranking| &ranking.upstreams) {
            let RankedUpstream { key, upstream, .. } = ranked;
            let Some(state) = self.sources.get(key.source) else { continue };
            if ranked.health == Health::Down && state.is_still_listed(upstream.last_found_at()) {
                let error = upstream.last_error.as_deref().unwrap_or("a check failed");
                let message = format!("{}: {error}", upstream.candidate.feed);
                let error = || ExtractorError { step: CHECK_STEP.to_owned(), message };
                dead.entry(key.source).or_insert_with(error);
            }
        }
        let states = self.sources.iter().enumerate();
        states.map(|(source, state)| state.extractor_status(dead.get(&source))).collect()
    }

    fn explanations(&self) -> Result<BTreeMap<StreamId, Document>, serde_json::Error> {
        let explained = self.known_streams.iter().map(|(id, known)| {
            let viewers = self.viewers.get(id).copied().unwrap_or(0);
            let explanation = match self.rankings.get(id) {
                Some(ranking) => {
                    explain::explain_stream(id, ranking, viewers, self.rank_config, self.now)
                }
                None => Explanation {
                    stream: id.clone(),
                    feed: known.feed.clone(),
                    generated_at: self.now,
                    viewers,
                    summary: format!("Nothing plays: {}.", self.outage_cause(id, known)),
                    upstreams: Vec::new(),
                },
            };
            Ok((id.clone(), Document::of(&explanation)?))
        });
        explained.collect()
    }

    /// Streams in the order of the configuration, then in the order in which sources list them.
    fn public_streams(&self) -> Vec<PublicStream> {
        let mut streams: Vec<_> = self.known_streams.iter().collect();
        streams.sort_by_cached_key(|(id, _)| {
            let upstreams = ranked_upstreams(self.rankings.get(*id)).iter();
            let found =
                upstreams.map(|ranked| (ranked.key.source, ranked.upstream.candidate.position));
            let named = || self.known_streams.naming_sources(id).into_iter();
            found.min().or_else(|| named().map(|(source, (position, _))| (source, position)).min())
        });
        streams.into_iter().map(|(id, known)| self.public_stream(id, known)).collect()
    }

    fn public_stream(&self, id: &StreamId, known: &KnownStream) -> PublicStream {
        let ranking = self.rankings.get(id);
        let upstreams = ranked_upstreams(ranking);
        let active = ranking.and_then(Ranking::active).map(|ranked| ranked.key);
        let source =
            |ranked: &RankedUpstream<'_>| public_source(ranked, active == Some(ranked.key));
        let usual = usual_compositions(upstreams);
        let renditions = |ranked: &RankedUpstream<'_>| {
            let renditions = ranked.upstream.renditions().map(|one| usual.qualify_id(one));
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
        // Listed upstreams; without one, those that may still play.
        let not_down = || upstreams.iter().filter(|ranked| ranked.health != Health::Down);
        let listed: Vec<_> = not_down().filter(|ranked| ranked.is_listed).collect();
        let (health, shown) = match listed.first() {
            Some(first) => (first.health, listed),
            None => (Health::Degraded, not_down().collect()),
        };
        if let Some(best) = shown.first() {
            return PublicStream {
                health,
                checked_at: Some(best.upstream.last_passed_at),
                sources: shown.iter().map(|ranked| source(ranked)).collect(),
                renditions: renditions(best),
                ..stream
            };
        }
        let (upstreams, absent) = (upstreams.iter(), self.absent_sources(id, known));
        PublicStream {
            down_since: known.down_since(),
            reason: Some(self.outage_cause(id, known)),
            checked_at: upstreams.clone().map(|ranked| ranked.upstream.last_passed_at).max(),
            sources: upstreams.clone().map(source).chain(absent).collect(),
            renditions: upstreams.clone().next().map(renditions).unwrap_or_default(),
            ..stream
        }
    }

    /// Sources that should play a stream and of which no find has ever passed a check.
    fn absent_sources(&self, id: &StreamId, known: &KnownStream) -> Vec<PublicSource> {
        let upstreams = ranked_upstreams(self.rankings.get(id));
        let named = self.known_streams.naming_sources(id).into_iter();
        let absent = named.filter(|(index, _)| upstreams.iter().all(|it| it.key.source != *index));
        let absent = absent.filter_map(|(index, (_, rejection))| {
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
                error: Some(outage_cause::find_cause(&known.feed, rejection, state)),
            })
        });
        absent.collect()
    }

    fn outage_cause(&self, id: &StreamId, known: &KnownStream) -> String {
        let upstreams = ranked_upstreams(self.rankings.get(id)).iter();
        let upstreams = upstreams.map(|ranked| (ranked.key.source, ranked.upstream));
        let finds = self.known_streams.naming_sources(id);
        outage_cause::stream_cause(&known.feed, upstreams, &finds, self.sources, self.now)
    }
}

fn ranked_upstreams<'a>(ranking: Option<&'a Ranking<'a>>) -> &'a [RankedUpstream<'a>] {
    ranking.map_or(&[], |ranking| &ranking.upstreams)
}

fn usual_compositions<'a>(upstreams: &'a [RankedUpstream<'a>]) -> UsualCompositions<'a> {
    let mut configured: Vec<_> = upstreams.iter().collect();
    configured.sort_by_key(|ranked| (ranked.key.source, ranked.key.ordinal));
    UsualCompositions::of(
        configured.into_iter().flat_map(|ranked| &ranked.upstream.findings.renditions),
    )
}

fn map_upstream(ranked: &RankedUpstream<'_>, usual: &UsualCompositions<'_>) -> Upstream {
    let RankedUpstream { key, upstream, source, health, score, .. } = ranked;
    Upstream {
        source: source.name.clone(),
        profile: profile_id(source, key, &upstream.candidate.headers),
        generation: upstream.generation,
        playlist: upstream.candidate.playlist.clone(),
        expires_at: upstream.expiry.expires_at,
        health: *health,
        score: *score,
        variables: upstream.findings.variables.encode(),
        renditions: upstream.renditions().map(|one| usual.qualify_id(one)).collect(),
    }
}

fn public_source(ranked: &RankedUpstream<'_>, active: bool) -> PublicSource {
    let RankedUpstream { upstream, source, health, score, .. } = ranked;
    let latency = upstream.stats.latency();
    PublicSource {
        name: source.name.clone(),
        label: upstream.candidate.label.clone(),
        note: source.note.clone(),
        kind: source.kind().to_owned(),
        active,
        health: *health,
        score: *score,
        latency_ms: latency.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
        expires_at: upstream.expiry.expires_at,
        error: upstream.last_error.clone(),
    }
}

fn profile_id(
    source: &Source,
    key: &UpstreamKey,
    headers: &[(String, String)],
) -> RequestProfileId {
    let name = &source.name;
    RequestProfileId(match key.ordinal {
        _ if headers == source.headers => name.clone(),
        0 => format!("{name}/{}", key.stream),
        ordinal => format!("{name}/{}/{}", key.stream, ordinal + 1),
    })
}

fn profile(source: &Source, headers: &[(String, String)]) -> RequestProfile {
    RequestProfile {
        headers: headers.to_vec(),
        allow_private: source.allow_private.clone(),
        ports: source.ports.clone(),
        token_parameters: source.token_parameters.clone(),
        connections: source.connections.map(NonZeroU32::get),
    }
}

#[cfg(test)]
mod tests;
