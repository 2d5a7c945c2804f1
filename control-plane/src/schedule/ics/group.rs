//! Events as meetings: sessions of one race weekend together, everything else by its title.
//!
//! Two events of one title are two: their codes tell them apart by UID, instances of one event by
//! the time that they were first meant for, so that each keeps its code when it moves.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use pitwall_upstream_map::documents::Circuit;
use pitwall_upstream_map::slug::slug;

use super::event::Event;
use super::summary::{self, Summary};
use crate::schedule::calendar::{Listed, Slot};

pub(super) fn meetings(events: Vec<Event>) -> Vec<Listed> {
    let mut groups: BTreeMap<String, Vec<(Event, Summary)>> = BTreeMap::new();
    for event in events {
        let summary = summary::read(&event.summary);
        // A UID is no help: some calendars number them by round, and rounds are renumbered.
        let id = id(&summary, event.location.as_deref(), event.date.year());
        groups.entry(id).or_default().push((event, summary));
    }
    groups.into_iter().filter_map(|(id, group)| meeting(id, &group)).collect()
}

/// The id of the meeting of an event.
pub(super) fn id_of(title: &str, location: Option<&str>, year: i16) -> String {
    id(&summary::read(title), location, year)
}

fn id(summary: &Summary, location: Option<&str>, year: i16) -> String {
    let name = slug(&summary.meeting).unwrap_or_else(|| "event".to_owned());
    let place = location.and_then(slug).unwrap_or_else(|| "ics".to_owned());
    format!("{year}:{name}:{place}")
}

fn meeting(id: String, group: &[(Event, Summary)]) -> Option<Listed> {
    let (first, summary) = group.first()?;
    let circuit = id.rsplit(':').next().unwrap_or_default().to_owned();
    let place = first.location.clone();
    let mut slots: Vec<Slot> = group.iter().map(|(event, said)| slot(event, said, group)).collect();
    slots.sort_by_key(Slot::position);
    Some(Listed {
        name: summary.meeting.clone(),
        round: None,
        circuit: Circuit {
            name: place.clone().unwrap_or_default(),
            id: circuit,
            locality: place,
            country: None,
        },
        utc_offset: None,
        series: summary.series,
        slots,
        id,
    })
}

fn slot(event: &Event, summary: &Summary, group: &[(Event, Summary)]) -> Slot {
    let name = summary.session.map_or(&*summary.meeting, |(_, name)| name);
    let slot = Slot::new(code(event, summary, group), name, event.date);
    // Of a session of the championship calendars write down the usual length, which is no news.
    let usual = summary.series && summary.session.is_some();
    Slot {
        start: event.start,
        end: event.end.filter(|_| !usual),
        cancelled: event.cancelled || summary.cancelled,
        ..slot
    }
}

fn code(event: &Event, summary: &Summary, group: &[(Event, Summary)]) -> String {
    let kind = kind(summary);
    let alike = || group.iter().filter(|(_, other)| self::kind(other) == kind);
    let uids: BTreeSet<&str> = alike().map(|(other, _)| other.uid.as_str()).collect();
    // A weekend has one race. If a calendar has several, the first that is on is the one that
    // everybody means.
    let usual = summary.series && summary.session.is_some();
    let means = |(one, said): &&(Event, Summary)| {
        (one.cancelled || said.cancelled, one.uid.clone(), one.instance)
    };
    if usual && alike().min_by_key(means).is_some_and(|(first, _)| first == event) {
        return kind;
    }
    let mut code = kind.clone();
    if uids.len() > 1 {
        let hash = blake3::hash(event.uid.as_bytes()).to_hex();
        code = format!("{code}-{}", hash.chars().take(6).collect::<String>());
    }
    let Some(first_meant) = event.instance else { return code };
    let own = alike().filter(|(other, _)| other.uid == event.uid);
    let instances: Vec<DateTime> = own.filter_map(|(other, _)| other.instance).collect();
    if summary.session.is_none() || instances.len() > 1 {
        code = format!("{code}-{}", first_meant.date());
    }
    if instances.iter().filter(|other| other.date() == first_meant.date()).count() > 1 {
        code = format!("{code}-{}", first_meant.strftime("%H%M"));
    }
    code
}

/// What a session is, if nothing else is.
fn kind(summary: &Summary) -> String {
    match summary.session {
        Some((code, _)) => code.to_owned(),
        // In a race weekend it stands beside other shows.
        None if summary.series => slug(&summary.meeting).unwrap_or_else(|| "event".to_owned()),
        None => "event".to_owned(),
    }
}
