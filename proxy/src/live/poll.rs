//! One poll of a rendition: which source, what it has, and how that is published.
//!
//! - [`links`]: the source's playlist with links of ours.
//! - [`others`]: what the other sources of the stream have.

mod links;
mod others;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::StatusCode;
use pitwall_hls::Limits;
use pitwall_hls::splice::tailored;
use pitwall_upstream_map::{Stream, Upstream, UpstreamMap};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::change::Reason;
use super::choose::{Known, choose, picked};
use super::directives;
use super::publisher::{Offer, Published, Publisher};
use super::track::{Part, Step};
use crate::playlists::version::Version;
use crate::playlists::{self, Fetched, Playlist, Playlists, UpstreamAnswer};
use crate::problem::Problem;
use crate::rooms::Rooms;
use crate::storage::Ahead;
use crate::target::Target;

/// All that a poll needs, so that it can outlive the request that began it.
pub(super) struct MediaPoll {
    pub rooms: Rooms,
    pub playlists: Arc<Playlists>,
    pub publisher: Publisher,
    pub directives: Option<String>,
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
/// A poll waits for so long for new segments to come in: somebody may just begin to watch.
const WAIT: Duration = Duration::from_secs(1);
/// A playlist may fail for so long before another source is tried, if the map has not changed.
const PATIENCE: Duration = Duration::from_secs(2);

impl MediaPoll {
    pub(super) async fn run(mut self) -> Fetched {
        let (asked, began) = (self.now, Instant::now());
        for _ in 0..TURNS {
            // A turn may take long: some sources answer when they have news.
            self.now = asked + began.elapsed().as_secs();
            let Publisher { stream: id, rendition: name, track, .. } = &self.publisher;
            let map = self.rooms.store.current();
            let stream = map.streams.get(id.as_str()).ok_or(Problem::NotFound)?;
            let upstream = self.choose(&map, stream)?;
            let rendition = upstream.rendition(name).ok_or(Problem::NotFound)?;
            let url = rendition.playlist.clone();
            // A renewed token changes its links, and nothing that is said of its segments.
            let name = format!("live {id} {name} {}", upstream.source);
            let target = self.rooms.targets.of_profile(url, &upstream.profile.0, &map)?;
            let target = Target { stream: Some(id.as_str().into()), ..target };
            let turn = Turn { map: &map, stream, upstream, target, name };
            if let Some(playlist) = self.turn(&turn).await? {
                return Ok(playlist);
            }
            track.turns();
        }
        Err(Problem::Unavailable("its source has just changed"))
    }

    pub(super) fn choose<'a>(
        &self,
        map: &UpstreamMap,
        stream: &'a Stream,
    ) -> Result<&'a Upstream, Problem> {
        let Publisher { line, rendition, .. } = &self.publisher;
        let latest = line.latest();
        if let (Some(change), Some(first)) = (&latest.change, picked(stream, rendition))
            && map.version > change.map
            && first.source == change.source
        {
            line.confirm(latest.generation);
        }
        let playing = self.publisher.playing();
        let known = Known {
            change: latest.change.as_deref(),
            source: playing.as_deref(),
            confirmed: latest.confirmed,
            shared: latest.shared,
            map: map.version,
            now: self.now,
            useless: &|upstream| line.is_useless(upstream),
        };
        choose(stream, Some(rendition), &known)
    }

    /// `None`: another source is to be asked.
    async fn turn(&self, turn: &Turn<'_>) -> Result<Option<Arc<Playlist>>, Problem> {
        let directives = self.asked(turn);
        let fetched = self.fetch(turn, directives.as_deref()).await;
        if !self.is_still_chosen(turn) {
            return Ok(None);
        }
        let mut answer = match fetched {
            Ok(answer) => answer,
            Err(problem) => return self.failed(turn, problem),
        };
        if !self.publisher.fits(&answer.body) && self.is_another_there(turn) {
            let source = &turn.upstream.source;
            if self.publisher.playing().as_ref() != Some(source) {
                tracing::warn!(source, "its segments are longer than players were told");
                self.publisher.line.avoid(turn.upstream, Reason::Failed);
                return Ok(None);
            }
        }
        let Some(part) = self.part(turn, &answer, false).await? else { return Ok(None) };
        if self.publisher.is_anew(self.now) {
            return Err(Problem::NotFound);
        }
        let mut version = match self.rewrite(turn, answer.clone(), &part.splice) {
            Ok(version) => version,
            Err(problem) => return self.failed(turn, problem),
        };
        let (mut step, mut numbers) = self.publisher.step(&part, &version);
        if directives.as_deref().is_some_and(directives::skips) {
            let next = numbers.as_ref().map_or(0, |numbers| numbers.end);
            if step == Step::Ahead && !self.publisher.track.is_news(next) {
                return Ok(Some(self.delta(turn, &part, version)));
            }
            // What is new is agreed on together with what stands before it.
            answer = match self.fetch(turn, None).await {
                Ok(answer) => answer,
                Err(problem) => return self.failed(turn, problem),
            };
            version = match self.rewrite(turn, answer.clone(), &part.splice) {
                Ok(version) => version,
                Err(problem) => return self.failed(turn, problem),
            };
            (step, numbers) = self.publisher.step(&part, &version);
        }
        match step {
            Step::Ahead => {}
            Step::Over => return Ok(None),
            Step::Behind => return self.again(turn, version).map(Some),
            Step::Restarted => {
                tracing::info!(source = turn.upstream.source, ?numbers, "a source counts anew");
                self.part(turn, &answer, true).await?;
                return Ok(None);
            }
        }
        let next = numbers.map_or(0, |numbers| numbers.end);
        let ahead = self.rooms.follow(&version, &turn.target);
        if !version.tempo.end_list {
            self.publisher.line.goes_on(turn.upstream);
        }
        let over = version.tempo.end_list && self.is_over(turn).await;
        if version.tempo.end_list && !over && self.is_another_there(turn) {
            return Ok(None);
        }
        let stands = self.publisher.track.stands(next, version.target());
        if !over && self.is_frozen(turn, stands, version.target()).await {
            return Ok(None);
        }
        if self.publisher.track.is_news(next) && !self.is_in_hand(turn, &version, ahead).await {
            return self.shown(&version).map(Some);
        }
        let text = match self.publisher.publish(&part, &version, over).await? {
            Published::Text(text) => text,
            Published::Behind => return self.again(turn, version).map(Some),
            Published::Over => return Ok(None),
        };
        Ok(Some(self.keep(turn, version, Some(text))))
    }

    /// Others may have changed while it was waited for, which may be long: to go on with it would
    /// be to change back.
    fn is_still_chosen(&self, turn: &Turn<'_>) -> bool {
        let map = self.rooms.store.current();
        let stream = map.streams.get(self.publisher.stream.as_str());
        let chosen = stream.and_then(|stream| self.choose(&map, stream).ok());
        chosen.is_some_and(|chosen| chosen.source == turn.upstream.source)
    }

    /// What the player asks for, if the source can tell: it does not know who begins to play now.
    fn asked(&self, turn: &Turn<'_>) -> Option<String> {
        let part = self.publisher.current()?;
        let plays = part.splice.source == turn.upstream.source;
        directives::translated(self.directives.as_deref().filter(|_| plays)?, &part.splice)
    }

    async fn fetch(
        &self,
        turn: &Turn<'_>,
        directives: Option<&str>,
    ) -> Result<UpstreamAnswer, Problem> {
        let limit = Limits::default().bytes;
        playlists::fetch(&self.rooms.fetcher, &turn.target, directives, limit).await
    }

    /// The part by which this source is published.
    async fn part(
        &self,
        turn: &Turn<'_>,
        answer: &UpstreamAnswer,
        anew: bool,
    ) -> Result<Option<Part>, Problem> {
        let Publisher { line, rendition, .. } = &self.publisher;
        let all = turn.stream.upstreams.iter().flat_map(|one| &one.renditions);
        let longest = all.filter_map(|one| one.target_duration).max().unwrap_or_default();
        let before = self.publisher.playing();
        let mut upstreams = turn.stream.upstreams.iter();
        let before = before.and_then(|source| upstreams.find(|one| one.source == source));
        let offer = Offer {
            source: &turn.upstream.source,
            picked: picked(turn.stream, rendition).map_or("", |one| &one.source),
            map: turn.map.version,
            now: self.now,
            target_duration: longest,
            reason: before.and_then(|before| line.why(before)).unwrap_or(Reason::Map),
            playlist: &answer.body,
        };
        self.publisher.part(&offer, anew).await
    }

    /// `text`: as it is published, if that differs.
    fn keep(&self, turn: &Turn<'_>, version: Version, text: Option<Bytes>) -> Arc<Playlist> {
        let playlist = self.playlists.keep(turn.name.clone(), version);
        match text.filter(|text| playlist.bytes != *text) {
            Some(text) => Arc::new(playlist.with(text)),
            None => playlist,
        }
    }

    /// Of what is published already.
    fn delta(&self, turn: &Turn<'_>, part: &Part, version: Version) -> Arc<Playlist> {
        drop(self.rooms.follow(&version, &turn.target));
        let over = version.tempo.end_list;
        let text = tailored(&version.playlist.bytes, part.splice.target_duration, over);
        self.keep(turn, version, text.map(Bytes::from))
    }

    /// What was published last, once more: the source is behind that.
    fn again(&self, turn: &Turn<'_>, version: Version) -> Result<Arc<Playlist>, Problem> {
        let shown = self.shown(&version)?;
        self.keep(turn, version, None);
        Ok(shown)
    }

    fn shown(&self, version: &Version) -> Fetched {
        let shown = self.publisher.track.shown(Duration::from_secs(60));
        let shown = shown.ok_or(Problem::Unavailable("its source is behind"))?;
        Ok(Arc::new(version.playlist.with(shown)))
    }

    /// Can players have what is new? A source that dies takes with it what nobody has fetched, and
    /// who was told of it waits for ever. What is slow is told of later; what is always slow, all
    /// the same.
    async fn is_in_hand(&self, turn: &Turn<'_>, version: &Version, ahead: Vec<Ahead>) -> bool {
        let Publisher { track, stream, .. } = &self.publisher;
        // Who comes first, or after a while, finds what there is. And there each part counts.
        let watched = track.shown(version.target()).is_some();
        if !watched || version.tempo.part_target.is_some() {
            return true;
        }
        let until = Instant::now() + WAIT;
        let ended = timeout_at(until, join_all(ahead.into_iter().map(Ahead::end))).await;
        let refused = match &ended {
            Ok(ended) => ended.iter().find_map(|end| end.as_ref().err()),
            // On its way.
            Err(_) => None,
        };
        // Some announce a segment a moment before it is there.
        if let Some(problem) =
            refused.filter(|it| **it != Problem::UpstreamStatus(StatusCode::NOT_FOUND))
        {
            self.rooms.audience.complaints.failed(stream, turn.upstream, problem);
        }
        let came = ended.is_ok() && refused.is_none();
        // The old tokens may have ended.
        if came || version.renewed || track.withheld() >= version.target() {
            return true;
        }
        // Who asked to be told of news asks again at once.
        if self.directives.is_some() {
            sleep_until(until).await;
        }
        false
    }

    /// The control plane is told, and looks for itself. Where it has not found another way in
    /// good time, this edge takes the next best.
    fn failed(&self, turn: &Turn<'_>, problem: Problem) -> Result<Option<Arc<Playlist>>, Problem> {
        let Publisher { line, track, stream, .. } = &self.publisher;
        self.rooms.audience.complaints.failed(stream, turn.upstream, &problem);
        if problem.may_pass() && track.failing() >= PATIENCE && self.is_another_there(turn) {
            tracing::warn!(%stream, source = turn.upstream.source, problem = problem.name(), why = %problem, "left alone");
            line.avoid(turn.upstream, Reason::Failed);
            return Ok(None);
        }
        Err(problem)
    }
}
