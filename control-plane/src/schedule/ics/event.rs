//! Parses the events of an iCalendar text. Only those of this year and the winters around it are
//! returned, as a calendar may hold decades. An event that cannot be read is reported and left out.

use std::collections::{BTreeMap, BTreeSet};

use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarParameterName,
    ICalendarProperty, ICalendarStatus,
};
use calcard::{Entry, Parser};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use super::component::{date_property, naive_seconds, read_date};
use super::event_time::{
    EventLength, EventSpan, EventTiming, EventZone, to_civil, written_seconds,
};
use super::recurrence::{Instances, expand_instances};
use super::summary;
use super::zone::Zones;
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
    pub(super) span: EventSpan,
    pub(super) cancelled: bool,
    /// The original time of this instance of a recurring event, by the event's own clock.
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
    let text = &normalize_line_ends(text);
    let calendars = parse_calendars(text);
    if calendars.is_empty() || !is_complete(text) {
        return Err(match text.trim_start().starts_with('<') {
            true => "it is a page, not an iCalendar".to_owned(),
            false => "it is not an iCalendar, or it is cut short".to_owned(),
        });
    }
    let year = utc_date(now).year();
    let mut reader = EventReader { year, instances_left: MAX_INSTANCES, rejected: Vec::new() };
    let read: Vec<Vec<Event>> =
        calendars.iter().flat_map(|calendar| reader.read_calendar(calendar)).collect();
    let mut rejected = reader.rejected;
    if let Some(first) = rejected.first().filter(|_| read.is_empty()) {
        return Err(first.message.clone());
    }
    let mut events: Vec<Event> = read.into_iter().flatten().collect();
    if events.len() > MAX_EVENTS {
        // The events nearest to now are kept.
        events.sort_by_key(|event| days_between(event.span.date, utc_date(now)));
        let why = format!("there are more than {MAX_EVENTS} events this year");
        let excess = events.split_off(MAX_EVENTS);
        let excess = excess.iter().map(|one| {
            build_rejected(&one.summary, one.location.as_deref(), Some(one.span.date), year, &why)
        });
        rejected.extend(excess);
    }
    events.sort_by(|one, other| {
        let key = |event: &'_ Event| (event.span.start, event.span.date);
        (key(one), &one.uid).cmp(&(key(other), &other.uid))
    });
    Ok((events, rejected))
}

/// The text with LF at the end of every line, which in some files is CR alone or CR twice.
fn normalize_line_ends(text: &str) -> String {
    ["\r\r\n", "\r\n", "\r"].iter().fold(text.to_owned(), |text, end| text.replace(end, "\n"))
}

/// Whether the last component that begins or ends is a calendar that ends. Servers append comments.
fn is_complete(text: &str) -> bool {
    let is_bound = |line: &&str| line.starts_with("BEGIN:") || line.starts_with("END:");
    let upper = text.to_ascii_uppercase();
    let last = upper.lines().map(str::trim).rfind(is_bound);
    last == Some("END:VCALENDAR")
}

/// The calendars of a text, which may be several (RFC 5545, 3.4). What follows a stray END is
/// outside of any calendar for the parser, and belongs to the calendar before it.
fn parse_calendars(text: &str) -> Vec<ICalendar> {
    let mut parser = Parser::new(text.trim_start_matches('\u{feff}').trim_start());
    let mut calendars: Vec<ICalendar> = Vec::new();
    loop {
        match parser.entry() {
            Entry::ICalendar(calendar) if has_vcalendar_root(&calendar) => calendars.push(calendar),
            Entry::ICalendar(part) => {
                if let Some(calendar) = calendars.last_mut() {
                    append_components(calendar, part);
                }
            }
            Entry::Eof => return calendars,
            _ => {}
        }
    }
}

fn has_vcalendar_root(calendar: &ICalendar) -> bool {
    let root = calendar.components.first();
    root.is_some_and(|root| root.component_type == ICalendarComponentType::VCalendar)
}

fn append_components(calendar: &mut ICalendar, mut part: ICalendar) {
    // The ids of components are their indices.
    let offset = u32::try_from(calendar.components.len()).unwrap_or(u32::MAX);
    for id in part.components.iter_mut().flat_map(|component| &mut component.component_ids) {
        *id = id.saturating_add(offset);
    }
    calendar.components.append(&mut part.components);
}

struct EventReader {
    year: i16,
    /// How many instances may still be expanded.
    instances_left: usize,
    rejected: Vec<RejectedItem>,
}

/// The event of which the instances of a recurring event are copies: that event itself, or an
/// exception that changes the instances that follow it too.
#[derive(Clone, Copy)]
struct InstanceTemplate<'a> {
    component: &'a ICalendarComponent,
    length: Option<EventLength>,
    /// By how many seconds the instances are off their original local time.
    offset: i64,
}

/// An event that replaces one instance of a recurring event.
struct RecurrenceException<'a> {
    component: &'a ICalendarComponent,
    span: EventSpan,
    length: Option<EventLength>,
}

impl EventReader {
    fn read_calendar(&mut self, calendar: &ICalendar) -> Vec<Vec<Event>> {
        let zones = Zones::from_calendar(calendar, self.year + 1);
        // The properties of an event without its BEGIN are read as those of the calendar.
        let root = calendar.components.first();
        if let Some(root) = root.filter(|root| root.has_property(&ICalendarProperty::Dtstart)) {
            self.reject_component(root, "its BEGIN:VEVENT is missing");
        }
        let groups = group_by_uid(calendar);
        groups.values().filter_map(|components| self.read_instances(&zones, components)).collect()
    }

    /// The instances of one event around this year, which may be none. `None`: the event cannot be
    /// read, and was rejected.
    fn read_instances(
        &mut self,
        zones: &Zones,
        components: &[&ICalendarComponent],
    ) -> Option<Vec<Event>> {
        let (exceptions, masters): (Vec<_>, Vec<_>) =
            components.iter().copied().partition(|one| is_recurrence_exception(one));
        let master = self.newest_revision(masters);
        match self.expand_event(zones, master, exceptions) {
            Ok(events) => (master.is_some() || !events.is_empty()).then_some(events),
            Err(why) => {
                self.reject_component(master.or(components.first().copied())?, &why);
                None
            }
        }
    }

    /// The newest of several components with one UID. If none is newer it is the last, and the
    /// others are rejected, unless they are copies of it.
    fn newest_revision<'a>(
        &mut self,
        components: Vec<&'a ICalendarComponent>,
    ) -> Option<&'a ICalendarComponent> {
        components.into_iter().reduce(|known, other| {
            let is_copy = [ICalendarProperty::Dtstart, ICalendarProperty::Summary]
                .iter()
                .all(|property| known.property(property) == other.property(property));
            let [one, two] = [known, other].map(revision);
            if one == two && !is_copy {
                self.reject_component(known, "another event has the same UID");
            }
            if one <= two { other } else { known }
        })
    }

    fn expand_event(
        &mut self,
        zones: &Zones,
        master: Option<&ICalendarComponent>,
        exceptions: Vec<&ICalendarComponent>,
    ) -> Result<Vec<Event>, String> {
        let is_recurring = !exceptions.is_empty()
            || master.is_some_and(ICalendarComponent::is_recurrent_or_override);
        let mut time = master.map(|master| EventTiming::read(zones, master)).transpose()?;
        if let Some((master, time)) = master.zip(time.as_mut()) {
            self.report_unread_length(master, time);
        }
        let (mut series, mut instances) = (None, Instances::new());
        if let Some((component, time)) = master.zip(time.as_ref()) {
            let limit = self.instances_left.min(MAX_INSTANCES_PER_EVENT);
            instances = expand_instances(component, time, self.year + 1, limit)?;
            // Every expanded instance counts, also those of other years.
            self.instances_left = self.instances_left.saturating_sub(instances.len());
            series = Some(InstanceTemplate { component, length: time.length, offset: 0 });
        }
        let exceptions = self.read_exceptions(zones, time.as_ref(), exceptions, &instances);
        let originals: BTreeSet<i64> = instances.keys().chain(exceptions.keys()).copied().collect();
        let mut events = Vec::new();
        for original in originals {
            let (component, span) = match (exceptions.get(&original), series, &time) {
                (Some(Some(exception)), _, time) => {
                    if let Some(time) =
                        time.as_ref().filter(|_| is_this_and_future(exception.component))
                    {
                        series = Some(InstanceTemplate {
                            component: exception.component,
                            length: exception.length,
                            offset: time.clock.local_start(&exception.span) - original,
                        });
                    }
                    (exception.component, exception.span)
                }
                (None, Some(series), Some(time)) => {
                    let own = instances.get(&original).copied().flatten();
                    let length = own.or(series.length);
                    let span = time.clock.span(original + series.offset, length)?;
                    (series.component, span)
                }
                // A rejected exception still replaces its instance.
                _ => continue,
            };
            if !is_around_year(self.year, span.date) {
                continue;
            }
            let recurrence_id = is_recurring.then(|| to_civil(original)).transpose()?;
            events.push(build_event(component, span, recurrence_id));
            if events.len() > MAX_EVENTS {
                return Err(format!("more than {MAX_EVENTS} events this year"));
            }
        }
        Ok(events)
    }

    /// The exceptions by the original local start of the instance that each replaces; `None` for
    /// one that was rejected. `time` is that of the event with these `instances`.
    fn read_exceptions<'a>(
        &mut self,
        zones: &Zones,
        time: Option<&EventTiming<'_>>,
        mut components: Vec<&'a ICalendarComponent>,
        instances: &Instances,
    ) -> BTreeMap<i64, Option<RecurrenceException<'a>>> {
        let mut exceptions = BTreeMap::new();
        // Of several revisions of an exception, the newest is inserted last.
        components.sort_by_key(|component| revision(component));
        for component in components {
            let mut own = EventTiming::read(zones, component);
            if let Ok(own) = &mut own {
                self.report_unread_length(component, own);
            }
            let clock = time.or(own.as_ref().ok()).map(|time| &time.clock);
            let original =
                clock.map(|clock| find_original_start(component, clock, instances)).transpose();
            let exception = own.as_ref().map_err(String::clone).and_then(|own| {
                let span = own.clock.span(own.start, own.length)?;
                Ok(RecurrenceException { component, span, length: own.length })
            });
            let why = match (original, exception) {
                (Ok(original), Ok(exception)) => {
                    exceptions.extend(original.map(|original| (original, Some(exception))));
                    continue;
                }
                (Ok(original), Err(why)) => {
                    exceptions.extend(original.map(|original| (original, None)));
                    why
                }
                (Err(why), _) => why,
            };
            self.reject_component(component, &why);
        }
        exceptions
    }

    /// An end that cannot be read costs the event its end alone.
    fn report_unread_length(&mut self, component: &ICalendarComponent, time: &mut EventTiming<'_>) {
        if let Some(why) = time.unread_length.take() {
            self.reject_component(component, &format!("{why}, so its end is left out"));
        }
    }

    fn reject_component(&mut self, component: &ICalendarComponent, why: &str) {
        let day = [ICalendarProperty::Dtstart, ICalendarProperty::RecurrenceId];
        let day = day.iter().find_map(|property| written_date(component, property));
        let location = text_property(component, &ICalendarProperty::Location);
        let day = day.map(DateTime::date);
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

fn build_event(
    component: &ICalendarComponent,
    span: EventSpan,
    recurrence_id: Option<DateTime>,
) -> Event {
    // An event without a UID, which RFC 5545 requires, is identified by its start.
    let start = || written_date(component, &ICalendarProperty::Dtstart).unwrap_or_default();
    Event {
        uid: component.uid().map_or_else(|| format!("\u{0}{}", start()), str::to_owned),
        summary: event_title(component),
        location: text_property(component, &ICalendarProperty::Location),
        span,
        cancelled: component.status() == Some(&ICalendarStatus::Cancelled),
        recurrence_id,
    }
}

/// The components of each event: the event itself, its exceptions, and their revisions.
fn group_by_uid(calendar: &ICalendar) -> BTreeMap<String, Vec<&ICalendarComponent>> {
    let mut groups: BTreeMap<String, Vec<&ICalendarComponent>> = BTreeMap::new();
    for (index, component) in calendar.components.iter().enumerate() {
        if component.component_type == ICalendarComponentType::VEvent {
            // An event without a UID, which RFC 5545 requires, is a group of its own.
            let uid = component.uid().map_or_else(|| format!("\u{0}{index}"), str::to_owned);
            groups.entry(uid).or_default().push(component);
        }
    }
    groups
}

/// What tells a newer revision of a component from an older one (RFC 5546, 2.1.5).
fn revision(component: &ICalendarComponent) -> (i64, [Option<i64>; 2]) {
    let sequence = component.property(&ICalendarProperty::Sequence);
    let sequence = sequence.and_then(|entry| entry.values.first()?.as_integer()).unwrap_or(0);
    let stamps = [ICalendarProperty::Dtstamp, ICalendarProperty::LastModified];
    let stamp = |property| naive_seconds(date_property(component, &property)?).ok();
    (sequence, stamps.map(stamp))
}

/// Whether a component replaces one instance of a recurring event.
fn is_recurrence_exception(component: &ICalendarComponent) -> bool {
    component.has_property(&ICalendarProperty::RecurrenceId)
}

/// Whether an exception changes the instances that follow it too (RFC 5545, 3.2.13).
fn is_this_and_future(exception: &ICalendarComponent) -> bool {
    let id = exception.property(&ICalendarProperty::RecurrenceId);
    id.is_some_and(|id| id.has_parameter(&ICalendarParameterName::Range))
}

/// The original local start of the instance that an exception replaces.
fn find_original_start(
    exception: &ICalendarComponent,
    clock: &EventZone<'_>,
    instances: &Instances,
) -> Result<i64, String> {
    let id = read_date(exception, &ICalendarProperty::RecurrenceId)?;
    let (entry, when) = id.ok_or("its RECURRENCE-ID is empty")?;
    let named = clock.local_range(entry, when)?;
    let known = instances.range(named.clone()).next();
    Ok(known.map_or(named.start, |(start, _)| *start))
}

fn event_title(component: &ICalendarComponent) -> String {
    text_property(component, &ICalendarProperty::Summary).unwrap_or_else(|| "Event".to_owned())
}

fn text_property(component: &ICalendarComponent, property: &ICalendarProperty) -> Option<String> {
    let value = component.property(property)?.values.first()?.as_text()?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// The date and time of a property, as they are written.
fn written_date(component: &ICalendarComponent, property: &ICalendarProperty) -> Option<DateTime> {
    to_civil(written_seconds(date_property(component, property)?).ok()?).ok()
}
