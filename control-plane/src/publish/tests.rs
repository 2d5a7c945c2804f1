//! The documents for calendars and players, parsed by independent programs.

use serde_json::{Value, json};

use super::*;
use crate::python_environment::run_script;

const NOW: &str = "2026-05-03T18:00:00Z";

fn public_url() -> PublicUrl {
    PublicUrl::new("https://tv.example.com/pitwall/".parse().unwrap())
}

fn stream(id: &str, feed: &str) -> Stream {
    serde_json::from_value(json!({ "id": id, "feed": feed, "upstreams": [] })).unwrap()
}

/// A session of Miami: its code, its start and end, and further fields.
fn session(code: &str, times: Option<[&str; 2]>, fields: &Value) -> Value {
    let mut session = json!({
        "id": format!("2026:miami-grand-prix:miami:{code}"), "code": code, "name": code,
        "meeting": "Miami Grand Prix", "start": times.map(|[start, _]| start),
        "date": "2026-05-04", "time_known": times.is_some(), "end": times.map(|[_, end]| end),
        "end_estimated": true, "live_from": null, "live_until": "2026-05-03T20:30:00Z",
        "status": "upcoming", "source": "jolpica", "revision": 0,
    });
    session.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    session
}

fn schedule() -> Schedule {
    let race = ["2026-05-03T17:00:00Z", "2026-05-03T19:00:00Z"];
    let nasty = "Söme \"<b>\" & co; a,b \\ \u{7}\r\nBEGIN:VEVENT\r\n]]> --> and words that go on \
                 and on, so that no line may hold all of them";
    let moved = json!({
        "revision": 3, "revised_at": "2026-05-03T08:00:00Z",
        "disagreement": [{
            "source": "openf1", "start": "2026-05-03T20:00:00Z", "date": "2026-05-03",
            "cancelled": false,
        }],
    });
    let meeting = json!({
        "id": "2026:miami-grand-prix:miami", "name": "Miami Grand Prix", "round": 4,
        "circuit": {"id": "miami", "name": nasty, "locality": "Miami", "country": "USA"},
        "sessions": [
            session("race", Some(race), &moved),
            session("fp1", Some(race), &json!({"status": "cancelled", "revision": 1})),
            session("gala", None, &json!({})),
            session("rally", None, &json!({"last_date": "2026-05-07"})),
            session("show", Some(["2026-05-03T18:30:00Z", "2026-05-03T21:00:00Z"]), &json!({"name": nasty})),
            session("winter", Some(["2026-12-01T00:00:00Z", "2026-12-01T01:00:00Z"]), &json!({})),
        ],
    });
    let fetched_at = "2026-05-01T00:00:00Z".parse().ok();
    let meetings = vec![serde_json::from_value(meeting).unwrap()];
    Schedule { fetched_at, meetings, ..Schedule::default() }
}

fn streams() -> [Stream; 2] {
    [stream("world-feed", "World \"feed\" <&>\n#EXTINF"), stream("pit", "Pit")]
}

#[test]
fn the_playlist_names_absolute_links_and_nothing_else() {
    assert_eq!(
        iptv_playlist::write_m3u(&streams().each_ref(), &public_url()),
        "#EXTM3U url-tvg=\"https://tv.example.com/pitwall/iptv/guide.xml\" \
         x-tvg-url=\"https://tv.example.com/pitwall/iptv/guide.xml\"\n\
         #EXTINF:-1 tvg-id=\"world-feed.pitwall\" tvg-name=\"World 'feed' <&>#EXTINF\" \
         group-title=\"Pitwall\",World 'feed' <&>#EXTINF\n\
         https://tv.example.com/pitwall/live/world-feed/index.m3u8\n\
         #EXTINF:-1 tvg-id=\"pit.pitwall\" tvg-name=\"Pit\" group-title=\"Pitwall\",Pit\n\
         https://tv.example.com/pitwall/live/pit/index.m3u8\n"
    );
}

/// An event outside a race weekend is its own meeting.
#[test]
fn a_title_is_not_repeated() {
    let mut schedule = schedule();
    schedule.meetings[0].sessions.truncate(1);
    for (meeting, session, title, sub_title) in [
        ("Miami Grand Prix", "Race", "Miami Grand Prix: Race", true),
        ("Arsenal v Chelsea", "Arsenal v Chelsea", "Arsenal v Chelsea", false),
    ] {
        let one = &mut schedule.meetings[0].sessions[0];
        (one.meeting, one.name) = (meeting.to_owned(), session.to_owned());
        let guide = xmltv_guide::write_xmltv(
            &schedule,
            &streams().each_ref()[..1],
            NOW.parse().unwrap(),
            &public_url(),
        );
        assert!(guide.contains(&format!("<title>{title}</title>")), "{guide}");
        assert_eq!(guide.contains("<sub-title>"), sub_title, "{guide}");
        let calendar = calendar::write_icalendar(&schedule, &public_url());
        assert!(calendar.contains(&format!("\r\nSUMMARY:{title}\r\n")), "{calendar}");
    }
}

#[test]
fn an_overrunning_session_is_listed_until_its_live_window_ends() {
    let mut schedule = schedule();
    schedule.meetings[0].sessions.truncate(1);
    for (overrun, expected) in [(false, "190000"), (true, "203000")] {
        schedule.meetings[0].sessions[0].overrun = overrun;
        let guide = xmltv_guide::write_xmltv(
            &schedule,
            &streams().each_ref(),
            NOW.parse().unwrap(),
            &public_url(),
        );
        assert!(guide.contains(&format!("stop=\"20260503{expected} +0000\"")), "{guide}");
    }
}

#[test]
fn independent_programs_read_the_documents() {
    let Some(mut script) = run_script("read.py") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (ics, xml) = (directory.path().join("a.ics"), directory.path().join("a.xml"));
    let calendar = calendar::write_icalendar(&schedule(), &public_url());
    for line in calendar.split("\r\n") {
        assert!(line.len() <= 75 && !line.contains(['\r', '\n']), "{line:?}");
    }
    std::fs::write(&ics, calendar).unwrap();
    let guide = xmltv_guide::write_xmltv(
        &schedule(),
        &streams().each_ref(),
        NOW.parse().unwrap(),
        &public_url(),
    );
    std::fs::write(&xml, guide).unwrap();
    let output = script.args([&ics, &xml]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();

    let event = |code: &str| {
        let uid = format!("2026:miami-grand-prix:miami:{code}@pitwall");
        let events = read["events"].as_array().unwrap();
        events.iter().find(|event| event["uid"] == uid).unwrap_or_else(|| panic!("{code}")).clone()
    };
    assert_eq!(read["method"], "PUBLISH");
    assert_eq!(read["events"].as_array().unwrap().len(), 6, "none was smuggled in");
    assert_eq!(read["errors"], json!([]));
    for (code, start, end, sequence, status) in [
        ("race", "2026-05-03T17:00:00+00:00", "2026-05-03T19:00:00+00:00", 3, "CONFIRMED"),
        ("fp1", "2026-05-03T17:00:00+00:00", "2026-05-03T19:00:00+00:00", 1, "CANCELLED"),
        ("gala", "2026-05-04", "2026-05-05", 0, "TENTATIVE"),
        ("rally", "2026-05-04", "2026-05-08", 0, "TENTATIVE"),
    ] {
        let event = event(code);
        let got = ["start", "end", "sequence", "status"].map(|key| event[key].clone());
        assert_eq!(got, [json!(start), json!(end), json!(sequence), json!(status)], "{code}");
    }
    let race = event("race");
    assert_eq!(race["stamp"], "2026-05-03T08:00:00+00:00");
    assert_eq!(race["description"], "openf1 says 2026-05-03T20:00:00Z.");
    assert_eq!(
        race["url"],
        "https://tv.example.com/pitwall/watch/2026:miami-grand-prix:miami:race"
    );
    let location = race["location"].as_str().unwrap();
    assert!(location.starts_with("Söme \"<b>\" & co; a,b \\ BEGIN:VEVENT]]>"), "{location}");

    assert_eq!(read["channels"], json!(["world-feed.pitwall", "pit.pitwall"]));
    let names = ["World \"feed\" <&>#EXTINF", "Pit"];
    assert_eq!(read["names"], json!(names));
    let programmes: Vec<_> = read["programmes"].as_array().unwrap().iter().collect();
    let got: Vec<_> = programmes.iter().map(|one| (&one[0], &one[1], &one[2])).collect();
    let (race, show) = (json!("20260503170000 +0000"), json!("20260503183000 +0000"));
    let end = json!("20260503210000 +0000");
    let [world, pit] = [json!("world-feed.pitwall"), json!("pit.pitwall")];
    assert_eq!(
        got,
        [(&world, &race, &show), (&world, &show, &end), (&pit, &race, &show), (&pit, &show, &end)],
        "what is cancelled, far away, or without a time is not on"
    );
}
