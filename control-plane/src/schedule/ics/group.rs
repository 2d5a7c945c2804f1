//! Events as meetings: sessions of one race weekend together, everything else by its title.

use std::collections::{BTreeMap, BTreeSet};

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
        groups.entry(id(&event, &summary)).or_default().push((event, summary));
    }
    groups.into_iter().filter_map(|(id, group)| meeting(id, &group)).collect()
}

fn id(event: &Event, summary: &Summary) -> String {
    let part = |text: &str, or: &str| slug(text).unwrap_or_else(|| or.to_owned());
    let place = event.location.as_deref().map_or("ics".to_owned(), |place| part(place, "ics"));
    format!("{}:{}:{place}", event.date.year(), part(&summary.meeting, "event"))
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
    let (code, name) = match summary.session {
        Some((code, name)) => (code.to_owned(), name.to_owned()),
        None => (code(event, summary, group), summary.meeting.clone()),
    };
    let slot = Slot::new(code, name, event.date);
    Slot {
        start: event.start,
        // Of a known session calendars write down the usual length, which is no news.
        end: event.end.filter(|_| summary.session.is_none()),
        cancelled: event.cancelled || summary.cancelled,
        ..slot
    }
}

/// Of a session that has no name of its own. The same event keeps its code when it moves.
fn code(event: &Event, summary: &Summary, group: &[(Event, Summary)]) -> String {
    let uids: BTreeSet<&str> = group.iter().map(|(other, _)| other.uid.as_str()).collect();
    let hash = || blake3::hash(event.uid.as_bytes()).to_hex().chars().take(6).collect::<String>();
    // In a race weekend it stands beside other shows.
    let base = match summary.series {
        true => slug(&summary.meeting).unwrap_or_else(|| "event".to_owned()),
        false => "event".to_owned(),
    };
    match (event.instance, uids.len()) {
        (Some(day), 0..=1) => format!("{base}-{day}"),
        (Some(day), _) => format!("{base}-{}-{day}", hash()),
        (None, 0..=1) => base,
        (None, _) => format!("{base}-{}", hash()),
    }
}
