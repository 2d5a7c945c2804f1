//! `/calendar.ics`: the schedule as iCalendar (RFC 5545). A moved session keeps its UID and its
//! SEQUENCE grows, so that calendars move an imported entry instead of duplicating it.

use calcard::common::{CalendarScale, PartialDateTime};
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarDuration, ICalendarMethod,
    ICalendarParameter, ICalendarProperty, ICalendarStatus, ICalendarValue, ICalendarValueType,
    Uri,
};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use pitwall_upstream_map::documents::{Meeting, Schedule, Session, SessionStatus};

use super::PublicUrl;

/// How often calendars should reload: a race may be moved on the same morning.
const REFRESH_INTERVAL_SECONDS: i64 = 3600;

pub(crate) fn write_icalendar(schedule: &Schedule, public_url: &PublicUrl) -> String {
    let mut calendar = ICalendarComponent::new(ICalendarComponentType::VCalendar);
    calendar.add_property(ICalendarProperty::Version, "2.0");
    calendar.add_property(ICalendarProperty::Prodid, "-//Pitwall//Schedule//EN");
    calendar.add_property(ICalendarProperty::Calscale, CalendarScale::Gregorian);
    calendar.add_property(ICalendarProperty::Method, ICalendarMethod::Publish);
    // The properties of RFC 7986, and the non-standard ones that preceded them.
    calendar.add_property(ICalendarProperty::Name, "Pitwall");
    calendar.add_property(ICalendarProperty::Other("X-WR-CALNAME".into()), "Pitwall");
    let refresh = ICalendarDuration::from_seconds(REFRESH_INTERVAL_SECONDS);
    let duration = ICalendarParameter::value(ICalendarValueType::Duration);
    let refresh_interval = ICalendarProperty::RefreshInterval;
    calendar.add_property_with_params(refresh_interval, [duration], refresh.clone());
    calendar.add_property(ICalendarProperty::Other("X-PUBLISHED-TTL".into()), refresh);

    let mut components = vec![calendar];
    for meeting in &schedule.meetings {
        for session in &meeting.sessions {
            components.push(session_event(schedule, meeting, session, public_url));
        }
    }
    let events = 1..u32::try_from(components.len()).unwrap_or(u32::MAX);
    if let Some(calendar) = components.first_mut() {
        calendar.component_ids = events.collect();
    }
    ICalendar { components }.to_string()
}

fn session_event(
    schedule: &Schedule,
    meeting: &Meeting,
    session: &Session,
    public_url: &PublicUrl,
) -> ICalendarComponent {
    let mut event = ICalendarComponent::new(ICalendarComponentType::VEvent);
    // The page uses the same UID for the calendar entry of a single session.
    event.add_uid(&format!("{}@pitwall", session.id));
    event.add_sequence(session.revision.into());
    // DTSTAMP tells calendars which copy of an entry is newer.
    let dtstamp = session.revised_at.or(schedule.fetched_at).unwrap_or(Timestamp::UNIX_EPOCH);
    event.add_dtstamp(PartialDateTime::from_utc_timestamp(dtstamp.as_second()));
    if let Some(revised) = session.revised_at {
        event.add_property(ICalendarProperty::LastModified, utc_value(revised));
    }
    match session.start {
        Some(start) => {
            event.add_property(ICalendarProperty::Dtstart, utc_value(start));
            if let Some(end) = session.end {
                event.add_property(ICalendarProperty::Dtend, utc_value(end));
            }
        }
        // Without a known start the event takes its whole days, of which DTEND is not one.
        None => {
            let end = session.last_day().tomorrow().unwrap_or(Date::MAX);
            for (property, day) in
                [(ICalendarProperty::Dtstart, session.date), (ICalendarProperty::Dtend, end)]
            {
                let date = ICalendarParameter::value(ICalendarValueType::Date);
                event.add_property_with_params(property, [date], date_value(day));
            }
        }
    }
    let status = match (session.status, session.time_known) {
        (SessionStatus::Cancelled, _) => ICalendarStatus::Cancelled,
        (_, true) => ICalendarStatus::Confirmed,
        (_, false) => ICalendarStatus::Tentative,
    };
    event.add_property(ICalendarProperty::Status, status);
    event.add_property(ICalendarProperty::Summary, strip_control_characters(&session.title()));
    if let Some(location) = meeting_location(meeting) {
        event.add_property(ICalendarProperty::Location, strip_control_characters(&location));
    }
    if let Some(description) = session_description(session) {
        event.add_property(ICalendarProperty::Description, description);
    }
    let page = Uri::Location(public_url.absolute_url(&format!("/watch/{}", session.id)));
    event.add_property(ICalendarProperty::Url, page);
    event
}

fn meeting_location(meeting: &Meeting) -> Option<String> {
    let circuit = &meeting.circuit;
    let parts = [Some(&circuit.name), circuit.locality.as_ref(), circuit.country.as_ref()];
    let mut parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    parts.retain(|part| !part.is_empty());
    parts.dedup();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn session_description(session: &Session) -> Option<String> {
    let unknown = (!session.time_known).then(|| "The time is not known yet.".to_owned());
    let others = session.disagreement.iter().map(|claim| {
        let when = claim.start.map_or(claim.date.to_string(), |start| start.to_string());
        let off = if claim.cancelled { ", cancelled" } else { "" };
        format!("{} says {when}{off}.", claim.source)
    });
    let all: Vec<String> = unknown.into_iter().chain(others).collect();
    (!all.is_empty()).then(|| strip_control_characters(&all.join(" ")))
}

fn utc_value(at: Timestamp) -> ICalendarValue {
    PartialDateTime::from_utc_timestamp(at.as_second()).into()
}

fn date_value(day: Date) -> ICalendarValue {
    let midnight = day.to_zoned(TimeZone::UTC).map(|day| day.timestamp().as_second());
    PartialDateTime::from_date_timestamp(midnight.unwrap_or(0)).into()
}

/// Removes control characters, which iCalendar text must not contain.
fn strip_control_characters(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
