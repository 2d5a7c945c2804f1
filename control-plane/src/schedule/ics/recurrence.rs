//! Expands the recurrence set of an event (RFC 5545, 3.8.5): its start, rules and dates, without
//! the dates that it excludes.

use std::collections::BTreeSet;

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarProperty, ICalendarValue,
};

use super::component::{bound_recurrence_rules, read_dates};
use super::event_time::EventTime;
use super::zone::DAY_SECONDS;

/// The local starts of all instances of an event until the end of `year`, before exceptions.
///
/// # Errors
///
/// A rule or date cannot be read, or the rules have `limit` instances or more.
pub(super) fn expand_starts(
    event: &ICalendarComponent,
    time: &EventTime<'_>,
    year: i16,
    limit: usize,
) -> Result<BTreeSet<i64>, String> {
    let mut starts = expand_rules(event, time, year, limit)?;
    for (entry, when) in read_dates(event, &ICalendarProperty::Rdate)? {
        let named = time.clock.local_range(entry, when)?;
        let is_day = named.end - named.start == DAY_SECONDS;
        let time_of_day = if is_day { time.start.rem_euclid(DAY_SECONDS) } else { 0 };
        starts.insert(named.start + time_of_day);
    }
    for (entry, when) in read_dates(event, &ICalendarProperty::Exdate)? {
        let named = time.clock.local_range(entry, when)?;
        starts.retain(|start| !named.contains(start));
    }
    Ok(starts)
}

fn expand_rules(
    event: &ICalendarComponent,
    time: &EventTime<'_>,
    year: i16,
    limit: usize,
) -> Result<BTreeSet<i64>, String> {
    let rules = event.properties(&ICalendarProperty::Rrule).flat_map(|entry| &entry.values);
    // The rules are expanded apart, as they may be several.
    let components = rules.map(|rule| build_recurring(rule, time, year));
    let components: Vec<ICalendarComponent> = components.collect::<Result<_, _>>()?;
    if components.is_empty() {
        return Ok(BTreeSet::from([time.start]));
    }
    let expanded = ICalendar { components }.expand_dates(Tz::UTC, limit);
    match expanded.errors.first() {
        Some(error) => Err(error.error.to_string()),
        None if expanded.events.len() >= limit => Err(format!("more than {limit} recurrences")),
        None => Ok(expanded.events.iter().map(|instance| instance.start.timestamp()).collect()),
    }
}

/// An event that begins and recurs as `rule` says, with all times in local time and without zones.
fn build_recurring(
    rule: &ICalendarValue,
    time: &EventTime<'_>,
    year: i16,
) -> Result<ICalendarComponent, String> {
    let ICalendarValue::RecurrenceRule(rule) = rule else {
        return Err("its RRULE cannot be read".to_owned());
    };
    let mut rule = rule.clone();
    if let Some(until) = &mut rule.until {
        *until = PartialDateTime::from_naive_timestamp(time.clock.last_local_time(until)?);
    }
    let start = PartialDateTime::from_naive_timestamp(time.start);
    let mut event = ICalendarComponent::new(ICalendarComponentType::VEvent);
    event.add_property(ICalendarProperty::Dtstart, start);
    event.add_property(ICalendarProperty::Rrule, ICalendarValue::RecurrenceRule(rule));
    bound_recurrence_rules(&mut event, year);
    Ok(event)
}
