//! iCalendar text as events with moments. Only those of this year and the winters around it:
//! a calendar may hold decades. An event that cannot be read is told and left out.
//!
//! Recurrences are unrolled by the clock of the event's own zone, as their rules count by it.

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

use super::group;
use super::zone::{Zone, Zones};
use crate::schedule::calendar::{RejectedItem, apart, day_of};
use crate::schedule::sanity::around;

/// More than any calendar worth showing has.
const MAX_EVENTS: usize = 2_000;
/// Instances of recurring events, wanted or not: a rule that repeats every second is a mistake.
const MAX_INSTANCES_OF_ONE: usize = 20_000;
const MAX_INSTANCES: usize = 100_000;
/// The longest title that an error quotes, in characters.
const MAX_TITLE: usize = 60;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) uid: String,
    pub(super) summary: String,
    pub(super) location: Option<String>,
    /// `None`: it takes the whole day.
    pub(super) start: Option<Timestamp>,
    pub(super) date: Date,
    pub(super) end: Option<Timestamp>,
    pub(super) cancelled: bool,
    /// When this instance of a recurring event was first meant to be, by the event's own clock.
    pub(super) instance: Option<DateTime>,
}

/// What can be used of a calendar, and what cannot.
///
/// # Errors
///
/// It is none, or nothing of it can be used.
pub(super) fn parse(text: &str, now: Timestamp) -> Result<(Vec<Event>, Vec<RejectedItem>), String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let whole = text.trim_end().to_ascii_uppercase().ends_with("END:VCALENDAR");
    let calendar = ICalendar::parse(text)
        .ok()
        .filter(|_| whole)
        .ok_or("it is not an iCalendar, or it is cut short")?;
    let year = day_of(now).year();
    let zones = Zones::of(&calendar, year + 1);
    let mut reader = Reader { zones: &zones, year, left: MAX_INSTANCES, rejected: Vec::new() };
    let read: Vec<Vec<Event>> =
        by_uid(&calendar).values().filter_map(|components| reader.read(components)).collect();
    let mut rejected = reader.rejected;
    if let Some(first) = rejected.first().filter(|_| read.is_empty()) {
        return Err(first.message.clone());
    }
    let mut events: Vec<Event> = read.into_iter().flatten().collect();
    if events.len() > MAX_EVENTS {
        // The nearest ones are what somebody may watch.
        events.sort_by_key(|event| apart(event.date, day_of(now)));
        let why = format!("there are more than {MAX_EVENTS} events this year");
        let far = events.split_off(MAX_EVENTS);
        let far = far.iter().map(|one| {
            rejected_event(&one.summary, one.location.as_deref(), Some(one.date), year, &why)
        });
        rejected.extend(far);
    }
    events.sort_by(|one, other| {
        (one.start, one.date, &one.uid).cmp(&(other.start, other.date, &other.uid))
    });
    Ok((events, rejected))
}

struct Reader<'a> {
    zones: &'a Zones,
    year: i16,
    /// How many instances may still be looked at.
    left: usize,
    rejected: Vec<RejectedItem>,
}

impl Reader<'_> {
    /// The instances of one event, which may be none these days. `None`: it cannot be read.
    fn read(&mut self, components: &[ICalendarComponent]) -> Option<Vec<Event>> {
        let master = components.iter().find(|one| !is_exception(one)).or(components.first())?;
        match self.unroll(master, components) {
            Ok(events) => Some(events),
            Err(why) => {
                self.reject(master, &why);
                None
            }
        }
    }

    fn unroll(
        &mut self,
        master: &ICalendarComponent,
        components: &[ICalendarComponent],
    ) -> Result<Vec<Event>, String> {
        let clock = self.zones.clock(master)?;
        let (mut local, mut lengths) = (ICalendar { components: Vec::new() }, Vec::new());
        let mut unread = Vec::new();
        for component in components {
            match self.by_clock(component, &clock) {
                Ok((component, length)) => {
                    local.components.push(component);
                    lengths.push(length);
                }
                Err(why) if is_exception(component) && components.len() > 1 => {
                    self.reject(component, &why);
                    unread.extend(component.property(&ICalendarProperty::RecurrenceId));
                }
                Err(why) => return Err(why),
            }
        }
        // An instance that cannot be read is not when it was first meant to be.
        for id in unread {
            let mut instead = ICalendarEntry { name: ICalendarProperty::Exdate, ..id.clone() };
            if self.move_entry(&mut instead, &clock).is_ok() {
                let rules = local.components.iter_mut().filter(|one| !is_exception(one));
                rules.for_each(|one| one.entries.push(instead.clone()));
            }
        }
        let most = self.left.min(MAX_INSTANCES_OF_ONE);
        let expanded = local.expand_dates(Tz::UTC, most);
        if let Some(error) = expanded.errors.first() {
            return Err(error.error.to_string());
        }
        // What was left is also what is looked at, wanted or not.
        self.left = self.left.saturating_sub(expanded.events.len());
        if expanded.events.len() >= most {
            return Err(format!("more than {most} recurrences"));
        }
        let recurs = components.iter().any(ICalendarComponent::is_recurrent_or_override);
        let mut events = Vec::new();
        for instance in &expanded.events {
            let at = instance.comp_id as usize;
            let Some((component, length)) = local.components.get(at).zip(lengths.get(at)) else {
                continue;
            };
            let shown = seconds(instance.start.timestamp())?.to_zoned(TimeZone::UTC).datetime();
            if !around(self.year, shown.date()) {
                continue;
            }
            let start = clock.moment(instance.start.timestamp());
            let end = length.filter(|length| *length > 0).map(|length| seconds(start + length));
            let when = When { shown, start: seconds(start)?, end: end.transpose()?, recurs };
            events.push(event(component, when));
            if events.len() > MAX_EVENTS {
                return Err(format!("more than {MAX_EVENTS} events this year"));
            }
        }
        Ok(events)
    }

    /// An event with all its times by one clock, which needs no zone any more, and how many seconds
    /// it takes, if it says so.
    fn by_clock(
        &self,
        component: &ICalendarComponent,
        clock: &Zone,
    ) -> Result<(ICalendarComponent, Option<i64>), String> {
        let length = match self.moment(component, &ICalendarProperty::Dtend)? {
            Some(end) => {
                let start = self.moment(component, &ICalendarProperty::Dtstart)?;
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
        // Of several revisions the newest was chosen, and an end by another clock is of no use.
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
                | ICalendarProperty::Rdate => self.move_entry(entry, clock)?,
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
                    // The bound is a moment (RFC 5545, 3.3.10), whatever the rule's clock shows.
                    let moment = naive(until)?;
                    *until = PartialDateTime::from_naive_timestamp(clock.local(moment));
                } else if timed && !until.has_time() {
                    // The whole of its last day.
                    let last = naive(until)? + 86_399;
                    *until = PartialDateTime::from_naive_timestamp(last);
                }
            }
        }
        end_rules(&mut local, self.year + 1);
        Ok((local, length))
    }

    /// Moves the times of a property from its zone to a clock. Days are what they are.
    fn move_entry(&self, entry: &mut ICalendarEntry, clock: &Zone) -> Result<(), String> {
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
            let moved = match when.tz_hour {
                Some(_) => clock.local(naive(when)?),
                None => {
                    let zone = self.zones.of_entry(entry)?;
                    let own = naive(when)?;
                    if zone == *clock { own } else { clock.local(zone.moment(own)) }
                }
            };
            let moved = PartialDateTime::from_naive_timestamp(moved);
            *value = ICalendarValue::PartialDateTime(Box::new(moved));
        }
        entry.values = values;
        entry.params.retain(|one| one.name != ICalendarParameterName::Tzid);
        Ok(())
    }

    /// When a property says that something is. `None`: it does not, or says only the day.
    fn moment(
        &self,
        component: &ICalendarComponent,
        property: &ICalendarProperty,
    ) -> Result<Option<i64>, String> {
        let (Some(entry), Some(when)) = (component.property(property), value(component, property))
        else {
            return Ok(None);
        };
        match (when.has_time(), when.tz_hour) {
            (false, _) => Ok(None),
            (true, Some(_)) => naive(when).map(Some),
            (true, None) => Ok(Some(self.zones.of_entry(entry)?.moment(naive(when)?))),
        }
    }

    fn reject(&mut self, component: &ICalendarComponent, why: &str) {
        let day = [ICalendarProperty::Dtstart, ICalendarProperty::RecurrenceId];
        let day = day.iter().find_map(|property| value(component, property));
        let day = day.and_then(|when| Some(civil(when)?.date()));
        let location = text(component, &ICalendarProperty::Location);
        let item = rejected_event(&title(component), location.as_deref(), day, self.year, why);
        self.rejected.push(item);
    }
}

fn rejected_event(
    title: &str,
    location: Option<&str>,
    day: Option<Date>,
    year: i16,
    why: &str,
) -> RejectedItem {
    let quoted: String = title.chars().take(MAX_TITLE).collect();
    let on = day.map_or(String::new(), |day| format!(" on {day}"));
    let meeting = group::id_of(title, location, day.map_or(year, Date::year));
    let message = format!("{quoted:?}{on}: {why}");
    RejectedItem { meeting: Some(meeting), code: None, message }
}

/// Rules without an end end with this year: nobody looks further, and they are followed from
/// their beginning.
pub(super) fn end_rules(component: &mut ICalendarComponent, year: i16) {
    let rules = component.properties_mut(&ICalendarProperty::Rrule);
    for value in rules.flat_map(|entry| &mut entry.values) {
        let ICalendarValue::RecurrenceRule(rule) = value else { continue };
        if rule.count.is_none() && rule.until.is_none() {
            rule.until = Some(PartialDateTime {
                year: u16::try_from(year).ok(),
                month: Some(12),
                day: Some(31),
                ..PartialDateTime::default()
            });
        }
    }
}

/// When one instance of an event is.
struct When {
    /// By the event's own clock.
    shown: DateTime,
    start: Timestamp,
    end: Option<Timestamp>,
    /// It is one of several.
    recurs: bool,
}

fn event(component: &ICalendarComponent, when: When) -> Event {
    let When { shown, start, end, recurs } = when;
    let timed = is_timed(component);
    let date = if timed { day_of(start) } else { shown.date() };
    // One that speaks for all that follow is moved with them.
    let id = component.property(&ICalendarProperty::RecurrenceId);
    let alone =
        id.is_some_and(|id| id.params.iter().all(|one| one.name != ICalendarParameterName::Range));
    let moved = value(component, &ICalendarProperty::RecurrenceId).filter(|_| alone);
    let moved = moved.and_then(civil);
    let begins = value(component, &ICalendarProperty::Dtstart).and_then(civil).unwrap_or(shown);
    Event {
        // Without one, which is against the rules, it is only known by when it begins.
        uid: component.uid().map_or_else(|| format!("\u{0}{begins}"), str::to_owned),
        summary: title(component),
        location: text(component, &ICalendarProperty::Location),
        start: timed.then_some(start),
        date,
        end: end.filter(|_| timed),
        cancelled: component.status() == Some(&ICalendarStatus::Cancelled),
        instance: recurs.then(|| moved.unwrap_or(shown)),
    }
}

/// Every event with its exceptions by itself: recurrences are matched with their exceptions by
/// moment, which two events may share. Of two of one UID the newer one counts.
fn by_uid(calendar: &ICalendar) -> BTreeMap<String, Vec<ICalendarComponent>> {
    let mut events: BTreeMap<String, Vec<ICalendarComponent>> = BTreeMap::new();
    let all = calendar.components.iter().enumerate();
    for (at, component) in
        all.filter(|(_, one)| one.component_type == ICalendarComponentType::VEvent)
    {
        // Without a UID, which is against the rules, it is nobody's exception.
        let uid = component.uid().map_or_else(|| format!("\u{0}{at}"), str::to_owned);
        let known = events.entry(uid).or_default();
        let id = component.property(&ICalendarProperty::RecurrenceId);
        match known.iter_mut().find(|one| one.property(&ICalendarProperty::RecurrenceId) == id) {
            Some(older) if sequence(older) <= sequence(component) => *older = component.clone(),
            Some(_) => {}
            None => known.push(component.clone()),
        }
    }
    events
}

fn sequence(component: &ICalendarComponent) -> i64 {
    let sequence = component.property(&ICalendarProperty::Sequence);
    sequence.and_then(|entry| entry.values.first()?.as_integer()).unwrap_or(0)
}

/// Is it an instance of a recurring event that is other than its rule says?
fn is_exception(component: &ICalendarComponent) -> bool {
    component.has_property(&ICalendarProperty::RecurrenceId)
}

/// Does it begin at a time of its day?
fn is_timed(component: &ICalendarComponent) -> bool {
    value(component, &ICalendarProperty::Dtstart).is_none_or(PartialDateTime::has_time)
}

fn title(component: &ICalendarComponent) -> String {
    text(component, &ICalendarProperty::Summary).unwrap_or_else(|| "Event".to_owned())
}

fn text(component: &ICalendarComponent, property: &ICalendarProperty) -> Option<String> {
    let value = component.property(property)?.values.first()?.as_text()?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

pub(super) fn value<'a>(
    component: &'a ICalendarComponent,
    property: &ICalendarProperty,
) -> Option<&'a PartialDateTime> {
    component.property(property)?.values.first()?.as_partial_date_time()
}

fn civil(value: &PartialDateTime) -> Option<DateTime> {
    let small = |part: Option<u8>| i8::try_from(part?).ok();
    let date = Date::new(i16::try_from(value.year?).ok()?, small(value.month)?, small(value.day)?);
    let [hour, minute, second] =
        [value.hour, value.minute, value.second].map(|part| small(part).unwrap_or(0));
    let time = jiff::civil::Time::new(hour, minute, second, 0);
    Some(date.ok()?.to_datetime(time.unwrap_or_default()))
}

/// Seconds from 1970 by the clock that a time is told by, or in UTC if it says so.
fn naive(when: &PartialDateTime) -> Result<i64, String> {
    let read = when.to_date_time_with_tz(Tz::UTC);
    read.map(|read| read.timestamp()).ok_or_else(|| "a date in it is none".to_owned())
}

fn seconds(since: i64) -> Result<Timestamp, String> {
    Timestamp::from_second(since).map_err(|error| error.to_string())
}
