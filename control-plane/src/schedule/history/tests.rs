use super::*;
use crate::schedule::{samples, sanity};

fn listed(id: &str, start: &str) -> Listed {
    let start: Timestamp = start.parse().unwrap();
    let value = serde_json::json!({
        "id": id, "name": id, "round": null, "utc_offset": null, "series": true,
        "circuit": {"id": "c", "name": "c", "locality": null, "country": null},
        "slots": [{
            "code": "race", "name": "Race", "start": start, "date": "2026-01-01", "end": null,
            "cancelled": false,
        }],
    });
    let mut listed: Listed = serde_json::from_value(value).unwrap();
    listed.slots[0] = listed.slots[0].clone().starting(start);
    listed
}

fn calendar(season: &str, races: &[(&str, &str)]) -> Calendar {
    let meetings = races.iter().map(|(id, start)| listed(id, start)).collect();
    Calendar { season: Some(season.into()), meetings }
}

/// `id`, and what became of its race: `!` corrected, `x` cancelled.
fn told(calendar: &Calendar) -> String {
    let each = calendar.meetings.iter().map(|meeting| {
        let slot = &meeting.slots[0];
        let corrected = if slot.corrected_at.is_some() { "!" } else { "" };
        let cancelled = if slot.cancelled { "x" } else { "" };
        format!("{}{corrected}{cancelled}", meeting.id)
    });
    each.collect::<Vec<_>>().join(" ")
}

const A: &str = "2026-03-08T04:00:00Z";
const B: &str = "2026-04-12T15:00:00Z";
const C: &str = "2026-04-19T17:00:00Z";

#[test]
fn what_is_carried_over() {
    let now: Timestamp = "2026-04-15T00:00:00Z".parse().unwrap();
    let last = calendar("2026", &[("a", A), ("b", B), ("c", C)]);
    for (name, drops, season, races, expected) in [
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
        let next = carry(&last, calendar(season, &races), &[], drops, now);
        assert_eq!(told(&next), expected, "{name}");
    }
}

/// What cannot be read is neither off nor gone.
#[test]
fn what_is_rejected_stays_as_it_was() {
    let now: Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
    let fp1 = |calendar: Calendar| {
        let add = |mut meeting: Listed| {
            let day = meeting.slots[0].date;
            meeting.slots.push(Slot::new("fp1", "Practice 1", day));
            meeting
        };
        Calendar { meetings: calendar.meetings.into_iter().map(add).collect(), ..calendar }
    };
    let last = fp1(calendar("2026", &[("b", B), ("c", C)]));
    let one = fp1(calendar("2026", &[("b", B)]));
    let races = calendar("2026", &[("b", B), ("c", C)]);
    let [forgets, cancels] = [false, true];
    for (name, fresh, rejected, drops, expected) in [
        ("nothing", &one, vec![], cancels, "b b:fp1 cx c:fp1x"),
        ("nothing", &one, vec![], forgets, "b b:fp1"),
        ("its meeting", &one, vec![RejectedItem::meeting("c", "")], cancels, "b b:fp1 c c:fp1"),
        ("its meeting", &one, vec![RejectedItem::meeting("c", "")], forgets, "b b:fp1 c c:fp1"),
        (
            "its race",
            &one,
            vec![RejectedItem::session("c", "race", "")],
            cancels,
            "b b:fp1 c c:fp1",
        ),
        ("who knows what", &one, vec![RejectedItem::unknown("")], cancels, "b b:fp1 c c:fp1"),
        ("another", &one, vec![RejectedItem::meeting("b", "")], cancels, "b b:fp1 cx c:fp1x"),
        ("no practice", &races, vec![], cancels, "b b:fp1x c c:fp1x"),
        ("no practice", &races, vec![], forgets, "b c"),
        (
            "a practice",
            &races,
            vec![RejectedItem::session("b", "fp1", "")],
            cancels,
            "b b:fp1 c c:fp1x",
        ),
        ("a practice", &races, vec![RejectedItem::session("b", "fp1", "")], forgets, "b b:fp1 c"),
        (
            "another one",
            &races,
            vec![RejectedItem::session("b", "fp2", "")],
            cancels,
            "b b:fp1x c c:fp1x",
        ),
        ("of a meeting", &races, vec![RejectedItem::meeting("b", "")], cancels, "b b:fp1 c c:fp1x"),
    ] {
        let next = carry(&last, fresh.clone(), &rejected, drops, now);
        let each = next.meetings.iter().flat_map(|meeting| {
            let mut slots: Vec<_> = meeting.slots.iter().collect();
            slots.sort_by_key(|slot| slot.code != "race");
            slots.into_iter().map(|slot| {
                let code = if slot.code == "race" { "" } else { ":fp1" };
                format!("{}{code}{}", meeting.id, if slot.cancelled { "x" } else { "" })
            })
        });
        assert_eq!(each.collect::<Vec<_>>().join(" "), expected, "{name}, {drops}");
    }
}

#[test]
fn what_was_cancelled_stays_listed_until_it_is_back() {
    let now: Timestamp = "2026-04-15T00:00:00Z".parse().unwrap();
    let last = calendar("2026", &[("a", A), ("b", B), ("c", C)]);
    let dropped = calendar("2026", &[("a", A), ("b", B)]);
    let cancelled = carry(&last, dropped.clone(), &[], true, now);
    let later = "2026-05-01T00:00:00Z".parse().unwrap();
    assert_eq!(told(&carry(&cancelled, dropped.clone(), &[], true, later)), "a b c!x");
    // Another race on its day is not what became of it.
    let instead = calendar("2026", &[("a", A), ("b", B), ("z", C)]);
    assert_eq!(told(&carry(&cancelled, instead, &[], true, later)), "a b z c!x");
    assert_eq!(told(&carry(&cancelled, last, &[], true, now)), "a b c!");
    // Where there are no seasons, years pass.
    let timeless = |calendar: Calendar| Calendar { season: None, ..calendar };
    let (cancelled, dropped) = (timeless(cancelled), timeless(dropped));
    for (now, expected) in [("2026-12-31T00:00:00Z", "a b c!x"), ("2028-01-01T00:00:00Z", "a b")] {
        let next = carry(&cancelled, dropped.clone(), &[], true, now.parse().unwrap());
        assert_eq!(told(&next), expected, "{now}");
    }
}

#[test]
fn a_season_that_is_gone_at_once_is_a_broken_answer() {
    let now: Timestamp = "2026-03-14T12:00:00Z".parse().unwrap();
    let races = samples::ergast(&samples::json("jolpica-f1-data-2026-calendar.json"));
    let read =
        |races: &[serde_json::Value]| super::super::jolpica::read(&samples::race_table(races));
    let last = read(&races);
    assert_eq!(sanity::complaints(&last), Vec::<String>::new());
    let two = samples::without(&races, &["Bahrain Grand Prix", "Saudi Arabian Grand Prix"]);
    for (name, fresh, expected) in [
        ("two of them", read(&two), Ok(())),
        (
            "all but four",
            read(&races[..4]),
            Err("20 of 23 meetings to come are gone at once".into()),
        ),
        ("another season", Calendar { season: Some("2027".into()), meetings: Vec::new() }, Ok(())),
    ] {
        assert_eq!(check(&last, &fresh, now), expected, "{name}");
    }
}
