//! [`Zones`]: what the times of a calendar are in. A `TZID` means what the calendar itself defines
//! it to be (RFC 5545, 3.2.19 and 3.6.5), unless it is the name of a zone in the time zone database,
//! of which calendars define a part at most.
//!
//! Local times are counted in seconds from 1970-01-01T00:00:00 of the same clock.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::Arc;

use calcard::common::PartialDateTime;
use calcard::common::timezone::{Tz, TzTimestamp as _};
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarProperty,
    ICalendarValue,
};

use super::event::{end_rules, value};

/// Changes of the clock in one calendar: twice a year for centuries is usual.
const MAX_CHANGES: usize = 20_000;
const DAY: i64 = 86_400;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Zone {
    Known(Tz),
    /// As the calendar defines it: its changes in order.
    Own(Arc<[Change]>),
}

/// What a clock is changed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    /// Seconds since the epoch.
    at: i64,
    /// Seconds east of Greenwich before and from then on.
    from: i64,
    to: i64,
}

impl Zone {
    pub(super) const UTC: Self = Self::Known(Tz::UTC);

    /// The local time at a moment.
    pub(super) fn local(&self, moment: i64) -> i64 {
        moment + self.offset(moment)
    }

    /// When a clock there shows this: of a time that it shows twice the first one is meant, one that
    /// it never shows counts from before the gap (RFC 5545, 3.3.5).
    pub(super) fn moment(&self, local: i64) -> i64 {
        let [before, after] = [local - DAY, local + DAY].map(|near| self.offset(near));
        let is_shown = |moment: &i64| self.local(*moment) == local;
        let shown = [local - before, local - after].into_iter().find(is_shown);
        shown.unwrap_or(local - before)
    }

    fn offset(&self, moment: i64) -> i64 {
        match self {
            Self::Known(zone) => {
                let utc = PartialDateTime::from_utc_timestamp(moment);
                let there = utc.to_date_time_with_tz(Tz::UTC).map(|utc| utc.with_timezone(zone));
                there.map_or(0, |there| there.to_naive_timestamp() - moment)
            }
            Self::Own(changes) => {
                let last = changes.partition_point(|change| change.at <= moment).checked_sub(1);
                match last.and_then(|last| changes.get(last)) {
                    Some(change) => change.to,
                    None => changes.first().map_or(0, |change| change.from),
                }
            }
        }
    }
}

pub(super) struct Zones {
    /// By name.
    own: BTreeMap<String, Zone>,
    /// What times without a zone are in: what the calendar says for all of it, else UTC.
    default: Result<Zone, String>,
}

impl Zones {
    /// `year`: the last one whose changes matter.
    pub(super) fn of(calendar: &ICalendar, year: i16) -> Self {
        let mut left = MAX_CHANGES;
        let own = calendar.timezones().filter_map(|component| {
            let id = component.property(&ICalendarProperty::Tzid)?;
            let id = id.values.first()?.as_text()?.to_owned();
            let changes = changes(calendar, component, year, &mut left);
            // Some only say which zone of the database they mean.
            let hint = || component.timezone().map(|(_, zone)| Zone::Known(zone));
            let zone = if changes.is_empty() { hint() } else { Some(Zone::Own(changes.into())) };
            Some((id, zone?))
        });
        let mut zones = Self { own: own.collect(), default: Ok(Zone::UTC) };
        let whole = calendar.components.iter().flat_map(|component| &component.entries);
        let mut whole = whole.filter(|entry| {
            matches!(&entry.name, ICalendarProperty::Other(name) if name.eq_ignore_ascii_case("X-WR-TIMEZONE"))
        });
        if let Some(name) = whole.find_map(|entry| entry.values.first()?.as_text()) {
            zones.default = zones.named(name);
        }
        zones
    }

    /// What a property's local time is in.
    ///
    /// # Errors
    ///
    /// Nobody knows the zone: its times would be hours off, and nothing would show it.
    pub(super) fn of_entry(&self, entry: &ICalendarEntry) -> Result<Zone, String> {
        entry.tz_id().map_or_else(|| self.default.clone(), |name| self.named(name))
    }

    /// The clock of an event, by which its rules count. A day is one whatever the clock.
    pub(super) fn clock(&self, event: &ICalendarComponent) -> Result<Zone, String> {
        let start = event.property(&ICalendarProperty::Dtstart);
        let when = value(event, &ICalendarProperty::Dtstart);
        match start.zip(when) {
            Some((_, when)) if when.tz_hour.is_some() => Ok(Zone::UTC),
            Some((entry, when)) if when.has_time() => self.of_entry(entry),
            _ => Ok(self.default.clone().unwrap_or(Zone::UTC)),
        }
    }

    fn named(&self, name: &str) -> Result<Zone, String> {
        let guess = Tz::from_str(name).ok();
        let listed = guess.filter(|zone| zone.name().is_some_and(|listed| listed == name));
        let zone = listed.map(Zone::Known).or_else(|| self.own.get(name).cloned());
        zone.or(guess.map(Zone::Known)).ok_or_else(|| {
            format!("the time zone {name:?} is not known, and the calendar does not define it")
        })
    }
}

/// In order, of all observances of a zone.
fn changes(
    calendar: &ICalendar,
    zone: &ICalendarComponent,
    year: i16,
    left: &mut usize,
) -> Vec<Change> {
    let observances = zone.component_ids.iter().filter_map(|id| calendar.component_by_id(*id));
    let mut changes = Vec::new();
    for observance in observances {
        let of = |property| offset(observance.property(&property)?);
        let offsets = of(ICalendarProperty::Tzoffsetfrom).zip(of(ICalendarProperty::Tzoffsetto));
        let Some((from, to)) = offsets else { continue };
        let onsets = onsets(observance, from, year, *left);
        *left = left.saturating_sub(onsets.len());
        changes.extend(onsets.into_iter().map(|onset| Change { at: onset - from, from, to }));
    }
    changes.sort_unstable();
    changes
}

/// When an observance begins, by the clock that is still in use then.
fn onsets(observance: &ICalendarComponent, from: i64, year: i16, most: usize) -> Vec<i64> {
    if value(observance, &ICalendarProperty::Dtstart).is_none() {
        return Vec::new();
    }
    let when = [ICalendarProperty::Dtstart, ICalendarProperty::Rrule, ICalendarProperty::Rdate];
    let mut event = ICalendarComponent::new(ICalendarComponentType::VEvent);
    event.entries =
        observance.entries.iter().filter(|entry| when.contains(&entry.name)).cloned().collect();
    for entry in &mut event.entries {
        entry.params.clear();
        for value in &mut entry.values {
            match value {
                ICalendarValue::PartialDateTime(when) => **when = by_clock(when, from),
                ICalendarValue::RecurrenceRule(rule) => {
                    rule.until = rule.until.as_ref().map(|until| by_clock(until, from));
                }
                _ => {}
            }
        }
    }
    end_rules(&mut event, year);
    let expanded = ICalendar { components: vec![event] }.expand_dates(Tz::UTC, most);
    expanded.events.iter().map(|event| event.start.timestamp()).collect()
}

/// The end of a rule is in UTC.
fn by_clock(when: &PartialDateTime, from: i64) -> PartialDateTime {
    let utc = when.to_date_time_with_tz(Tz::UTC).filter(|_| when.tz_hour.is_some());
    utc.map_or_else(
        || when.clone(),
        |utc| PartialDateTime::from_naive_timestamp(utc.timestamp() + from),
    )
}

/// Seconds east of Greenwich: `-0500`, `+053000`.
fn offset(entry: &ICalendarEntry) -> Option<i64> {
    match entry.values.first()? {
        ICalendarValue::PartialDateTime(offset) => {
            let [hours, minutes] = [offset.tz_hour?, offset.tz_minute.unwrap_or(0)].map(i64::from);
            let seconds = hours * 3600 + minutes * 60;
            Some(if offset.tz_minus { -seconds } else { seconds })
        }
        // What the parser does not take has seconds.
        ICalendarValue::Text(text) => {
            let (sign, digits) = text.trim().split_at_checked(1)?;
            let number: i64 = digits.parse().ok().filter(|_| digits.len() == 6)?;
            let seconds = number / 10_000 * 3600 + number / 100 % 100 * 60 + number % 100;
            match sign {
                "+" => Some(seconds),
                "-" => Some(-seconds),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const BERLIN: &str = "BEGIN:VTIMEZONE\r\nTZID:Here\r\n\
        BEGIN:STANDARD\r\nDTSTART:16010101T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\n\
        RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\r\nEND:STANDARD\r\n\
        BEGIN:DAYLIGHT\r\nDTSTART:16010101T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\n\
        RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n";
    /// West of Greenwich, by dates; its summer time ended for good.
    const OLD: &str = "BEGIN:VTIMEZONE\r\nTZID:Here\r\n\
        BEGIN:STANDARD\r\nDTSTART:20200101T000000\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0500\r\n\
        RDATE:20251102T020000\r\nEND:STANDARD\r\n\
        BEGIN:DAYLIGHT\r\nDTSTART:20200308T020000\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\n\
        RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU;UNTIL=20250309T070000Z\r\nEND:DAYLIGHT\r\n\
        END:VTIMEZONE\r\n";
    const FIXED: &str = "BEGIN:VTIMEZONE\r\nTZID:Here\r\nBEGIN:STANDARD\r\n\
        DTSTART:20200101T000000\r\nTZOFFSETFROM:+053000\r\nTZOFFSETTO:+0530\r\nEND:STANDARD\r\n\
        END:VTIMEZONE\r\n";

    fn zones(text: &str) -> Zones {
        let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{text}END:VCALENDAR\r\n");
        Zones::of(&ICalendar::parse(&text).unwrap(), 2027)
    }

    #[test]
    fn moments() {
        for (definition, name, local, expected) in [
            ("", "Europe/Berlin", "2026-07-10T14:00:00", "2026-07-10T12:00:00Z"),
            ("", "W. Europe Standard Time", "2026-01-10T14:00:00", "2026-01-10T13:00:00Z"),
            // Twice, never, and around.
            ("", "Europe/Berlin", "2026-10-25T01:59:59", "2026-10-24T23:59:59Z"),
            ("", "Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
            ("", "Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T02:00:00Z"),
            ("", "Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
            (BERLIN, "Here", "2026-07-10T14:00:00", "2026-07-10T12:00:00Z"),
            (BERLIN, "Here", "2026-01-10T14:00:00", "2026-01-10T13:00:00Z"),
            (BERLIN, "Here", "2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
            (BERLIN, "Here", "2026-10-25T03:00:00", "2026-10-25T02:00:00Z"),
            (BERLIN, "Here", "2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
            (OLD, "Here", "2025-01-10T14:00:00", "2025-01-10T18:00:00Z"),
            (OLD, "Here", "2025-07-10T14:00:00", "2025-07-10T18:00:00Z"),
            (OLD, "Here", "2025-12-10T14:00:00", "2025-12-10T19:00:00Z"),
            (OLD, "Here", "2026-07-10T14:00:00", "2026-07-10T19:00:00Z"),
            (FIXED, "Here", "2026-07-10T14:00:00", "2026-07-10T08:30:00Z"),
            // Before all that is defined.
            (FIXED, "Here", "2010-07-10T14:00:00", "2010-07-10T08:30:00Z"),
        ] {
            let zone = zones(definition).named(name).unwrap();
            let clock: Timestamp = format!("{local}Z").parse().unwrap();
            let moment = Timestamp::from_second(zone.moment(clock.as_second())).unwrap();
            assert_eq!(moment.to_string(), expected, "{name} {local} {definition}");
        }
    }

    /// What of a zone is believed: the database, the calendar, a guess.
    #[test]
    fn names() {
        let own = |name: &str| FIXED.replace("TZID:Here", &format!("TZID:{name}"));
        for (definition, name, expected) in [
            (own("Europe/Berlin"), "Europe/Berlin", Some(1)),
            (own("W. Europe Standard Time"), "W. Europe Standard Time", Some(5)),
            (own("GMT+0530"), "GMT+0530", Some(5)),
            (own("tzone://Microsoft/Custom"), "tzone://Microsoft/Custom", Some(5)),
            (own("There"), "Here", None),
            (
                "BEGIN:VTIMEZONE\r\nTZID:Here\r\nX-LIC-LOCATION:Europe/Berlin\r\nEND:VTIMEZONE\r\n"
                    .to_owned(),
                "Here",
                Some(1),
            ),
            // Broken in each part that matters.
            (own("Here").replace("TZOFFSETTO:+0530", "TZOFFSETTO:east"), "Here", None),
            (own("Here").replace("DTSTART:20200101T000000", "X-A:b"), "Here", None),
        ] {
            let zone = zones(&definition).named(name);
            let january: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
            let hours = zone.ok().map(|zone| zone.offset(january.as_second()) / 3600);
            assert_eq!(hours, expected, "{name} {definition}");
        }
    }
}
