//! What a source tells, before it is judged and before sources are laid over each other.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use pitwall_upstream_map::documents::Circuit;
use serde::{Deserialize, Serialize};

use super::window;

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
