//! `/calendar.ics`: the schedule for calendars (RFC 5545). A session keeps its UID when it moves,
//! and its SEQUENCE grows, so that an entry that was imported once is moved, not doubled.

use calcard::common::{CalendarScale, PartialDateTime};
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarDuration, ICalendarMethod,
    ICalendarParameter, ICalendarProperty, ICalendarStatus, ICalendarValue, ICalendarValueType,
    Uri,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use pitwall_upstream_map::documents::{Meeting, Schedule, Session, SessionStatus};

use super::Site;

/// How often subscribers should come back: a race may be moved on its morning.
const REFRESH_SECONDS: i64 = 3600;

pub(crate) fn write(schedule: &Schedule, site: &Site) -> String {
    let mut whole = ICalendarComponent::new(ICalendarComponentType::VCalendar);
    whole.add_property(ICalendarProperty::Version, "2.0");
    whole.add_property(ICalendarProperty::Prodid, "-//Pitwall//Schedule//EN");
    whole.add_property(ICalendarProperty::Calscale, CalendarScale::Gregorian);
    whole.add_property(ICalendarProperty::Method, ICalendarMethod::Publish);
    // The standard's properties, and what was in use before it had any.
    whole.add_property(ICalendarProperty::Name, "Pitwall");
    whole.add_property(ICalendarProperty::Other("X-WR-CALNAME".into()), "Pitwall");
    let refresh = ICalendarDuration::from_seconds(REFRESH_SECONDS);
    let duration = ICalendarParameter::value(ICalendarValueType::Duration);
    let every = ICalendarProperty::RefreshInterval;
    whole.add_property_with_params(every, [duration], refresh.clone());
    whole.add_property(ICalendarProperty::Other("X-PUBLISHED-TTL".into()), refresh);

    let mut components = vec![whole];
    for meeting in &schedule.meetings {
        for session in &meeting.sessions {
            components.push(event(schedule, meeting, session, site));
        }
    }
    let events = 1..u32::try_from(components.len()).unwrap_or(u32::MAX);
    if let Some(whole) = components.first_mut() {
        whole.component_ids = events.collect();
    }
    ICalendar { components }.to_string()
}

fn event(
    schedule: &Schedule,
    meeting: &Meeting,
    session: &Session,
    site: &Site,
) -> ICalendarComponent {
    let mut event = ICalendarComponent::new(ICalendarComponentType::VEvent);
    // The same as of a single session that the page hands out.
    event.add_uid(&format!("{}@pitwall", session.id));
    event.add_sequence(session.revision.into());
    // When this was told last, which has to be said: a copy without it is not a newer one.
    let told = session.revised_at.or(schedule.fetched_at).unwrap_or(Timestamp::UNIX_EPOCH);
    event.add_dtstamp(PartialDateTime::from_utc_timestamp(told.as_second()));
    if let Some(revised) = session.revised_at {
        event.add_property(ICalendarProperty::LastModified, utc(revised));
    }
    match session.start {
        Some(start) => {
            event.add_property(ICalendarProperty::Dtstart, utc(start));
            if let Some(end) = session.end {
                event.add_property(ICalendarProperty::Dtend, utc(end));
            }
        }
        // All of its day.
        None => {
            let date = ICalendarParameter::value(ICalendarValueType::Date);
            event.add_property_with_params(ICalendarProperty::Dtstart, [date], day(session));
        }
    }
    let status = match (session.status, session.time_known) {
        (SessionStatus::Cancelled, _) => ICalendarStatus::Cancelled,
        (_, true) => ICalendarStatus::Confirmed,
        (_, false) => ICalendarStatus::Tentative,
    };
    event.add_property(ICalendarProperty::Status, status);
    event.add_property(ICalendarProperty::Summary, plain(&session.title()));
    if let Some(place) = place(meeting) {
        event.add_property(ICalendarProperty::Location, plain(&place));
    }
    if let Some(remark) = remark(session) {
        event.add_property(ICalendarProperty::Description, remark);
    }
    let page = Uri::Location(site.url(&format!("/watch/{}", session.id)));
    event.add_property(ICalendarProperty::Url, page);
    event
}

fn place(meeting: &Meeting) -> Option<String> {
    let circuit = &meeting.circuit;
    let parts = [Some(&circuit.name), circuit.locality.as_ref(), circuit.country.as_ref()];
    let mut parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    parts.retain(|part| !part.is_empty());
    parts.dedup();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn remark(session: &Session) -> Option<String> {
    let unknown = (!session.time_known).then(|| "The time is not known yet.".to_owned());
    let others = session.disagreement.iter().map(|claim| {
        let when = claim.start.map_or(claim.date.to_string(), |start| start.to_string());
        let off = if claim.cancelled { ", cancelled" } else { "" };
        format!("{} says {when}{off}.", claim.source)
    });
    let all: Vec<String> = unknown.into_iter().chain(others).collect();
    (!all.is_empty()).then(|| plain(&all.join(" ")))
}

fn utc(at: Timestamp) -> ICalendarValue {
    PartialDateTime::from_utc_timestamp(at.as_second()).into()
}

fn day(session: &Session) -> ICalendarValue {
    let midnight = session.date.to_zoned(TimeZone::UTC).map(|day| day.timestamp().as_second());
    PartialDateTime::from_date_timestamp(midnight.unwrap_or(0)).into()
}

/// Text of others, without what no calendar may hold.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
