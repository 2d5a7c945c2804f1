//! [`LivenessDetector`]: whether an upstream advances from one check to the next, and shows
//! anything. A new token for the same frozen picture changes neither.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::{Rendition, RenditionId, Role};
use tokio::time::Instant;

use crate::check::{CheckError, CheckFindings, LiveEdge, SegmentFingerprint};
use crate::source::CheckRules;

#[derive(Clone)]
pub(crate) struct LivenessDetector {
    progress: BTreeMap<RenditionId, PlaylistProgress>,
    /// Renditions that are frozen while others advance, and videos all of whose audio is frozen.
    stuck_renditions: BTreeSet<RenditionId>,
    /// No rendition is left that a viewer could watch.
    is_frozen: bool,
    /// Media sequence numbers and fingerprints of sampled segments, oldest first.
    seen_segments: VecDeque<(u64, SegmentFingerprint)>,
    last_sampled_at: Option<Instant>,
    /// Consecutive samples that were seen before, how many of these repeat the sample before them,
    /// and consecutive samples below the operator's bit rate.
    repeated_samples: u32,
    still_samples: u32,
    low_bitrate_samples: u32,
    repetition: Option<Repetition>,
}

/// What an upstream shows whose segments repeat themselves. That is what somebody sends who has
/// nothing else to send, so it plays where nothing better does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// The same segment again and again.
    Slate,
    /// Segments that were shown before.
    Loop,
}

/// The progress of one rendition's playlist.
#[derive(Clone)]
struct PlaylistProgress {
    live_edge: LiveEdge,
    /// When the live edge was first seen at its current position.
    unchanged_since: Instant,
}

/// A live playlist advances once per target duration. After this many it is suspect.
const SUSPECT_AFTER_TARGET_DURATIONS: f64 = 1.5;
/// After this many target durations without an advance a playlist is frozen.
const FROZEN_AFTER_TARGET_DURATIONS: f64 = 3.0;
/// Lower bound of the time until frozen, as short target durations are kept less exactly.
const FREEZE_MIN_DURATION: Duration = Duration::from_secs(4);
/// Consecutive samples that make a slate or a loop; fewer may be a fade to black.
const SLATE_MIN_SAMPLES: u32 = 3;
/// How many samples back a loop is detected. One sample is taken every eight to ten seconds, so
/// this is more than two hours and covers a race that is shown again from its beginning. At 24
/// bytes each they take at most 24 KiB per upstream.
const SEEN_SEGMENTS_MAX_COUNT: usize = 1024;
const _: () = assert!(SEEN_SEGMENTS_MAX_COUNT * size_of::<(u64, SegmentFingerprint)>() <= 24 << 10);

impl LivenessDetector {
    pub(crate) fn new() -> Self {
        Self {
            progress: BTreeMap::new(),
            stuck_renditions: BTreeSet::new(),
            is_frozen: false,
            seen_segments: VecDeque::new(),
            last_sampled_at: None,
            repeated_samples: 0,
            still_samples: 0,
            low_bitrate_samples: 0,
            repetition: None,
        }
    }

    /// Judges a candidate by its first check. One sample says nothing about a picture: a stream that
    /// fades from black, or whose card is shown before a session, is admitted.
    pub(crate) fn check_first_findings(
        findings: &CheckFindings,
        rules: &CheckRules,
        now: Timestamp,
    ) -> Result<(), CheckError> {
        check_lag(findings, rules, now)
    }

    /// Takes in the findings of a check and judges them together with the earlier ones. Samples that
    /// repeat themselves are no error, see [`repetition`](Self::repetition).
    pub(crate) fn observe(
        &mut self,
        findings: &CheckFindings,
        rules: &CheckRules,
        now: Timestamp,
    ) -> Result<(), CheckError> {
        self.update_progress(findings);
        if self.last_sampled_at != Some(findings.sample.taken_at) {
            self.last_sampled_at = Some(findings.sample.taken_at);
            self.count_repeats(findings);
            self.low_bitrate_samples =
                low_bitrate_error(findings, rules).map_or(0, |_| self.low_bitrate_samples + 1);
        }
        self.repetition = match () {
            () if rules.loops || self.repeated_samples < SLATE_MIN_SAMPLES => None,
            () if self.still_samples >= SLATE_MIN_SAMPLES => Some(Repetition::Slate),
            () => Some(Repetition::Loop),
        };
        self.check_progress()?;
        check_lag(findings, rules, now)?;
        match low_bitrate_error(findings, rules) {
            Some(error) if self.low_bitrate_samples >= SLATE_MIN_SAMPLES => Err(error),
            _ => Ok(()),
        }
    }

    /// What the upstream shows if its segments repeat themselves and its operator has not said that
    /// they may.
    pub(crate) fn repetition(&self) -> Option<Repetition> {
        self.repetition
    }

    /// Is this rendition frozen, or is its audio, while other renditions advance?
    pub(crate) fn is_rendition_stuck(&self, rendition: &RenditionId) -> bool {
        self.stuck_renditions.contains(rendition)
    }

    fn update_progress(&mut self, findings: &CheckFindings) {
        let position = |live_edge: &LiveEdge| (live_edge.last_sequence, live_edge.ends_at);
        let previous = std::mem::take(&mut self.progress);
        let progress = findings.live_edges.iter().map(|(id, live_edge)| {
            let before = previous
                .get(id)
                .filter(|progress| position(&progress.live_edge) == position(live_edge));
            let unchanged_since =
                before.map_or_else(Instant::now, |progress| progress.unchanged_since);
            (id.clone(), PlaylistProgress { live_edge: *live_edge, unchanged_since })
        });
        self.progress = progress.collect();
        let late = self
            .progress
            .iter()
            .filter(|(_, progress)| progress.is_late(FROZEN_AFTER_TARGET_DURATIONS));
        let late: BTreeSet<_> = late.map(|(id, _)| id.clone()).collect();
        let videos = || findings.renditions.iter().filter(|one| one.role == Role::Video);
        let silent = videos().filter(|video| has_stuck_audio(video, &findings.renditions, &late));
        self.stuck_renditions = silent.map(|video| video.id.clone()).collect();
        self.stuck_renditions.extend(late);
        self.is_frozen = videos().all(|video| self.stuck_renditions.contains(&video.id));
        if self.is_frozen {
            self.stuck_renditions.clear();
        }
    }

    /// Frozen means that no video advances, or no audio that plays with one. One late rendition
    /// makes the whole upstream suspect, as its players are about to stall. A single frozen
    /// rendition is [stuck](Self::is_rendition_stuck).
    fn check_progress(&self) -> Result<(), CheckError> {
        let message = |late: &PlaylistProgress| {
            format!("the playlist has not moved for {} s", late.unchanged_since.elapsed().as_secs())
        };
        let mut late = self
            .progress
            .values()
            .filter(|progress| progress.is_late(FROZEN_AFTER_TARGET_DURATIONS));
        if self.is_frozen
            && let Some(first) = late.next()
        {
            let last = late.fold(first, |one, other| {
                if other.unchanged_since > one.unchanged_since { other } else { one }
            });
            return Err(CheckError::permanent(message(last)));
        }
        let mut others = self.progress.iter().filter(|(id, _)| !self.is_rendition_stuck(id));
        match others.find(|(_, progress)| progress.is_late(SUSPECT_AFTER_TARGET_DURATIONS)) {
            Some((_, late)) => Err(CheckError::late(message(late))),
            None => Ok(()),
        }
    }

    fn count_repeats(&mut self, findings: &CheckFindings) {
        let (sequence, fingerprint) =
            (findings.live_edge.last_sequence, findings.sample.fingerprint);
        if self.seen_segments.iter().any(|(seen, _)| *seen == sequence) {
            return;
        }
        let is_repeat = self.seen_segments.iter().any(|(_, seen)| *seen == fingerprint);
        let is_still = self.seen_segments.back().is_some_and(|(_, seen)| *seen == fingerprint);
        self.repeated_samples = if is_repeat { self.repeated_samples + 1 } else { 0 };
        self.still_samples = if is_still { self.still_samples + 1 } else { 0 };
        self.seen_segments.push_back((sequence, fingerprint));
        if self.seen_segments.len() > SEEN_SEGMENTS_MAX_COUNT {
            self.seen_segments.pop_front();
        }
    }
}

/// Is all audio of one of this video's groups frozen? A player that waits for audio shows no video.
fn has_stuck_audio(video: &Rendition, all: &[Rendition], late: &BTreeSet<RenditionId>) -> bool {
    let mut groups = video.groups.iter().filter(|group| group.role == Role::Audio);
    groups.any(|group| {
        let goes_with = |one: &&Rendition| one.role == Role::Audio && one.groups.contains(group);
        let mut tracks = all.iter().filter(goes_with).peekable();
        tracks.peek().is_some() && tracks.all(|track| late.contains(&track.id))
    })
}

impl PlaylistProgress {
    /// Has the live edge not moved for this many target durations?
    fn is_late(&self, target_durations: f64) -> bool {
        let allowed = self.live_edge.target_duration.mul_f64(target_durations);
        self.unchanged_since.elapsed()
            >= if target_durations >= FROZEN_AFTER_TARGET_DURATIONS {
                allowed.max(FREEZE_MIN_DURATION)
            } else {
                allowed
            }
    }
}

fn check_lag(
    findings: &CheckFindings,
    rules: &CheckRules,
    now: Timestamp,
) -> Result<(), CheckError> {
    let (Some(max_lag), Some(lag)) = (&rules.max_lag, findings.live_edge.lag(now)) else {
        return Ok(());
    };
    let lag = Duration::try_from(lag).unwrap_or_default();
    if lag <= max_lag.0 {
        return Ok(());
    }
    let allowed = humantime::format_duration(max_lag.0);
    let message = format!("{} s behind the clock, where {allowed} is allowed", lag.as_secs());
    Err(CheckError::permanent(message))
}

/// An error when a video's bit rate is below what the operator requires; audio-only streams need
/// none. What a playlist claims is no measure: a still picture takes a hundredth of its `BANDWIDTH`.
fn low_bitrate_error(findings: &CheckFindings, rules: &CheckRules) -> Option<CheckError> {
    let video = findings.renditions.iter().find(|one| one.role == Role::Video)?;
    let is_audio_only = video.codecs.is_some() && video.resolution.is_none();
    let rate = findings.sample.bit_rate.filter(|_| !is_audio_only)?;
    (rate < rules.min_bitrate).then(|| {
        let (rate, required) = (rate / 1000, rules.min_bitrate / 1000);
        let message = format!("{rate} kbit/s, less than the {required} of check.min_bitrate");
        CheckError::permanent(message)
    })
}

impl fmt::Display for Repetition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slate => "a slate: the same segment again and again",
            Self::Loop => "a loop: its segments have been shown before",
        })
    }
}

#[cfg(test)]
mod tests;
