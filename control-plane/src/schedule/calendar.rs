//! [`ProviderCalendar`]: the meetings and sessions that one provider lists, before they are checked
//! for plausibility and merged with those of other providers.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use pitwall_upstream_map::documents::Circuit;
use serde::{Deserialize, Serialize};

use super::live_window;

/// A provider's response: the calendar, and the items that could not be used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProviderResponse {
    pub(crate) calendar: ProviderCalendar,
    pub(crate) rejected: Vec<RejectedItem>,
}

/// An item of a response that cannot be used. It is reported, and the rest of the response is used;
/// a meeting or session that is missing from the calendar because of it stays as in the provider's
/// last snapshot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RejectedItem {
    /// The id of the item's meeting; `None` if it is unknown.
    pub(crate) meeting: Option<String>,
    /// The code of the item's session; `None`: all or any of the meeting's sessions.
    pub(crate) code: Option<String>,
    /// Public: which item it is, and why it was rejected.
    pub(crate) message: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProviderCalendar {
    /// `None`: a general calendar, which has no seasons.
    pub(crate) season: Option<String>,
    pub(crate) meetings: Vec<ProviderMeeting>,
}

/// A meeting as one provider lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProviderMeeting {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) round: Option<u32>,
    pub(crate) circuit: Circuit,
    pub(crate) utc_offset: Option<String>,
    /// Whether the meeting is of the championship. Only such meetings are matched across providers
    /// by name and day: another event on the same weekend is a meeting of its own.
    pub(crate) series: bool,
    /// The meeting's sessions.
    pub(crate) slots: Vec<ProviderSession>,
}

/// A session as one provider lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProviderSession {
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) start: Option<Timestamp>,
    pub(crate) date: Date,
    /// The last day of a session of several whole days, which has no start.
    #[serde(default)]
    pub(crate) last_date: Option<Date>,
    /// `None` if the provider does not list it.
    pub(crate) end: Option<Timestamp>,
    pub(crate) cancelled: bool,
    /// When this provider last changed the session's start, date or cancellation.
    #[serde(default)]
    pub(crate) corrected_at: Option<Timestamp>,
}

impl RejectedItem {
    /// An item whose meeting is unknown.
    pub(crate) fn of_unknown_meeting(message: impl Into<String>) -> Self {
        Self { meeting: None, code: None, message: message.into() }
    }

    pub(crate) fn of_meeting(id: &str, why: impl fmt::Display) -> Self {
        Self { meeting: Some(id.to_owned()), code: None, message: format!("{id}: {why}") }
    }

    pub(crate) fn of_session(id: &str, code: &str, why: impl fmt::Display) -> Self {
        let message = format!("{id}:{code}: {why}");
        Self { meeting: Some(id.to_owned()), code: Some(code.to_owned()), message }
    }

    /// Whether a meeting may be missing from the calendar because of this item.
    pub(crate) fn can_explain_missing_meeting(&self, id: &str) -> bool {
        self.meeting.as_deref().is_none_or(|meeting| meeting == id)
    }

    /// Whether a session may be missing from its meeting because of this item.
    pub(crate) fn can_explain_missing_session(&self, id: &str, code: &str) -> bool {
        self.can_explain_missing_meeting(id) && self.code.as_deref().is_none_or(|own| own == code)
    }
}

/// The messages of the first rejected items and the number of the others, as one public sentence.
pub(crate) fn summarize_rejected(rejected: &[RejectedItem]) -> Option<String> {
    const SUMMARY_MAX_ITEMS: usize = 3;
    let first: Vec<&str> =
        rejected.iter().take(SUMMARY_MAX_ITEMS).map(|one| one.message.as_str()).collect();
    let more = rejected.len().saturating_sub(SUMMARY_MAX_ITEMS);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    (!first.is_empty()).then(|| format!("left out: {}{more}", first.join("; ")))
}

impl ProviderMeeting {
    pub(crate) fn race_session(&self) -> Option<&ProviderSession> {
        self.slots.iter().find(|session| session.code == "race")
    }

    /// The date by which two meetings of one name are told apart: that of the race, or of the last
    /// session if there is no race.
    pub(crate) fn anchor_date(&self) -> Option<Date> {
        let last = || self.slots.iter().max_by_key(|session| session.sort_time());
        self.race_session().or_else(last).map(|session| session.date)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.slots.iter().all(|session| session.cancelled)
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.slots.iter().all(|session| session.is_over(now))
    }

    /// Whether one of its sessions is neither cancelled nor has begun to be live.
    pub(crate) fn is_upcoming(&self, now: Timestamp) -> bool {
        self.slots.iter().any(|session| !session.cancelled && session.is_upcoming(now))
    }
}

impl ProviderSession {
    pub(crate) fn new(code: impl Into<String>, name: impl Into<String>, date: Date) -> Self {
        Self {
            code: code.into(),
            name: name.into(),
            start: None,
            date,
            last_date: None,
            end: None,
            cancelled: false,
            corrected_at: None,
        }
    }

    pub(crate) fn with_start(self, start: Timestamp) -> Self {
        Self { start: Some(start), date: utc_date(start), ..self }
    }

    /// The last day of the session, which is its only one unless it takes several whole days.
    pub(crate) fn last_day(&self) -> Date {
        self.last_date.unwrap_or(self.date)
    }

    /// Whether the session's live window has not begun; without a start, whether its last day is
    /// not over.
    pub(crate) fn is_upcoming(&self, now: Timestamp) -> bool {
        let from =
            self.start.and_then(|start| live_window::live_window_of(&self.code).live_from(start));
        now < from.unwrap_or_else(|| live_window::end_of_day(self.last_day()))
    }

    /// Whether the session's live window has ended; without a start, whether its last day is over.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        let until = self.start.and_then(|start| {
            let [_, _, until] = live_window::live_window_of(&self.code).bounds(start, self.end);
            until
        });
        now >= until.unwrap_or_else(|| live_window::end_of_day(self.last_day()))
    }

    /// The key by which sessions are sorted, with or without a start.
    pub(crate) fn sort_time(&self) -> Timestamp {
        live_window::sort_time(self.start, self.date)
    }

    /// The start, the date if there is no start, and the cancellation: a change of any of these is
    /// a correction.
    pub(crate) fn timing(&self) -> (Option<Timestamp>, Option<Date>, bool) {
        (self.start, self.start.is_none().then_some(self.date), self.cancelled)
    }
}

pub(crate) fn utc_date(start: Timestamp) -> Date {
    start.to_zoned(TimeZone::UTC).date()
}

pub(crate) fn add_days(date: Date, days: i64) -> Date {
    date.checked_add(days.days()).unwrap_or(date)
}

/// The number of days between two dates, in either order.
pub(crate) fn days_between(one: Date, other: Date) -> i32 {
    (one - other).get_days().abs()
}

/// Whether `text` can be a part of an id unchanged: `[a-z0-9_-]{1,64}`.
pub(crate) fn is_id_part(text: &str) -> bool {
    let byte = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(byte)
}
