//! Properties of components of a calendar.

use calcard::common::PartialDateTime;
use calcard::icalendar::{ICalendarComponent, ICalendarProperty, ICalendarValue};

/// The first date or time of a property.
pub(super) fn date_property<'a>(
    component: &'a ICalendarComponent,
    property: &ICalendarProperty,
) -> Option<&'a PartialDateTime> {
    component.property(property)?.values.first()?.as_partial_date_time()
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
