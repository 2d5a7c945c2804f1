//! What a source tells, before it is judged and before sources are laid over each other.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use pitwall_upstream_map::documents::Circuit;
use serde::{Deserialize, Serialize};

use super::window;

/// What a provider answered: what of it can be used, and what cannot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) calendar: Calendar,
    pub(crate) rejected: Vec<RejectedItem>,
}

/// A part of an answer that cannot be used: it is told, and costs nothing else. What is missing
/// from the calendar because of it stays as the provider told it before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RejectedItem {
    /// The meeting that it is, or is a part of, where that can be told.
    pub(crate) meeting: Option<String>,
    /// The session that it is; `None`: all or any of the meeting.
    pub(crate) code: Option<String>,
    /// Which it is and why, fit for the public.
    pub(crate) message: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calendar {
    /// `None`: a calendar of anything, which knows no seasons.
    pub(crate) season: Option<String>,
    pub(crate) meetings: Vec<Listed>,
}

/// A meeting as one source lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) round: Option<u32>,
    pub(crate) circuit: Circuit,
    pub(crate) utc_offset: Option<String>,
    /// Of the championship. Only these are recognised across sources by name and day: what else
    /// happens that weekend is another event.
    pub(crate) series: bool,
    pub(crate) slots: Vec<Slot>,
}

/// A session as one source lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) start: Option<Timestamp>,
    pub(crate) date: Date,
    /// Only where the source knows it.
    pub(crate) end: Option<Timestamp>,
    pub(crate) cancelled: bool,
    /// When this source changed its mind about when, or whether.
    #[serde(default)]
    pub(crate) corrected_at: Option<Timestamp>,
}

impl RejectedItem {
    /// Of which nothing is known but what is wrong with it.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self { meeting: None, code: None, message: message.into() }
    }

    pub(crate) fn meeting(id: &str, why: impl fmt::Display) -> Self {
        Self { meeting: Some(id.to_owned()), code: None, message: format!("{id}: {why}") }
    }

    pub(crate) fn session(id: &str, code: &str, why: impl fmt::Display) -> Self {
        let message = format!("{id}:{code}: {why}");
        Self { meeting: Some(id.to_owned()), code: Some(code.to_owned()), message }
    }

    /// May this be why a meeting is not listed?
    pub(crate) fn hides_meeting(&self, id: &str) -> bool {
        self.meeting.as_deref().is_none_or(|meeting| meeting == id)
    }

    /// May this be why a session of a meeting is not listed?
    pub(crate) fn hides_session(&self, id: &str, code: &str) -> bool {
        self.hides_meeting(id) && self.code.as_deref().is_none_or(|own| own == code)
    }
}

/// All of them in one sentence, a few of them in full.
pub(crate) fn summarize(rejected: &[RejectedItem]) -> Option<String> {
    const FEW: usize = 3;
    let first: Vec<&str> = rejected.iter().take(FEW).map(|one| one.message.as_str()).collect();
    let more = rejected.len().saturating_sub(FEW);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    (!first.is_empty()).then(|| format!("left out: {}{more}", first.join("; ")))
}

impl Listed {
    pub(crate) fn race(&self) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.code == "race")
    }

    /// The day that tells two meetings of one name apart.
    pub(crate) fn anchor(&self) -> Option<Date> {
        let last = || self.slots.iter().max_by_key(|slot| slot.position());
        self.race().or_else(last).map(|slot| slot.date)
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.slots.iter().all(|slot| slot.cancelled)
    }

    pub(crate) fn over(&self, now: Timestamp) -> bool {
        self.slots.iter().all(|slot| slot.over(now))
    }

    /// Something of it is still to be had.
    pub(crate) fn to_come(&self, now: Timestamp) -> bool {
        self.slots.iter().any(|slot| !slot.cancelled && slot.to_come(now))
    }
}

impl Slot {
    pub(crate) fn new(code: impl Into<String>, name: impl Into<String>, date: Date) -> Self {
        Self {
            code: code.into(),
            name: name.into(),
            start: None,
            date,
            end: None,
            cancelled: false,
            corrected_at: None,
        }
    }

    pub(crate) fn starting(self, start: Timestamp) -> Self {
        Self { start: Some(start), date: day_of(start), ..self }
    }

    /// Has not begun to be watched.
    pub(crate) fn to_come(&self, now: Timestamp) -> bool {
        let from = self.start.and_then(|start| window::of(&self.code).before(start));
        now < from.unwrap_or_else(|| window::end_of_day(self.date))
    }

    /// Nothing of it can be watched any more.
    pub(crate) fn over(&self, now: Timestamp) -> bool {
        let until = self.start.and_then(|start| {
            let [_, _, until] = window::of(&self.code).around(start, self.end);
            until
        });
        now >= until.unwrap_or_else(|| window::end_of_day(self.date))
    }

    /// Where it stands in the order of a weekend, with or without a time.
    pub(crate) fn position(&self) -> Timestamp {
        window::position(self.start, self.date)
    }

    /// When and whether it takes place.
    pub(crate) fn stands(&self) -> (Option<Timestamp>, Option<Date>, bool) {
        (self.start, self.start.is_none().then_some(self.date), self.cancelled)
    }
}

pub(crate) fn day_of(start: Timestamp) -> Date {
    start.to_zoned(TimeZone::UTC).date()
}

pub(crate) fn days(date: Date, days: i64) -> Date {
    date.checked_add(days.days()).unwrap_or(date)
}

/// Days from one to the other, whichever is first.
pub(crate) fn apart(one: Date, other: Date) -> i32 {
    (one - other).get_days().abs()
}

/// Fit to be a part of an id as it is.
pub(crate) fn is_id(text: &str) -> bool {
    let byte = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(byte)
}
