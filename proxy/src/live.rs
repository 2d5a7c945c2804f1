//! `/live`: a stream's playlists, resolved through the current map on every poll, so that
//! renewed tokens and replaced upstreams never show.
//!
//! - [`track`]: what was published of each rendition, so that another source goes on from it.

pub mod track;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use pitwall_hls::{Container, Limits, Splice, Variables, container_hint};
use pitwall_upstream_map::{Health, Stream, StreamId, Upstream};

use crate::links::{LiveLinks, ProxyLinks, container_extension};
use crate::multivariant;
use crate::playlists::version::{Terms, Version};
use crate::playlists::{self, Fetched, Playlist, Playlists, UpstreamAnswer, with_directives};
use crate::problem::Problem;
use crate::rooms::Rooms;
use crate::route::Link;
use crate::seal;
use crate::target::Target;
use track::{Outcome, Track, Tracks};

pub const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// How long a poll waits for the control plane to find another way before it fails.
const PATIENCE: Duration = Duration::from_secs(3);

pub struct Live {
    playlists: Arc<Playlists>,
    rooms: Rooms,
    last_good: LastGood,
    tracks: Tracks,
}

impl Live {
    pub fn new(playlists: Arc<Playlists>, rooms: Rooms) -> Self {
        Self { playlists, rooms, last_good: LastGood::default(), tracks: Tracks::default() }
    }

    pub fn multivariant(&self, stream: &str, rendition: Option<&str>) -> Result<Playlist, Problem> {
        let map = self.rooms.store.current();
        let stream = map.streams.get(stream).ok_or(Problem::NotFound)?;
        let upstream = stream.active().ok_or(Problem::Unavailable("all sources are down"))?;
        let only = match rendition {
            Some(id) => Some(upstream.rendition(id).ok_or(Problem::NotFound)?),
            None => None,
        };
        let text = multivariant::write(upstream, only);
        Ok(Playlist::new(text.into_bytes(), CONTENT_TYPE, None, Duration::ZERO))
    }

    /// One rendition's playlist. When its upstream fails, the last good one is given for up
    /// to three target durations; a player polls on and notices nothing.
    pub async fn media(
        &self,
        stream: &str,
        rendition: &str,
        directives: Option<&str>,
        now: u64,
    ) -> Fetched {
        let mut changes = self.rooms.store.changes();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            changes.mark_unchanged();
            let failure = match self.attempt(stream, rendition, directives, now).await {
                Ok(playlist) => {
                    if directives.is_none() {
                        self.last_good.keep(stream, rendition, &playlist);
                    }
                    return Ok(playlist);
                }
                Err(problem) => problem,
            };
            // A delta or a blocking reload is about one moment: no other answer will do.
            if directives.is_some() && !matches!(failure, Problem::NotFound | Problem::SealExpired)
            {
                return Err(failure);
            }
            // Also when the stream is gone from the map: it may be back in the next.
            if let Some(playlist) = self.last_good.recent(stream, rendition) {
                tracing::warn!(stream, rendition, problem = failure.name(), "bridging a blip");
                return Ok(playlist);
            }
            if !failure.may_pass() {
                return Err(failure);
            }
            tracing::warn!(stream, rendition, problem = failure.name(), "a playlist cannot be had");
            // The next map may know another way; without one there is nothing to wait for.
            let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Err(Problem::Unavailable("its source cannot be read"));
            }
        }
    }

    /// The link that this path has now, when the one with `refused` is refused. Those who ask at
    /// the same moment share the polls. When these are refused as well, or name the same still
    /// though it is a token that ended, the control plane has been told and looks for another
    /// way, which is waited for.
    pub async fn renewed(
        &self,
        path: &str,
        refused: &str,
        problem: &Problem,
        now: u64,
    ) -> Option<Link> {
        let mut parts = path.strip_prefix("/live/")?.split('/');
        let (stream, rendition) = (parts.next()?, parts.next()?);
        let mut changes = self.rooms.store.changes();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            changes.mark_unchanged();
            let seal = match self.attempt(stream, rendition, None, now).await {
                Ok(playlist) => Some(seal_of(&playlist.bytes, path)?),
                Err(_) => None,
            };
            match seal {
                Some(seal) if seal != refused => {
                    return Some(Link::Sealed { seal, path: path.to_owned() });
                }
                Some(_) if *problem == Problem::UpstreamStatus(StatusCode::NOT_FOUND) => {
                    return None;
                }
                _ => {}
            }
            let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
            changed.ok()?.ok()?;
        }
    }

    async fn attempt(
        &self,
        stream: &str,
        rendition: &str,
        directives: Option<&str>,
        now: u64,
    ) -> Fetched {
        let map = self.rooms.store.current();
        let stream = map.streams.get(stream).ok_or(Problem::NotFound)?;
        let upstream = serving(stream, rendition)?;
        let url = &upstream.rendition(rendition).ok_or(Problem::NotFound)?.playlist;
        let name = format!("live {} {rendition} {url}", stream.id);
        let track = self.tracks.of(&stream.id, rendition);
        let directives = translated(directives, &track, &upstream.source);
        let directives = directives.as_deref();
        let key = with_directives(&name, directives);
        let target = || self.rooms.targets.of_profile(url.clone(), &upstream.profile.0, &map);
        let poll = || {
            let poll = target().map(|target| MediaPoll {
                rooms: self.rooms.clone(),
                playlists: self.playlists.clone(),
                name,
                target,
                stream: stream.id.clone(),
                rendition: rendition.to_owned(),
                upstream: upstream.clone(),
                directives: directives.map(str::to_owned),
                track,
                now,
            });
            async {
                let poll = poll?;
                let (rooms, stream, upstream) =
                    (poll.rooms.clone(), poll.stream.clone(), poll.upstream.clone());
                poll.run().await.inspect_err(|problem| {
                    rooms.audience.failed(&stream, &upstream, problem);
                })
            }
        };
        self.playlists.poll(key, directives.is_some(), poll).await
    }
}

/// The seal with which a playlist names a path.
fn seal_of(playlist: &[u8], path: &str) -> Option<String> {
    let text = std::str::from_utf8(playlist).ok()?;
    let (_, rest) = text.split_once(&format!("{path}?u="))?;
    let seal = rest.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')).next();
    seal.map(str::to_owned)
}

/// The best upstream that plays this rendition. Another one may have other renditions: a player
/// that knows only these is served by whoever still has them.
fn serving<'a>(stream: &'a Stream, rendition: &str) -> Result<&'a Upstream, Problem> {
    let mut playing = stream.upstreams.iter().filter(|one| one.health != Health::Down).peekable();
    if playing.peek().is_none() {
        return Err(Problem::Unavailable("all sources are down"));
    }
    playing.find(|one| one.rendition(rendition).is_some()).ok_or(Problem::NotFound)
}

/// All that one upstream poll needs, so that it can outlive the request that began it.
struct MediaPoll {
    rooms: Rooms,
    playlists: Arc<Playlists>,
    /// Of this playlist among all.
    name: String,
    target: Target,
    stream: StreamId,
    rendition: String,
    upstream: Upstream,
    directives: Option<String>,
    track: Arc<Track>,
    now: u64,
}

impl MediaPoll {
    /// What names say, and where they say nothing what the check saw in a segment.
    fn extension(&self, body: &[u8]) -> &'static str {
        match (container_hint(body), self.upstream.rendition(&self.rendition)) {
            (Container::MpegTs, Some(checked)) => checked.container.extension(),
            (known, _) => container_extension(known),
        }
    }

    async fn run(self) -> Fetched {
        let limits = Limits::default();
        let answer = playlists::fetch(
            &self.rooms.fetcher,
            &self.target,
            self.directives.as_deref(),
            limits.bytes,
        )
        .await?;
        // Defined by its master, and asked for by whoever imports them.
        let imported = Variables::decode(&self.upstream.variables)
            .map_err(|_| Problem::UpstreamInvalid("its variables cannot be read".to_owned()))?;
        let source = &self.upstream.source;
        let mut splice = self.track.take(source, &answer.body)?;
        loop {
            let version = self.rewrite(answer.clone(), &imported, splice.as_deref())?;
            if version.is_multivariant() {
                let what = "a multivariant playlist where a media playlist was";
                return Err(Problem::UpstreamInvalid(what.to_owned()));
            }
            let (bytes, newest) = (&version.playlist.bytes, version.newest());
            let delta = self.directives.as_deref().is_some_and(|all| all.contains(SKIP));
            let text = if delta {
                bytes.clone()
            } else {
                match self.track.publish(source, splice.as_ref(), bytes, newest)? {
                    Outcome::Published(text) => text,
                    Outcome::Restarted => {
                        splice = self.track.restart(source, &answer.body)?;
                        continue;
                    }
                }
            };
            let playlist = self.playlists.keep(self.name, version, &self.rooms, &self.target);
            let same = playlist.bytes == text;
            return Ok(if same { playlist } else { Arc::new(playlist.with(text)) });
        }
    }

    fn rewrite(
        &self,
        answer: UpstreamAnswer,
        imported: &Variables,
        splice: Option<&Splice>,
    ) -> Result<Version, Problem> {
        let extension = self.extension(&answer.body);
        let terms = Terms {
            base: answer.base.clone(),
            seal_period: seal::period(self.now),
            expires: None,
            extension,
            generation: self.upstream.generation,
            splice: splice.map(|splice| splice.generation),
        };
        let mut links = LiveLinks {
            proxy: ProxyLinks {
                sealer: &self.rooms.sealer,
                profile: &self.target.profile,
                extension,
                now: self.now,
                expires: None,
            },
            stream: self.stream.as_str(),
            rendition: &self.rendition,
            upstream: &self.upstream,
            token_parameters: &self.target.token_parameters,
            splice,
        };
        let last = self.playlists.versions.last(&self.name);
        Version::make(last.as_deref(), answer, terms, imported, CONTENT_TYPE, &mut links)
    }
}

const SKIP: &str = "_HLS_skip=";
const MSN: &str = "_HLS_msn=";

/// What a player asks for, as the source knows it: with its own numbers, and whole where it will
/// be put together with another's.
fn translated(directives: Option<&str>, track: &Track, source: &str) -> Option<String> {
    let directives = directives?;
    let splice = track.current();
    let changes = track.changes(source);
    if splice.is_none() && !changes {
        return Some(directives.to_owned());
    }
    let kept: Vec<String> = directives
        .split('&')
        .filter(|directive| !directive.starts_with(SKIP))
        .filter_map(|directive| match directive.strip_prefix(MSN) {
            // Nobody knows yet what its numbers will be.
            Some(_) if changes => None,
            Some(number) => {
                let number = number.parse().ok()?;
                let number = splice.as_ref()?.upstream_number(number)?;
                Some(format!("{MSN}{number}"))
            }
            None if changes && directive.starts_with("_HLS_part=") => None,
            None => Some(directive.to_owned()),
        })
        .collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// The last playlist of each rendition that could be fetched.
#[derive(Default)]
struct LastGood(Mutex<HashMap<(String, String), Arc<Playlist>>>);

impl LastGood {
    fn keep(&self, stream: &str, rendition: &str, playlist: &Arc<Playlist>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, playlist| playlist.fetched.elapsed() < playlist.bridges());
        kept.insert((stream.to_owned(), rendition.to_owned()), playlist.clone());
    }

    fn recent(&self, stream: &str, rendition: &str) -> Option<Arc<Playlist>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let playlist = kept.get(&(stream.to_owned(), rendition.to_owned()))?;
        (playlist.fetched.elapsed() < playlist.bridges()).then(|| playlist.clone())
    }
}
