//! Checks a candidate as a player would see it: its multivariant playlist, its renditions and its
//! newest segment. Nothing is decoded.
//!
//! - [`run`]: fetches playlists.
//! - [`sample`]: the first bytes of a segment: latency, throughput, container.
//! - [`live_edge`]: the position of a live playlist.
//! - [`rendition`]: the renditions of a multivariant playlist, with ids that survive
//!   re-extraction.
//! - [`multivariant`]: what else a multivariant playlist says, without what names its origin.
//!
//! Error messages are public and never contain a URL.

mod live_edge;
mod multivariant;
mod rendition;
mod run;
mod sample;

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use pitwall_fetch::{CookieJar, FetchError, Fetcher};
use pitwall_hls::analysis::MediaPlaylist;
use pitwall_hls::{Playlist, Variables};
use pitwall_upstream_map::{Container, MultivariantTags, Rendition, RenditionId, Role};
use url::Url;

pub(crate) use self::live_edge::LiveEdge;
use self::run::CheckRun;
pub(crate) use self::sample::{InitSection, SegmentFingerprint, SegmentSample};
use crate::extract::Candidate;
use crate::source::Source;

/// The result of a check that passed.
#[derive(Clone)]
pub(crate) struct CheckFindings {
    pub(crate) renditions: Vec<Rendition>,
    pub(crate) multivariant: MultivariantTags,
    /// Live edge of the best video rendition, from which `sample` is.
    pub(crate) live_edge: LiveEdge,
    /// Live edges of all video and audio renditions: videos first, the best one first of all.
    pub(crate) live_edges: Vec<(RenditionId, LiveEdge)>,
    pub(crate) sample: SegmentSample,
    /// That of the sampled segment, if it has one.
    pub(crate) init_section: Option<InitSection>,
    /// Variables that the multivariant playlist defines for its media playlists.
    pub(crate) variables: Variables,
    /// The cookies of this check and of the rechecks that follow it.
    pub(crate) cookies: Arc<CookieJar>,
    /// What the upstream had set when it was last checked from its playlist URL down: without its
    /// session, playlists and segments may be refused. Rechecks do not change it, as some servers
    /// set other cookies with every response.
    pub(crate) set_cookies: Vec<(Url, String)>,
}

/// Why a check failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", detail.as_ref().unwrap_or(message))]
pub(crate) struct CheckError {
    /// Public message: contains no host and no address.
    pub(crate) message: String,
    /// The message for logs and for holders of the admin token.
    pub(crate) detail: Option<String>,
    pub(crate) kind: CheckFailureKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckFailureKind {
    /// The playlist or segment is late, which alone is no failure.
    Late,
    /// The next check may pass.
    Transient,
    /// The URL cannot play again: it is gone, has ended, or shows nothing.
    Permanent,
    /// The URL was rejected, most likely because its token has expired.
    TokenRejected,
}

/// Maximum number of renditions that one check fetches concurrently; a source's `connections` may
/// lower it.
const RENDITION_MAX_CONCURRENCY: usize = 6;
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a segment sample is reused by rechecks.
const SAMPLE_MAX_AGE: Duration = Duration::from_secs(8);

/// Checks a candidate from its playlist URL down.
pub(crate) async fn check_candidate(
    fetcher: &Fetcher,
    source: &Source,
    candidate: &Candidate,
) -> Result<CheckFindings, CheckError> {
    // The wait for a permit does not count towards `CHECK_TIMEOUT`.
    let permit = source.check_limiter.acquire(RENDITION_MAX_CONCURRENCY).await;
    let check_run = CheckRun::new(fetcher, source, candidate, &permit, Arc::default())?;
    check_from_canonical_url(&check_run, candidate).await
}

/// Checks again with what the last check found: the playlist of every video and audio rendition, as
/// players switch between them, and the newest segment of the best video. If that fails, the
/// candidate is checked from its playlist URL, which may redirect elsewhere by now, and renditions
/// that fail there too are left out.
pub(crate) async fn recheck_candidate(
    fetcher: &Fetcher,
    source: &Source,
    candidate: &Candidate,
    last: &CheckFindings,
) -> Result<CheckFindings, CheckError> {
    let permit = source.check_limiter.acquire(RENDITION_MAX_CONCURRENCY).await;
    let check_run = CheckRun::new(fetcher, source, candidate, &permit, last.cookies.clone())?;
    let rechecked =
        tokio::time::timeout(CHECK_TIMEOUT, recheck_renditions(&check_run, last).boxed()).await;
    match rechecked.unwrap_or_else(|_| Err(timeout_error())) {
        Ok(findings) => Ok(findings),
        Err(_) => check_from_canonical_url(&check_run.without_cookies(), candidate).await,
    }
}

async fn check_from_canonical_url(
    check_run: &CheckRun<'_>,
    candidate: &Candidate,
) -> Result<CheckFindings, CheckError> {
    let check = check_playlist(check_run, &candidate.playlist).boxed();
    tokio::time::timeout(CHECK_TIMEOUT, check).await.unwrap_or_else(|_| Err(timeout_error()))
}

async fn check_playlist(
    check_run: &CheckRun<'_>,
    canonical: &Url,
) -> Result<CheckFindings, CheckError> {
    let (base, playlist) = check_run.fetch_playlist(canonical, &Variables::default()).await?;
    let mut master = match playlist {
        Playlist::Multivariant(master) => master,
        Playlist::Media(media) => {
            return check_single_rendition(check_run, canonical, &media).await;
        }
    };
    multivariant::redact_origin(&mut master, canonical, &base, check_run.redactor());
    let mut multivariant = multivariant::multivariant_tags(&master, &base);
    let drafts = rendition::draft_renditions(&master, &base);
    if drafts.is_empty() {
        return Err(CheckError::new("the master playlist offers nothing"));
    }
    let variables = &master.variables;
    let fetches: Vec<_> = drafts
        .into_iter()
        .map(|draft| fetch_rendition(check_run, draft, variables).boxed())
        .collect();
    let mut results = futures::stream::iter(fetches).buffered(check_run.max_concurrency);
    let (mut passed, mut failed) = (Vec::new(), None);
    while let Some(result) = results.next().await {
        match result {
            Ok(entry) => passed.push(entry),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let no_video_error =
        || failed.unwrap_or(CheckError::new("the master playlist offers no video"));
    let mut videos = passed.iter().filter(|entry| entry.0.role == Role::Video);
    let (_, sampled_media) = videos.next().ok_or_else(no_video_error)?;
    let sample = check_run.sample_newest_segment(sampled_media).await?;
    let init_section = check_run.find_init_section(sampled_media, None).await?;
    let codecs = init_section.as_ref().map_or(sample.codecs, |section| section.codecs);
    let mut renditions: Vec<_> = passed.iter_mut().map(|(rendition, _)| rendition).collect();
    rendition::record_codecs(&mut renditions, codecs);
    let first = passed.iter().find(|entry| entry.0.role == Role::Video);
    let first = first.ok_or_else(|| CheckError::new("the master playlist offers no video"))?;
    let live_edge = LiveEdge::of(&first.1)?;
    let continuous = passed.iter().filter(|entry| is_continuous_role(entry.0.role));
    multivariant.has_independent_segments |=
        continuous.clone().all(|(_, media)| media.has_independent_segments);
    let live_edges =
        continuous.map(|(rendition, media)| Ok((rendition.id.clone(), LiveEdge::of(media)?)));
    let live_edges = live_edges.collect::<Result<_, CheckError>>()?;
    let video = sample.container.unwrap_or(run::infer_container_from_playlist(&first.1));
    let sampled = first.0.id.clone();
    let mut renditions = Vec::new();
    for (rendition, media) in passed {
        // BANDWIDTH is required (RFC 8216bis, 4.4.6.2) and often missing all the same.
        let bit_rate = sample.bit_rate.filter(|_| rendition.id == sampled);
        let container = match rendition.role {
            // One sample determines the container of all: one packager makes the segments of all
            // variants.
            Role::Video if media.segments.iter().all(|segment| segment.map.is_none()) => video,
            Role::Audio => rendition.container,
            Role::Subtitles if run::infer_container_from_playlist(&media) != Container::Fmp4 => {
                Container::WebVtt
            }
            _ => run::infer_container_from_playlist(&media),
        };
        renditions.push(Rendition {
            container,
            bandwidth: rendition.bandwidth.or(rendition.average_bandwidth).or(bit_rate),
            target_duration: target_duration_seconds(&media),
            ..rendition
        });
    }
    Ok(CheckFindings {
        renditions,
        multivariant,
        live_edge,
        live_edges,
        sample,
        init_section,
        variables: variables.clone(),
        cookies: check_run.cookies.clone(),
        set_cookies: check_run.cookies.export_set_cookies(),
    })
}

/// Fetches a rendition's playlist, which must be live, and looks at the segments of audio.
async fn fetch_rendition(
    check_run: &CheckRun<'_>,
    mut rendition: Rendition,
    variables: &Variables,
) -> Result<(Rendition, MediaPlaylist), CheckError> {
    let media = check_run.fetch_media_playlist(&rendition.playlist, variables).await?;
    if rendition.role == Role::Audio {
        let audio = check_run.inspect_audio_segment(&media).await;
        rendition.container = audio.container;
        rendition.bandwidth = rendition.bandwidth.or(audio.bit_rate);
        rendition.audio_codec = audio.codec.map(str::to_owned);
    }
    Ok((rendition, media))
}

/// A stream without a multivariant playlist: its one media playlist is its one rendition.
async fn check_single_rendition(
    check_run: &CheckRun<'_>,
    url: &Url,
    media: &MediaPlaylist,
) -> Result<CheckFindings, CheckError> {
    let media = run::require_live(media)?;
    let sample = check_run.sample_newest_segment(media).await?;
    let container = sample.container.unwrap_or(run::infer_container_from_playlist(media));
    let mut rendition = rendition::build_single_rendition(url.clone(), container, sample.bit_rate);
    let init_section = check_run.find_init_section(media, None).await?;
    let codecs = init_section.as_ref().map_or(sample.codecs, |section| section.codecs);
    rendition::record_codecs(&mut [&mut rendition], codecs);
    let (rendition, live_edge) = (
        Rendition { target_duration: target_duration_seconds(media), ..rendition },
        LiveEdge::of(media)?,
    );
    Ok(CheckFindings {
        live_edges: vec![(rendition.id.clone(), live_edge)],
        renditions: vec![rendition],
        multivariant: MultivariantTags {
            has_independent_segments: media.has_independent_segments,
            ..MultivariantTags::default()
        },
        live_edge,
        sample,
        init_section,
        variables: Variables::default(),
        cookies: check_run.cookies.clone(),
        set_cookies: check_run.cookies.export_set_cookies(),
    })
}

async fn recheck_renditions(
    check_run: &CheckRun<'_>,
    last: &CheckFindings,
) -> Result<CheckFindings, CheckError> {
    let continuous = last.renditions.iter().filter(|rendition| is_continuous_role(rendition.role));
    let fetches: Vec<_> = continuous
        .map(|rendition| {
            let media = check_run.fetch_media_playlist(&rendition.playlist, &last.variables);
            async move { media.await.map(|media| (rendition.id.clone(), media)) }.boxed()
        })
        .collect();
    let fetches = futures::stream::iter(fetches).buffered(check_run.max_concurrency);
    let playlists: Vec<(RenditionId, MediaPlaylist)> = fetches.try_collect().await?;
    let live_edges = playlists.iter().map(|(id, media)| Ok((id.clone(), LiveEdge::of(media)?)));
    let live_edges = live_edges.collect::<Result<Vec<_>, CheckError>>()?;
    if has_stepped_back(&live_edges, &last.live_edges) {
        return Err(CheckError::new("the source counts anew: it may play something else"));
    }
    let nothing_checked_error = || CheckError::new("nothing to look at");
    let (media, live_edge) = playlists
        .first()
        .zip(live_edges.first())
        .map(|(one, live_edge)| (&one.1, live_edge.1))
        .ok_or_else(nothing_checked_error)?;
    // A watched stream is checked every target duration; between samples its playlist suffices.
    let sample = match &last.sample {
        fresh if fresh.taken_at.elapsed() < SAMPLE_MAX_AGE => fresh.clone(),
        _ => check_run.sample_newest_segment(media).await?,
    };
    let init_section = check_run.find_init_section(media, last.init_section.as_ref()).await?;
    let named = |section: &Option<InitSection>| section.as_ref().map(|section| section.codecs);
    let has_other_map = named(&init_section)
        .zip(named(&last.init_section))
        .is_some_and(|(a, b)| a.has_conflict_with(&b));
    if sample.codecs.has_conflict_with(&last.sample.codecs) || has_other_map {
        return Err(CheckError::new("the source has other codecs"));
    }
    Ok(CheckFindings { live_edge, live_edges, sample, init_section, ..last.clone() })
}

/// Whether the numbers of a rendition step back, as those of an encoder that was started anew, maybe
/// with other settings.
fn has_stepped_back(
    live_edges: &[(RenditionId, LiveEdge)],
    before: &[(RenditionId, LiveEdge)],
) -> bool {
    live_edges.iter().zip(before).any(|((id, live_edge), (id_before, before))| {
        id == id_before && live_edge.last_sequence < before.last_sequence
    })
}

/// Does a rendition of this role get new segments all the time? Subtitles may pause.
fn is_continuous_role(role: Role) -> bool {
    matches!(role, Role::Video | Role::Audio)
}

/// The target duration in whole seconds, rounded up.
fn target_duration_seconds(media: &MediaPlaylist) -> Option<u64> {
    let target = live_edge::target_duration(media).ok()?;
    Some(target.as_secs() + u64::from(target.subsec_nanos() > 0))
}

fn timeout_error() -> CheckError {
    CheckError::new(format!("not checked within {}", humantime::format_duration(CHECK_TIMEOUT)))
}

/// The map's name of a container. An unknown container is most likely a disguised transport stream.
fn to_published_container(detected: pitwall_hls::Container) -> Container {
    match detected {
        pitwall_hls::Container::Fmp4 => Container::Fmp4,
        pitwall_hls::Container::PackedAudio => Container::PackedAudio,
        pitwall_hls::Container::Mp3 => Container::Mp3,
        pitwall_hls::Container::Ac3 => Container::Ac3,
        pitwall_hls::Container::Eac3 => Container::Eac3,
        pitwall_hls::Container::WebVtt => Container::WebVtt,
        pitwall_hls::Container::MpegTs | pitwall_hls::Container::Unknown => Container::MpegTs,
    }
}

impl CheckError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), detail: None, kind: CheckFailureKind::Transient }
    }

    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        Self { kind: CheckFailureKind::Permanent, ..Self::new(message) }
    }

    pub(crate) fn late(message: impl Into<String>) -> Self {
        Self { kind: CheckFailureKind::Late, ..Self::new(message) }
    }

    /// The error for an unexpected response status; `what` names what was requested.
    fn from_status(what: &str, status: http::StatusCode) -> Self {
        let kind = match status.as_u16() {
            401 | 403 | 410 => CheckFailureKind::TokenRejected,
            404 | 451 => CheckFailureKind::Permanent,
            _ => CheckFailureKind::Transient,
        };
        Self { kind, ..Self::new(format!("{what} was answered with {}", status.as_u16())) }
    }

    fn from_fetch_error(error: &FetchError, config_location: &str) -> Self {
        Self {
            detail: Some(error.operator_text(config_location)),
            ..Self::new(error.public_text())
        }
    }
}

/// Converts an error in a response body; its message needs no configuration location.
impl From<FetchError> for CheckError {
    fn from(error: FetchError) -> Self {
        Self::from_fetch_error(&error, "")
    }
}

#[cfg(test)]
impl CheckFindings {
    /// Findings with the given renditions at media sequence number `sequence`.
    pub(crate) fn of(renditions: Vec<Rendition>, sequence: u64) -> Self {
        let live_edge = LiveEdge {
            last_sequence: sequence,
            target_duration: Duration::from_secs(2),
            ends_at: None,
        };
        let sample = SegmentSample {
            taken_at: tokio::time::Instant::now(),
            latency: Duration::from_millis(50),
            throughput: None,
            container: None,
            codecs: pitwall_hls::CodecFamilies::default(),
            bit_rate: None,
            fingerprint: SegmentFingerprint::of(&sequence.to_be_bytes()),
        };
        let continuous = renditions.iter().filter(|one| is_continuous_role(one.role));
        let live_edges = continuous.map(|one| (one.id.clone(), live_edge)).collect();
        let multivariant = MultivariantTags::default();
        Self {
            renditions,
            multivariant,
            live_edge,
            live_edges,
            sample,
            init_section: None,
            variables: Variables::default(),
            cookies: Arc::default(),
            set_cookies: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
