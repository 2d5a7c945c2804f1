//! Compares what [`event::parse_events`] lists with PyPI's recurring-ical-events, over calendars
//! that `tests/clients/occurrences.py` makes. That file says where the library differs from RFC
//! 5545.

use serde::Deserialize;

use super::super::event::{Event, parse_events};
use crate::python_environment::run_script;

const YEAR: &str = "2026";
/// Ten seconds of calendars; `FULL=1` makes some minutes of them.
const CALENDARS: u32 = 200;
const CALENDARS_IN_FULL: u32 = 4_000;

#[derive(Deserialize)]
struct Sample {
    seed: u64,
    calendar: String,
    occurrences: Vec<String>,
    malformed: usize,
}

fn describe(event: &Event) -> String {
    let span = &event.span;
    let start = span.start.map_or(span.date.to_string(), |start| start.to_string());
    let end = span.end.map(|end| end.to_string());
    let end = end.or(span.last_date.map(|last| last.to_string()));
    let end = end.map_or(String::new(), |end| format!(" to {end}"));
    format!("{} {start}{end}{}", event.uid, if event.cancelled { " x" } else { "" })
}

#[test]
fn calendars_are_expanded_as_another_library_expands_them() {
    let Some(mut script) = run_script("occurrences.py") else { return };
    let count = std::env::var("FULL").map_or(CALENDARS, |_| CALENDARS_IN_FULL);
    let first = std::env::var("SEED").unwrap_or_else(|_| "0".to_owned());
    let output = script.args([&first, &count.to_string(), YEAR]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let now = format!("{YEAR}-03-01T00:00:00Z").parse().unwrap();
    let mut differing = Vec::new();
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines {
        let sample: Sample = serde_json::from_slice(line).unwrap();
        let (mut listed, mut rejected) = (Vec::new(), Vec::new());
        match parse_events(&sample.calendar, now) {
            Ok((events, items)) => {
                listed = events.iter().map(describe).collect();
                rejected = items.into_iter().map(|item| item.message).collect();
            }
            Err(message) => rejected.push(message),
        }
        listed.sort_unstable();
        let [missing, excess] = [(&sample.occurrences, &listed), (&listed, &sample.occurrences)]
            .map(|(one, other)| one.iter().filter(|it| !other.contains(it)).collect::<Vec<_>>());
        let is_same = missing.is_empty() && excess.is_empty();
        if !is_same || rejected.len() != sample.malformed {
            let Sample { seed, calendar, malformed, .. } = &sample;
            differing.push(format!(
                "seed {seed}: missing {missing:?}, excess {excess:?}, {malformed} malformed, \
                 rejected {rejected:?}\n{calendar}"
            ));
        }
    }
    let [total, first] = [differing.len().to_string(), differing.concat()];
    assert!(differing.is_empty(), "{total} of {count} differ\n{first}");
}
