//! [`EventTiming`]: when an event begins and how long it lasts, by its own clock.
//!
//! Recurrences are expanded in the local time of an event's own zone, by which their rules count.
//! Local times are seconds from 1970-01-01T00:00:00 of that clock.

use std::ops::Range;

use calcard::common::PartialDateTime;
use calcard::icalendar::{
    ICalendarComponent, ICalendarDuration, ICalendarEntry, ICalendarPeriod, ICalendarProperty,
    ICalendarValue,
};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::component::{naive_seconds, read_date};
use super::zone::{DAY_SECONDS, Zone, Zones};
use crate::schedule::calendar::utc_date;
use crate::schedule::live_window;

#[derive(Clone)]
pub(super) struct EventTiming<'a> {
    pub(super) clock: EventZone<'a>,
    /// The local start.
    pub(super) start: i64,
    pub(super) length: Option<EventLength>,
    /// Why the length cannot be read, if it cannot.
    pub(super) unread_length: Option<String>,
}

/// How long an event lasts: `days` count by the calendar, whose days may have 23 or 25 hours, and
/// `seconds` do not (RFC 5545, 3.3.6).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct EventLength {
    days: i64,
    seconds: i64,
}

/// The clock by which an event's times and recurrence rules count.
#[derive(Clone)]
pub(super) struct EventZone<'a> {
    zones: &'a Zones,
    /// The zone of the event's start. `None`: the event takes whole days, which are in no zone, so
    /// that all of its times are taken as they are written.
    zone: Option<Zone>,
}

/// The time of one instance of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct EventSpan {
    /// `None`: the event takes whole days.
    pub(super) start: Option<Timestamp>,
    pub(super) date: Date,
    /// The last of several whole days.
    pub(super) last_date: Option<Date>,
    pub(super) end: Option<Timestamp>,
}

impl<'a> EventTiming<'a> {
    /// # Errors
    ///
    /// The event has no start, its zone is not known, or its start cannot be read.
    pub(super) fn read(zones: &'a Zones, event: &ICalendarComponent) -> Result<Self, String> {
        // An exception without a start of its own, such as a cancellation, is at its original time.
        let start = match read_date(event, &ICalendarProperty::Dtstart)? {
            None => read_date(event, &ICalendarProperty::RecurrenceId)?,
            start => start,
        };
        let (entry, when) = start.ok_or("it has no DTSTART")?;
        let zone = match (when.has_time(), when.tz_hour) {
            (false, _) => None,
            (true, Some(_)) => Some(Zone::UTC),
            (true, None) => Some(zones.zone_of_entry(entry)?),
        };
        let clock = EventZone { zones, zone };
        let start = clock.local_seconds(entry, when)?;
        let (length, unread_length) = match clock.read_length(event, start) {
            Ok(length) => (length, None),
            Err(why) => (None, Some(why)),
        };
        Ok(Self { clock, start, length, unread_length })
    }
}

impl EventZone<'_> {
    /// The local times that an entry names. A date names every time of its day, and so does any
    /// time of an event of whole days.
    pub(super) fn local_range(
        &self,
        entry: &ICalendarEntry,
        when: &PartialDateTime,
    ) -> Result<Range<i64>, String> {
        let local = self.local_seconds(entry, when)?;
        Ok(match self.zone.is_some() && when.has_time() {
            true => local..local + 1,
            false => {
                let midnight = local - local.rem_euclid(DAY_SECONDS);
                midnight..midnight + DAY_SECONDS
            }
        })
    }

    /// The local time up to which a rule with this UNTIL recurs.
    pub(super) fn last_local_time(&self, until: &PartialDateTime) -> Result<i64, String> {
        match (&self.zone, until.tz_hour) {
            (None, _) => written_seconds(until),
            // The bound is in UTC (RFC 5545, 3.3.10), not in the zone of the rule.
            (Some(zone), Some(_)) => Ok(zone.to_local(naive_seconds(until)?)),
            // A date as the bound includes the whole day.
            (Some(_), None) if !until.has_time() => Ok(naive_seconds(until)? + DAY_SECONDS - 1),
            (Some(_), None) => naive_seconds(until),
        }
    }

    /// The time of an instance that starts at the local time `start`.
    pub(super) fn span(
        &self,
        start: i64,
        length: Option<EventLength>,
    ) -> Result<EventSpan, String> {
        let last = |length: EventLength| start + length.days * DAY_SECONDS + length.seconds - 1;
        let Some(zone) = &self.zone else {
            let date = to_civil(start)?.date();
            let last_date = length.map(|length| Ok::<_, String>(to_civil(last(length))?.date()));
            let last_date = last_date.transpose()?.filter(|last| *last != date);
            return Ok(EventSpan { start: None, date, last_date, end: None });
        };
        let unix = zone.to_utc(start);
        let end = length.map(|length| match length.days {
            0 => to_timestamp(unix + length.seconds),
            days => {
                let local = start + days * DAY_SECONDS;
                to_timestamp(local)?;
                to_timestamp(zone.to_utc(local) + length.seconds)
            }
        });
        let start = to_timestamp(unix)?;
        let (date, end) = (utc_date(start), end.transpose()?);
        Ok(EventSpan { start: Some(start), date, last_date: None, end })
    }

    /// The local start of an instance, which may be by another clock.
    pub(super) fn local_start(&self, span: &EventSpan) -> i64 {
        match (&self.zone, span.start) {
            (Some(zone), Some(start)) => zone.to_local(start.as_second()),
            _ => live_window::sort_time(None, span.date).as_second(),
        }
    }

    fn local_seconds(&self, entry: &ICalendarEntry, when: &PartialDateTime) -> Result<i64, String> {
        let Some(zone) = self.zone.as_ref().filter(|_| when.has_time()) else {
            return written_seconds(when);
        };
        match when.tz_hour {
            // A conversion to UTC and back would lose the second of two equal local times.
            None if self.zone_or_start_zone(zone, entry)? == *zone => naive_seconds(when),
            _ => Ok(zone.to_local(self.unix_seconds(zone, entry, when)?)),
        }
    }

    fn unix_seconds(
        &self,
        zone: &Zone,
        entry: &ICalendarEntry,
        when: &PartialDateTime,
    ) -> Result<i64, String> {
        let seconds = naive_seconds(when)?;
        Ok(match when.tz_hour {
            Some(_) => seconds,
            None => self.zone_or_start_zone(zone, entry)?.to_utc(seconds),
        })
    }

    /// The zone of an entry's local time, which without a TZID is that of the event's start.
    fn zone_or_start_zone(&self, own: &Zone, entry: &ICalendarEntry) -> Result<Zone, String> {
        match entry.tz_id() {
            Some(_) => self.zones.zone_of_entry(entry),
            None => Ok(own.clone()),
        }
    }

    fn read_length(
        &self,
        event: &ICalendarComponent,
        start: i64,
    ) -> Result<Option<EventLength>, String> {
        let length = match (read_date(event, &ICalendarProperty::Dtend)?, &self.zone) {
            (Some((_, end)), None) => {
                Some(EventLength { days: 0, seconds: written_seconds(end)? - start })
            }
            // The length in UTC, which each instance has (RFC 5545, 3.8.5.3).
            (Some((entry, end)), Some(zone)) => {
                let seconds = self.unix_seconds(zone, entry, end)? - zone.to_utc(start);
                Some(EventLength { days: 0, seconds })
            }
            (None, _) => read_duration(event)?,
        };
        Ok(length.filter(|length| !length.is_zero()))
    }

    /// The length of a period that is a value of `entry`; `None` for any other value.
    pub(super) fn period_length(
        &self,
        entry: &ICalendarEntry,
        value: &ICalendarValue,
    ) -> Result<Option<EventLength>, String> {
        let ICalendarValue::Period(period) = value else { return Ok(None) };
        let length = match (period, &self.zone) {
            (ICalendarPeriod::Duration { duration, .. }, _) => EventLength::from(duration),
            (ICalendarPeriod::Range { start, end }, None) => {
                let seconds = written_seconds(end)? - written_seconds(start)?;
                EventLength { days: 0, seconds }
            }
            (ICalendarPeriod::Range { start, end }, Some(zone)) => {
                let [start, end] = [start, end].map(|when| self.unix_seconds(zone, entry, when));
                EventLength { days: 0, seconds: end? - start? }
            }
        };
        Ok(Some(length).filter(|length| !length.is_zero()))
    }
}

impl EventLength {
    fn is_zero(self) -> bool {
        self == Self { days: 0, seconds: 0 }
    }
}

impl From<&ICalendarDuration> for EventLength {
    fn from(duration: &ICalendarDuration) -> Self {
        let [weeks, days, hours, minutes, seconds] =
            [duration.weeks, duration.days, duration.hours, duration.minutes, duration.seconds]
                .map(i64::from);
        let sign = if duration.neg { -1 } else { 1 };
        let seconds = sign * (hours * 3600 + minutes * 60 + seconds);
        Self { days: sign * (weeks * 7 + days), seconds }
    }
}

impl EventSpan {
    pub(super) fn is_longer_than_a_day(&self) -> bool {
        let seconds = |from: Timestamp, to: Timestamp| to.as_second() - from.as_second();
        let length = self.start.zip(self.end).map(|(start, end)| seconds(start, end));
        self.last_date.is_some() || length.is_some_and(|length| length > DAY_SECONDS)
    }
}

fn read_duration(event: &ICalendarComponent) -> Result<Option<EventLength>, String> {
    let entry = event.property(&ICalendarProperty::Duration);
    match entry.and_then(|entry| entry.values.first()) {
        None => Ok(None),
        Some(ICalendarValue::Duration(duration)) => Ok(Some(EventLength::from(duration))),
        Some(_) => Err("its DURATION cannot be read".to_owned()),
    }
}

/// The digits of a date or time, whatever its zone.
pub(super) fn written_seconds(when: &PartialDateTime) -> Result<i64, String> {
    naive_seconds(&PartialDateTime { tz_hour: None, ..when.clone() })
}

fn to_timestamp(seconds: i64) -> Result<Timestamp, String> {
    Timestamp::from_second(seconds).map_err(|error| error.to_string())
}

/// The date and time of day of a local time.
pub(super) fn to_civil(local: i64) -> Result<DateTime, String> {
    Ok(to_timestamp(local)?.to_zoned(TimeZone::UTC).datetime())
}
