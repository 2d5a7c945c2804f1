use super::*;
use crate::schedule::calendar::Slot;
use crate::schedule::{samples, sanity};

const NOW: &str = "2026-03-01T00:00:00Z";

fn read(text: &str) -> Result<Calendar, String> {
    calendar(text, NOW.parse().unwrap()).map_err(|error| error.message)
}

fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\r\nUID:{}\r\n{lines}\r\nEND:VEVENT\r\n", lines.len())
}

fn whole(events: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{events}END:VCALENDAR\r\n")
}

fn told(calendar: &Calendar) -> Vec<String> {
    let one = |id: &str, slot: &Slot| {
        let start = slot.start.map_or(slot.date.to_string(), |start| start.to_string());
        let end = slot.end.map_or(String::new(), |end| format!(" to {end}"));
        let cancelled = if slot.cancelled { " x" } else { "" };
        format!("{id}:{} {start}{end}{cancelled}", slot.code)
    };
    let meetings = calendar.meetings.iter();
    meetings.flat_map(|one_of| one_of.slots.iter().map(|slot| one(&one_of.id, slot))).collect()
}

#[test]
fn moments() {
    for (name, lines, expected) in [
        ("UTC", "SUMMARY:A\r\nDTSTART:20260503T170000Z", "2026:a:ics:event 2026-05-03T17:00:00Z"),
        (
            "a zone, in summer",
            "SUMMARY:A\r\nDTSTART;TZID=America/New_York:20260503T160000\r\nDTEND;TZID=America/New_York:20260503T180000",
            "2026:a:ics:event 2026-05-03T20:00:00Z to 2026-05-03T22:00:00Z",
        ),
        (
            "a zone, in winter",
            "SUMMARY:A\r\nDTSTART;TZID=Europe/Berlin:20260103T160000",
            "2026:a:ics:event 2026-01-03T15:00:00Z",
        ),
        (
            "the name another system has for a zone",
            "SUMMARY:A\r\nDTSTART;TZID=W. Europe Standard Time:20260703T160000",
            "2026:a:ics:event 2026-07-03T14:00:00Z",
        ),
        ("all day", "SUMMARY:A\r\nDTSTART;VALUE=DATE:20260503", "2026:a:ics:event 2026-05-03"),
        (
            "a duration",
            "SUMMARY:A\r\nDTSTART:20260503T170000Z\r\nDURATION:PT90M",
            "2026:a:ics:event 2026-05-03T17:00:00Z to 2026-05-03T18:30:00Z",
        ),
        (
            "a place, a folded line, and escapes",
            "SUMMARY:A\\, B\r\n  and C\r\nLOCATION:Here\\; there\r\nDTSTART:20260503T170000Z",
            "2026:a-b-and-c:here-there:event 2026-05-03T17:00:00Z",
        ),
        (
            "cancelled",
            "SUMMARY:A\r\nDTSTART:20260503T170000Z\r\nSTATUS:CANCELLED",
            "2026:a:ics:event 2026-05-03T17:00:00Z x",
        ),
    ] {
        let calendar = read(&whole(&event(lines))).unwrap();
        assert_eq!(told(&calendar), [expected], "{name}");
    }
}

#[test]
fn times_without_a_zone_are_in_the_calendars() {
    let event = event("SUMMARY:A\r\nDTSTART:20260503T170000");
    for (zone, expected) in [
        ("", Ok("2026:a:ics:event 2026-05-03T17:00:00Z")),
        ("X-WR-TIMEZONE:Asia/Tokyo\r\n", Ok("2026:a:ics:event 2026-05-03T08:00:00Z")),
        ("X-WR-TIMEZONE:Middle/Earth\r\n", Err("the time zone \"Middle/Earth\" is not known")),
    ] {
        let read =
            read(&whole(&format!("{zone}{event}"))).map(|calendar| told(&calendar).remove(0));
        assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned), "{zone}");
    }
}

#[test]
fn recurrences() {
    let weekly = "SUMMARY:Show\r\nDTSTART;TZID=Europe/London:20260319T180000\r\nDURATION:PT1H\r\n\
                  RRULE:FREQ=WEEKLY;COUNT=4\r\nEXDATE;TZID=Europe/London:20260326T180000";
    let moved = "BEGIN:VEVENT\r\nUID:S\r\nSUMMARY:Show\r\nRECURRENCE-ID;TZID=Europe/London:20260402T180000\r\n\
                 DTSTART;TZID=Europe/London:20260403T200000\r\nDURATION:PT1H\r\nEND:VEVENT\r\n";
    let text = whole(&format!("BEGIN:VEVENT\r\nUID:S\r\n{weekly}\r\nEND:VEVENT\r\n{moved}"));
    assert_eq!(
        told(&read(&text).unwrap()),
        [
            "2026:show:ics:event-2026-03-19 2026-03-19T18:00:00Z to 2026-03-19T19:00:00Z",
            // Clocks went forward; the instance keeps the day it was meant for.
            "2026:show:ics:event-2026-04-02 2026-04-03T19:00:00Z to 2026-04-03T20:00:00Z",
            "2026:show:ics:event-2026-04-09 2026-04-09T17:00:00Z to 2026-04-09T18:00:00Z",
        ]
    );
    // Begun long ago and without an end: only this year and the winters around it count.
    let daily = whole(&event("SUMMARY:News\r\nDTSTART:20100101T060000Z\r\nRRULE:FREQ=DAILY"));
    let days = told(&read(&daily).unwrap()).len();
    assert_eq!(days, 365 + 2 * 62);
}

#[test]
fn what_is_refused() {
    let moment = "DTSTART:20260503T170000Z";
    for (name, text, expected) in [
        ("HTML", "<html>".to_owned(), "it is not an iCalendar"),
        ("nothing", String::new(), "it is not an iCalendar"),
        ("cut short", whole(&event(moment)).split_at(70).0.to_owned(), "cut short"),
        (
            "a zone nobody knows",
            whole(&event("DTSTART;TZID=Middle/Earth:20260503T170000")),
            "\"Middle/Earth\" is not known",
        ),
        ("its last line missing", whole(&event(moment)).replace("END:VCALENDAR", ""), "cut short"),
        ("no start", whole(&event("SUMMARY:Lost")), "Lost: MissingDtStart"),
        (
            "every second",
            whole(&event(&format!("{moment}\r\nRRULE:FREQ=SECONDLY"))),
            "more than 100000 recurrences",
        ),
        (
            "too many",
            whole(&event(&format!("{moment}\r\nRRULE:FREQ=MINUTELY;COUNT=5000"))),
            "more than 2000 events",
        ),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(expected), "{name}: {error}");
    }
    // A day that no year has is never, and takes no time to find out.
    let never = format!("{moment}\r\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30");
    assert!(told(&read(&whole(&event(&never))).unwrap()).len() <= 1);
}

#[test]
fn titles() {
    for (title, expected) in [
        ("F1: FP1 (Miami Grand Prix)", (true, "fp1", "Miami Grand Prix", false)),
        (
            "F1: Grand Prix (Bahrain Grand Prix (Malaysia))",
            (true, "race", "Bahrain Grand Prix (Malaysia)", false),
        ),
        ("(Canceled) F1: Sprint Qualifying (Miami)", (true, "sprint-qualifying", "Miami", true)),
        (
            "🏁 FORMULA 1 GULF AIR BAHRAIN GRAND PRIX 2026 - Race",
            (true, "race", "GULF AIR BAHRAIN GRAND PRIX 2026", false),
        ),
        ("F1 Miami Grand Prix: Qualifying", (true, "qualifying", "Miami Grand Prix", false)),
        ("Practice 2 – Monaco Grand Prix", (false, "fp2", "Monaco Grand Prix", false)),
        ("F1: Paddock show", (true, "", "Paddock show", false)),
        ("F2: Sprint (Miami)", (false, "sprint", "F2: Miami", false)),
        ("F1 Academy: Race (Miami)", (false, "race", "F1 Academy: Miami", false)),
        ("Arsenal - Chelsea", (false, "", "Arsenal - Chelsea", false)),
        ("Race week preview", (false, "", "Race week preview", false)),
        ("", (false, "", "", false)),
    ] {
        let said = summary::read(title);
        let code = said.session.map_or("", |(code, _)| code);
        assert_eq!((said.series, code, said.meeting.as_str(), said.cancelled), expected, "{title}");
    }
}

/// Every season of f1calendar.com's database, as the calendar it makes of it.
#[test]
fn real_seasons() {
    for (file, year, meetings, slots, weekend, expected) in [
        ("2020", 2020, 17, 83, "emilia-romagna", "fp1 qualifying race"),
        ("2022", 2022, 22, 110, "brazilian", "fp1 qualifying fp2 sprint race"),
        ("2023", 2023, 22, 110, "azerbaijan", "fp1 qualifying sprint-qualifying sprint race"),
        ("2024", 2024, 24, 120, "chinese", "fp1 sprint-qualifying sprint qualifying race"),
        ("2025", 2025, 24, 120, "las-vegas", "fp1 fp2 fp3 qualifying race"),
        ("2026", 2026, 23, 115, "miami", "fp1 sprint-qualifying sprint qualifying race"),
        ("2026-at-4f33cd21-cancelled", 2026, 24, 120, "bahrain", "fp1 fp2 fp3 qualifying race"),
        (
            "2026-at-b178b712-tbc-malaysia",
            2026,
            23,
            115,
            "bahrain-malaysia",
            "fp1 fp2 fp3 qualifying race",
        ),
    ] {
        let database = samples::json(&format!("sportstimes-f1-{file}.json"));
        let now = format!("{year}-03-01T00:00:00Z").parse().unwrap();
        let calendar = calendar(&samples::ics(&database, year), now).unwrap();
        assert_eq!(sanity::check(&calendar), Ok(()), "{file}");
        assert!(calendar.meetings.iter().all(|meeting| meeting.series), "{file}");
        let count: usize = calendar.meetings.iter().map(|meeting| meeting.slots.len()).sum();
        assert_eq!((calendar.meetings.len(), count), (meetings, slots), "{file}");
        let name = format!("{year}:{weekend}-grand-prix");
        let found = calendar.meetings.iter().find(|one| one.id.starts_with(&name));
        let found = found.unwrap_or_else(|| panic!("{name} in {file}"));
        let codes: Vec<_> = found.slots.iter().map(|slot| slot.code.as_str()).collect();
        assert_eq!(codes.join(" "), expected, "{file}");
    }
}
