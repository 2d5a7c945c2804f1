//! Parses the events of an iCalendar text. Only those of this year and the winters around it are
//! returned, as a calendar may hold decades. An event that cannot be read is reported and left out.
//!
//! Recurrences are expanded in the local time of the event's own zone, by which their rules count.

use std::collections::BTreeMap;

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarParameterName,
    ICalendarPeriod, ICalendarProperty, ICalendarStatus, ICalendarValue,
};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::component::{bound_recurrence_rules, date_property};
use super::summary;
use super::zone::{Zone, Zones};
use crate::schedule::calendar::{RejectedItem, days_between, utc_date};
use crate::schedule::plausibility::is_around_year;

/// Events of a calendar, and instances of one event, that are returned.
const MAX_EVENTS: usize = 2_000;
/// Instances of one recurring event that are expanded, in any year: a rule that repeats every
/// second is a mistake.
const MAX_INSTANCES_PER_EVENT: usize = 20_000;
/// Instances of all events of a calendar that are expanded.
const MAX_INSTANCES: usize = 100_000;
/// Length at which an error truncates a title, in characters.
const QUOTED_TITLE_MAX_CHARS: usize = 60;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) uid: String,
    pub(super) summary: String,
    pub(super) location: Option<String>,
    /// `None`: the event takes the whole day.
    pub(super) start: Option<Timestamp>,
    pub(super) date: Date,
    pub(super) end: Option<Timestamp>,
    pub(super) cancelled: bool,
    /// The original time of this instance of a recurring event, in the event's own zone.
    pub(super) recurrence_id: Option<DateTime>,
}

/// The events of a calendar that can be used, in order, and those that cannot.
///
/// # Errors
///
/// The text is no iCalendar or cut short, or none of its events can be read.
pub(super) fn parse_events(
    text: &str,
    now: Timestamp,
) -> Result<(Vec<Event>, Vec<RejectedItem>), String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let is_complete = text.trim_end().to_ascii_uppercase().ends_with("END:VCALENDAR");
    let calendar = ICalendar::parse(text)
        .ok()
        .filter(|_| is_complete)
        .ok_or("it is not an iCalendar, or it is cut short")?;
    let year = utc_date(now).year();
    let zones = Zones::from_calendar(&calendar, year + 1);
    let mut reader =
        EventReader { zones: &zones, year, instances_left: MAX_INSTANCES, rejected: Vec::new() };
    let read: Vec<Vec<Event>> = group_by_uid(&calendar)
        .values()
        .filter_map(|components| reader.read_event(components))
        .collect();
    let mut rejected = reader.rejected;
    if let Some(first) = rejected.first().filter(|_| read.is_empty()) {
        return Err(first.message.clone());
    }
    let mut events: Vec<Event> = read.into_iter().flatten().collect();
    if events.len() > MAX_EVENTS {
        // The events nearest to now are kept.
        events.sort_by_key(|event| days_between(event.date, utc_date(now)));
        let why = format!("there are more than {MAX_EVENTS} events this year");
        let excess = events.split_off(MAX_EVENTS);
        let excess = excess.iter().map(|one| {
            build_rejected(&one.summary, one.location.as_deref(), Some(one.date), year, &why)
        });
        rejected.extend(excess);
    }
    events.sort_by(|one, other| {
        (one.start, one.date, &one.uid).cmp(&(other.start, other.date, &other.uid))
    });
    Ok((events, rejected))
}

struct EventReader<'a> {
    zones: &'a Zones,
    year: i16,
    /// How many instances may still be expanded.
    instances_left: usize,
    rejected: Vec<RejectedItem>,
}

impl EventReader<'_> {
    /// The instances of one event around this year, which may be none. `None`: the event cannot be
    /// read, and was rejected.
    fn read_event(&mut self, components: &[ICalendarComponent]) -> Option<Vec<Event>> {
        let master = components.iter().find(|one| !is_exception(one)).or(components.first())?;
        match self.expand_recurrences(master, components) {
            Ok(events) => Some(events),
            Err(why) => {
                self.reject_component(master, &why);
                None
            }
        }
    }

    fn expand_recurrences(
        &mut self,
        master: &ICalendarComponent,
        components: &[ICalendarComponent],
    ) -> Result<Vec<Event>, String> {
        let clock = self.zones.zone_of_event(master)?;
        let (mut local, mut lengths) = (ICalendar { components: Vec::new() }, Vec::new());
        let mut unread = Vec::new();
        for component in components {
            match self.to_clock(component, &clock) {
                Ok((component, length)) => {
                    local.components.push(component);
                    lengths.push(length);
                }
                Err(why) if is_exception(component) && components.len() > 1 => {
                    self.reject_component(component, &why);
                    unread.extend(component.property(&ICalendarProperty::RecurrenceId));
                }
                Err(why) => return Err(why),
            }
        }
        // An exception that cannot be read still excludes its original time from the recurrence.
        for id in unread {
            let mut exdate = ICalendarEntry { name: ICalendarProperty::Exdate, ..id.clone() };
            if self.convert_entry(&mut exdate, &clock).is_ok() {
                let rules = local.components.iter_mut().filter(|one| !is_exception(one));
                rules.for_each(|one| one.entries.push(exdate.clone()));
            }
        }
        let limit = self.instances_left.min(MAX_INSTANCES_PER_EVENT);
        let expanded = local.expand_dates(Tz::UTC, limit);
        if let Some(error) = expanded.errors.first() {
            return Err(error.error.to_string());
        }
        // Every expanded instance counts, also those of other years.
        self.instances_left = self.instances_left.saturating_sub(expanded.events.len());
        if expanded.events.len() >= limit {
            return Err(format!("more than {limit} recurrences"));
        }
        let is_recurring = components.iter().any(ICalendarComponent::is_recurrent_or_override);
        let mut events = Vec::new();
        for instance in &expanded.events {
            let index = instance.comp_id as usize;
            let Some((component, length)) = local.components.get(index).zip(lengths.get(index))
            else {
                continue;
            };
            let local_start =
                to_timestamp(instance.start.timestamp())?.to_zoned(TimeZone::UTC).datetime();
            if !is_around_year(self.year, local_start.date()) {
                continue;
            }
            let start = clock.to_utc(instance.start.timestamp());
            let end =
                length.filter(|length| *length > 0).map(|length| to_timestamp(start + length));
            let time = InstanceTime {
                local: local_start,
                start: to_timestamp(start)?,
                end: end.transpose()?,
                is_recurring,
            };
            events.push(build_event(component, time));
            if events.len() > MAX_EVENTS {
                return Err(format!("more than {MAX_EVENTS} events this year"));
            }
        }
        Ok(events)
    }

    /// Returns an event with all its times converted to the local time of `clock` and without
    /// zones, and its length in seconds if it has an end or a duration.
    fn to_clock(
        &self,
        component: &ICalendarComponent,
        clock: &Zone,
    ) -> Result<(ICalendarComponent, Option<i64>), String> {
        let length = match self.property_seconds(component, &ICalendarProperty::Dtend)? {
            Some(end) => {
                let start = self.property_seconds(component, &ICalendarProperty::Dtstart)?;
                start.map(|start| end - start)
            }
            None => component.property(&ICalendarProperty::Duration).and_then(|entry| match entry
                .values
                .first()?
            {
                ICalendarValue::Duration(duration) => Some(duration.as_seconds()),
                _ => None,
            }),
        };
        let mut local = component.clone();
        // SEQUENCE is dropped because `group_by_uid` has chosen the newest revision; DTEND and
        // DURATION because the length replaces them.
        local.entries.retain(|entry| {
            let name = &entry.name;
            *name != ICalendarProperty::Dtend
                && *name != ICalendarProperty::Duration
                && *name != ICalendarProperty::Sequence
        });
        for entry in &mut local.entries {
            match &entry.name {
                ICalendarProperty::Dtstart
                | ICalendarProperty::RecurrenceId
                | ICalendarProperty::Exdate
                | ICalendarProperty::Rdate => self.convert_entry(entry, clock)?,
                _ => {}
            }
        }
        let timed = is_timed(&local);
        for entry in local.properties_mut(&ICalendarProperty::Rrule) {
            for value in &mut entry.values {
                let ICalendarValue::RecurrenceRule(rule) = value else {
                    return Err("its RRULE cannot be read".to_owned());
                };
                let Some(until) = &mut rule.until else { continue };
                if until.tz_hour.is_some() {
                    // The bound is in UTC (RFC 5545, 3.3.10), not in the zone of the rule.
                    let utc = naive_seconds(until)?;
                    *until = PartialDateTime::from_naive_timestamp(clock.to_local(utc));
                } else if timed && !until.has_time() {
                    // A date as the bound includes the whole day.
                    let last = naive_seconds(until)? + 86_399;
                    *until = PartialDateTime::from_naive_timestamp(last);
                }
            }
        }
        bound_recurrence_rules(&mut local, self.year + 1);
        Ok((local, length))
    }

    /// Converts the times of a property from its zone to the local time of `clock`; dates without a
    /// time stay.
    fn convert_entry(&self, entry: &mut ICalendarEntry, clock: &Zone) -> Result<(), String> {
        let mut values = std::mem::take(&mut entry.values);
        for value in &mut values {
            let when = match value {
                ICalendarValue::PartialDateTime(when) => &**when,
                ICalendarValue::Period(
                    ICalendarPeriod::Range { start, .. } | ICalendarPeriod::Duration { start, .. },
                ) => start,
                _ => continue,
            };
            if !when.has_time() {
                continue;
            }
            let converted = match when.tz_hour {
                Some(_) => clock.to_local(naive_seconds(when)?),
                None => {
                    let zone = self.zones.zone_of_entry(entry)?;
                    let own = naive_seconds(when)?;
                    if zone == *clock { own } else { clock.to_local(zone.to_utc(own)) }
                }
            };
            let converted = PartialDateTime::from_naive_timestamp(converted);
            *value = ICalendarValue::PartialDateTime(Box::new(converted));
        }
        entry.values = values;
        entry.params.retain(|one| one.name != ICalendarParameterName::Tzid);
        Ok(())
    }

    /// The unix time of a property, in seconds; `None` if it is missing or is a date without a
    /// time.
    fn property_seconds(
        &self,
        component: &ICalendarComponent,
        property: &ICalendarProperty,
    ) -> Result<Option<i64>, String> {
        let (Some(entry), Some(when)) =
            (component.property(property), date_property(component, property))
        else {
            return Ok(None);
        };
        match (when.has_time(), when.tz_hour) {
            (false, _) => Ok(None),
            (true, Some(_)) => naive_seconds(when).map(Some),
            (true, None) => Ok(Some(self.zones.zone_of_entry(entry)?.to_utc(naive_seconds(when)?))),
        }
    }

    fn reject_component(&mut self, component: &ICalendarComponent, why: &str) {
        let day = [ICalendarProperty::Dtstart, ICalendarProperty::RecurrenceId];
        let day = day.iter().find_map(|property| date_property(component, property));
        let day = day.and_then(|when| Some(to_civil(when)?.date()));
        let location = text_property(component, &ICalendarProperty::Location);
        let item =
            build_rejected(&event_title(component), location.as_deref(), day, self.year, why);
        self.rejected.push(item);
    }
}

fn build_rejected(
    title: &str,
    location: Option<&str>,
    day: Option<Date>,
    year: i16,
    why: &str,
) -> RejectedItem {
    let quoted: String = title.chars().take(QUOTED_TITLE_MAX_CHARS).collect();
    let on = day.map_or(String::new(), |day| format!(" on {day}"));
    let meeting = summary::parse_summary(title).meeting_id(location, day.map_or(year, Date::year));
    let message = format!("{quoted:?}{on}: {why}");
    RejectedItem { meeting: Some(meeting), code: None, message }
}

/// The time of one instance of an event.
struct InstanceTime {
    /// The start in the event's own zone.
    local: DateTime,
    start: Timestamp,
    end: Option<Timestamp>,
    /// Whether the event has several instances.
    is_recurring: bool,
}

fn build_event(component: &ICalendarComponent, time: InstanceTime) -> Event {
    let InstanceTime { local, start, end, is_recurring } = time;
    let timed = is_timed(component);
    let date = if timed { utc_date(start) } else { local.date() };
    // An exception with a RANGE is expanded to all following instances, whose original times differ
    // from its own RECURRENCE-ID.
    let id = component.property(&ICalendarProperty::RecurrenceId);
    let is_single =
        id.is_some_and(|id| id.params.iter().all(|one| one.name != ICalendarParameterName::Range));
    let original = date_property(component, &ICalendarProperty::RecurrenceId)
        .filter(|_| is_single)
        .and_then(to_civil);
    let begins =
        date_property(component, &ICalendarProperty::Dtstart).and_then(to_civil).unwrap_or(local);
    Event {
        // An event without a UID, which RFC 5545 requires, is identified by its start.
        uid: component.uid().map_or_else(|| format!("\u{0}{begins}"), str::to_owned),
        summary: event_title(component),
        location: text_property(component, &ICalendarProperty::Location),
        start: timed.then_some(start),
        date,
        end: end.filter(|_| timed),
        cancelled: component.status() == Some(&ICalendarStatus::Cancelled),
        recurrence_id: is_recurring.then(|| original.unwrap_or(local)),
    }
}

/// Groups each event with its exceptions, so that they are expanded apart from other events:
/// `expand_dates` matches exceptions by their time, which two events may share. Of two revisions of
/// one UID the newer one is used.
fn group_by_uid(calendar: &ICalendar) -> BTreeMap<String, Vec<ICalendarComponent>> {
    let mut events: BTreeMap<String, Vec<ICalendarComponent>> = BTreeMap::new();
    let all = calendar.components.iter().enumerate();
    for (index, component) in
        all.filter(|(_, one)| one.component_type == ICalendarComponentType::VEvent)
    {
        // An event without a UID, which RFC 5545 requires, is a group of its own.
        let uid = component.uid().map_or_else(|| format!("\u{0}{index}"), str::to_owned);
        let known = events.entry(uid).or_default();
        let id = component.property(&ICalendarProperty::RecurrenceId);
        match known.iter_mut().find(|one| one.property(&ICalendarProperty::RecurrenceId) == id) {
            Some(older) if sequence_number(older) <= sequence_number(component) => {
                *older = component.clone()
            }
            Some(_) => {}
            None => known.push(component.clone()),
        }
    }
    events
}

fn sequence_number(component: &ICalendarComponent) -> i64 {
    let sequence = component.property(&ICalendarProperty::Sequence);
    sequence.and_then(|entry| entry.values.first()?.as_integer()).unwrap_or(0)
}

/// Whether a component replaces one instance of a recurring event.
fn is_exception(component: &ICalendarComponent) -> bool {
    component.has_property(&ICalendarProperty::RecurrenceId)
}

/// Whether an event begins at a time, not with a whole day.
fn is_timed(component: &ICalendarComponent) -> bool {
    date_property(component, &ICalendarProperty::Dtstart).is_none_or(PartialDateTime::has_time)
}

fn event_title(component: &ICalendarComponent) -> String {
    text_property(component, &ICalendarProperty::Summary).unwrap_or_else(|| "Event".to_owned())
}

fn text_property(component: &ICalendarComponent, property: &ICalendarProperty) -> Option<String> {
    let value = component.property(property)?.values.first()?.as_text()?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

fn to_civil(value: &PartialDateTime) -> Option<DateTime> {
    let small = |part: Option<u8>| i8::try_from(part?).ok();
    let date = Date::new(i16::try_from(value.year?).ok()?, small(value.month)?, small(value.day)?);
    let [hour, minute, second] =
        [value.hour, value.minute, value.second].map(|part| small(part).unwrap_or(0));
    let time = jiff::civil::Time::new(hour, minute, second, 0);
    Some(date.ok()?.to_datetime(time.unwrap_or_default()))
}

/// Seconds from 1970-01-01T00:00:00 in the time's own zone, or in UTC for a time in UTC.
fn naive_seconds(when: &PartialDateTime) -> Result<i64, String> {
    let read = when.to_date_time_with_tz(Tz::UTC);
    read.map(|read| read.timestamp()).ok_or_else(|| "a date in it is none".to_owned())
}

fn to_timestamp(seconds: i64) -> Result<Timestamp, String> {
    Timestamp::from_second(seconds).map_err(|error| error.to_string())
}
