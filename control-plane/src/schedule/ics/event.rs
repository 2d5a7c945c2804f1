//! iCalendar text as events with moments. Only those of this year and the winters around it:
//! a calendar may hold decades.

use std::collections::BTreeMap;

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::dates::TimeOrDelta;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarProperty, ICalendarStatus,
    ICalendarValue,
};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::schedule::calendar::day_of;
use crate::schedule::sanity::around;

/// More than any calendar worth showing has.
const MAX_EVENTS: usize = 2_000;
/// Instances of recurring events, wanted or not: a rule that repeats every second is a mistake.
const MAX_INSTANCES: usize = 100_000;

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
    /// The day this instance of a recurring event was first meant for.
    pub(super) instance: Option<Date>,
}

pub(super) fn parse(text: &str, now: Timestamp) -> Result<Vec<Event>, String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let whole = text.trim_end().to_ascii_uppercase().ends_with("END:VCALENDAR");
    let mut calendar = ICalendar::parse(text)
        .ok()
        .filter(|_| whole)
        .ok_or("it is not an iCalendar, or it is cut short")?;
    let zone = zone(&calendar)?;
    calendar.components.iter_mut().for_each(|component| end_rules(component, now));
    let mut events = Vec::new();
    let mut left = MAX_INSTANCES;
    for one in by_uid(&calendar).values() {
        let expanded = one.expand_dates(zone, left);
        if let Some(error) = expanded.errors.first() {
            return Err(format!("{}: {:?}", title(one, error.comp_id), error.error));
        }
        // What was left is also what is looked at, wanted or not.
        left = left.saturating_sub(expanded.events.len());
        if left == 0 {
            return Err(format!("more than {MAX_INSTANCES} recurrences"));
        }
        let recurs = one.components.iter().any(ICalendarComponent::is_recurrent_or_override);
        for instance in &expanded.events {
            let Some(component) = one.component_by_id(instance.comp_id) else { continue };
            let start = moment(instance.start.timestamp())?;
            let end = match &instance.end {
                TimeOrDelta::Time(end) => moment(end.timestamp())?,
                TimeOrDelta::Delta(delta) => moment((instance.start + *delta).timestamp())?,
            };
            let day = date(instance.start.date_naive().to_string())?;
            if !around(day_of(now).year(), day) {
                continue;
            }
            events.push(event(component, [start, end], day, recurs));
            if events.len() > MAX_EVENTS {
                return Err(format!("more than {MAX_EVENTS} events this year"));
            }
        }
    }
    events.sort_by(|one, other| {
        (one.start, one.date, &one.uid).cmp(&(other.start, other.date, &other.uid))
    });
    Ok(events)
}

/// Rules without an end end with the next year: nobody looks further, and they are followed
/// from their beginning.
fn end_rules(component: &mut ICalendarComponent, now: Timestamp) {
    let rules = component.properties_mut(&ICalendarProperty::Rrule);
    for value in rules.flat_map(|entry| &mut entry.values) {
        let ICalendarValue::RecurrenceRule(rule) = value else { continue };
        if rule.count.is_none() && rule.until.is_none() {
            rule.until = Some(PartialDateTime {
                year: u16::try_from(day_of(now).year() + 1).ok(),
                month: Some(12),
                day: Some(31),
                ..PartialDateTime::default()
            });
        }
    }
}

fn event(component: &ICalendarComponent, when: [Timestamp; 2], day: Date, recurs: bool) -> Event {
    let text = |property| {
        let value = component.property(&property)?.values.first()?.as_text()?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    };
    let timed = value(component, &ICalendarProperty::Dtstart).is_none_or(PartialDateTime::has_time);
    let moved = value(component, &ICalendarProperty::RecurrenceId).and_then(civil);
    // Without either it takes no time, which is nobody's news.
    let told = [ICalendarProperty::Dtend, ICalendarProperty::Duration];
    let told = told.iter().any(|property| component.has_property(property));
    let [start, end] = when;
    Event {
        uid: component.uid().unwrap_or_default().to_owned(),
        summary: text(ICalendarProperty::Summary).unwrap_or_else(|| "Event".to_owned()),
        location: text(ICalendarProperty::Location),
        start: timed.then_some(start),
        date: if timed { day_of(start) } else { day },
        end: (timed && told && end > start).then_some(end),
        cancelled: component.status() == Some(&ICalendarStatus::Cancelled),
        instance: recurs.then(|| moved.unwrap_or(day)),
    }
}

/// What times without a zone are in: what the calendar says for all of it, else UTC. A zone that
/// nobody knows is refused: its events would be hours off, and nothing would show it.
fn zone(calendar: &ICalendar) -> Result<Tz, String> {
    let resolver = calendar.build_tz_resolver();
    for entry in calendar.components.iter().flat_map(|component| &component.entries) {
        if let Some(name) = entry.tz_id()
            && resolver.resolve(name).is_none()
        {
            return Err(format!("the time zone {name:?} is not known"));
        }
    }
    let whole = calendar.components.iter().flat_map(|component| &component.entries);
    let whole = whole.filter(|entry| {
        matches!(&entry.name, ICalendarProperty::Other(name) if name.eq_ignore_ascii_case("X-WR-TIMEZONE"))
    });
    let name = whole.filter_map(|entry| entry.values.first()?.as_text()).next();
    let Some(name) = name else { return Ok(Tz::UTC) };
    resolver.resolve(name).ok_or_else(|| format!("the time zone {name:?} is not known"))
}

/// Every event with its exceptions as a calendar of its own: recurrences are matched with their
/// exceptions by moment, which two events may share. Of two of one UID the newer one counts.
fn by_uid(calendar: &ICalendar) -> BTreeMap<String, ICalendar> {
    let zones: Vec<_> = calendar.timezones().cloned().collect();
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
    let whole = |events: Vec<ICalendarComponent>| ICalendar {
        components: zones.iter().cloned().chain(events).collect(),
    };
    events.into_iter().map(|(uid, events)| (uid, whole(events))).collect()
}

fn sequence(component: &ICalendarComponent) -> i64 {
    let sequence = component.property(&ICalendarProperty::Sequence);
    sequence.and_then(|entry| entry.values.first()?.as_integer()).unwrap_or(0)
}

fn title(calendar: &ICalendar, id: u32) -> String {
    let summary = calendar.component_by_id(id).and_then(|component| {
        Some(component.property(&ICalendarProperty::Summary)?.values.first()?.as_text()?.to_owned())
    });
    summary.unwrap_or_else(|| "an event".to_owned())
}

fn value<'a>(
    component: &'a ICalendarComponent,
    property: &ICalendarProperty,
) -> Option<&'a PartialDateTime> {
    component.property(property)?.values.first()?.as_partial_date_time()
}

fn civil(value: &PartialDateTime) -> Option<Date> {
    let small = |part: Option<u8>| i8::try_from(part?).ok();
    Date::new(i16::try_from(value.year?).ok()?, small(value.month)?, small(value.day)?).ok()
}

fn moment(seconds: i64) -> Result<Timestamp, String> {
    Timestamp::from_second(seconds).map_err(|error| error.to_string())
}

fn date(text: String) -> Result<Date, String> {
    text.parse().map_err(|_| format!("{text} is not a date"))
}
