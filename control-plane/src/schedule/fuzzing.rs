//! Properties of what schedule providers answer.

use jiff::Timestamp;

use super::calendar::ProviderResponse;
use super::plausibility::reject_implausible;
use super::{ics, jolpica, openf1};

/// 2026-07-01T00:00:00Z: calendars are read around it.
const NOW_SECONDS: i64 = 1_782_864_000;

/// A page of jolpica: see [`check_response`].
pub fn jolpica(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(response) = jolpica::read_page(text)
    {
        check_response(response);
    }
}

/// OpenF1's meetings and sessions, separated by a line `--`: see [`check_response`].
pub fn openf1(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some((meetings, sessions)) = text.split_once("\n--\n")
        && let Ok(response) = openf1::read_responses("2026", meetings, sessions)
    {
        check_response(response);
    }
}

/// An iCalendar: see [`check_response`].
pub fn ics(data: &[u8]) {
    let Ok(now) = Timestamp::from_second(NOW_SECONDS) else { return };
    let text = crate::charset::decode_body(data, None);
    if let Ok(response) = ics::parse_calendar(&text, now) {
        check_response(response);
    }
}

/// Checks that what passes for plausible has no id twice, no session that ends before it begins,
/// comes back from disk as it was, and is plausible the second time as well.
fn check_response(response: ProviderResponse) {
    let Ok(ProviderResponse { calendar, .. }) = reject_implausible(response) else { return };
    let mut ids: Vec<&str> = calendar.meetings.iter().map(|one| one.id.as_str()).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair.first() != pair.last()), "one id twice: {ids:?}");
    for meeting in &calendar.meetings {
        let mut codes: Vec<&str> = meeting.slots.iter().map(|one| one.code.as_str()).collect();
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair.first() != pair.last()), "{codes:?}");
        assert!(!codes.is_empty(), "{} has no session", meeting.id);
        for session in &meeting.slots {
            assert!(session.last_day() >= session.date, "{session:?}");
            assert!(session.end.zip(session.start).is_none_or(|(end, start)| end > start));
        }
    }
    let json = serde_json::to_vec(&calendar).unwrap_or_default();
    let Ok(read) = serde_json::from_slice(&json) else {
        panic!("it cannot be read from disk: {}", json.escape_ascii())
    };
    assert_eq!(calendar, read);
    let again = reject_implausible(ProviderResponse { calendar: read, rejected: Vec::new() });
    let Ok(again) = again else { panic!("it is not plausible twice: {calendar:?}") };
    assert_eq!((again.calendar, again.rejected.len()), (calendar, 0), "{:?}", again.rejected);
}
