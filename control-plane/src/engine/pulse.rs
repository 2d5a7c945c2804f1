//! Signs of life from one check to the next: does it move, and does it show anything?
//! A new token behind the same still picture changes neither.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::{Rendition, RenditionId, Role};
use tokio::time::Instant;

use crate::check::{CheckError, CheckRules, Checked, Fingerprint, Head};

#[derive(Clone)]
pub(crate) struct Pulse {
    paces: BTreeMap<RenditionId, Pace>,
    /// Renditions that stand still while others go on, and pictures whose sound does.
    stuck: BTreeSet<RenditionId>,
    /// There is nothing left that a viewer could watch.
    frozen: bool,
    /// What segments looked like, by their numbers.
    seen: VecDeque<(u64, Fingerprint)>,
    sampled: Option<Instant>,
    /// In a row: samples that had been seen before, and samples that show nothing.
    repeats: u32,
    thin: u32,
}

/// How one rendition gets on.
#[derive(Clone)]
struct Pace {
    head: Head,
    /// When the playlist was first seen where it is.
    moved: Instant,
}

/// A live playlist moves once in a target duration. Half a one late it is suspect, …
const SUSPECT: f64 = 1.5;
/// … and so many late it is frozen.
const FROZEN: f64 = 3.0;
/// Short target durations are kept less well.
const SHORTEST_FREEZE: Duration = Duration::from_secs(4);
/// Samples in a row that make a slate or a loop: a fade to black is neither.
const ENOUGH: u32 = 3;
/// How many samples back a loop is noticed. One is taken every eight to ten seconds, so these
/// are more than two hours: a race that is shown again from its beginning is a loop as well.
/// 24 bytes each, and so 24 KiB for an upstream that has played for as long.
const MEMORY: usize = 1024;
const _: () = assert!(MEMORY * size_of::<(u64, Fingerprint)>() <= 24 << 10);
/// Of what a master claims; less is not the picture that it speaks of.
const THIN: u64 = 20;

impl Pulse {
    pub(crate) fn new() -> Self {
        Self {
            paces: BTreeMap::new(),
            stuck: BTreeSet::new(),
            frozen: false,
            seen: VecDeque::new(),
            sampled: None,
            repeats: 0,
            thin: 0,
        }
    }

    /// Of a stream that nobody has seen yet, one thin sample is enough to keep it out.
    pub(crate) fn first_look(
        checked: &Checked,
        rules: &CheckRules,
        now: Timestamp,
    ) -> Result<(), CheckError> {
        too_thin(checked, rules).map_or(Ok(()), Err)?;
        in_time(checked, rules, now)
    }

    /// Takes the next check in, and says what it tells together with those before.
    pub(crate) fn take(
        &mut self,
        checked: &Checked,
        rules: &CheckRules,
        now: Timestamp,
    ) -> Result<(), CheckError> {
        self.walk(checked);
        if self.sampled != Some(checked.sample.taken) {
            self.sampled = Some(checked.sample.taken);
            self.compare(checked);
            self.thin = too_thin(checked, rules).map_or(0, |_| self.thin + 1);
        }
        self.moving()?;
        in_time(checked, rules, now)?;
        if self.repeats >= ENOUGH && !rules.loops {
            let message = "the same segments again and again: a slate or a loop";
            return Err(CheckError::definite(message));
        }
        match too_thin(checked, rules) {
            Some(error) if self.thin >= ENOUGH => Err(error),
            _ => Ok(()),
        }
    }

    /// Does a viewer of this rendition see nothing new, while there are others who do?
    pub(crate) fn is_stuck(&self, rendition: &RenditionId) -> bool {
        self.stuck.contains(rendition)
    }

    fn walk(&mut self, checked: &Checked) {
        let place = |head: &Head| (head.sequence, head.date);
        let known = std::mem::take(&mut self.paces);
        let paces = checked.heads.iter().map(|(id, head)| {
            let before = known.get(id).filter(|pace| place(&pace.head) == place(head));
            let moved = before.map_or_else(Instant::now, |pace| pace.moved);
            (id.clone(), Pace { head: *head, moved })
        });
        self.paces = paces.collect();
        let late = self.paces.iter().filter(|(_, pace)| pace.is_late(FROZEN));
        let late: BTreeSet<_> = late.map(|(id, _)| id.clone()).collect();
        let pictures = || checked.renditions.iter().filter(|one| one.role == Role::Video);
        let silent = pictures().filter(|picture| is_silent(picture, &checked.renditions, &late));
        self.stuck = silent.map(|picture| picture.id.clone()).collect();
        self.stuck.extend(late);
        self.frozen = pictures().all(|picture| self.stuck.contains(&picture.id));
        if self.frozen {
            self.stuck.clear();
        }
    }

    /// Frozen is what no picture moves of, or no sound that goes with one. A rendition that is
    /// late makes all of it suspect: whoever plays it is about to run dry. One that is frozen is
    /// [`stuck`](Self::is_stuck).
    fn moving(&self) -> Result<(), CheckError> {
        let message = |late: &Pace| {
            format!("the playlist has not moved for {} s", late.moved.elapsed().as_secs())
        };
        let mut late = self.paces.values().filter(|pace| pace.is_late(FROZEN));
        if self.frozen
            && let Some(first) = late.next()
        {
            let last =
                late.fold(first, |one, other| if other.moved > one.moved { other } else { one });
            return Err(CheckError::definite(message(last)));
        }
        let mut others = self.paces.iter().filter(|(id, _)| !self.is_stuck(id));
        match others.find(|(_, pace)| pace.is_late(SUSPECT)) {
            Some((_, late)) => Err(CheckError::suspect(message(late))),
            None => Ok(()),
        }
    }

    fn compare(&mut self, checked: &Checked) {
        let (sequence, print) = (checked.head.sequence, checked.sample.fingerprint);
        if self.seen.iter().any(|(seen, _)| *seen == sequence) {
            return;
        }
        let again = self.seen.iter().any(|(_, seen)| *seen == print);
        self.repeats = if again { self.repeats + 1 } else { 0 };
        self.seen.push_back((sequence, print));
        if self.seen.len() > MEMORY {
            self.seen.pop_front();
        }
    }
}

/// Does all the sound that plays with this picture stand still? A player that waits for the one
/// does not show the other.
fn is_silent(picture: &Rendition, all: &[Rendition], late: &BTreeSet<RenditionId>) -> bool {
    let mut groups = picture.groups.iter().filter(|group| group.role == Role::Audio);
    groups.any(|group| {
        let goes_with = |one: &&Rendition| one.role == Role::Audio && one.groups.contains(group);
        let mut tracks = all.iter().filter(goes_with).peekable();
        tracks.peek().is_some() && tracks.all(|track| late.contains(&track.id))
    })
}

impl Pace {
    /// Has it not moved for so many target durations?
    fn is_late(&self, targets: f64) -> bool {
        let allowed = self.head.target.mul_f64(targets);
        self.moved.elapsed()
            >= if targets >= FROZEN { allowed.max(SHORTEST_FREEZE) } else { allowed }
    }
}

fn in_time(checked: &Checked, rules: &CheckRules, now: Timestamp) -> Result<(), CheckError> {
    let (Some(most), Some(lag)) = (&rules.max_lag, checked.head.lag(now)) else { return Ok(()) };
    let lag = Duration::try_from(lag).unwrap_or_default();
    if lag <= most.0 {
        return Ok(());
    }
    let allowed = humantime::format_duration(most.0);
    let message = format!("{} s behind the clock, where {allowed} is allowed", lag.as_secs());
    Err(CheckError::definite(message))
}

/// Sound alone may be thin.
fn too_thin(checked: &Checked, rules: &CheckRules) -> Option<CheckError> {
    let video = checked.renditions.iter().find(|one| one.role == Role::Video)?;
    let sound = video.codecs.is_some() && video.resolution.is_none();
    let rate = checked.sample.bit_rate.filter(|_| !sound)?;
    let claimed = video.average_bandwidth.or(video.bandwidth).unwrap_or(0);
    let floor = rules.min_bitrate.max(claimed / THIN);
    (rate < floor).then(|| {
        let (rate, floor) = (rate / 1000, floor / 1000);
        let message = format!("{rate} kbit/s, less than the {floor} that show a picture");
        CheckError::definite(message)
    })
}

#[cfg(test)]
mod tests;
