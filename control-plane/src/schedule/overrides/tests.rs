use pitwall_upstream_map::documents::Schedule;

use super::file::parse_overrides;
use super::*;
use crate::schedule::calendar::ProviderSession;
use crate::schedule::unlisted_sessions::UnlistedSessions;
use crate::schedule::{jolpica, merge, provider_snapshot::ProviderSnapshot, samples};

fn apply_overrides(overrides: &str, last: &Schedule) -> Schedule {
    let calendar = jolpica::read_calendar(&samples::read_sample("jolpica-2026-races-excerpt.json"));
    let snapshot = ProviderSnapshot {
        provider: "jolpica".into(),
        origin: "x".into(),
        fetched_at: "2026-05-01T00:00:00Z".parse().unwrap(),
        calendar,
    };
    let overrides = parse_overrides("o.toml", overrides).unwrap();
    let now = "2026-05-03T08:00:00Z".parse().unwrap();
    merge::merge_snapshots(&[&snapshot], &overrides, last, &UnlistedSessions::default(), now)
}

fn describe_session(schedule: &Schedule, id: &str) -> String {
    let Some(session) = schedule.find_session(id) else { return "none".to_owned() };
    let start = session.start.map_or(session.date.to_string(), |start| start.to_string());
    let start =
        session.last_date.map_or(start.clone(), |last_date| format!("{start} until {last_date}"));
    let end = session.end.map_or("?".to_owned(), |end| end.to_string());
    let cancelled = if session.status == SessionStatus::Cancelled { " x" } else { "" };
    format!("{} {start} to {end} by {}{cancelled}", session.name, session.source)
}

#[test]
fn overrides_of_sessions_and_meetings() {
    let race = "2026:miami-grand-prix:miami:race";
    let with = |lines: &str| format!("[[session]]\nid = \"{race}\"\n{lines}\n");
    for (name, text, id, expected) in [
        ("nothing", String::new(), race, "Race 2026-05-03T20:00:00Z to 2026-05-03T22:00:00Z by jolpica"),
        (
            "another start",
            with("start = 2026-05-03T17:00:00Z"),
            race,
            "Race 2026-05-03T17:00:00Z to 2026-05-03T19:00:00Z by override",
        ),
        (
            "as text, with an offset, and an end",
            with("start = \"2026-05-03T13:00:00-04:00\"\nend = 2026-05-03T18:00:00Z"),
            race,
            "Race 2026-05-03T17:00:00Z to 2026-05-03T18:00:00Z by override",
        ),
        ("only a day", with("date = 2026-05-04"), race, "Race 2026-05-04 to ? by override"),
        (
            "several days",
            with("date = 2026-05-04\nend = 2026-05-07T00:00:00Z"),
            race,
            "Race 2026-05-04 until 2026-05-06 to 2026-05-07T00:00:00Z by override",
        ),
        (
            "off",
            with("cancelled = true"),
            race,
            "Race 2026-05-03T20:00:00Z to 2026-05-03T22:00:00Z by override x",
        ),
        (
            "one that nobody lists",
            "[[session]]\nid = \"2026:miami-grand-prix:miami:paddock-show\"\nname = \"Paddock show\"\n\
             start = 2026-05-03T15:00:00Z\n"
                .to_owned(),
            "2026:miami-grand-prix:miami:paddock-show",
            "Paddock show 2026-05-03T15:00:00Z to 2026-05-03T16:00:00Z by override",
        ),
        (
            "of a meeting that nobody lists",
            "[[session]]\nid = \"2026:gala:paris:event\"\ndate = \"2026-12-11\"\n".to_owned(),
            "2026:gala:paris:event",
            "event 2026-12-11 to ? by override",
        ),
        (
            "a meeting hidden",
            "[[meeting]]\nid = \"2026:miami-grand-prix:miami\"\nhidden = true\n".to_owned(),
            race,
            "none",
        ),
        (
            "a meeting cancelled",
            "[[meeting]]\nid = \"2026:miami-grand-prix:miami\"\ncancelled = true\n".to_owned(),
            race,
            "Race 2026-05-03T20:00:00Z to 2026-05-03T22:00:00Z by override x",
        ),
    ] {
        assert_eq!(describe_session(&apply_overrides(&text, &Schedule::default()), id), expected, "{name}");
    }
}

#[test]
fn an_override_is_a_revision_and_so_is_its_end() {
    let race = "2026:miami-grand-prix:miami:race";
    let text = format!("[[session]]\nid = \"{race}\"\nstart = 2026-05-03T17:00:00Z\n");
    let plain = apply_overrides("", &Schedule::default());
    let moved = apply_overrides(&text, &plain);
    let again = apply_overrides(&text, &moved);
    let back = apply_overrides("", &again);
    let revision = |schedule: &Schedule| schedule.find_session(race).unwrap().revision;
    let all = [&plain, &moved, &again, &back].map(revision);
    assert_eq!(all, [0, 1, 1, 2]);
    assert_eq!(
        ProviderSession::new("race", "Race", plain.meetings[0].sessions[0].date).corrected_at,
        None
    );
}

#[test]
fn mistakes_are_named_by_file_line_and_key() {
    let with = |line: &str| format!("[[session]]\nid = \"2026:a:b:race\"\n{line}\n");
    for (text, expected) in [
        (with("strat = 1"), "o.toml:3: session.strat: unknown field `strat`"),
        (with("start = \"soon\""), "o.toml:3: session.start: \"soon\" is not a date and time"),
        (
            with("start = 2026-05-03T17:00:00"),
            "o.toml:3: session.start: \"2026-05-03T17:00:00\" is not",
        ),
        (with("start = 5"), "o.toml:3: session.start: a date is wanted, not integer"),
        (
            with("date = 2026-05-03T17:00:00Z"),
            "o.toml:3: session.date: \"2026-05-03T17:00:00Z\" is not a date",
        ),
        (with("cancelled = \"yes\""), "o.toml:3: session.cancelled: invalid type"),
        (
            with("start = 2026-05-03T17:00:00Z\nend = 2026-05-03T16:00:00Z"),
            "o.toml: session.end: 2026:a:b:race ends before",
        ),
        ("[[session]]\nname = \"x\"\n".to_owned(), "o.toml:1: session: missing field `id`"),
        (
            "[[session]]\nid = \"race\"\n".to_owned(),
            "o.toml:2: session.id: \"race\" is not an id such as",
        ),
        ("[[session]]\nid = \"a:b:c:../d\"\n".to_owned(), "o.toml:2: session.id: "),
        ("[[meeting]]\nid = \"a:b:c:d\"\n".to_owned(), "o.toml:2: meeting.id: "),
        (format!("{0}{0}", with("")), "o.toml: session.id: 2026:a:b:race is overridden twice"),
        ("[session\n".to_owned(), "o.toml:1: "),
        ("[[sessions]]\n".to_owned(), "o.toml:1: sessions: unknown field `sessions`"),
    ] {
        let error = parse_overrides("o.toml", &text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}\n  says {error:?}\n  not  {expected:?}");
    }
}

/// The sample configuration is valid with its comment signs removed.
#[test]
fn the_sample_configuration_is_valid() {
    let path = format!("{}/../conf/schedule/overrides.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        parse_overrides("sample", &text).unwrap(),
        Overrides::default(),
        "all of it is commented out"
    );
    let lines = text.lines().filter_map(|line| line.strip_prefix("# "));
    let lines = lines.filter(|line| line.starts_with("[[") || line.contains(" = "));
    let bare: Vec<_> = lines.collect();
    assert_eq!(parse_overrides("sample", &bare.join("\n")).unwrap().len(), 4);
}

/// An id in the override file stays valid when a provider renames the race.
#[test]
fn former_ids_are_understood() {
    let before = apply_overrides("", &Schedule::default());
    let mut renamed = before.clone();
    let old = "2026:florida-grand-prix:miami";
    let miami = renamed.meetings.iter_mut().find(|one| one.name == "Miami Grand Prix").unwrap();
    old.clone_into(&mut miami.id);
    let text = format!("[[session]]\nid = \"{old}:race\"\nstart = 2026-05-03T17:00:00Z\n");
    let now = apply_overrides(&text, &renamed);
    assert_eq!(now.meetings.len(), before.meetings.len(), "no second meeting is added");
    let expected = "Race 2026-05-03T17:00:00Z to 2026-05-03T19:00:00Z by override";
    assert_eq!(describe_session(&now, "2026:miami-grand-prix:miami:race"), expected);
    assert_eq!(describe_session(&now, &format!("{old}:race")), expected);
}
