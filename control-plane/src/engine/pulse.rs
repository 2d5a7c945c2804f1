//! Signs of life from one check to the next: does it move, and does it show anything?
//! A new token behind the same still picture changes neither.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::Role;
use tokio::time::Instant;

use crate::check::{CheckError, CheckRules, Checked, Fingerprint, Head};

#[derive(Clone)]
pub(crate) struct Pulse {
    head: Head,
    /// When the playlist was first seen where it is.
    moved: Instant,
    /// What segments looked like, by their numbers.
    seen: VecDeque<(u64, Fingerprint)>,
    sampled: Option<Instant>,
    /// In a row: samples that had been seen before, and samples that show nothing.
    repeats: u32,
    thin: u32,
}

/// A live playlist moves once in a target duration. Half a one late it is suspect, …
const SUSPECT: f64 = 1.5;
/// … and so many late it is frozen.
const FROZEN: f64 = 3.0;
/// Short target durations are kept less well.
const SHORTEST_FREEZE: Duration = Duration::from_secs(4);
/// Samples in a row that make a slate or a loop: a fade to black is neither.
const ENOUGH: u32 = 3;
/// How many samples back a loop is noticed.
const MEMORY: usize = 64;
/// Of what a master claims; less is not the picture that it speaks of.
const THIN: u64 = 20;

impl Pulse {
    /// Of the first check that passed.
    pub(crate) fn new(checked: &Checked) -> Self {
        Self {
            head: checked.head,
            moved: Instant::now(),
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
        let place = |head: &Head| (head.sequence, head.date);
        if place(&self.head) != place(&checked.head) {
            self.moved = Instant::now();
        }
        self.head = checked.head;
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

    fn moving(&self) -> Result<(), CheckError> {
        let still = self.moved.elapsed();
        let message = || format!("the playlist has not moved for {} s", still.as_secs());
        if still >= self.head.target.mul_f64(FROZEN).max(SHORTEST_FREEZE) {
            return Err(CheckError::definite(message()));
        }
        if still >= self.head.target.mul_f64(SUSPECT) {
            return Err(CheckError::suspect(message()));
        }
        Ok(())
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
