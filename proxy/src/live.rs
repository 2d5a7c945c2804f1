//! `/live`: a stream's playlists, resolved through the current map on every poll, so that
//! renewed tokens and replaced upstreams never show.
//!
//! - [`poll`]: one poll, from the source to what is published.
//! - [`choose`]: which source that is.
//! - [`publisher`]: nothing before all edges have agreed on it.
//! - [`line`], [`track`]: what is known of a stream, and what was published of a rendition.
//! - [`change`]: what edges tell each other when the source changes.
//! - [`directives`]: what players ask for, in the source's numbers.
//! - [`last_good`]: what bridges a blip; [`failing`]: what is said of it.

mod change;
mod choose;
mod directives;
mod failing;
mod last_good;
mod line;
mod poll;
mod publisher;
mod track;

use std::sync::Arc;
use std::time::Duration;

pub use change::Reason;
use http::StatusCode;
use pitwall_upstream_map::{Health, Stream, Upstream, UpstreamMap};

use crate::multivariant;
use crate::playlists::{Fetched, Playlist, Playlists, with_directives};
use crate::problem::Problem;
use crate::rooms::Rooms;
use crate::route::Link;
use choose::{Known, choose};
use failing::Failing;
use last_good::LastGood;
use line::Lines;
use poll::MediaPoll;
use publisher::Publisher;

pub const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// How long a poll waits for the control plane to find another way before it fails.
const PATIENCE: Duration = Duration::from_secs(3);

pub struct Live {
    playlists: Arc<Playlists>,
    rooms: Rooms,
    last_good: LastGood,
    failing: Failing,
    lines: Lines,
    /// How much of a playlist is shown.
    window: Duration,
}

impl Live {
    pub fn new(playlists: Arc<Playlists>, rooms: Rooms, window: Duration) -> Self {
        let (last_good, lines) = (LastGood::default(), Lines::default());
        Self { playlists, rooms, last_good, failing: Failing::default(), lines, window }
    }

    /// `query`: what the viewer has to show with its media playlists.
    pub fn multivariant(
        &self,
        stream: &str,
        rendition: Option<&str>,
        query: &str,
        now: u64,
    ) -> Result<Playlist, Problem> {
        let map = self.rooms.store.current();
        let stream = map.streams.get(stream).ok_or(Problem::NotFound)?;
        let upstream = self.playing(&map, stream, now);
        let upstream = upstream.ok_or_else(|| Problem::StreamDown(stream.id.clone()))?;
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
        let mut waited = false;
        loop {
            changes.mark_unchanged();
            let failure = match self.attempt(stream, rendition, directives, now).await {
                Ok(playlist) => {
                    if self.failing.is_over(stream, rendition) {
                        tracing::info!(stream, rendition, "a playlist can be had again");
                    }
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
            // The stream plays, but not this: a player has to see what there is now.
            if failure == Problem::NotFound && self.plays(stream) {
                return Err(failure);
            }
            // Also when the stream is gone from the map: it may be back in the next.
            if let Some(playlist) = self.last_good.recent(stream, rendition) {
                self.say(stream, rendition, &failure, "bridging a blip");
                return Ok(playlist);
            }
            if !failure.may_pass() {
                return Err(failure);
            }
            self.say(stream, rendition, &failure, "a playlist cannot be had");
            // The next map may know another way. Without one this edge may know it by then.
            if !waited {
                let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
                waited = !matches!(changed, Ok(Ok(())));
                if !waited || self.has_choice(stream, rendition) {
                    continue;
                }
            }
            return Err(match failure {
                Problem::StreamDown(_) => failure,
                _ => self.unavailable(stream),
            });
        }
    }

    /// Where the map has nothing else either, that is what there is to say.
    fn unavailable(&self, stream: &str) -> Problem {
        match self.rooms.store.current().streams.get(stream) {
            Some(stream) if stream.active().is_none() => Problem::StreamDown(stream.id.clone()),
            _ => Problem::Unavailable("its source cannot be read"),
        }
    }

    /// Once, however many poll it; nothing of what nobody ever had.
    fn say(&self, stream: &str, rendition: &str, problem: &Problem, what: &'static str) {
        let map = self.rooms.store.current();
        let upstreams = map.streams.get(stream).into_iter().flat_map(|it| &it.upstreams);
        let exists = upstreams.into_iter().any(|one| one.rendition(rendition).is_some());
        let name = problem.name();
        if exists && self.failing.is_news(stream, rendition, (what, name)) {
            tracing::warn!(stream, rendition, problem = name, why = %problem, "{what}");
        }
    }

    /// Is there more than one who could play this?
    fn has_choice(&self, stream: &str, rendition: &str) -> bool {
        let map = self.rooms.store.current();
        let Some(stream) = map.streams.get(stream) else { return false };
        let could =
            |one: &&Upstream| one.health != Health::Down && one.rendition(rendition).is_some();
        stream.upstreams.iter().filter(could).count() > 1
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

    /// Who plays here, or would if somebody watched.
    pub fn playing<'a>(
        &self,
        map: &UpstreamMap,
        stream: &'a Stream,
        now: u64,
    ) -> Option<&'a Upstream> {
        let Some(line) = self.lines.known(stream.id.as_str()) else { return stream.active() };
        let latest = line.latest();
        let known = Known {
            change: latest.change.as_deref(),
            source: latest.change.as_ref().map(|change| change.source.as_str()),
            confirmed: latest.confirmed,
            shared: latest.shared,
            map: map.version,
            now,
            useless: &|upstream| line.is_useless(upstream),
        };
        choose(stream, None, &known).ok().filter(|one| one.health != Health::Down)
    }

    fn plays(&self, stream: &str) -> bool {
        self.rooms.store.current().streams.get(stream).is_some_and(|it| it.active().is_some())
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
        if !stream.upstreams.iter().any(|one| one.rendition(rendition).is_some()) {
            return Err(absent(stream));
        }
        let line = self.lines.of(&stream.id);
        // The first source is no change.
        let generation = line.latest().generation.max(1);
        let publisher = Publisher {
            store: self.rooms.store.clone(),
            switches: self.rooms.metrics.switches.clone(),
            track: line.track(rendition),
            line,
            stream: stream.id.clone(),
            rendition: rendition.to_owned(),
            window: self.window,
        };
        let poll = MediaPoll {
            rooms: self.rooms.clone(),
            playlists: self.playlists.clone(),
            publisher,
            directives: directives.map(str::to_owned),
            now,
        };
        let upstream = poll.choose(&map, stream)?;
        let url = &upstream.rendition(rendition).ok_or(Problem::NotFound)?.playlist;
        // A renewed token has an answer of its own, and so has a source that plays again: what it
        // answered before is behind what another has published since.
        let name = format!("live {} {rendition} {generation} {url}", stream.id);
        let key = with_directives(&name, directives);
        self.playlists.poll(key, directives.is_some(), || poll.run()).await
    }
}

/// The seal with which a playlist names a path.
fn seal_of(playlist: &[u8], path: &str) -> Option<String> {
    let text = std::str::from_utf8(playlist).ok()?;
    let (_, rest) = text.split_once(&format!("{path}?u="))?;
    let seal = rest.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')).next();
    seal.map(str::to_owned)
}

/// Nobody has this rendition.
fn absent(stream: &Stream) -> Problem {
    match stream.active() {
        Some(_) => Problem::NotFound,
        None => Problem::StreamDown(stream.id.clone()),
    }
}
