//! One poll of a rendition: which source, what it has, and how that is published.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use pitwall_hls::splice::{Window, tailored};
use pitwall_hls::{Container, Cut, Limits, Splice, Tempo, Variables, container_hint};
use pitwall_upstream_map::store::{self, Agreed, Word};
use pitwall_upstream_map::{Health, Stream, StreamId, Upstream, UpstreamMap};

use super::CONTENT_TYPE;
use super::change::{Change, Joint, Newest};
use super::choose::{Known, choose, picked};
use super::directives;
use super::line::Line;
use super::track::{Part, Step, Track};
use crate::links::{LiveLinks, ProxyLinks, container_extension};
use crate::playlists::version::{Terms, Version};
use crate::playlists::{self, Fetched, Playlist, Playlists, UpstreamAnswer};
use crate::problem::Problem;
use crate::rooms::Rooms;
use crate::seal;
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
/// In target durations without anything new: when others are looked at, …
const SUSPECT: f64 = 1.5;
/// … and when one will do that does not tell whether it is any further.
const FROZEN: f64 = 2.0;

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

    fn others<'a>(&self, turn: &Turn<'a>) -> impl Iterator<Item = &'a Upstream> {
        let source = turn.upstream.source.clone();
        let offers = |one: &&Upstream| one.rendition(&self.rendition).is_some();
        let others = turn.stream.upstreams.iter().filter(move |one| one.source != source);
        others.filter(offers)
    }

    fn is_another_there(&self, turn: &Turn<'_>) -> bool {
        let up = |one: &&Upstream| one.health != Health::Down && !self.line.is_useless(one);
        self.others(turn).any(|one| up(&one))
    }

    /// Has everything ended? What cannot be asked has not.
    async fn is_over(&self, turn: &Turn<'_>) -> bool {
        self.line.ended(turn.upstream);
        for other in self.others(turn) {
            if self.line.has_ended(other) {
                continue;
            }
            match self.look(turn, other).await {
                Ok(cut) if cut.ended => self.line.ended(other),
                _ => return false,
            }
        }
        true
    }

    async fn look(&self, turn: &Turn<'_>, other: &Upstream) -> Result<Cut, Problem> {
        let rendition = other.rendition(&self.rendition).ok_or(Problem::NotFound)?;
        let (url, profile) = (rendition.playlist.clone(), &other.profile.0);
        let target = self.rooms.targets.of_profile(url, profile, turn.map)?;
        let limit = Limits::default().bytes;
        let answer = playlists::fetch(&self.rooms.fetcher, &target, None, limit).await?;
        cut_of(&answer.body)
    }

    /// A playlist that stands still is never noticed by a player. When it should have moved, the
    /// others are looked at: the first that has what comes next plays.
    async fn is_frozen(&self, turn: &Turn<'_>, stands: Duration, target: Duration) -> bool {
        if stands < target.mul_f64(SUSPECT) {
            return false;
        }
        let problem = Problem::UpstreamInvalid("it stands still".to_owned());
        self.rooms.audience.complaints.failed(&self.stream, turn.upstream, &problem);
        let Some(shown) = self.track.shown(target * 4) else { return false };
        let Ok(shown) = cut_of(&shown) else { return false };
        let up = |one: &&Upstream| one.health != Health::Down && !self.line.is_useless(one);
        for other in self.others(turn).filter(up) {
            let Ok(cut) = self.look(turn, other).await else { continue };
            let joined = Splice::after(None, &shown, &cut, other.source.clone());
            let dated =
                [&shown, &cut].iter().all(|cut| cut.segments.iter().all(|one| one.date.is_some()));
            let further = joined.upstream < cut.next();
            if !cut.ended && further && (dated || stands >= target.mul_f64(FROZEN)) {
                tracing::warn!(stream = %self.stream, source = turn.upstream.source, ?stands, "it stands still");
                self.line.avoid(turn.upstream);
                return true;
            }
        }
        false
    }

    /// This rendition's part in the change by which the source plays, agreed on with all edges.
    /// `None`: they agreed on something else.
    async fn part(
        &self,
        turn: &Turn<'_>,
        answer: &UpstreamAnswer,
        anew: bool,
    ) -> Result<Option<Part>, Problem> {
        let source = &turn.upstream.source;
        let latest = self.line.latest();
        let mine = self.track.part();
        let current = mine.as_ref().filter(|part| part.splice.generation == latest.generation);
        let anew = anew || self.track.is_torn();
        if let Some(part) = current.filter(|part| part.splice.source == *source && !anew) {
            return Ok(Some(part.clone()));
        }
        let plays = current.map(|part| &part.splice.source);
        let plays = plays.or(latest.change.as_ref().map(|change| &change.source));
        let mut begins = anew || plays != Some(source);
        let cut = if latest.change.is_none() {
            cut_of(&answer.body).ok()
        } else {
            Some(cut_of(&answer.body)?)
        };
        let mut generation = latest.generation;
        let mut change = latest.change.as_deref().cloned().unwrap_or_default();
        if begins {
            // What it begins with is what follows: others take their part from it.
            generation += 1;
            change = self.change(turn, &change, cut.as_ref());
        }
        let (mut head, mut newest) = (self.track.next(), Newest::default());
        for _ in 0..TURNS {
            let target = Duration::from_secs(change.target_duration.max(1));
            let joint = Joint {
                generation,
                change: &change,
                before: mine.as_ref().map(|part| &*part.splice),
                shown: self.track.shown(target).and_then(|text| cut_of(&text).ok()),
                newest,
                head,
            };
            let splice = joint.part(&cut.clone().unwrap_or_default());
            if std::mem::take(&mut begins) {
                change.upstream = splice.upstream;
                change.published = splice.published;
                change.upstream_discontinuity = splice.upstream_discontinuity;
                change.discontinuity = splice.discontinuity;
            }
            let published = splice.published;
            let part = Some(store::Part { published, record: json(&splice)? });
            let word = Word { change: json(&change)?, part, ..self.word(generation) };
            let agreed = self.rooms.store.agree(&word).await;
            self.line.learn(&agreed);
            if agreed.generation != generation || agreed.change != word.change {
                return Ok(None);
            }
            if let Some(record) = &agreed.part {
                let unreadable = || Problem::Unavailable("what was agreed on cannot be read");
                let part = self.track.adopt(record).ok_or_else(unreadable)?;
                tracing::info!(
                    stream = %self.stream, rendition = self.rendition, source = part.splice.source,
                    generation, published = part.splice.published, upstream = part.splice.upstream,
                    shared = agreed.shared, "spliced"
                );
                return Ok((part.splice.source == *source).then_some(part));
            }
            head = agreed.next;
            newest = serde_json::from_slice(&agreed.newest).unwrap_or_default();
            if now_ms().saturating_sub(newest.at) > 4 * 1000 * change.target_duration {
                newest = Newest::default();
            }
        }
        Err(Problem::Unavailable("no two edges agree"))
    }

    /// The change by which this source plays from now on.
    fn change(&self, turn: &Turn<'_>, before: &Change, cut: Option<&Cut>) -> Change {
        let own = cut.map_or(0, |cut| cut.target_duration);
        let all = turn.stream.upstreams.iter().flat_map(|one| &one.renditions);
        let longest = all.filter_map(|one| one.target_duration).max().unwrap_or_default();
        let target_duration = longest.max(own).max(before.target_duration);
        let picked = picked(turn.stream, &self.rendition).map_or("", |one| &one.source);
        let change = Change::first(
            &turn.upstream.source,
            picked,
            turn.map.version,
            self.now,
            target_duration,
        );
        let first = before == &Change::default();
        let discontinuity = if first { 0 } else { self.line.next_discontinuity() };
        Change { discontinuity, ..change }
    }

    /// Before a number is published for the first time, all edges agree that it may be. `false`:
    /// it may not.
    async fn agree(&self, part: &Part, next: u64, shown: &Cut) -> bool {
        let latest = self.line.latest();
        let Some(change) = latest.change else { return false };
        let (Ok(change), Ok(newest)) = (json(&*change), json(&Newest::of(shown, now_ms()))) else {
            return false;
        };
        let generation = part.splice.generation;
        if latest.generation != generation {
            return false;
        }
        let word = Word { next, newest, change, ..self.word(generation) };
        let mut agreed = self.rooms.store.agree(&word).await;
        if agreed.generation == generation && agreed.part.is_none() {
            // It was forgotten there.
            let (published, record) = (part.splice.published, part.record.to_vec());
            let part = Some(store::Part { published, record });
            agreed = self.rooms.store.agree(&Word { part, ..word }).await;
        }
        self.line.learn(&agreed);
        let Agreed { generation: agreed_on, part: Some(record), .. } = &agreed else {
            return false;
        };
        if *agreed_on != generation || **record != *part.record {
            if *agreed_on == generation {
                self.track.adopt(record);
            }
            return false;
        }
        self.track.agreed(next);
        true
    }

    fn word(&self, generation: u64) -> Word {
        Word {
            stream: self.stream.clone(),
            rendition: self.rendition.clone(),
            generation,
            next: 0,
            newest: Vec::new(),
            change: Vec::new(),
            part: None,
        }
    }

    fn text(&self, splice: &Splice, version: &Version, over: bool) -> Result<Bytes, Problem> {
        let rewritten = &version.playlist.bytes;
        let window = self.window(&version.tempo);
        if splice.is_plain() {
            if !window.holds(&version.tempo)
                && let Some(shortened) = splice.shortened(rewritten, window, over)
            {
                return Ok(shortened.into());
            }
            return Ok(tailored(rewritten, splice.target_duration, over)
                .map_or_else(|| rewritten.clone(), Bytes::from));
        }
        let printed = splice.print(&cut_of(rewritten)?, window, over);
        Ok(printed.map_err(|error| Problem::UpstreamInvalid(error.to_string()))?.into())
    }

    /// What has ended is left as it is, but for what players have seen leave.
    fn window(&self, tempo: &Tempo) -> Window {
        match tempo.end_list {
            false => Window::Newest(self.window),
            true => self.track.first().map_or(Window::Whole, Window::From),
        }
    }

    fn rewrite(
        &self,
        turn: &Turn<'_>,
        answer: UpstreamAnswer,
        splice: &Splice,
    ) -> Result<Version, Problem> {
        let Turn { upstream, target, .. } = turn;
        // Defined by its master, and asked for by whoever imports them.
        let imported = Variables::decode(&upstream.variables)
            .map_err(|_| Problem::UpstreamInvalid("its variables cannot be read".to_owned()))?;
        let extension = self.extension(upstream, &answer.body);
        let terms = Terms {
            base: answer.base.clone(),
            seal_period: seal::period(self.now),
            expires: None,
            extension,
            generation: upstream.generation,
            splice: Some(splice.generation),
        };
        let mut links = LiveLinks {
            proxy: ProxyLinks {
                sealer: &self.rooms.sealer,
                profile: &target.profile,
                extension,
                now: self.now,
                expires: None,
            },
            stream: self.stream.as_str(),
            rendition: &self.rendition,
            upstream,
            token_parameters: &target.token_parameters,
            splice: Some(splice),
        };
        let last = self.playlists.versions.last(&turn.name);
        Version::make(last.as_deref(), answer, terms, &imported, CONTENT_TYPE, &mut links)
    }

    /// What names say, and where they say nothing what the check saw in a segment.
    fn extension(&self, upstream: &Upstream, body: &[u8]) -> &'static str {
        match (container_hint(body), upstream.rendition(&self.rendition)) {
            (Container::MpegTs, Some(checked)) => checked.container.extension(),
            (known, _) => container_extension(known),
        }
    }
}

/// Those of its segments, as they are published.
fn numbers(version: &Version, splice: &Splice) -> Option<Range<u64>> {
    let next = version.newest().map_or(0, |newest| newest.saturating_add(1));
    let next = splice.next(next)?;
    Some(next.saturating_sub(version.tempo.segments)..next)
}

fn cut_of(text: &[u8]) -> Result<Cut, Problem> {
    Cut::of(text).map_err(|error| Problem::UpstreamInvalid(error.to_string()))
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|_| Problem::Unavailable("a splice cannot be written"))
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}
