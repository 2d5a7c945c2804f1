//! Properties of components of a calendar.

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::{
    ICalendarComponent, ICalendarEntry, ICalendarPeriod, ICalendarProperty, ICalendarValue,
};

/// The first date or time of a property.
pub(super) fn date_property<'a>(
    component: &'a ICalendarComponent,
    property: &ICalendarProperty,
) -> Option<&'a PartialDateTime> {
    component.property(property)?.values.first()?.as_partial_date_time()
}

/// The date or time of a property; `None` if the component has none.
///
/// # Errors
///
/// The property is no date, or one that does not exist.
pub(super) fn read_date<'a>(
    component: &'a ICalendarComponent,
    property: &ICalendarProperty,
) -> Result<Option<(&'a ICalendarEntry, &'a PartialDateTime)>, String> {
    let entry = component.property(property);
    let Some((entry, value)) = entry.and_then(|entry| Some((entry, entry.values.first()?))) else {
        return Ok(None);
    };
    Ok(Some((entry, read_date_value(entry, value)?)))
}

/// All values of a property that may be a list and may occur several times.
pub(super) fn list_values<'a>(
    component: &'a ICalendarComponent,
    property: &'a ICalendarProperty,
) -> impl Iterator<Item = (&'a ICalendarEntry, &'a ICalendarValue)> {
    let entries = component.properties(property);
    let values = entries.flat_map(|entry| entry.values.iter().map(move |value| (entry, value)));
    values.filter(|(_, value)| value.as_text().is_none_or(|text| !text.is_empty()))
}

/// The date or time that a value is; of a period its start.
///
/// # Errors
///
/// The value is no date, or one that does not exist.
pub(super) fn read_date_value<'a>(
    entry: &ICalendarEntry,
    value: &'a ICalendarValue,
) -> Result<&'a PartialDateTime, String> {
    let when = match value {
        ICalendarValue::PartialDateTime(when) => Some(&**when),
        ICalendarValue::Period(
            ICalendarPeriod::Range { start, .. } | ICalendarPeriod::Duration { start, .. },
        ) => Some(start),
        _ => None,
    };
    when.filter(|when| naive_seconds(when).is_ok())
        .ok_or_else(|| format!("its {} is no date that exists", entry.name.as_str()))
}

/// Seconds from 1970-01-01T00:00:00 in the time's own zone, or in UTC for a time in UTC.
///
/// # Errors
///
/// The date does not exist.
pub(super) fn naive_seconds(when: &PartialDateTime) -> Result<i64, String> {
    let read = when.to_date_time_with_tz(Tz::UTC);
    read.map(|read| read.timestamp()).ok_or_else(|| "a date in it does not exist".to_owned())
}

/// Bounds rules without an end at the end of `year`, as rules are expanded from their start and
/// later instances are not needed.
pub(super) fn bound_recurrence_rules(component: &mut ICalendarComponent, year: i16) {
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
