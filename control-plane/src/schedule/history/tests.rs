use super::*;
use crate::schedule::{plausibility, samples};

fn build_meeting(id: &str, start: &str) -> ProviderMeeting {
    let start: Timestamp = start.parse().unwrap();
    let value = serde_json::json!({
        "id": id, "name": id, "round": null, "utc_offset": null, "series": true,
        "circuit": {"id": "c", "name": "c", "locality": null, "country": null},
        "slots": [{
            "code": "race", "name": "Race", "start": start, "date": "2026-01-01", "end": null,
            "cancelled": false,
        }],
    });
    let mut meeting: ProviderMeeting = serde_json::from_value(value).unwrap();
    meeting.slots[0] = meeting.slots[0].clone().with_start(start);
    meeting
}

fn calendar(season: &str, races: &[(&str, &str)]) -> ProviderCalendar {
    let meetings = races.iter().map(|(id, start)| build_meeting(id, start)).collect();
    ProviderCalendar { season: Some(season.into()), meetings }
}

/// The id of each meeting, with `!` if its race was corrected and `x` if it is cancelled.
fn describe_calendar(calendar: &ProviderCalendar) -> String {
    let each = calendar.meetings.iter().map(|meeting| {
        let session = &meeting.slots[0];
        let corrected = if session.corrected_at.is_some() { "!" } else { "" };
        let cancelled = if session.cancelled { "x" } else { "" };
        format!("{}{corrected}{cancelled}", meeting.id)
    });
    each.collect::<Vec<_>>().join(" ")
}

const A: &str = "2026-03-08T04:00:00Z";
const B: &str = "2026-04-12T15:00:00Z";
const C: &str = "2026-04-19T17:00:00Z";

#[test]
fn moved_dropped_and_renamed_meetings() {
    let now: Timestamp = "2026-04-15T00:00:00Z".parse().unwrap();
    let last = calendar("2026", &[("a", A), ("b", B), ("c", C)]);
    for (name, omission_cancels, season, races, expected) in [
        ("unchanged", true, "2026", vec![("a", A), ("b", B), ("c", C)], "a b c"),
        ("moved", true, "2026", vec![("a", A), ("b", B), ("c", "2026-04-19T14:00:00Z")], "a b c!"),
        ("dropped, still to come", true, "2026", vec![("a", A), ("b", B)], "a b c!x"),
        ("dropped by who says so otherwise", false, "2026", vec![("a", A), ("b", B)], "a b"),
        ("dropped, over", true, "2026", vec![("a", A), ("c", C)], "a c"),
        ("dropped, on right now", true, "2026", vec![("a", A), ("c", C)], "a c b"),
        ("renamed", true, "2026", vec![("a", A), ("b", B), ("z", C)], "a b z"),
        ("another season", true, "2027", vec![("n", "2027-03-08T04:00:00Z")], "n"),
    ] {
        let during = "2026-04-12T16:00:00Z".parse().unwrap();
        let now = if name.ends_with("right now") { during } else { now };
        let next = carry_over_history(&last, calendar(season, &races), &[], omission_cancels, now);
        assert_eq!(describe_calendar(&next), expected, "{name}");
    }
}

/// A meeting or session that cannot be read is neither cancelled nor forgotten.
#[test]
fn rejected_items_stay_as_they_were() {
    let now: Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
    let fp1 = |calendar: ProviderCalendar| {
        let add = |mut meeting: ProviderMeeting| {
            let day = meeting.slots[0].date;
            meeting.slots.push(ProviderSession::new("fp1", "Practice 1", day));
            meeting
        };
        ProviderCalendar { meetings: calendar.meetings.into_iter().map(add).collect(), ..calendar }
    };
    let last = fp1(calendar("2026", &[("b", B), ("c", C)]));
    let one = fp1(calendar("2026", &[("b", B)]));
    let races = calendar("2026", &[("b", B), ("c", C)]);
    let [forgets, cancels] = [false, true];
    for (name, fresh, rejected, omission_cancels, expected) in [
        ("nothing", &one, vec![], cancels, "b b:fp1 cx c:fp1x"),
        ("nothing", &one, vec![], forgets, "b b:fp1"),
        ("its meeting", &one, vec![RejectedItem::of_meeting("c", "")], cancels, "b b:fp1 c c:fp1"),
        ("its meeting", &one, vec![RejectedItem::of_meeting("c", "")], forgets, "b b:fp1 c c:fp1"),
        (
            "its race",
            &one,
            vec![RejectedItem::of_session("c", "race", "")],
            cancels,
            "b b:fp1 c c:fp1",
        ),
        (
            "who knows what",
            &one,
            vec![RejectedItem::of_unknown_meeting("")],
            cancels,
            "b b:fp1 c c:fp1",
        ),
        ("another", &one, vec![RejectedItem::of_meeting("b", "")], cancels, "b b:fp1 cx c:fp1x"),
        ("no practice", &races, vec![], cancels, "b b:fp1x c c:fp1x"),
        ("no practice", &races, vec![], forgets, "b c"),
        (
            "a practice",
            &races,
            vec![RejectedItem::of_session("b", "fp1", "")],
            cancels,
            "b b:fp1 c c:fp1x",
        ),
        (
            "a practice",
            &races,
            vec![RejectedItem::of_session("b", "fp1", "")],
            forgets,
            "b b:fp1 c",
        ),
        (
            "another one",
            &races,
            vec![RejectedItem::of_session("b", "fp2", "")],
            cancels,
            "b b:fp1x c c:fp1x",
        ),
        (
            "of a meeting",
            &races,
            vec![RejectedItem::of_meeting("b", "")],
            cancels,
            "b b:fp1 c c:fp1x",
        ),
    ] {
        let next = carry_over_history(&last, fresh.clone(), &rejected, omission_cancels, now);
        let each = next.meetings.iter().flat_map(|meeting| {
            let mut sessions: Vec<_> = meeting.slots.iter().collect();
            sessions.sort_by_key(|session| session.code != "race");
            sessions.into_iter().map(|session| {
                let code = if session.code == "race" { "" } else { ":fp1" };
                format!("{}{code}{}", meeting.id, if session.cancelled { "x" } else { "" })
            })
        });
        assert_eq!(each.collect::<Vec<_>>().join(" "), expected, "{name}, {omission_cancels}");
    }
}

#[test]
fn a_cancelled_meeting_stays_until_it_is_listed_again() {
    let now: Timestamp = "2026-04-15T00:00:00Z".parse().unwrap();
    let last = calendar("2026", &[("a", A), ("b", B), ("c", C)]);
    let dropped = calendar("2026", &[("a", A), ("b", B)]);
    let cancelled = carry_over_history(&last, dropped.clone(), &[], true, now);
    let later = "2026-05-01T00:00:00Z".parse().unwrap();
    assert_eq!(
        describe_calendar(&carry_over_history(&cancelled, dropped.clone(), &[], true, later)),
        "a b c!x"
    );
    // Another race on the day of a cancelled one does not replace it.
    let instead = calendar("2026", &[("a", A), ("b", B), ("z", C)]);
    assert_eq!(
        describe_calendar(&carry_over_history(&cancelled, instead, &[], true, later)),
        "a b z c!x"
    );
    assert_eq!(describe_calendar(&carry_over_history(&cancelled, last, &[], true, now)), "a b c!");
    // In a calendar without seasons, a cancelled meeting is forgotten after its year.
    let timeless = |calendar: ProviderCalendar| ProviderCalendar { season: None, ..calendar };
    let (cancelled, dropped) = (timeless(cancelled), timeless(dropped));
    for (now, expected) in [("2026-12-31T00:00:00Z", "a b c!x"), ("2028-01-01T00:00:00Z", "a b")] {
        let next = carry_over_history(&cancelled, dropped.clone(), &[], true, now.parse().unwrap());
        assert_eq!(describe_calendar(&next), expected, "{now}");
    }
}

#[test]
fn a_response_without_most_of_the_season_is_refused() {
    let now: Timestamp = "2026-03-14T12:00:00Z".parse().unwrap();
    let races =
        samples::jolpica_races(&samples::read_json_sample("jolpica-f1-data-2026-calendar.json"));
    let read = |races: &[serde_json::Value]| {
        super::super::jolpica::read_calendar(&samples::race_table_page(races))
    };
    let last = read(&races);
    assert_eq!(plausibility::list_implausible(&last), Vec::<String>::new());
    let two = samples::remove_races(&races, &["Bahrain Grand Prix", "Saudi Arabian Grand Prix"]);
    for (name, fresh, expected) in [
        ("two of them", read(&two), Ok(())),
        (
            "all but four",
            read(&races[..4]),
            Err("20 of 23 meetings to come are gone at once".into()),
        ),
        (
            "another season",
            ProviderCalendar { season: Some("2027".into()), meetings: Vec::new() },
            Ok(()),
        ),
    ] {
        assert_eq!(check_continuity(&last, &fresh, now), expected, "{name}");
    }
}
