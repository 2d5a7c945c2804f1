//! Expands the recurrence set of an event (RFC 5545, 3.8.5): its start, rules and dates, without
//! the dates that it excludes.

use std::collections::{BTreeMap, BTreeSet};

use calcard::common::timezone::Tz;
use calcard::common::{CalendarScale, PartialDateTime};
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarDay, ICalendarFrequency,
    ICalendarProperty, ICalendarRecurrenceRule, ICalendarSkip, ICalendarValue, ICalendarWeekday,
};
use jiff::civil::{Date, Weekday};

use super::component::{bound_recurrence_rules, list_values, read_date_value};
use super::event_time::{EventLength, EventTiming, to_civil};
use super::zone::DAY_SECONDS;

/// Instances by their local start, each with the length of its own that a period gives it.
pub(super) type Instances = BTreeMap<i64, Option<EventLength>>;

/// All instances of an event until the end of `year`, before exceptions.
///
/// # Errors
///
/// A rule or date cannot be read, or the rules have `limit` instances or more.
pub(super) fn expand_instances(
    event: &ICalendarComponent,
    time: &EventTiming<'_>,
    year: i16,
    limit: usize,
) -> Result<Instances, String> {
    let starts = expand_rules(event, time, year, limit)?;
    let mut instances: Instances = starts.into_iter().map(|start| (start, None)).collect();
    for (entry, value) in list_values(event, &ICalendarProperty::Rdate) {
        let named = time.clock.local_range(entry, read_date_value(entry, value)?)?;
        let is_day = named.end - named.start == DAY_SECONDS;
        let time_of_day = if is_day { time.start.rem_euclid(DAY_SECONDS) } else { 0 };
        let length = time.clock.period_length(entry, value)?;
        let known = instances.entry(named.start + time_of_day).or_default();
        *known = length.or(*known);
    }
    for (entry, value) in list_values(event, &ICalendarProperty::Exdate) {
        let named = time.clock.local_range(entry, read_date_value(entry, value)?)?;
        instances.retain(|start, _| !named.contains(start));
    }
    Ok(instances)
}

fn expand_rules(
    event: &ICalendarComponent,
    time: &EventTiming<'_>,
    year: i16,
    limit: usize,
) -> Result<BTreeSet<i64>, String> {
    // The start is the first instance, also where no rule names it (RFC 5545, 3.8.5.3).
    let mut starts = BTreeSet::from([time.start]);
    // The rules are expanded apart, as they may be several.
    let rules = list_values(event, &ICalendarProperty::Rrule);
    let components: Vec<ICalendarComponent> = match to_civil(time.start)?.year() > year {
        true => Vec::new(),
        false => {
            rules.map(|(_, rule)| build_recurring(rule, time, year)).collect::<Result<_, _>>()?
        }
    };
    let expanded = ICalendar { components }.expand_dates(Tz::UTC, limit);
    match expanded.errors.first() {
        Some(error) => return Err(error.error.to_string()),
        None if expanded.events.len() >= limit => {
            return Err(format!("more than {limit} recurrences"));
        }
        None => {}
    }
    starts.extend(expanded.events.iter().map(|instance| instance.start.timestamp()));
    Ok(starts)
}

/// An event that begins and recurs as `rule` says, with all times in local time and without zones.
fn build_recurring(
    rule: &ICalendarValue,
    time: &EventTiming<'_>,
    year: i16,
) -> Result<ICalendarComponent, String> {
    let ICalendarValue::RecurrenceRule(rule) = rule else {
        return Err("its RRULE cannot be read".to_owned());
    };
    let skips = matches!(rule.skip, Some(ICalendarSkip::Backward | ICalendarSkip::Forward));
    let is_other_scale = |scale: &CalendarScale| *scale != CalendarScale::Gregorian;
    if rule.rscale.as_ref().is_some_and(is_other_scale) || skips {
        return Err("its RRULE counts by another calendar (RSCALE), or skips days".to_owned());
    }
    let mut rule = rule.clone();
    if let Some(until) = &mut rule.until {
        *until = PartialDateTime::from_naive_timestamp(time.clock.last_local_time(until)?);
    }
    normalize_weekdays(&mut rule, to_civil(time.start)?.date());
    let start = PartialDateTime::from_naive_timestamp(time.start);
    let mut event = ICalendarComponent::new(ICalendarComponentType::VEvent);
    event.add_property(ICalendarProperty::Dtstart, start);
    event.add_property(ICalendarProperty::Rrule, ICalendarValue::RecurrenceRule(rule));
    bound_recurrence_rules(&mut event, year);
    Ok(event)
}

/// Writes the weekdays of a rule so that calcard expands them as RFC 5545, 3.3.10 says: it takes
/// weekdays with and without numbers for days that are both, numbers where none may be for every
/// day, and a week without a weekday for its seven days.
fn normalize_weekdays(rule: &mut ICalendarRecurrenceRule, start: Date) {
    let has_days = !rule.bymonthday.is_empty() || !rule.byyearday.is_empty();
    if !rule.byweekno.is_empty() && rule.byday.is_empty() && !has_days {
        let weekday = match start.weekday() {
            Weekday::Monday => ICalendarWeekday::Monday,
            Weekday::Tuesday => ICalendarWeekday::Tuesday,
            Weekday::Wednesday => ICalendarWeekday::Wednesday,
            Weekday::Thursday => ICalendarWeekday::Thursday,
            Weekday::Friday => ICalendarWeekday::Friday,
            Weekday::Saturday => ICalendarWeekday::Saturday,
            Weekday::Sunday => ICalendarWeekday::Sunday,
        };
        rule.byday = vec![ICalendarDay { ordwk: None, weekday }];
    }
    let weeks = match rule.freq {
        ICalendarFrequency::Yearly if rule.byweekno.is_empty() && rule.bymonth.is_empty() => 53,
        ICalendarFrequency::Yearly if rule.byweekno.is_empty() => 5,
        ICalendarFrequency::Monthly => 5,
        _ => {
            rule.byday.iter_mut().for_each(|day| day.ordwk = None);
            return;
        }
    };
    if rule.byday.iter().any(|day| day.ordwk.is_some()) {
        let numbers = |day: &ICalendarDay| day.ordwk.map_or(1..=weeks, |number| number..=number);
        let numbered = rule.byday.iter().flat_map(|day| {
            numbers(day)
                .map(move |number| ICalendarDay { ordwk: Some(number), weekday: day.weekday })
        });
        rule.byday = numbered.collect();
    }
}
