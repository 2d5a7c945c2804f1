//! [`Zones`]: the time zones of a calendar. A `TZID` names a zone that the calendar defines (RFC
//! 5545, 3.2.19 and 3.6.5), unless it is the name of a zone in the time zone database, as calendars
//! define only a part of such a zone's offset changes.
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

use super::component::{bound_recurrence_rules, date_property};

/// Offset changes in one calendar; two a year for centuries are usual.
const MAX_OFFSET_CHANGES: usize = 20_000;
pub(super) const DAY_SECONDS: i64 = 86_400;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Zone {
    Database(Tz),
    /// Defined by the calendar: the offset changes in order.
    Defined(Arc<[OffsetChange]>),
}

/// A change of a zone's offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OffsetChange {
    /// Unix time of the change, in seconds.
    at: i64,
    /// Seconds east of UTC before the change.
    offset_from: i64,
    /// Seconds east of UTC from the change on.
    offset_to: i64,
}

impl Zone {
    pub(super) const UTC: Self = Self::Database(Tz::UTC);

    /// The zone that a name states by its offset: `GMT+0530`, `UTC-3`, `+01:00`, `Z`. `Etc/GMT-3`,
    /// where the sign means the opposite, is of the database.
    fn from_offset_name(name: &str) -> Option<Self> {
        let upper = name.trim().to_ascii_uppercase();
        if upper == "Z" {
            return Some(Self::UTC);
        }
        let prefix = ["UTC", "GMT"].iter().find_map(|prefix| upper.strip_prefix(prefix));
        let offset = prefix.unwrap_or(&upper).trim();
        let (sign, digits) = match offset.split_at_checked(1)? {
            ("+", digits) => (1, digits),
            ("-", digits) => (-1, digits),
            _ => return None,
        };
        let (hours, minutes) = match (digits.split_once(':'), digits.len()) {
            (Some(parts), _) => parts,
            (None, 4) => digits.split_at_checked(2)?,
            (None, _) => (digits, "0"),
        };
        let [hours, minutes] = [hours, minutes].map(|text| text.parse::<u8>().ok());
        let (hours, minutes) = (hours.filter(|it| *it <= 14)?, minutes.filter(|it| *it < 60)?);
        let offset = sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60);
        let change = OffsetChange { at: 0, offset_from: offset, offset_to: offset };
        Some(Self::Defined([change].into()))
    }

    /// The local time at a unix time.
    pub(super) fn to_local(&self, instant: i64) -> i64 {
        instant + self.utc_offset(instant)
    }

    /// The unix time of a local time. A local time that occurs twice means the first occurrence;
    /// one in a gap is interpreted with the offset before the gap (RFC 5545, 3.3.5).
    pub(super) fn to_utc(&self, local: i64) -> i64 {
        let [before, after] =
            [local - DAY_SECONDS, local + DAY_SECONDS].map(|near| self.utc_offset(near));
        let is_shown = |instant: &i64| self.to_local(*instant) == local;
        let shown = [local - before, local - after].into_iter().find(is_shown);
        shown.unwrap_or(local - before)
    }

    fn utc_offset(&self, instant: i64) -> i64 {
        match self {
            Self::Database(zone) => {
                let utc = PartialDateTime::from_utc_timestamp(instant);
                let local = utc.to_date_time_with_tz(Tz::UTC).map(|utc| utc.with_timezone(zone));
                local.map_or(0, |local| local.to_naive_timestamp() - instant)
            }
            Self::Defined(changes) => {
                let last = changes.partition_point(|change| change.at <= instant).checked_sub(1);
                match last.and_then(|last| changes.get(last)) {
                    Some(change) => change.offset_to,
                    None => changes.first().map_or(0, |change| change.offset_from),
                }
            }
        }
    }
}

pub(super) struct Zones {
    /// The zones that the calendar defines, by `TZID`.
    defined: BTreeMap<String, Zone>,
    /// The zone of times without one: that of `X-WR-TIMEZONE`, else UTC.
    default: Result<Zone, String>,
}

impl Zones {
    /// Reads the zones of a calendar, with their offset changes up to `year`.
    pub(super) fn from_calendar(calendar: &ICalendar, year: i16) -> Self {
        let mut remaining = MAX_OFFSET_CHANGES;
        let own = calendar.timezones().filter_map(|component| {
            let id = component.property(&ICalendarProperty::Tzid)?;
            let id = id.values.first()?.as_text()?.to_owned();
            let changes = collect_changes(calendar, component, year, &mut remaining);
            // Some definitions have no observances, but name a zone of the database.
            let hint = || component.timezone().map(|(_, zone)| Zone::Database(zone));
            let zone =
                if changes.is_empty() { hint() } else { Some(Zone::Defined(changes.into())) };
            Some((id, zone?))
        });
        let mut zones = Self { defined: own.collect(), default: Ok(Zone::UTC) };
        let entries = calendar.components.iter().flat_map(|component| &component.entries);
        let mut defaults = entries.filter(
            |entry| matches!(&entry.name, ICalendarProperty::Other(name) if is_default_zone(name)),
        );
        if let Some(name) = defaults.find_map(|entry| entry.values.first()?.as_text()) {
            zones.default = zones.find_zone(name);
        }
        zones
    }

    /// The zone of a property's local time.
    ///
    /// # Errors
    ///
    /// The zone is unknown: with a default instead, its times would be hours off unnoticed.
    pub(super) fn zone_of_entry(&self, entry: &ICalendarEntry) -> Result<Zone, String> {
        let named = entry.tz_id().filter(|name| !name.trim().is_empty());
        named.map_or_else(|| self.default.clone(), |name| self.find_zone(name))
    }

    fn find_zone(&self, name: &str) -> Result<Zone, String> {
        let guess = Tz::from_str(name).ok();
        let listed = guess.filter(|zone| zone.name().is_some_and(|listed| listed == name));
        let zone = listed.map(Zone::Database).or_else(|| self.defined.get(name).cloned());
        // `/freeassociation.sourceforge.net/Europe/Berlin`: a globally unique name (RFC 5545, 3.2.19)
        // that ends in one of the database.
        let in_vendor_list = || {
            let name = name.strip_prefix('/')?;
            name.match_indices('/').find_map(|(at, _)| Tz::from_str(name.get(at + 1..)?).ok())
        };
        let zone = zone.or(guess.or_else(in_vendor_list).map(Zone::Database));
        let in_any_case = || find_in_any_case(name).map(Zone::Database);
        zone.or_else(in_any_case).or_else(|| Zone::from_offset_name(name)).ok_or_else(|| {
            format!("the time zone {name:?} is not known, and the calendar does not define it")
        })
    }
}

/// `TIMEZONE-ID` stood in a draft of RFC 7986, and still does in calendars.
fn is_default_zone(property: &str) -> bool {
    ["X-WR-TIMEZONE", "TIMEZONE-ID"].iter().any(|name| property.eq_ignore_ascii_case(name))
}

/// The zone of the database whose name differs only in case: `europe/berlin`, `cet`.
fn find_in_any_case(name: &str) -> Option<Tz> {
    let mut begins_word = true;
    let capitalized = name.chars().map(|c| {
        let c = if begins_word { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        begins_word = !c.is_alphanumeric();
        c
    });
    let names = [capitalized.collect::<String>(), name.to_ascii_uppercase()];
    names.iter().find_map(|name| Tz::from_str(name).ok())
}

/// The offset changes of all observances of a zone, in order, at most `remaining` more.
fn collect_changes(
    calendar: &ICalendar,
    zone: &ICalendarComponent,
    year: i16,
    remaining: &mut usize,
) -> Vec<OffsetChange> {
    let observances = zone.component_ids.iter().filter_map(|id| calendar.component_by_id(*id));
    let mut changes = Vec::new();
    for observance in observances {
        let of = |property| parse_offset(observance.property(&property)?);
        let offsets = of(ICalendarProperty::Tzoffsetfrom).zip(of(ICalendarProperty::Tzoffsetto));
        let Some((from, to)) = offsets else { continue };
        let onsets = observance_starts(observance, from, year, *remaining);
        *remaining = remaining.saturating_sub(onsets.len());
        changes.extend(onsets.into_iter().map(|onset| OffsetChange {
            at: onset - from,
            offset_from: from,
            offset_to: to,
        }));
    }
    changes.sort_unstable();
    changes
}

/// The local times, in the offset `from` before the change, at which an observance begins; at most
/// `limit`.
fn observance_starts(
    observance: &ICalendarComponent,
    from: i64,
    year: i16,
    limit: usize,
) -> Vec<i64> {
    if date_property(observance, &ICalendarProperty::Dtstart).is_none() {
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
                ICalendarValue::PartialDateTime(when) => **when = to_observance_time(when, from),
                ICalendarValue::RecurrenceRule(rule) => {
                    rule.until = rule.until.as_ref().map(|until| to_observance_time(until, from));
                }
                _ => {}
            }
        }
    }
    bound_recurrence_rules(&mut event, year);
    let expanded = ICalendar { components: vec![event] }.expand_dates(Tz::UTC, limit);
    expanded.events.iter().map(|event| event.start.timestamp()).collect()
}

/// Converts a time that is in UTC, as the UNTIL of a rule is, to the local time of offset `from`.
fn to_observance_time(when: &PartialDateTime, from: i64) -> PartialDateTime {
    let utc = when.to_date_time_with_tz(Tz::UTC).filter(|_| when.tz_hour.is_some());
    utc.map_or_else(
        || when.clone(),
        |utc| PartialDateTime::from_naive_timestamp(utc.timestamp() + from),
    )
}

/// Parses an offset such as `-0500` or `+053000` to seconds east of UTC.
fn parse_offset(entry: &ICalendarEntry) -> Option<i64> {
    match entry.values.first()? {
        ICalendarValue::PartialDateTime(offset) => {
            let [hours, minutes] = [offset.tz_hour?, offset.tz_minute.unwrap_or(0)].map(i64::from);
            let seconds = hours * 3600 + minutes * 60;
            Some(if offset.tz_minus { -seconds } else { seconds })
        }
        // The parser leaves an offset with seconds as text.
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
    /// West of UTC, with dates instead of a rule, and with a summer time that was abolished.
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
        Zones::from_calendar(&ICalendar::parse(&text).unwrap(), 2027)
    }

    #[test]
    fn moments() {
        for (definition, name, local, expected) in [
            ("", "Europe/Berlin", "2026-07-10T14:00:00", "2026-07-10T12:00:00Z"),
            ("", "W. Europe Standard Time", "2026-01-10T14:00:00", "2026-01-10T13:00:00Z"),
            // Local times that occur twice, never, and near these.
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
            // Before the first change that is defined.
            (FIXED, "Here", "2010-07-10T14:00:00", "2010-07-10T08:30:00Z"),
        ] {
            let zone = zones(definition).find_zone(name).unwrap();
            let clock: Timestamp = format!("{local}Z").parse().unwrap();
            let instant = Timestamp::from_second(zone.to_utc(clock.as_second())).unwrap();
            assert_eq!(instant.to_string(), expected, "{name} {local} {definition}");
        }
    }

    /// A zone is looked up in the database by its exact name, then in the calendar, then guessed.
    #[test]
    fn names() {
        let own = |name: &str| FIXED.replace("TZID:Here", &format!("TZID:{name}"));
        for (definition, name, expected) in [
            (own("Europe/Berlin"), "Europe/Berlin", Some(1)),
            (own("W. Europe Standard Time"), "W. Europe Standard Time", Some(5)),
            (own("GMT+0530"), "GMT+0530", Some(5)),
            (own("tzone://Microsoft/Custom"), "tzone://Microsoft/Custom", Some(5)),
            (own("There"), "Here", None),
            (own("There"), "/freeassociation.sourceforge.net/Europe/Berlin", Some(1)),
            (own("There"), "/example.org/Tokyo Office", None),
            // In another case, and by an offset alone.
            (String::new(), "europe/berlin", Some(1)),
            (String::new(), "AMERICA/NEW_YORK", Some(-5)),
            (String::new(), "cet", Some(1)),
            (String::new(), "GMT+0530", Some(5)),
            (String::new(), "UTC-3", Some(-3)),
            (String::new(), "utc +03:00", Some(3)),
            (String::new(), "+0900", Some(9)),
            (String::new(), "Z", Some(0)),
            (String::new(), "Etc/GMT-3", Some(3)),
            (String::new(), "GMT+25", None),
            (String::new(), "UTC+here", None),
            (String::new(), "+", None),
            (
                "BEGIN:VTIMEZONE\r\nTZID:Here\r\nX-LIC-LOCATION:Europe/Berlin\r\nEND:VTIMEZONE\r\n"
                    .to_owned(),
                "Here",
                Some(1),
            ),
            // Without a valid offset, and without a start.
            (own("Here").replace("TZOFFSETTO:+0530", "TZOFFSETTO:east"), "Here", None),
            (own("Here").replace("DTSTART:20200101T000000", "X-A:b"), "Here", None),
        ] {
            let zone = zones(&definition).find_zone(name);
            let january: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
            let hours = zone.ok().map(|zone| zone.utc_offset(january.as_second()) / 3600);
            assert_eq!(hours, expected, "{name} {definition}");
        }
    }
}
