//! `/live`: a stream's playlists, resolved through the current map on every poll, so that
//! renewed tokens and replaced upstreams never show.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pitwall_hls::{Container, Limits, Variables, container_hint};
use pitwall_upstream_map::{Health, Stream, StreamId, Upstream};

use crate::links::{LiveLinks, ProxyLinks, container_extension};
use crate::multivariant;
use crate::playlists::version::{Terms, Version};
use crate::playlists::{self, Fetched, Playlist, Playlists, with_directives};
use crate::problem::Problem;
use crate::rooms::Rooms;
use crate::seal;
use crate::target::Target;

pub const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// How long a poll waits for the control plane to find another way before it fails.
const PATIENCE: Duration = Duration::from_secs(3);

pub struct Live {
    playlists: Arc<Playlists>,
    rooms: Rooms,
    last_good: LastGood,
}

impl Live {
    pub fn new(playlists: Arc<Playlists>, rooms: Rooms) -> Self {
        Self { playlists, rooms, last_good: LastGood::default() }
    }

    /// `query`: what the viewer has to show with its media playlists.
    pub fn multivariant(
        &self,
        stream: &str,
        rendition: Option<&str>,
        query: &str,
    ) -> Result<Playlist, Problem> {
        let map = self.rooms.store.current();
        let stream = map.streams.get(stream).ok_or(Problem::NotFound)?;
        let upstream = stream.active().ok_or(Problem::Unavailable("all sources are down"))?;
        let only = match rendition {
            Some(id) => Some(upstream.rendition(id).ok_or(Problem::NotFound)?),
            None => None,
        };
        let text = multivariant::write(upstream, only, query);
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
                now,
            });
            async {
                let poll = poll?;
                let (rooms, stream, upstream) =
                    (poll.rooms.clone(), poll.stream.clone(), poll.upstream.clone());
                poll.run().await.inspect_err(|problem| {
                    rooms.audience.complaints.failed(&stream, &upstream, problem);
                })
            }
        };
        self.playlists.poll(key, directives.is_some(), poll).await
    }
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
        let extension = self.extension(&answer.body);
        let terms = Terms {
            base: answer.base.clone(),
            seal_period: seal::period(self.now),
            expires: None,
            extension,
            generation: self.upstream.generation,
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
        };
        let last = self.playlists.versions.last(&self.name);
        let version =
            Version::make(last.as_deref(), answer, terms, &imported, CONTENT_TYPE, &mut links)?;
        if version.is_multivariant() {
            let what = "a multivariant playlist where a media playlist was";
            return Err(Problem::UpstreamInvalid(what.to_owned()));
        }
        Ok(self.playlists.keep(self.name, version, &self.rooms, &self.target))
    }
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
