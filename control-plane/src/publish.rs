//! Makes the parts of an [`UpstreamMap`](pitwall_upstream_map::UpstreamMap) and its public documents from the engine's state. Pure
//! functions.
//!
//! - [`calendar`], [`xmltv_guide`], [`iptv_playlist`]: the documents that are not JSON.
//! - [`rendition_ids`]: ids of renditions.
//! - [`public_url`]: absolute links.

pub(crate) mod calendar;
pub(crate) mod iptv_playlist;
mod public_url;
mod rendition_ids;
pub(crate) mod xmltv_guide;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{
    Explanation, ExtractorDocument, ExtractorError, ExtractorStatus, PublicDocument,
    PublicRendition, PublicSource, PublicStream, Schedule, SessionStatus,
};
use pitwall_upstream_map::{Health, RequestProfile, RequestProfileId, Stream, StreamId, Upstream};
use url::Url;

pub use self::public_url::PublicUrl;
use self::rendition_ids::CompositionsById;
use crate::model::known_streams::{KnownStream, SourcesNamingStream};
use crate::model::ranking::{RankedUpstream, Ranking};
use crate::model::run_report::CHECK_STEP;
use crate::model::source_state::SourceState;
use crate::model::tracked_upstream::TrackedUpstream;
use crate::model::{UpstreamKey, outage_cause};
use crate::rank::{RankConfig, explain};
use crate::schedule::live_window;
use crate::source::Source;

/// Every session's status at `now`, and whether it is past its nominal end. A change requires a new
/// schedule.
pub(crate) fn session_phases(schedule: &Schedule, now: Timestamp) -> Vec<(SessionStatus, bool)> {
    let sessions = schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
    let phase = |session| {
        (live_window::status_at(session, now), live_window::is_in_overrun_margin(session, now))
    };
    sessions.map(phase).collect()
}

/// A source's profile for all its upstreams but those that need other header fields.
pub(crate) fn source_profile_entry(source: &Source) -> (RequestProfileId, RequestProfile) {
    (RequestProfileId(source.name.clone()), build_profile(source, &source.headers, &[]))
}

pub(crate) fn build_extractor_document(
    position: usize,
    status: &ExtractorStatus,
) -> Result<ExtractorDocument, serde_json::Error> {
    Ok(ExtractorDocument { position, status: PublicDocument::from_value(status)? })
}

/// The error of an upstream that a source lists while it is down: a source that runs without a
/// failure counts as failing by it, as a static source never fails by itself.
pub(crate) fn dead_upstream_error<'a>(
    state: &SourceState,
    mut upstreams: impl Iterator<Item = (&'a UpstreamKey, &'a TrackedUpstream)>,
) -> Option<ExtractorError> {
    let (_, dead) = upstreams.find(|(_, upstream)| {
        upstream.health() == Health::Down && state.is_find_still_listed(upstream.last_found_at())
    })?;
    let error = dead.last_error.as_deref().unwrap_or("a check failed");
    let message = format!("{}: {error}", dead.candidate.feed);
    Some(ExtractorError { step: CHECK_STEP.to_owned(), message })
}

/// What a stream and its documents are made from.
pub(crate) struct StreamView<'a> {
    pub(crate) id: &'a StreamId,
    pub(crate) known: &'a KnownStream,
    pub(crate) ranking: &'a Ranking<'a>,
    pub(crate) naming_sources: SourcesNamingStream<'a>,
    pub(crate) sources: &'a [SourceState],
    pub(crate) viewers: usize,
    pub(crate) rank_config: &'a RankConfig,
    pub(crate) public_url: &'a PublicUrl,
    pub(crate) now: Timestamp,
}

impl StreamView<'_> {
    /// Includes upstreams that are down: their viewers are told to wait instead of that the stream
    /// is gone.
    pub(crate) fn build_map_stream(&self) -> Result<Stream, serde_json::Error> {
        let upstreams = &self.ranking.upstreams;
        let usual = compositions_by_id(upstreams);
        Ok(Stream {
            id: self.id.clone(),
            feed: self.known.feed.clone(),
            switched: self.ranking.switch_version,
            pin: self.ranking.pin.clone(),
            upstreams: upstreams.iter().map(|ranked| build_map_upstream(ranked, &usual)).collect(),
            outage: self.known.outage,
            position: self.position(),
            public: PublicDocument::from_value(&self.public_stream(&usual))?,
            explanation: PublicDocument::from_value(&self.explanation())?,
        })
    }

    /// The profiles of upstreams that need other header fields than their source's, or cookies.
    pub(crate) fn own_profiles(&self) -> BTreeMap<RequestProfileId, RequestProfile> {
        let special = self.ranking.upstreams.iter().filter(|ranked| has_own_profile(ranked));
        let profiles = special.map(|ranked| {
            let TrackedUpstream { candidate, findings, .. } = ranked.upstream;
            let profile = build_profile(ranked.source, &candidate.headers, &findings.set_cookies);
            (profile_id(ranked), profile)
        });
        profiles.collect()
    }

    /// The first source, in the order of the configuration, and the place among its streams.
    fn position(&self) -> (usize, usize) {
        let upstreams = self.ranking.upstreams.iter();
        let found =
            upstreams.map(|ranked| (ranked.config_position, ranked.upstream.candidate.position));
        let named = self.naming_sources.iter();
        let place = |source: &usize| self.sources.get(*source)?.position;
        let named = || named.filter_map(|(it, (position, _))| Some((place(it)?, *position))).min();
        found.min().or_else(named).unwrap_or((usize::MAX, 0))
    }

    fn explanation(&self) -> Explanation {
        if self.ranking.upstreams.is_empty() {
            return Explanation {
                stream: self.id.clone(),
                feed: self.known.feed.clone(),
                viewers: self.viewers,
                summary: format!("Nothing plays: {}.", self.outage_cause()),
                upstreams: Vec::new(),
            };
        }
        explain::explain_stream(self.id, self.ranking, self.viewers, self.rank_config, self.now)
    }

    /// Listed upstreams; without one, those that may still play.
    fn shown_upstreams(&self) -> Vec<&RankedUpstream<'_>> {
        let upstreams = self.ranking.upstreams.iter();
        let not_down = upstreams.filter(|ranked| ranked.health != Health::Down);
        let (listed, unlisted): (Vec<_>, Vec<_>) = not_down.partition(|ranked| ranked.is_listed);
        if listed.is_empty() { unlisted } else { listed }
    }

    /// The health with which the stream is listed.
    pub(crate) fn listed_health(&self) -> Health {
        match self.shown_upstreams().first() {
            Some(first) if first.is_listed => first.health,
            Some(_) => Health::Degraded,
            None => Health::Down,
        }
    }

    fn public_stream(&self, usual: &CompositionsById<'_>) -> PublicStream {
        let upstreams = &self.ranking.upstreams;
        let active = self.ranking.active().map(|ranked| ranked.key);
        let source =
            |ranked: &RankedUpstream<'_>| public_source(ranked, active == Some(ranked.key));
        let renditions = |ranked: &RankedUpstream<'_>| {
            let renditions =
                ranked.upstream.offered_renditions().map(|one| usual.qualify_rendition(one));
            renditions.map(|one| PublicRendition::from(&one)).collect()
        };
        let stream = PublicStream {
            id: self.id.clone(),
            feed: self.known.feed.clone(),
            playlist: self.public_url.absolute_path(&playlist_path(self.id)),
            health: self.listed_health(),
            down_since: None,
            reason: None,
            sources: Vec::new(),
            renditions: Vec::new(),
        };
        let shown = self.shown_upstreams();
        if let Some(best) = shown.first() {
            return PublicStream {
                sources: shown.iter().map(|ranked| source(ranked)).collect(),
                renditions: renditions(best),
                ..stream
            };
        }
        PublicStream {
            down_since: self.known.down_since(),
            reason: Some(self.outage_cause()),
            sources: upstreams.iter().map(source).chain(self.absent_sources()).collect(),
            renditions: upstreams.first().map(renditions).unwrap_or_default(),
            ..stream
        }
    }

    /// Sources that should play the stream and of which no find has ever passed a check.
    fn absent_sources(&self) -> Vec<PublicSource> {
        let upstreams = &self.ranking.upstreams;
        let named = self.naming_sources.iter();
        let absent = named.filter(|(index, _)| upstreams.iter().all(|it| it.key.source != **index));
        let absent = absent.filter_map(|(index, (_, rejection))| {
            let state = self.sources.get(*index)?;
            let source = &state.source;
            Some(PublicSource {
                name: source.name.clone(),
                label: source.label.clone(),
                note: source.note.clone(),
                kind: source.kind.to_owned(),
                active: false,
                health: Health::Down,
                score: 0.0,
                latency_ms: None,
                expires_at: None,
                error: Some(outage_cause::describe_rejected_find(
                    &self.known.feed,
                    *rejection,
                    state,
                )),
            })
        });
        absent.collect()
    }

    /// Why nothing of the stream plays.
    pub(crate) fn outage_cause(&self) -> String {
        let upstreams = self.ranking.upstreams.iter();
        let upstreams = upstreams.map(|ranked| (ranked.key.source, ranked.upstream));
        let (feed, finds) = (&self.known.feed, &self.naming_sources);
        outage_cause::stream_cause(feed, upstreams, finds, self.sources, self.now)
    }
}

/// The path of a stream's multivariant playlist.
pub(crate) fn playlist_path(stream: &StreamId) -> String {
    format!("/live/{stream}/index.m3u8")
}

fn compositions_by_id<'a>(upstreams: &'a [RankedUpstream<'a>]) -> CompositionsById<'a> {
    let mut configured: Vec<_> = upstreams.iter().collect();
    configured.sort_by_key(|ranked| (ranked.config_position, ranked.key.ordinal));
    CompositionsById::of(
        configured.into_iter().flat_map(|ranked| &ranked.upstream.findings.renditions),
    )
}

fn build_map_upstream(ranked: &RankedUpstream<'_>, usual: &CompositionsById<'_>) -> Upstream {
    let RankedUpstream { upstream, source, health, .. } = ranked;
    Upstream {
        source: source.name.clone(),
        profile: profile_id(ranked),
        generation: upstream.generation,
        playlist: upstream.candidate.playlist.clone(),
        expires_at: upstream.expiry.expires_at,
        health: *health,
        score: upstream.figures.score,
        variables: upstream.findings.variables.encode(),
        renditions: upstream.offered_renditions().map(|one| usual.qualify_rendition(one)).collect(),
        multivariant: rendition_ids::qualify_i_frame_ids(
            upstream.findings.multivariant.clone(),
            &source.name,
        ),
    }
}

fn public_source(ranked: &RankedUpstream<'_>, active: bool) -> PublicSource {
    let RankedUpstream { upstream, source, health, .. } = ranked;
    PublicSource {
        name: source.name.clone(),
        label: upstream.candidate.label.clone(),
        note: source.note.clone(),
        kind: source.kind.to_owned(),
        active,
        health: *health,
        score: upstream.figures.score,
        latency_ms: upstream
            .figures
            .latency
            .map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
        expires_at: upstream.expiry.expires_at,
        error: upstream.last_error.clone(),
    }
}

/// Is the upstream played by other header fields than its source's, or with a session of its own?
fn has_own_profile(ranked: &RankedUpstream<'_>) -> bool {
    let TrackedUpstream { candidate, findings, .. } = ranked.upstream;
    candidate.headers != ranked.source.headers || !findings.set_cookies.is_empty()
}

fn profile_id(ranked: &RankedUpstream<'_>) -> RequestProfileId {
    let (name, key) = (&ranked.source.name, ranked.key);
    RequestProfileId(match key.ordinal {
        _ if !has_own_profile(ranked) => name.clone(),
        0 => format!("{name}/{}", key.stream),
        ordinal => format!("{name}/{}/{}", key.stream, ordinal + 1),
    })
}

fn build_profile(
    source: &Source,
    headers: &[(String, String)],
    cookies: &[(Url, String)],
) -> RequestProfile {
    RequestProfile {
        headers: headers.to_vec(),
        cookies: cookies.to_vec(),
        allow_private: source.allow_private.clone(),
        ports: source.ports.clone(),
        token_parameters: source.token_parameters.clone(),
        connections: source.connections.map(NonZeroU32::get),
    }
}

#[cfg(test)]
mod tests;
