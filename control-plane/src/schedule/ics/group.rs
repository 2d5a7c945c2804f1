//! Groups events into meetings: the sessions of one race weekend are one meeting, any other event
//! is grouped by its title.
//!
//! Two events of one title get different session codes, by their UID; instances of one event by
//! their original time (RECURRENCE-ID), so that an instance keeps its code when it is moved.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use pitwall_upstream_map::documents::Circuit;
use pitwall_upstream_map::slug::slugify;

use super::event::Event;
use super::summary::{self, Summary};
use crate::schedule::calendar::{ProviderMeeting, ProviderSession};

pub(super) fn group_into_meetings(events: Vec<Event>) -> Vec<ProviderMeeting> {
    let mut groups: BTreeMap<String, Vec<(Event, Summary)>> = BTreeMap::new();
    for event in events {
        let summary = read_summary(&event);
        // The UID does not identify a meeting: some calendars derive it from the round, and rounds
        // are renumbered.
        let id = summary.meeting_id(event.location.as_deref(), event.span.date.year());
        groups.entry(id).or_default().push((event, summary));
    }
    groups.into_iter().filter_map(|(id, group)| build_meeting(id, &group)).collect()
}

/// The summary of an event. An event of several days that has the name of a Grand Prix is its whole
/// weekend, not the race.
fn read_summary(event: &Event) -> Summary {
    let summary = summary::parse_summary(&event.summary);
    match summary.is_race_by_name && event.span.is_longer_than_a_day() {
        true => Summary { session: None, ..summary },
        false => summary,
    }
}

fn build_meeting(id: String, group: &[(Event, Summary)]) -> Option<ProviderMeeting> {
    let (first, summary) = group.first()?;
    let circuit = id.rsplit(':').next().unwrap_or_default().to_owned();
    let location = first.location.clone();
    let codes = EventsBySession::of(group);
    let mut sessions: Vec<ProviderSession> = group
        .iter()
        .map(|(event, summary)| build_session(codes.session_code(event, summary), event, summary))
        .collect();
    sessions.sort_by_key(ProviderSession::sort_time);
    Some(ProviderMeeting {
        name: summary.meeting.clone(),
        round: None,
        circuit: Circuit {
            name: location.clone().unwrap_or_default(),
            id: circuit,
            locality: location,
            country: None,
        },
        utc_offset: None,
        series: summary.series,
        slots: sessions,
        id,
    })
}

fn build_session(code: String, event: &Event, summary: &Summary) -> ProviderSession {
    let name = summary.session.map_or(&*summary.meeting, |(_, name)| name);
    let span = &event.span;
    ProviderSession {
        start: span.start,
        last_date: span.last_date,
        // Calendars give a session of the championship its nominal length, which is not its end.
        end: span.end.filter(|_| !is_championship_session(summary)),
        cancelled: event.cancelled || summary.cancelled,
        ..ProviderSession::new(code, name, span.date)
    }
}

/// Whether an event is a session that each weekend of the championship has once.
fn is_championship_session(summary: &Summary) -> bool {
    summary.series && summary.session.is_some()
}

/// The events of a meeting by the session that their titles name, each in order of UID and
/// instance.
struct EventsBySession<'a>(BTreeMap<SessionKind, Vec<&'a (Event, Summary)>>);

/// The code of a known session, and whether it is of the championship.
type SessionKind = (Option<&'static str>, bool);

fn session_kind(summary: &Summary) -> SessionKind {
    (summary.session.map(|(code, _)| code), summary.series)
}

impl<'a> EventsBySession<'a> {
    fn of(group: &'a [(Event, Summary)]) -> Self {
        let mut alike: BTreeMap<SessionKind, Vec<&(Event, Summary)>> = BTreeMap::new();
        for one in group {
            alike.entry(session_kind(&one.1)).or_default().push(one);
        }
        for kind in alike.values_mut() {
            kind.sort_by(|(one, _), (other, _)| {
                (&one.uid, one.recurrence_id).cmp(&(&other.uid, other.recurrence_id))
            });
        }
        Self(alike)
    }

    fn session_code(&self, event: &Event, summary: &Summary) -> String {
        let mut code = match session_kind(summary) {
            (Some(code), _) => code.to_owned(),
            // An event of a race weekend that is no known session, such as a show, may be one of
            // several.
            (None, true) => slugify(&summary.meeting).unwrap_or_else(|| "event".to_owned()),
            (None, false) => "event".to_owned(),
        };
        let alike = self.0.get(&session_kind(summary)).map_or(&[][..], Vec::as_slice);
        // A weekend has one race. Of several in a calendar, the first that is not cancelled gets
        // the plain code. One with the name of the Grand Prix alone comes last, as it may be a
        // replay, and so does one without a time.
        let is_held = |(one, summary): &&&(Event, Summary)| !one.cancelled && !summary.cancelled;
        let held = alike.iter().filter(is_held);
        let main = held
            .min_by_key(|(one, summary)| (summary.is_race_by_name, one.span.start.is_none()))
            .or(alike.first());
        if is_championship_session(summary) && main.is_some_and(|(one, _)| one == event) {
            return code;
        }
        // The events are in order of UID: there are several UIDs if the first and last differ.
        let ends = alike.first().zip(alike.last());
        if ends.is_some_and(|(first, last)| first.0.uid != last.0.uid) {
            let hash = blake3::hash(event.uid.as_bytes()).to_hex();
            code = format!("{code}-{}", hash.chars().take(6).collect::<String>());
        }
        let Some(original) = event.recurrence_id else { return code };
        let from = alike.partition_point(|(one, _)| one.uid < event.uid);
        let own = alike.iter().skip(from).take_while(|(one, _)| one.uid == event.uid);
        let own: Vec<DateTime> = own.filter_map(|(one, _)| one.recurrence_id).collect();
        if summary.session.is_none() || own.len() > 1 {
            code = format!("{code}-{}", original.date());
        }
        let same_day = own.iter().filter(|other| other.date() == original.date());
        if same_day.count() > 1 {
            let format = if original.second() == 0 { "%H%M" } else { "%H%M%S" };
            code = format!("{code}-{}", original.strftime(format));
        }
        code
    }
}
