//! The season as OpenF1 serves it, which does not list sessions without a time. The status 401 that
//! OpenF1 answers during a live session is a fault, and left to a fault-injecting layer.

use axum::Json;
use axum::extract::{Query, State};
use jiff::Timestamp;
use jiff::civil::Time;
use serde_json::{Value, json};

use crate::calendar::{Meeting, Season, Session, SessionKind};
use crate::state::OriginState;

/// The supported query filters; any other parameter is ignored.
#[derive(serde::Deserialize)]
pub(super) struct Filter {
    year: Option<String>,
    meeting_key: Option<String>,
    session_key: Option<String>,
}

pub(super) async fn serve_sessions(
    State(state): State<OriginState>,
    Query(filter): Query<Filter>,
) -> Json<Vec<Value>> {
    Json(filter.apply(list_sessions(&state.calendar.season(state.clock.unix_seconds()))))
}

pub(super) async fn serve_meetings(
    State(state): State<OriginState>,
    Query(filter): Query<Filter>,
) -> Json<Vec<Value>> {
    Json(filter.apply(list_meetings(&state.calendar.season(state.clock.unix_seconds()))))
}

impl Filter {
    fn apply(&self, rows: Vec<Value>) -> Vec<Value> {
        let wanted = [
            ("year", &self.year),
            ("meeting_key", &self.meeting_key),
            ("session_key", &self.session_key),
        ];
        let matches = |row: &Value| {
            wanted.iter().all(|(key, value)| {
                value.as_ref().is_none_or(|value| {
                    value.parse().is_ok_and(|v: u64| row[*key].as_u64() == Some(v))
                })
            })
        };
        rows.into_iter().filter(matches).collect()
    }
}

fn list_sessions(season: &Season) -> Vec<Value> {
    let session_rows = |meeting: &Meeting| {
        let common = common_fields(season, meeting);
        let rows = (1..).zip(&meeting.sessions).filter_map(|(i, session)| {
            let start = session.start?;
            let (kind, name) = session_names(session.kind);
            let mut row = common.clone();
            row["session_key"] = json!(meeting_key(meeting) * 10 + i);
            row["session_type"] = json!(kind);
            row["session_name"] = json!(name);
            row["date_start"] = json!(format_timestamp(start));
            row["date_end"] = json!(format_timestamp(session_end(session, start)));
            row["is_cancelled"] = json!(false);
            Some(row)
        });
        rows.collect::<Vec<_>>()
    };
    season.meetings.iter().flat_map(session_rows).collect()
}

fn list_meetings(season: &Season) -> Vec<Value> {
    let row = |meeting: &Meeting| {
        let mut row = common_fields(season, meeting);
        let midnight = |s: &Session| format!("{}T{}+00:00", s.date, Time::midnight());
        let first = meeting.sessions.first();
        let last = meeting.sessions.last();
        row["meeting_name"] = json!(meeting.venue.name);
        row["meeting_official_name"] =
            json!(format!("{} {}", meeting.venue.name.to_uppercase(), season.year));
        row["circuit_type"] = json!("Permanent");
        row["date_start"] =
            json!(first.map(|s| s.start.map(format_timestamp).unwrap_or_else(|| midnight(s))));
        row["date_end"] = json!(last.map(|s| {
            s.start.map(|at| format_timestamp(session_end(s, at))).unwrap_or_else(|| midnight(s))
        }));
        row["is_cancelled"] = json!(false);
        row
    };
    season.meetings.iter().map(row).collect()
}

/// The fields that session and meeting rows have in common.
fn common_fields(season: &Season, meeting: &Meeting) -> Value {
    let venue = meeting.venue;
    json!({
        "meeting_key": meeting_key(meeting),
        "circuit_key": 100 + meeting.round,
        "circuit_short_name": venue.locality,
        "country_key": 500 + meeting.round,
        "country_code": venue.country_code,
        "country_name": venue.country,
        "location": venue.locality,
        "gmt_offset": venue.gmt_offset,
        "year": season.year,
    })
}

fn meeting_key(meeting: &Meeting) -> u32 {
    9000 + meeting.round
}

fn session_end(session: &Session, start: Timestamp) -> Timestamp {
    start.saturating_add(session.kind.nominal_duration()).unwrap_or(start)
}

fn format_timestamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

fn session_names(kind: SessionKind) -> (&'static str, &'static str) {
    match kind {
        SessionKind::FirstPractice => ("Practice", "Practice 1"),
        SessionKind::SecondPractice => ("Practice", "Practice 2"),
        SessionKind::ThirdPractice => ("Practice", "Practice 3"),
        SessionKind::SprintQualifying => ("Qualifying", "Sprint Qualifying"),
        SessionKind::Sprint => ("Race", "Sprint"),
        SessionKind::Qualifying => ("Qualifying", "Qualifying"),
        SessionKind::Race => ("Race", "Race"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Calendar;

    const NOW: u64 = 1_800_000_000; // 2027-01-15T08:00:00Z

    #[test]
    fn rows_have_the_sample_shape() {
        let season = Calendar::starting(NOW).season(NOW);
        let race = &list_sessions(&season)[9];
        assert_eq!(
            race,
            &json!({
                "session_key": 90025, "session_type": "Race", "session_name": "Race",
                "date_start": "2027-01-15T07:50:00+00:00", "date_end": "2027-01-15T09:50:00+00:00",
                "meeting_key": 9002, "circuit_key": 102, "circuit_short_name": "Port Calder",
                "country_key": 502, "country_code": "XNM", "country_name": "Northmark",
                "location": "Port Calder", "gmt_offset": "01:00:00", "year": 2027,
                "is_cancelled": false,
            })
        );
        let untimed = &list_meetings(&season)[5];
        assert_eq!(untimed["date_end"], "2027-02-26T00:00:00+00:00");
    }

    #[test]
    fn filters() {
        let season = Calendar::starting(NOW).season(NOW);
        for (year, meeting, session, rows) in [
            (None, None, None, 25), // five meetings of five sessions; the sixth meeting has no times
            (Some("2027"), None, None, 25),
            (Some("2026"), None, None, 0),
            (None, Some("9004"), None, 5),
            (None, Some("9006"), None, 0),
            (Some("2027"), None, Some("90025"), 1),
        ] {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let filter = Filter {
                year: owned(year),
                meeting_key: owned(meeting),
                session_key: owned(session),
            };
            let found = filter.apply(list_sessions(&season)).len();
            assert_eq!(found, rows, "{year:?} {meeting:?} {session:?}");
        }
    }
}
