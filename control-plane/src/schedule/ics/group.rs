//! Events as meetings: sessions of one race weekend together, everything else by its title.
//!
//! Two events of one title are two: their codes tell them apart by UID, instances of one event by
//! the time that they were first meant for, so that each keeps its code when it moves.

use std::collections::BTreeMap;

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
    let codes = Codes::of(group);
    let mut slots: Vec<Slot> =
        group.iter().map(|(event, said)| slot(codes.code(event, said), event, said)).collect();
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

fn slot(code: String, event: &Event, summary: &Summary) -> Slot {
    let name = summary.session.map_or(&*summary.meeting, |(_, name)| name);
    Slot {
        start: event.start,
        // Of a session of the championship calendars write down the usual length, which is no news.
        end: event.end.filter(|_| !is_usual(summary)),
        cancelled: event.cancelled || summary.cancelled,
        ..Slot::new(code, name, event.date)
    }
}

/// Is it one of those that a weekend of the championship has once each?
fn is_usual(summary: &Summary) -> bool {
    summary.series && summary.session.is_some()
}

/// The events of a meeting that are one by their titles, in order of UID and instance.
struct Codes<'a>(BTreeMap<Kind, Vec<&'a (Event, Summary)>>);

/// Code of a known session, and whether it is of the championship.
type Kind = (Option<&'static str>, bool);

fn kind(summary: &Summary) -> Kind {
    (summary.session.map(|(code, _)| code), summary.series)
}

impl<'a> Codes<'a> {
    fn of(group: &'a [(Event, Summary)]) -> Self {
        let mut alike: BTreeMap<Kind, Vec<&(Event, Summary)>> = BTreeMap::new();
        for one in group {
            alike.entry(kind(&one.1)).or_default().push(one);
        }
        for kind in alike.values_mut() {
            kind.sort_by(|(one, _), (other, _)| {
                (&one.uid, one.instance).cmp(&(&other.uid, other.instance))
            });
        }
        Self(alike)
    }

    fn code(&self, event: &Event, summary: &Summary) -> String {
        let mut code = match kind(summary) {
            (Some(code), _) => code.to_owned(),
            // In a race weekend it stands beside other shows.
            (None, true) => slug(&summary.meeting).unwrap_or_else(|| "event".to_owned()),
            (None, false) => "event".to_owned(),
        };
        let alike = self.0.get(&kind(summary)).map_or(&[][..], Vec::as_slice);
        // A weekend has one race. If a calendar has several, the first that is on is meant.
        let is_on = |(one, said): &&&(Event, Summary)| !one.cancelled && !said.cancelled;
        let meant = alike.iter().find(is_on).or(alike.first());
        if is_usual(summary) && meant.is_some_and(|(one, _)| one == event) {
            return code;
        }
        // In order of UID: there are several if the first is not the last.
        let ends = alike.first().zip(alike.last());
        if ends.is_some_and(|(first, last)| first.0.uid != last.0.uid) {
            let hash = blake3::hash(event.uid.as_bytes()).to_hex();
            code = format!("{code}-{}", hash.chars().take(6).collect::<String>());
        }
        let Some(meant_for) = event.instance else { return code };
        let from = alike.partition_point(|(one, _)| one.uid < event.uid);
        let own = alike.iter().skip(from).take_while(|(one, _)| one.uid == event.uid);
        let own: Vec<DateTime> = own.filter_map(|(one, _)| one.instance).collect();
        if summary.session.is_none() || own.len() > 1 {
            code = format!("{code}-{}", meant_for.date());
        }
        let today = own.iter().filter(|other| other.date() == meant_for.date());
        if today.count() > 1 {
            code = format!("{code}-{}", meant_for.strftime("%H%M"));
        }
        code
    }
}
