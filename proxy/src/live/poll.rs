//! One poll of a rendition: which source, what it has, and how that is published.
//!
//! - [`others`]: what the other sources of the stream have.
//! - [`agreement`]: what edges agree on before anything is published.
//! - [`text`]: the playlist, as it is published.

mod agreement;
mod others;
mod text;

use std::sync::Arc;
use std::time::Duration;

use pitwall_hls::{Cut, Limits};
use pitwall_upstream_map::{Stream, StreamId, Upstream, UpstreamMap};

use self::text::numbers;
use super::choose::{Known, choose, picked};
use super::directives;
use super::line::Line;
use super::track::{Step, Track};
use crate::playlists::version::Version;
use crate::playlists::{self, Fetched, Playlist, Playlists, UpstreamAnswer};
use crate::problem::Problem;
use crate::rooms::Rooms;
use crate::target::Target;

/// All that a poll needs, so that it can outlive the request that began it.
pub(super) struct MediaPoll {
    pub rooms: Rooms,
    pub playlists: Arc<Playlists>,
    pub line: Arc<Line>,
    pub track: Arc<Track>,
    pub stream: StreamId,
    pub rendition: String,
    pub directives: Option<String>,
    pub window: Duration,
    pub now: u64,
}

/// A source that is polled in a turn of a poll.
struct Turn<'a> {
    map: &'a UpstreamMap,
    stream: &'a Stream,
    upstream: &'a Upstream,
    target: Target,
    /// Of this source's playlist among all.
    name: String,
}

/// How often the source may change within one poll.
const TURNS: usize = 5;
/// A playlist may fail for so long before another source is tried, if the map has not changed.
const PATIENCE: Duration = Duration::from_secs(2);

impl MediaPoll {
    pub(super) async fn run(self) -> Fetched {
        for _ in 0..TURNS {
            let map = self.rooms.store.current();
            let stream = map.streams.get(self.stream.as_str()).ok_or(Problem::NotFound)?;
            let upstream = self.choose(&map, stream)?;
            let rendition = upstream.rendition(&self.rendition).ok_or(Problem::NotFound)?;
            let url = rendition.playlist.clone();
            let name = format!("live {} {} {url}", self.stream, self.rendition);
            let target = self.rooms.targets.of_profile(url, &upstream.profile.0, &map)?;
            let turn = Turn { map: &map, stream, upstream, target, name };
            if let Some(playlist) = self.turn(&turn).await? {
                return Ok(playlist);
            }
            self.track.turns();
        }
        Err(Problem::Unavailable("its source has just changed"))
    }

    pub(super) fn choose<'a>(
        &self,
        map: &UpstreamMap,
        stream: &'a Stream,
    ) -> Result<&'a Upstream, Problem> {
        let latest = self.line.latest();
        let part = self.track.part().filter(|part| part.splice.generation == latest.generation);
        let source = part.as_ref().map(|part| part.splice.source.as_str());
        if let (Some(change), Some(first)) = (&latest.change, picked(stream, &self.rendition))
            && map.version > change.map
            && first.source == change.source
        {
            self.line.confirm(latest.generation);
        }
        let known = Known {
            change: latest.change.as_deref(),
            source: source.or(latest.change.as_ref().map(|change| change.source.as_str())),
            confirmed: latest.confirmed,
            shared: latest.shared,
            map: map.version,
            now: self.now,
            useless: &|upstream| self.line.is_useless(upstream),
        };
        choose(stream, &self.rendition, &known)
    }

    /// `None`: another source is to be asked.
    async fn turn(&self, turn: &Turn<'_>) -> Result<Option<Arc<Playlist>>, Problem> {
        let answer = match self.fetch(turn).await {
            Ok(answer) => answer,
            Err(problem) => return self.failed(turn, problem),
        };
        let Some(part) = self.part(turn, &answer, false).await? else { return Ok(None) };
        let version = match self.rewrite(turn, answer.clone(), &part.splice) {
            Ok(version) if version.is_multivariant() => {
                let what = "a multivariant playlist where a media playlist was";
                return self.failed(turn, Problem::UpstreamInvalid(what.to_owned()));
            }
            Ok(version) => version,
            Err(problem) => return self.failed(turn, problem),
        };
        if self.is_delta() {
            let version =
                self.playlists.keep(turn.name.clone(), version, &self.rooms, &turn.target);
            return Ok(Some(version));
        }
        // `None`: it counts from before where it began to play.
        let numbers = numbers(&version, &part.splice);
        let step =
            numbers.as_ref().map(|numbers| self.track.step(&part, numbers, version.target()));
        match step {
            Some(Step::Ahead) => {}
            Some(Step::Over) => return Ok(None),
            Some(Step::Behind) => return Ok(Some(self.again(turn, version))),
            None | Some(Step::Restarted) => {
                tracing::info!(source = turn.upstream.source, ?numbers, "a source counts anew");
                self.part(turn, &answer, true).await?;
                return Ok(None);
            }
        }
        let next = numbers.map_or(0, |numbers| numbers.end);
        if !version.tempo.end_list {
            self.line.goes_on(turn.upstream);
        }
        let over = version.tempo.end_list && self.is_over(turn).await;
        if version.tempo.end_list && !over && self.is_another_there(turn) {
            return Ok(None);
        }
        let stands = self.track.stands(next, version.target());
        if !over && self.is_frozen(turn, stands, version.target()).await {
            return Ok(None);
        }
        let text = self.text(&part.splice, &version, over)?;
        let mut cut = None;
        if self.track.is_news(next) {
            let shown = cut_of(&text).unwrap_or_default();
            if !self.agree(&part, next, &shown).await {
                return Ok(None);
            }
            cut = Some(shown);
        }
        match self.track.publish(&part, text.clone(), next, cut.as_ref()) {
            Step::Ahead => {}
            Step::Behind => return Ok(Some(self.again(turn, version))),
            Step::Over | Step::Restarted => return Ok(None),
        }
        let playlist = self.playlists.keep(turn.name.clone(), version, &self.rooms, &turn.target);
        let same = playlist.bytes == text;
        Ok(Some(if same { playlist } else { Arc::new(playlist.with(text)) }))
    }

    async fn fetch(&self, turn: &Turn<'_>) -> Result<UpstreamAnswer, Problem> {
        let part = self.track.part();
        let splice = part.as_ref().map(|part| &*part.splice);
        let directives = self.directives.as_deref();
        let directives = directives::translated(directives, splice, &turn.upstream.source);
        let limit = Limits::default().bytes;
        playlists::fetch(&self.rooms.fetcher, &turn.target, directives.as_deref(), limit).await
    }

    fn is_delta(&self) -> bool {
        self.directives.as_deref().is_some_and(|all| all.contains(directives::SKIP))
            && self.track.part().is_none_or(|part| part.splice.is_plain())
    }

    /// What was published last, once more: the source is behind that.
    fn again(&self, turn: &Turn<'_>, version: Version) -> Arc<Playlist> {
        let playlist = self.playlists.keep(turn.name.clone(), version, &self.rooms, &turn.target);
        let shown = self.track.shown(Duration::from_secs(60));
        shown.map_or(playlist.clone(), |text| Arc::new(playlist.with(text)))
    }

    /// The control plane is told, and looks for itself. Where it has not found another way in
    /// good time, this edge takes the next best.
    fn failed(&self, turn: &Turn<'_>, problem: Problem) -> Result<Option<Arc<Playlist>>, Problem> {
        self.rooms.audience.complaints.failed(&self.stream, turn.upstream, &problem);
        if problem.may_pass() && self.track.failing() >= PATIENCE && self.is_another_there(turn) {
            tracing::warn!(stream = %self.stream, source = turn.upstream.source, problem = problem.name(), "left alone");
            self.line.avoid(turn.upstream);
            return Ok(None);
        }
        Err(problem)
    }
}

fn cut_of(text: &[u8]) -> Result<Cut, Problem> {
    Cut::of(text).map_err(|error| Problem::UpstreamInvalid(error.to_string()))
}
