//! Is a candidate worth watching? Its master, its renditions and the newest segment are
//! looked at, as a player would. Nothing is decoded.
//!
//! - [`visit`]: fetching playlists.
//! - [`sample`]: the first bytes of a segment: how fast they come and what they are.
//! - [`head`]: how far a live playlist has come.
//! - [`rules`]: what a source's operator demands beyond that.
//! - [`turns`]: how many requests a source is sent at once.
//! - [`rendition`]: what a master offers, as renditions with ids that survive re-extraction.
//!
//! Messages never hold a URL: they are public.

mod head;
mod rendition;
mod rules;
mod sample;
mod turns;
mod visit;

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use pitwall_fetch::{FetchError, Fetcher};
use pitwall_hls::analysis::Media;
use pitwall_hls::{Playlist, Variables};
use pitwall_upstream_map::{Container, Rendition, RenditionId, Role};
use url::Url;

pub(crate) use self::head::Head;
pub use self::rules::CheckRules;
pub(crate) use self::sample::{Fingerprint, Sample};
pub(crate) use self::turns::Turns;
use self::visit::Visit;
use crate::extract::Candidate;
use crate::source::Source;

/// What a check that passed saw.
#[derive(Clone)]
pub(crate) struct Checked {
    pub(crate) renditions: Vec<Rendition>,
    /// Of the best video, which the sample is from.
    pub(crate) head: Head,
    /// Of every video and every sound that a viewer may get, videos first and the best of all.
    pub(crate) heads: Vec<(RenditionId, Head)>,
    pub(crate) sample: Sample,
    /// What the master defines for its children.
    pub(crate) variables: Variables,
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", detail.as_ref().unwrap_or(message))]
pub(crate) struct CheckError {
    /// Public: it names no host and no address.
    pub(crate) message: String,
    /// The same for logs and whoever holds the admin token.
    pub(crate) detail: Option<String>,
    pub(crate) fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is late, which proves nothing yet.
    Suspect,
    /// The next try may pass.
    Passing,
    /// Trying the same URL again is no use: it is gone, over, or shows nothing.
    Definite,
    /// The same, and most likely because its token has ended.
    Refused,
}

/// Renditions are looked at together, a few at a time, or fewer where a source allows less.
const AT_ONCE: usize = 6;
const DEADLINE: Duration = Duration::from_secs(15);
/// How long what a segment has shown holds.
const RESAMPLE: Duration = Duration::from_secs(8);

/// From the canonical URL down.
pub(crate) async fn check(
    fetcher: &Fetcher,
    source: &Source,
    candidate: &Candidate,
) -> Result<Checked, CheckError> {
    // Waiting for one's turn is no part of the deadline.
    let turn = source.turns.take(AT_ONCE).await;
    from_the_top(&Visit::new(fetcher, source, candidate, &turn)?, candidate).await
}

/// Again, with what is known: the playlist of every video and every sound, for players change
/// between them, and the newest segment of the best video. What fails is looked at from the canonical URL, which
/// may lead elsewhere by now, and leaves out what is broken there too.
pub(crate) async fn recheck(
    fetcher: &Fetcher,
    source: &Source,
    candidate: &Candidate,
    last: &Checked,
) -> Result<Checked, CheckError> {
    let turn = source.turns.take(AT_ONCE).await;
    let visit = Visit::new(fetcher, source, candidate, &turn)?;
    let again = tokio::time::timeout(DEADLINE, glance(&visit, last).boxed()).await;
    match again.unwrap_or_else(|_| Err(too_slow())) {
        Ok(checked) => Ok(checked),
        Err(_) => from_the_top(&visit, candidate).await,
    }
}

async fn from_the_top(visit: &Visit<'_>, candidate: &Candidate) -> Result<Checked, CheckError> {
    let check = look(visit, &candidate.playlist).boxed();
    tokio::time::timeout(DEADLINE, check).await.unwrap_or_else(|_| Err(too_slow()))
}

async fn look(visit: &Visit<'_>, canonical: &Url) -> Result<Checked, CheckError> {
    let (base, playlist) = visit.playlist(canonical, &Variables::default()).await?;
    let master = match playlist {
        Playlist::Master(master) => master,
        Playlist::Media(media) => return single(visit, canonical, &media).await,
    };
    let drafts = rendition::drafts(&master, &base);
    if drafts.is_empty() {
        return Err(CheckError::new("the master playlist offers nothing"));
    }
    let variables = &master.variables;
    let visits: Vec<_> =
        drafts.into_iter().map(|draft| entry(visit, draft, variables).boxed()).collect();
    let mut looks = futures::stream::iter(visits).buffered(visit.at_once);
    let (mut passed, mut failed) = (Vec::new(), None);
    while let Some(look) = looks.next().await {
        match look {
            Ok(entry) => passed.push(entry),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let nothing = || failed.unwrap_or(CheckError::new("the master playlist offers no video"));
    let first = passed.iter().find(|entry| entry.0.role == Role::Video).ok_or_else(nothing)?;
    let sample = visit.segment(&first.1).await?;
    let head = Head::of(&first.1)?;
    let moving = passed.iter().filter(|entry| moves(entry.0.role));
    let heads = moving.map(|(rendition, media)| Ok((rendition.id.clone(), Head::of(media)?)));
    let heads = heads.collect::<Result<_, CheckError>>()?;
    let video = sample.container.unwrap_or(visit::claimed(&first.1));
    let mut renditions = Vec::new();
    for (rendition, media) in passed {
        let container = match rendition.role {
            // One tells for all: the segments of a ladder are made by one packager.
            Role::Video if media.segments.iter().all(|segment| segment.map.is_none()) => video,
            Role::Audio => visit.container(&media).await,
            Role::Subtitles if visit::claimed(&media) != Container::Fmp4 => Container::WebVtt,
            _ => visit::claimed(&media),
        };
        renditions.push(Rendition { container, target_duration: target(&media), ..rendition });
    }
    Ok(Checked { renditions, head, heads, sample, variables: variables.clone() })
}

/// A rendition whose playlist is live.
async fn entry(
    visit: &Visit<'_>,
    rendition: Rendition,
    variables: &Variables,
) -> Result<(Rendition, Media), CheckError> {
    let media = visit.media(&rendition.playlist, variables).await?;
    Ok((rendition, media))
}

/// A stream without a master: its one playlist is its one rendition.
async fn single(visit: &Visit<'_>, url: &Url, media: &Media) -> Result<Checked, CheckError> {
    let media = visit::live(media)?;
    let sample = visit.segment(media).await?;
    let container = sample.container.unwrap_or(visit::claimed(media));
    let only = rendition::only(url.clone(), container, sample.bit_rate);
    let (only, head) = (Rendition { target_duration: target(media), ..only }, Head::of(media)?);
    Ok(Checked {
        heads: vec![(only.id.clone(), head)],
        renditions: vec![only],
        head,
        sample,
        variables: Variables::default(),
    })
}

async fn glance(visit: &Visit<'_>, last: &Checked) -> Result<Checked, CheckError> {
    let moving = last.renditions.iter().filter(|rendition| moves(rendition.role));
    let looks: Vec<_> = moving
        .map(|rendition| {
            let media = visit.media(&rendition.playlist, &last.variables);
            async move { media.await.map(|media| (rendition.id.clone(), media)) }.boxed()
        })
        .collect();
    let looks = futures::stream::iter(looks).buffered(visit.at_once);
    let seen: Vec<(RenditionId, Media)> = looks.try_collect().await?;
    let heads = seen.iter().map(|(id, media)| Ok((id.clone(), Head::of(media)?)));
    let heads = heads.collect::<Result<Vec<_>, CheckError>>()?;
    let nothing = || CheckError::new("nothing to look at");
    let (media, head) =
        seen.first().zip(heads.first()).map(|(one, head)| (&one.1, head.1)).ok_or_else(nothing)?;
    // A watched stream is looked at every target duration: the playlist tells most of it.
    let sample = match &last.sample {
        fresh if fresh.taken.elapsed() < RESAMPLE => fresh.clone(),
        _ => visit.segment(media).await?,
    };
    Ok(Checked { head, heads, sample, ..last.clone() })
}

/// Does it get longer all the time? Subtitles may have nothing to say for as long as they like.
fn moves(role: Role) -> bool {
    matches!(role, Role::Video | Role::Audio)
}

/// As whole seconds, which is what a playlist says.
fn target(media: &Media) -> Option<u64> {
    let target = head::target(media).ok()?;
    Some(target.as_secs() + u64::from(target.subsec_nanos() > 0))
}

fn too_slow() -> CheckError {
    CheckError::new(format!("not checked within {}", humantime::format_duration(DEADLINE)))
}

/// What the edge calls it. What nobody recognises is most likely a disguised transport stream.
fn container(seen: pitwall_hls::Container) -> Container {
    match seen {
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
        Self { message: message.into(), detail: None, fault: Fault::Passing }
    }

    pub(crate) fn definite(message: impl Into<String>) -> Self {
        Self { fault: Fault::Definite, ..Self::new(message) }
    }

    pub(crate) fn suspect(message: impl Into<String>) -> Self {
        Self { fault: Fault::Suspect, ..Self::new(message) }
    }

    /// An answer that is not what was asked for.
    fn status(what: &str, status: http::StatusCode) -> Self {
        let fault = match status.as_u16() {
            401 | 403 | 410 => Fault::Refused,
            404 | 451 => Fault::Definite,
            _ => Fault::Passing,
        };
        Self { fault, ..Self::new(format!("{what} was answered with {}", status.as_u16())) }
    }

    fn of_fetch(error: &FetchError, place: &str) -> Self {
        Self { detail: Some(error.operator(place)), ..Self::new(error.public()) }
    }
}

/// Of an answer that has begun.
impl From<FetchError> for CheckError {
    fn from(error: FetchError) -> Self {
        Self::of_fetch(&error, "")
    }
}

#[cfg(test)]
impl Checked {
    /// For tests of what follows a check.
    pub(crate) fn of(renditions: Vec<Rendition>, sequence: u64) -> Self {
        let head = Head { sequence, target: Duration::from_secs(2), date: None };
        let sample = Sample {
            taken: tokio::time::Instant::now(),
            latency: Duration::from_millis(50),
            throughput: None,
            container: None,
            bit_rate: None,
            fingerprint: Fingerprint::of(&sequence.to_be_bytes()),
        };
        let moving = renditions.iter().filter(|one| moves(one.role));
        let heads = moving.map(|one| (one.id.clone(), head)).collect();
        Self { renditions, head, heads, sample, variables: Variables::default() }
    }
}

#[cfg(test)]
mod tests;
