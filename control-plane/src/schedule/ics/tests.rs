mod recurring_ical_events;
mod rules;

use super::*;
use crate::schedule::calendar::ProviderSession;
use crate::schedule::{plausibility, samples};

const NOW: &str = "2026-03-01T00:00:00Z";

/// Reads a calendar of which no event is rejected.
fn read_calendar(text: &str) -> Result<ProviderCalendar, String> {
    let response = read_response(text)?;
    assert_eq!(response.rejected, [], "{text}");
    Ok(response.calendar)
}

fn read_response(text: &str) -> Result<ProviderResponse, String> {
    parse_calendar(text, NOW.parse().unwrap()).map_err(|error| error.message)
}

fn wrap_event(lines: &str) -> String {
    format!("BEGIN:VEVENT\r\nUID:{}\r\n{lines}\r\nEND:VEVENT\r\n", lines.len())
}

fn wrap_calendar(events: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{events}END:VCALENDAR\r\n")
}

fn describe_calendar(calendar: &ProviderCalendar) -> Vec<String> {
    let one = |id: &str, session: &ProviderSession| {
        let start = session.start.map_or(session.date.to_string(), |start| start.to_string());
        let last = || session.last_date.map(|last| last.to_string());
        let end = session.end.map(|end| end.to_string()).or_else(last);
        let end = end.map_or(String::new(), |end| format!(" to {end}"));
        let cancelled = if session.cancelled { " x" } else { "" };
        format!("{id}:{} {start}{end}{cancelled}", session.code)
    };
    let meetings = calendar.meetings.iter();
    meetings
        .flat_map(|meeting| meeting.slots.iter().map(|session| one(&meeting.id, session)))
        .collect()
}

#[test]
fn times_of_events() {
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
            "the end of a day",
            "SUMMARY:A\r\nDTSTART;VALUE=DATE:20260503\r\nDTEND;VALUE=DATE:20260504",
            "2026:a:ics:event 2026-05-03",
        ),
        (
            "a day that ends as it begins",
            "SUMMARY:A\r\nDTSTART;VALUE=DATE:20260503\r\nDTEND;VALUE=DATE:20260503",
            "2026:a:ics:event 2026-05-03",
        ),
        (
            "several days",
            "SUMMARY:A\r\nDTSTART;VALUE=DATE:20260503\r\nDTEND;VALUE=DATE:20260507",
            "2026:a:ics:event 2026-05-03 to 2026-05-06",
        ),
        (
            "several days by their number",
            "SUMMARY:A\r\nDTSTART;VALUE=DATE:20260503\r\nDURATION:P4D",
            "2026:a:ics:event 2026-05-03 to 2026-05-06",
        ),
        (
            "days in a zone, and with an end at a time",
            "SUMMARY:A\r\nDTSTART;TZID=Pacific/Auckland;VALUE=DATE:20260503\r\n\
             DTEND;TZID=Pacific/Auckland:20260505T000000",
            "2026:a:ics:event 2026-05-03 to 2026-05-04",
        ),
        (
            "an end that is a day only",
            "SUMMARY:A\r\nDTSTART;TZID=Europe/Berlin:20260503T160000\r\nDTEND;VALUE=DATE:20260505",
            "2026:a:ics:event 2026-05-03T14:00:00Z to 2026-05-04T22:00:00Z",
        ),
        (
            "an end without a zone is in that of the start",
            "SUMMARY:A\r\nDTSTART;TZID=Europe/Berlin:20260503T160000\r\nDTEND:20260503T180000",
            "2026:a:ics:event 2026-05-03T14:00:00Z to 2026-05-03T16:00:00Z",
        ),
        (
            "a day of 25 hours",
            "SUMMARY:A\r\nDTSTART;TZID=Europe/Madrid:20261024T120000\r\nDURATION:P1D",
            "2026:a:ics:event 2026-10-24T10:00:00Z to 2026-10-25T11:00:00Z",
        ),
        (
            "24 hours across a change of offset",
            "SUMMARY:A\r\nDTSTART;TZID=Europe/Madrid:20261024T120000\r\nDURATION:PT24H",
            "2026:a:ics:event 2026-10-24T10:00:00Z to 2026-10-25T10:00:00Z",
        ),
        (
            "an end as it begins",
            "SUMMARY:A\r\nDTSTART:20260503T170000Z\r\nDTEND:20260503T170000Z",
            "2026:a:ics:event 2026-05-03T17:00:00Z",
        ),
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
        let calendar = read_calendar(&wrap_calendar(&wrap_event(lines))).unwrap();
        assert_eq!(describe_calendar(&calendar), [expected], "{name}");
    }
}

#[test]
fn times_without_a_zone_are_in_the_zone_of_the_calendar() {
    let event = wrap_event("SUMMARY:A\r\nDTSTART:20260503T170000");
    for (zone, expected) in [
        ("", Ok("2026:a:ics:event 2026-05-03T17:00:00Z")),
        ("X-WR-TIMEZONE:Asia/Tokyo\r\n", Ok("2026:a:ics:event 2026-05-03T08:00:00Z")),
        (
            "X-WR-TIMEZONE:Middle/Earth\r\n",
            Err(
                "\"A\" on 2026-05-03: the time zone \"Middle/Earth\" is not known, and the calendar \
                 does not define it",
            ),
        ),
    ] {
        let read = read_calendar(&wrap_calendar(&format!("{zone}{event}")))
            .map(|calendar| describe_calendar(&calendar).remove(0));
        assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned), "{zone}");
    }
}

#[test]
fn recurrences() {
    let weekly = "SUMMARY:Show\r\nDTSTART;TZID=Europe/London:20260319T180000\r\nDURATION:PT1H\r\n\
                  RRULE:FREQ=WEEKLY;COUNT=4\r\nEXDATE;TZID=Europe/London:20260326T180000";
    let moved = "BEGIN:VEVENT\r\nUID:S\r\nSUMMARY:Show\r\nRECURRENCE-ID;TZID=Europe/London:20260402T180000\r\n\
                 DTSTART;TZID=Europe/London:20260403T200000\r\nDURATION:PT1H\r\nEND:VEVENT\r\n";
    let text =
        wrap_calendar(&format!("BEGIN:VEVENT\r\nUID:S\r\n{weekly}\r\nEND:VEVENT\r\n{moved}"));
    assert_eq!(
        describe_calendar(&read_calendar(&text).unwrap()),
        [
            "2026:show:ics:event-2026-03-19 2026-03-19T18:00:00Z to 2026-03-19T19:00:00Z",
            // Summer time has begun, and the instance was moved; its code has its original date.
            "2026:show:ics:event-2026-04-02 2026-04-03T19:00:00Z to 2026-04-03T20:00:00Z",
            "2026:show:ics:event-2026-04-09 2026-04-09T17:00:00Z to 2026-04-09T18:00:00Z",
        ]
    );
    // Of a rule that began long ago and has no end, only instances around this year are listed.
    let daily =
        wrap_calendar(&wrap_event("SUMMARY:News\r\nDTSTART:20100101T060000Z\r\nRRULE:FREQ=DAILY"));
    let days = describe_calendar(&read_calendar(&daily).unwrap()).len();
    assert_eq!(days, 365 + 2 * 62);
}

#[test]
fn calendars_without_a_usable_event_are_refused() {
    let moment = "DTSTART:20260503T170000Z";
    for (name, text, expected) in [
        ("HTML", "\n<html>".to_owned(), "it is a page, not an iCalendar"),
        ("nothing", String::new(), "it is not an iCalendar"),
        ("cut short", wrap_calendar(&wrap_event(moment)).split_at(70).0.to_owned(), "cut short"),
        (
            "a zone nobody knows",
            wrap_calendar(&wrap_event("DTSTART;TZID=Middle/Earth:20260503T170000")),
            "\"Middle/Earth\" is not known",
        ),
        (
            "its last line missing",
            wrap_calendar(&wrap_event(moment)).replace("END:VCALENDAR", ""),
            "cut short",
        ),
        ("no start", wrap_calendar(&wrap_event("SUMMARY:Lost")), "\"Lost\": it has no DTSTART"),
        (
            "no day",
            wrap_calendar(&wrap_event("SUMMARY:Lost\r\nDTSTART:20260231T170000Z")),
            "\"Lost\"",
        ),
        (
            "every second",
            wrap_calendar(&wrap_event(&format!("{moment}\r\nRRULE:FREQ=SECONDLY"))),
            "more than 20000 recurrences",
        ),
        (
            "too many",
            wrap_calendar(&wrap_event(&format!("{moment}\r\nRRULE:FREQ=MINUTELY;COUNT=5000"))),
            "more than 2000 events",
        ),
    ] {
        let error = read_calendar(&text).unwrap_err();
        assert!(error.contains(expected), "{name}: {error}");
    }
    // A rule for a date that does not exist is expanded in bounded time.
    let never = format!("{moment}\r\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30");
    assert!(
        describe_calendar(&read_calendar(&wrap_calendar(&wrap_event(&never))).unwrap()).len() <= 1
    );
}

/// An event that cannot be read is reported, and the others are listed.
#[test]
fn a_malformed_event_does_not_affect_the_others() {
    let good =
        "BEGIN:VEVENT\r\nUID:good\r\nSUMMARY:Good\r\nDTSTART:20260503T170000Z\r\nEND:VEVENT\r\n";
    let (zone, moment) = ("TZID=Customized Time Zone", "DTSTART:20260503T170000Z");
    let unknown =
        "the time zone \"Customized Time Zone\" is not known, and the calendar does not define it";
    for (lines, expected) in [
        (format!("DTSTART;{zone}:20261212T180000"), format!("\"Bad\" on 2026-12-12: {unknown}")),
        (
            format!("{moment}\r\nEXDATE;{zone}:20260503T180000"),
            format!("\"Bad\" on 2026-05-03: {unknown}"),
        ),
        (
            format!("{moment}\r\nRRULE:FREQ=SOMETIMES"),
            "\"Bad\" on 2026-05-03: its RRULE cannot be read".to_owned(),
        ),
        ("DTSTART:tomorrow".to_owned(), "\"Bad\": its DTSTART is no date that exists".to_owned()),
        (
            "DTSTART:20260231T170000Z".to_owned(),
            "\"Bad\": its DTSTART is no date that exists".to_owned(),
        ),
        ("LOCATION:Here".to_owned(), "\"Bad\": it has no DTSTART".to_owned()),
        (
            format!("{moment}\r\nRRULE:FREQ=DAILY;COUNT=2\r\nEXDATE:20260503T170000Z,never"),
            "\"Bad\" on 2026-05-03: its EXDATE is no date that exists".to_owned(),
        ),
        (
            format!("{moment}\r\nRRULE:FREQ=DAILY;UNTIL=20261399"),
            "\"Bad\" on 2026-05-03: a date in it does not exist".to_owned(),
        ),
        (
            format!("{moment}\r\nRRULE:FREQ=MINUTELY;COUNT=5000"),
            "\"Bad\" on 2026-05-03: more than 2000 events this year".to_owned(),
        ),
        (
            format!("{moment}\r\nRRULE:FREQ=SECONDLY"),
            "\"Bad\" on 2026-05-03: more than 20000 recurrences".to_owned(),
        ),
    ] {
        let bad = wrap_event(&format!("SUMMARY:Bad\r\n{lines}"));
        for events in [format!("{good}{bad}"), format!("{bad}{good}")] {
            let response = read_response(&wrap_calendar(&events)).unwrap();
            assert_eq!(
                describe_calendar(&response.calendar),
                ["2026:good:ics:event 2026-05-03T17:00:00Z"]
            );
            let rejected: Vec<_> = response.rejected.iter().map(|one| &*one.message).collect();
            assert_eq!(rejected, [expected.as_str()], "{lines}");
            let circuit = if lines.starts_with("LOCATION") { "here" } else { "ics" };
            assert_eq!(
                response.rejected[0].meeting,
                Some(format!("2026:bad:{circuit}")),
                "{lines}"
            );
        }
    }
    // Of more than `MAX_EVENTS` events, those farthest from now are rejected.
    let many: String = (0..2010)
        .map(|n| format!("BEGIN:VEVENT\r\nUID:{n}\r\nSUMMARY:E\r\nDTSTART:2026{:02}{:02}T170000Z\r\nEND:VEVENT\r\n", n % 12 + 1, n % 28 + 1))
        .collect();
    let response = read_response(&wrap_calendar(&many)).unwrap();
    assert_eq!((describe_calendar(&response.calendar).len(), response.rejected.len()), (2000, 10));
    assert!(response.rejected.iter().all(|one| one.message.contains("on 2026-12")), "the farthest");
}

#[test]
fn an_end_that_cannot_be_read_costs_the_end_alone() {
    for (end, expected) in [
        (
            "DTEND;TZID=Nowhere:20260503T180000",
            "the time zone \"Nowhere\" is not known, and the calendar does not define it",
        ),
        ("DTEND:later", "its DTEND is no date that exists"),
        ("DURATION:long", "its DURATION cannot be read"),
    ] {
        let lines = format!("SUMMARY:Show\r\nDTSTART:20260503T170000Z\r\n{end}");
        let response = read_response(&wrap_calendar(&wrap_event(&lines))).unwrap();
        let session = &response.calendar.meetings[0].slots[0];
        let start = session.start.unwrap().to_string();
        assert_eq!((&*start, session.end), ("2026-05-03T17:00:00Z", None), "{end}");
        let rejected: Vec<_> = response.rejected.iter().map(|one| &*one.message).collect();
        let expected = format!("\"Show\" on 2026-05-03: {expected}, so its end is left out");
        assert_eq!(rejected, [expected], "{end}");
    }
}

/// Lines end in CR, LF or both, and servers append comments.
#[test]
fn texts_of_calendars() {
    let event = "SUMMARY:Show\r\n  of a day\r\nDTSTART;TZID=Europe/Berlin:20260503T190000\r\n\
                 RRULE:FREQ=DAILY;COUNT=1";
    let text = wrap_calendar(&wrap_event(event));
    for text in [
        text.replace("\r\n", "\r"),
        text.replace("\r\n", "\n"),
        text.replace("\r\n", "\r\r\n"),
        text.replacen("\r\n", "\r", 3),
        format!("\u{feff}\r{}", text.replace("\r\n", "\r")),
        text.to_lowercase().replace("show\r\n  of", "Show\r\n  of").replace("show", "Show"),
        format!("{text}<!-- made in 3 ms -->\r\n"),
        text.replace("END:VCALENDAR", "end:vcalendar"),
    ] {
        let response = read_response(&text).unwrap();
        let found: Vec<_> = response.calendar.meetings.iter().map(|one| &*one.name).collect();
        assert_eq!(found, ["Show of a day"], "{text:?}");
        let start = response.calendar.meetings[0].slots[0].start.unwrap().to_string();
        assert_eq!((&*start, response.rejected.len()), ("2026-05-03T17:00:00Z", 0), "{text:?}");
    }
}

#[tokio::test]
async fn a_compressed_file_is_read() {
    use std::io::Write as _;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.ics");
    let text = wrap_calendar(&wrap_event("SUMMARY:Show\r\nDTSTART:20260503T170000Z"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    std::fs::write(&path, gzip.finish().unwrap()).unwrap();
    let ics =
        IcsProvider { location: Some(IcsLocation::File(path)), policy: AddressPolicy::default() };
    let fetcher = Fetcher::new(pitwall_fetch::Timeouts::default(), Vec::new());
    let response = ics.fetch_calendar(&fetcher, NOW.parse().unwrap()).await.unwrap();
    assert_eq!(response.calendar.meetings[0].name, "Show");
}

#[tokio::test]
async fn a_file_in_another_encoding_is_decoded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.ics");
    let text = wrap_calendar(&wrap_event("SUMMARY:Caf? race\r\nDTSTART:20260503T170000Z"));
    let bytes: Vec<u8> = text.bytes().map(|b| if b == b'?' { 0xe9 } else { b }).collect();
    std::fs::write(&path, bytes).unwrap();
    let ics =
        IcsProvider { location: Some(IcsLocation::File(path)), policy: AddressPolicy::default() };
    let fetcher = Fetcher::new(pitwall_fetch::Timeouts::default(), Vec::new());
    let response = ics.fetch_calendar(&fetcher, NOW.parse().unwrap()).await.unwrap();
    assert_eq!(response.calendar.meetings[0].name, "Café race");
}

/// An exception that cannot be read is not listed, and neither is the instance that it replaces.
#[test]
fn a_malformed_exception_does_not_affect_other_instances() {
    let weekly = "BEGIN:VEVENT\r\nUID:S\r\nSUMMARY:Show\r\nDTSTART;TZID=Europe/London:20260319T180000\r\n\
                  RRULE:FREQ=WEEKLY;COUNT=3\r\nEND:VEVENT\r\n";
    let moved = "BEGIN:VEVENT\r\nUID:S\r\nSUMMARY:Show\r\nRECURRENCE-ID:20260326T180000Z\r\n\
                 DTSTART;TZID=Middle/Earth:20260327T180000\r\nEND:VEVENT\r\n";
    let response = read_response(&wrap_calendar(&format!("{moved}{weekly}"))).unwrap();
    assert_eq!(
        describe_calendar(&response.calendar),
        [
            "2026:show:ics:event-2026-03-19 2026-03-19T18:00:00Z",
            "2026:show:ics:event-2026-04-02 2026-04-02T17:00:00Z",
        ]
    );
    assert!(response.rejected[0].message.starts_with("\"Show\" on 2026-03-27: "));
}

/// Of a recurring event: which of its instances take place, and when.
#[test]
fn recurrence_sets() {
    let master =
        |lines: &str| format!("BEGIN:VEVENT\r\nUID:S\r\nSUMMARY:A\r\n{lines}\r\nEND:VEVENT\r\n");
    let weekly = "DTSTART;TZID=Europe/Berlin:20260701T140000\r\nRRULE:FREQ=WEEKLY;COUNT=3";
    let daily =
        "DTSTART;VALUE=DATE:20260701\r\nDTEND;VALUE=DATE:20260703\r\nRRULE:FREQ=WEEKLY;COUNT=3";
    for (name, events, expected) in [
        (
            "a day excluded from times",
            master(&format!("{weekly}\r\nEXDATE;VALUE=DATE:20260708")),
            vec!["2026-07-01T12:00:00Z", "2026-07-15T12:00:00Z"],
        ),
        (
            "a time excluded from days",
            master(&format!("{daily}\r\nEXDATE;TZID=Europe/Berlin:20260708T000000")),
            vec!["2026-07-01 to 2026-07-02", "2026-07-15 to 2026-07-16"],
        ),
        (
            "a time excluded without its zone",
            master(&format!("{weekly}\r\nEXDATE:20260708T140000")),
            vec!["2026-07-01T12:00:00Z", "2026-07-15T12:00:00Z"],
        ),
        (
            "dates beside a rule, one of them twice and one excluded",
            master(&format!(
                "{weekly}\r\nRDATE:20260701T120000Z,20260702T120000Z,20260703T120000Z\r\n\
                 EXDATE:20260703T120000Z"
            )),
            vec![
                "2026-07-01T12:00:00Z",
                "2026-07-02T12:00:00Z",
                "2026-07-08T12:00:00Z",
                "2026-07-15T12:00:00Z",
            ],
        ),
        (
            "a date without a time is at the time of the event",
            master("DTSTART:20260701T120000Z\r\nRDATE;VALUE=DATE:20260705"),
            vec!["2026-07-01T12:00:00Z", "2026-07-05T12:00:00Z"],
        ),
        (
            "two rules",
            master(
                "DTSTART:20260701T120000Z\r\nRRULE:FREQ=DAILY;COUNT=2\r\nRRULE:FREQ=WEEKLY;COUNT=2",
            ),
            vec!["2026-07-01T12:00:00Z", "2026-07-02T12:00:00Z", "2026-07-08T12:00:00Z"],
        ),
        (
            "days until a day that is told as a time",
            master("DTSTART;VALUE=DATE:20260701\r\nRRULE:FREQ=DAILY;UNTIL=20260703T000000Z"),
            vec!["2026-07-01", "2026-07-02", "2026-07-03"],
        ),
        (
            "moved to another day, named by its day",
            master(weekly)
                + &master("RECURRENCE-ID;VALUE=DATE:20260708\r\nDTSTART:20260710T090000Z"),
            vec!["2026-07-01T12:00:00Z", "2026-07-10T09:00:00Z", "2026-07-15T12:00:00Z"],
        ),
        (
            "moved to another week",
            master("RECURRENCE-ID:20260701T120000Z\r\nDTSTART:20260722T090000Z") + &master(weekly),
            vec!["2026-07-08T12:00:00Z", "2026-07-15T12:00:00Z", "2026-07-22T09:00:00Z"],
        ),
        (
            "a day moved to a time",
            master(daily)
                + &master("RECURRENCE-ID;VALUE=DATE:20260708\r\nDTSTART:20260709T090000Z"),
            vec!["2026-07-01 to 2026-07-02", "2026-07-09T09:00:00Z", "2026-07-15 to 2026-07-16"],
        ),
        (
            "of a date, not of a rule",
            master("DTSTART:20260701T120000Z\r\nRDATE:20260702T120000Z")
                + &master("RECURRENCE-ID:20260702T120000Z\r\nDTSTART:20260703T120000Z"),
            vec!["2026-07-01T12:00:00Z", "2026-07-03T12:00:00Z"],
        ),
        (
            "cancelled",
            master(weekly) + &master("RECURRENCE-ID:20260708T120000Z\r\nSTATUS:CANCELLED"),
            vec!["2026-07-01T12:00:00Z", "2026-07-08T12:00:00Z x", "2026-07-15T12:00:00Z"],
        ),
        (
            "moved with all that follow, but for one",
            master(weekly)
                + &master(
                    "RECURRENCE-ID;RANGE=THISANDFUTURE:20260708T120000Z\r\nDTSTART;TZID=Europe/Berlin:20260709T150000",
                )
                + &master("RECURRENCE-ID:20260715T120000Z\r\nDTSTART:20260720T120000Z"),
            vec!["2026-07-01T12:00:00Z", "2026-07-09T13:00:00Z", "2026-07-20T12:00:00Z"],
        ),
        (
            "moved with all that follow",
            master(weekly)
                + &master(
                    "RECURRENCE-ID;RANGE=THISANDFUTURE:20260708T120000Z\r\nDTSTART;TZID=Europe/Berlin:20260709T150000",
                ),
            vec!["2026-07-01T12:00:00Z", "2026-07-09T13:00:00Z", "2026-07-16T13:00:00Z"],
        ),
        (
            "moved twice, the later revision first",
            master("RECURRENCE-ID:20260708T120000Z\r\nDTSTART:20260710T120000Z\r\nSEQUENCE:2")
                + &master(
                    "RECURRENCE-ID;TZID=Europe/Berlin:20260708T140000\r\nDTSTART:20260709T120000Z\r\nSEQUENCE:1",
                )
                + &master(weekly),
            vec!["2026-07-01T12:00:00Z", "2026-07-10T12:00:00Z", "2026-07-15T12:00:00Z"],
        ),
        (
            "an instance without its event",
            master("RECURRENCE-ID:20260708T120000Z\r\nDTSTART:20260710T120000Z"),
            vec!["2026-07-10T12:00:00Z"],
        ),
        (
            "moved to the second of two equal local times",
            master("DTSTART;TZID=Europe/Madrid:20261018T023000\r\nRRULE:FREQ=WEEKLY;COUNT=2")
                + &master(
                    "RECURRENCE-ID;TZID=Europe/Madrid:20261025T023000\r\nDTSTART:20261025T013000Z",
                ),
            vec!["2026-10-18T00:30:00Z", "2026-10-25T01:30:00Z"],
        ),
    ] {
        let calendar = read_calendar(&wrap_calendar(&events)).unwrap();
        let listed = describe_calendar(&calendar);
        let times: Vec<_> =
            listed.iter().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
        assert_eq!(times, expected, "{name}");
    }
}

/// Of several events with one UID the newest revision is used.
#[test]
fn revisions() {
    let event = |day: u32, lines: &str| {
        format!(
            "BEGIN:VEVENT\r\nUID:R\r\nSUMMARY:A\r\nDTSTART:202605{day:02}T170000Z\r\n{lines}\r\nEND:VEVENT\r\n"
        )
    };
    let [old, new] = ["DTSTAMP:20260101T000000Z", "DTSTAMP:20260201T000000Z"];
    let lost = "\"A\" on 2026-05-03: another event has the same UID";
    for (name, events, day, rejected) in [
        ("the higher SEQUENCE", [event(4, "SEQUENCE:2"), event(3, "SEQUENCE:1")], 4, None),
        ("the later stamp", [event(4, new), event(3, old)], 4, None),
        (
            "the higher SEQUENCE, whatever its stamp",
            [event(4, &format!("SEQUENCE:1\r\n{old}")), event(3, new)],
            4,
            None,
        ),
        ("a copy", [event(4, old), event(4, old)], 4, None),
        ("another event", [event(3, old), event(4, old)], 4, Some(lost)),
    ] {
        let response = read_response(&wrap_calendar(&events.concat())).unwrap();
        let expected = format!("2026:a:ics:event 2026-05-{day:02}T17:00:00Z");
        assert_eq!(describe_calendar(&response.calendar), [expected], "{name}");
        let messages: Vec<_> = response.rejected.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(messages, Vec::from_iter(rejected), "{name}");
    }
}

/// A mistake in the structure of a calendar costs no other event.
#[test]
fn structure() {
    let event = |name: &str| {
        format!(
            "BEGIN:VEVENT\r\nUID:{name}\r\nSUMMARY:{name}\r\nDTSTART:20260503T170000Z\r\nEND:VEVENT\r\n"
        )
    };
    let [one, two, three] = ["One", "Two", "Three"].map(event);
    let tokyo = "X-WR-TIMEZONE:Asia/Tokyo\r\n";
    let local = one.replace("170000Z", "170000");
    let own_zone = "BEGIN:VTIMEZONE\r\nTZID:Here\r\nBEGIN:STANDARD\r\nDTSTART:20200101T000000\r\n\
                    TZOFFSETFROM:+0400\r\nTZOFFSETTO:+0400\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";
    let here = three.replace("DTSTART:20260503T170000Z", "DTSTART;TZID=Here:20260503T170000");
    let all = ["One 17", "Three 17", "Two 17"];
    for (name, text, expected, rejected) in [
        (
            "an END too many",
            wrap_calendar(&format!("{one}{two}END:VEVENT\r\n{three}")),
            all.to_vec(),
            None,
        ),
        (
            "an END missing",
            wrap_calendar(&format!("{}{two}{three}", one.replace("END:VEVENT\r\n", ""))),
            all.to_vec(),
            None,
        ),
        (
            "a BEGIN missing",
            wrap_calendar(&format!("{}{two}{three}", one.replace("BEGIN:VEVENT\r\n", ""))),
            vec!["Three 17", "Two 17"],
            Some("\"One\" on 2026-05-03: its BEGIN:VEVENT is missing"),
        ),
        (
            "a zone behind an END too many",
            wrap_calendar(&format!("{one}END:VEVENT\r\n{own_zone}{here}")),
            vec!["One 17", "Three 13"],
            None,
        ),
        (
            "two calendars, each with its own zone",
            wrap_calendar(&format!("{tokyo}{local}")) + &wrap_calendar(&two),
            vec!["One 08", "Two 17"],
            None,
        ),
        (
            "no line of a calendar",
            wrap_calendar(&format!("{one}nonsense\r\n: : ;\r\n{two}{three}")),
            all.to_vec(),
            None,
        ),
    ] {
        let response = read_response(&text).unwrap();
        let mut listed: Vec<String> = response
            .calendar
            .meetings
            .iter()
            .map(|one| format!("{} {}", one.name, one.slots[0].start.unwrap().strftime("%H")))
            .collect();
        listed.sort();
        assert_eq!(listed, expected, "{name}");
        let messages: Vec<_> = response.rejected.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(messages, Vec::from_iter(rejected), "{name}");
    }
}

/// An end before the start is left out and reported, and the event is listed.
#[test]
fn ends_before_starts() {
    for lines in [
        "DTSTART:20260503T170000Z\r\nDTEND:20260503T160000Z",
        "DTSTART:20260503T170000Z\r\nDURATION:-PT1H",
        "DTSTART;VALUE=DATE:20260503\r\nDTEND;VALUE=DATE:20260501",
    ] {
        let text = wrap_calendar(&wrap_event(&format!("SUMMARY:A\r\n{lines}")));
        let response = plausibility::reject_implausible(read_response(&text).unwrap()).unwrap();
        let session = &response.calendar.meetings[0].slots[0];
        assert_eq!((session.end, session.last_date), (None, None), "{lines}");
        let messages: Vec<_> = response.rejected.iter().map(|one| one.message.as_str()).collect();
        let expected = "2026:a:ics:event: it ends before it begins, so its end is left out";
        assert_eq!(messages, [expected], "{lines}");
    }
}

/// Rules count in the event's own zone; UNTIL, EXDATE and RECURRENCE-ID in UTC are compared as UTC.
#[test]
fn recurrence_rules_across_time_zones() {
    let zoned = |lines: &str| wrap_event(&format!("SUMMARY:A\r\nDURATION:PT1H\r\n{lines}"));
    let exception =
        |lines: &str| format!("BEGIN:VEVENT\r\nUID:E\r\nSUMMARY:A\r\n{lines}\r\nEND:VEVENT\r\n");
    for (name, head, events, expected) in [
        (
            "the last start of a rule, by its moment",
            "",
            zoned(
                "DTSTART;TZID=Europe/Berlin:20260701T140000\r\nRRULE:FREQ=WEEKLY;UNTIL=20260715T120000Z",
            ),
            vec!["2026-07-01T12:00:00Z", "2026-07-08T12:00:00Z", "2026-07-15T12:00:00Z"],
        ),
        (
            "a moment before it, in the west",
            "",
            zoned(
                "DTSTART;TZID=America/New_York:20261103T010000\r\nRRULE:FREQ=DAILY;UNTIL=20261106T045959Z",
            ),
            vec!["2026-11-03T06:00:00Z", "2026-11-04T06:00:00Z", "2026-11-05T06:00:00Z"],
        ),
        (
            "the whole of a last day",
            "",
            zoned("DTSTART;TZID=Europe/Berlin:20260701T140000\r\nRRULE:FREQ=WEEKLY;UNTIL=20260708"),
            vec!["2026-07-01T12:00:00Z", "2026-07-08T12:00:00Z"],
        ),
        (
            "UTC, whatever the calendar is in",
            "X-WR-TIMEZONE:America/New_York\r\n",
            zoned("DTSTART:20261110T140000Z\r\nRRULE:FREQ=WEEKLY;COUNT=2"),
            vec!["2026-11-10T14:00:00Z", "2026-11-17T14:00:00Z"],
        ),
        (
            "a time that is shown twice is the first",
            "",
            zoned("DTSTART;TZID=Europe/Madrid:20261018T023000\r\nRRULE:FREQ=WEEKLY;COUNT=3"),
            vec!["2026-10-18T00:30:00Z", "2026-10-25T00:30:00Z", "2026-11-01T01:30:00Z"],
        ),
        (
            "a time that is never shown counts from before",
            "",
            zoned("DTSTART;TZID=Europe/Madrid:20260329T023000"),
            vec!["2026-03-29T01:30:00Z"],
        ),
        (
            "left out by its moment",
            "",
            zoned(
                "DTSTART;TZID=Europe/Berlin:20260701T140000\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\nEXDATE:20260708T120000Z",
            ),
            vec!["2026-07-01T12:00:00Z", "2026-07-15T12:00:00Z"],
        ),
        (
            "moved, and revised more often than the others",
            "",
            exception(
                "DTSTART;TZID=Europe/Berlin:20260701T140000\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\nSEQUENCE:1",
            ) + &exception(
                "RECURRENCE-ID:20260708T120000Z\r\nDTSTART:20260709T120000Z\r\nSEQUENCE:4",
            ),
            vec!["2026-07-01T12:00:00Z", "2026-07-09T12:00:00Z", "2026-07-15T12:00:00Z"],
        ),
        (
            "a zone of the calendar's own, by its rule",
            "BEGIN:VTIMEZONE\r\nTZID:Track time\r\nBEGIN:STANDARD\r\nDTSTART:20200101T000000\r\n\
             TZOFFSETFROM:+0400\r\nTZOFFSETTO:+0400\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n",
            zoned(
                "DTSTART;TZID=Track time:20261206T170000\r\nRRULE:FREQ=DAILY;UNTIL=20261207T130000Z",
            ),
            vec!["2026-12-06T13:00:00Z", "2026-12-07T13:00:00Z"],
        ),
    ] {
        let calendar = read_calendar(&wrap_calendar(&format!("{head}{events}"))).unwrap();
        let sessions = calendar.meetings.iter().flat_map(|meeting| &meeting.slots);
        let starts: Vec<_> = sessions.map(|session| session.start.unwrap().to_string()).collect();
        assert_eq!(starts, expected, "{name}");
    }
    // The length of an event is that in UTC, across a change of offset and between zones.
    for (lines, expected) in [
        (
            "DTSTART;TZID=Europe/Madrid:20261025T010000\r\nDTEND;TZID=Europe/Madrid:20261025T030000",
            "2026-10-25T02:00:00Z",
        ),
        (
            "DTSTART;TZID=Europe/Madrid:20260710T140000\r\nDTEND;TZID=Europe/London:20260710T140000",
            "2026-07-10T13:00:00Z",
        ),
        (
            "DTSTART;TZID=Europe/Madrid:20260710T140000\r\nDTEND:20260710T160000Z",
            "2026-07-10T16:00:00Z",
        ),
    ] {
        let calendar =
            read_calendar(&wrap_calendar(&wrap_event(&format!("SUMMARY:A\r\n{lines}")))).unwrap();
        let end = calendar.meetings[0].slots[0].end.unwrap();
        assert_eq!(end.to_string(), expected, "{lines}");
    }
}

/// Two events of one title get different codes, which each keeps when it is moved.
#[test]
fn events_of_one_title_get_different_codes() {
    let one = |uid: &str, title: &str, lines: &str| {
        format!("BEGIN:VEVENT\r\nUID:{uid}\r\nSUMMARY:{title}\r\n{lines}\r\nEND:VEVENT\r\n")
    };
    let double = "FE: Race (Berlin ePrix)";
    let [friday, saturday, sunday, monday] =
        ["04", "05", "06", "07"].map(|day| format!("DTSTART:202612{day}T140000Z"));
    let codes = |events: &[String]| -> Vec<(String, String)> {
        let calendar = read_calendar(&wrap_calendar(&events.concat())).unwrap();
        let sessions = calendar.meetings.iter().flat_map(|one| {
            one.slots.iter().map(|session| {
                (session.start.unwrap().strftime("%d %H").to_string(), session.code.clone())
            })
        });
        sessions.collect()
    };
    let both = codes(&[one("1", double, &saturday), one("2", double, &sunday)]);
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|(_, code)| code.starts_with("race-")), "{both:?}");
    assert_ne!(both[0].1, both[1].1);
    let moved = codes(&[one("1", double, &monday), one("2", double, &sunday)]);
    let code_of = |found_codes: &[(String, String)], day: &str| {
        found_codes.iter().find(|(at, _)| at.starts_with(day)).unwrap().1.clone()
    };
    assert_eq!(code_of(&moved, "07"), code_of(&both, "05"));
    assert_eq!(code_of(&moved, "06"), code_of(&both, "06"));
    for (name, events, expected) in [
        ("one", vec![one("1", double, &saturday)], vec!["race"]),
        (
            "one that recurs",
            vec![one(
                "1",
                "Sim league - Race",
                &format!("{saturday}\r\nRRULE:FREQ=WEEKLY;COUNT=3"),
            )],
            vec!["race-2026-12-05", "race-2026-12-12", "race-2026-12-19"],
        ),
        (
            "twice a day",
            vec![one("1", "Show", &format!("{saturday}\r\nRDATE:20261205T180000Z"))],
            vec!["event-2026-12-05-1400", "event-2026-12-05-1800"],
        ),
        (
            "twice a minute",
            vec![one("1", "Show", &format!("{saturday}\r\nRDATE:20261205T140030Z"))],
            vec!["event-2026-12-05-1400", "event-2026-12-05-140030"],
        ),
        (
            "a race, and what has its name alone",
            vec![
                one("1", "F1 Miami Grand Prix", &monday),
                one("2", "F1: Race (Miami Grand Prix)", &sunday),
            ],
            vec!["race", "race-HASH"],
        ),
        (
            "a race by its name, and its whole weekend",
            vec![
                one("1", "F1 Miami Grand Prix", &sunday),
                one("2", "F1 Miami Grand Prix", &format!("{friday}\r\nDTEND:20261206T200000Z")),
            ],
            vec!["miami-grand-prix", "race"],
        ),
        // In a weekend of the championship, the one that is not cancelled has the plain code.
        (
            "Formula 1, put off",
            vec![
                one("1", "F1: Race (Miami Grand Prix)", &format!("{saturday}\r\nSTATUS:CANCELLED")),
                one("2", "F1: Race (Miami Grand Prix)", &sunday),
            ],
            vec!["race-HASH", "race"],
        ),
    ] {
        let hash = |code: &str| {
            let hash = code.rsplit('-').next().unwrap_or_default().to_owned();
            let is_hash = hash.len() == 6
                && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
                && hash.parse::<u32>().is_err();
            if is_hash { code.replace(&hash, "HASH") } else { code.to_owned() }
        };
        let found_codes: Vec<_> = codes(&events).iter().map(|(_, code)| hash(code)).collect();
        assert_eq!(found_codes, expected, "{name}");
    }
    // Events without a UID are identified by their start.
    let nameless =
        |lines: &str| format!("BEGIN:VEVENT\r\nSUMMARY:Show\r\n{lines}\r\nEND:VEVENT\r\n");
    assert_eq!(codes(&[nameless(&saturday), nameless(&sunday)]).len(), 2);
}

/// The end of an event is used, except for sessions of Formula 1, for which calendars list the
/// nominal length.
#[test]
fn ends_of_sessions() {
    for (title, expected) in [
        ("WEC: Race (24 Hours of Le Mans)", true),
        ("F1: Race (Miami Grand Prix)", false),
        ("F1: Paddock show", true),
        ("Arsenal v Chelsea", true),
    ] {
        let lines = format!("SUMMARY:{title}\r\nDTSTART:20260503T170000Z\r\nDURATION:PT24H");
        let calendar = read_calendar(&wrap_calendar(&wrap_event(&lines))).unwrap();
        assert_eq!(calendar.meetings[0].slots[0].end.is_some(), expected, "{title}");
    }
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
        ("[F2] Feature", (false, "", "[F2] Feature", false)),
        ("[F1] Miami Grand Prix - Race", (true, "race", "Miami Grand Prix", false)),
        ("“Le Mans” live", (false, "", "“Le Mans” live", false)),
        ("🏁 *Final*", (false, "", "Final*", false)),
        ("Race week preview", (false, "", "Race week preview", false)),
        ("", (false, "", "", false)),
        ("🏁", (false, "", "🏁", false)),
        // A Grand Prix by its name alone is its race; a programme about it is not.
        ("F1 Abu Dhabi Grand Prix", (true, "race", "Abu Dhabi Grand Prix", false)),
        ("F1: Abu Dhabi Grand Prix", (true, "race", "Abu Dhabi Grand Prix", false)),
        ("Formula 1 Abu Dhabi Grand Prix 2026", (true, "race", "Abu Dhabi Grand Prix 2026", false)),
        ("🏎️ F1 🇲🇨 Monaco GP 🏁", (true, "race", "Monaco GP", false)),
        ("F1 – Round 8 – Monaco Grand Prix (2026)", (true, "race", "Monaco Grand Prix", false)),
        ("LIVE | Formula 1 | Monaco Grand Prix", (true, "race", "Monaco Grand Prix", false)),
        ("Monaco Grand Prix (F1)", (true, "race", "Monaco Grand Prix", false)),
        (
            "FORMULA 1® ETIHAD AIRWAYS ABU DHABI GRAND PRIX 2026",
            (true, "race", "ETIHAD AIRWAYS ABU DHABI GRAND PRIX 2026", false),
        ),
        ("F1 Großer Preis von Österreich", (true, "race", "Großer Preis von Österreich", false)),
        ("F1: Gran Premio d’Italia", (true, "race", "Gran Premio d’Italia", false)),
        ("Abu Dhabi Grand Prix", (false, "", "Abu Dhabi Grand Prix", false)),
        ("F1 Preview: Monaco Grand Prix", (true, "", "Preview: Monaco Grand Prix", false)),
        ("F1 Monaco Grand Prix Highlights", (true, "", "Monaco Grand Prix Highlights", false)),
        ("F1: Show (Monaco Grand Prix)", (true, "", "Show (Monaco Grand Prix)", false)),
        ("F1 Academy Monaco Grand Prix", (false, "", "F1 Academy Monaco Grand Prix", false)),
        // A session anywhere in the title.
        ("F1 Monaco Grand Prix Qualifying", (true, "qualifying", "Monaco Grand Prix", false)),
        ("F1 Sprint Qualifying Miami GP", (true, "sprint-qualifying", "Miami GP", false)),
        ("F1 - Race - Miami GP", (true, "race", "Miami GP", false)),
        ("F1: Miami Grand Prix (Race)", (true, "race", "Miami Grand Prix", false)),
        ("F1 Race: Miami Grand Prix", (true, "race", "Miami Grand Prix", false)),
        ("F1 2026: Miami Grand Prix, Sprint", (true, "sprint", "Miami Grand Prix", false)),
        ("F1: Race", (true, "race", "Formula 1", false)),
        ("F1 Race", (true, "race", "Formula 1", false)),
        ("F2: Race", (false, "race", "F2", false)),
        ("Race", (false, "", "Race", false)),
        // Its name in other languages, and with a sponsor.
        ("F1: 1. Freies Training (Ungarn)", (true, "fp1", "Ungarn", false)),
        ("F1: Essais libres 2 (Monaco)", (true, "fp2", "Monaco", false)),
        ("F1: EL3 - Monaco", (true, "fp3", "Monaco", false)),
        ("F1: Clasificación Sprint (Miami)", (true, "sprint-qualifying", "Miami", false)),
        ("F1 | Gara | Monza", (true, "race", "Monza", false)),
        ("F1: Third Practice (Miami)", (true, "fp3", "Miami", false)),
        ("F1: Sprint presented by Acme (Miami)", (true, "sprint", "Miami", false)),
        ("F1: Day 2 (Pre-Season Testing)", (true, "day-2", "Pre-Season Testing", false)),
        ("Python - Course", (false, "", "Python - Course", false)),
        // What says that it is cancelled.
        ("CANCELLED: F1: Race (Miami)", (true, "race", "Miami", true)),
        ("F1: Race (Miami) (cancelled)", (true, "race", "Miami", true)),
        ("[Cancelled] Arsenal v Chelsea", (false, "", "Arsenal v Chelsea", true)),
        ("Arsenal v Chelsea - Abgesagt", (false, "", "Arsenal v Chelsea", true)),
    ] {
        let summary = summary::parse_summary(title);
        let code = summary.session.map_or("", |(code, _)| code);
        assert_eq!(
            (summary.series, code, summary.meeting.as_str(), summary.cancelled),
            expected,
            "{title}"
        );
    }
}

/// Every season of f1calendar.com's database, in the calendar that it generates.
#[test]
fn real_seasons() {
    for (file, year, meetings, sessions, weekend, expected) in [
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
        let database = samples::read_json_sample(&format!("sportstimes-f1-{file}.json"));
        let now = format!("{year}-03-01T00:00:00Z").parse().unwrap();
        let calendar = parse_calendar(&samples::build_ics(&database, year), now).unwrap().calendar;
        assert_eq!(plausibility::list_implausible(&calendar), Vec::<String>::new(), "{file}");
        assert!(calendar.meetings.iter().all(|meeting| meeting.series), "{file}");
        let count: usize = calendar.meetings.iter().map(|meeting| meeting.slots.len()).sum();
        assert_eq!((calendar.meetings.len(), count), (meetings, sessions), "{file}");
        let name = format!("{year}:{weekend}-grand-prix");
        let found = calendar.meetings.iter().find(|one| one.id.starts_with(&name));
        let found = found.unwrap_or_else(|| panic!("{name} in {file}"));
        let codes: Vec<_> = found.slots.iter().map(|session| session.code.as_str()).collect();
        assert_eq!(codes.join(" "), expected, "{file}");
    }
}
