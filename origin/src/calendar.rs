//! The season: six meetings around a race that is live now.
//!
//! All dates derive from the start of that race. The first start is set once, ten to fifteen
//! minutes before the origin starts. Every [`RACE_PERIOD_SECONDS`] after it, before the race's
//! nominal end, the whole calendar moves on by one period, so that a race is always live; between
//! those moments the calendar does not change.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp, ToSpan, tz::TimeZone};

/// Seconds between the starts of two live races: less than a race's nominal two hours, so that the
/// next race starts before the last one ends.
const RACE_PERIOD_SECONDS: i64 = 110 * 60;

/// The calendar as a function of time; its only state is the start of the first live race.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calendar {
    first_race_start: Timestamp,
}

/// All meetings at one moment. `year` is the year of the live race, also for meetings that fall
/// into the year before or after.
#[derive(Debug)]
pub(crate) struct Season {
    pub(crate) year: i16,
    pub(crate) meetings: Vec<Meeting>,
}

#[derive(Debug)]
pub(crate) struct Meeting {
    pub(crate) round: u32,
    pub(crate) venue: &'static Venue,
    /// In chronological order; the race is last.
    pub(crate) sessions: Vec<Session>,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) kind: SessionKind,
    pub(crate) date: Date,
    /// `None` when only the date has been announced.
    pub(crate) start: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionKind {
    FirstPractice,
    SecondPractice,
    ThirdPractice,
    SprintQualifying,
    Sprint,
    Qualifying,
    Race,
}

/// An invented venue. None of these exists.
#[derive(Debug)]
pub(crate) struct Venue {
    pub(crate) name: &'static str,
    pub(crate) circuit_id: &'static str,
    pub(crate) circuit: &'static str,
    pub(crate) lat: &'static str,
    pub(crate) long: &'static str,
    pub(crate) locality: &'static str,
    pub(crate) country: &'static str,
    pub(crate) country_code: &'static str,
    pub(crate) gmt_offset: &'static str,
    days_from_live: i32,
    race_hour: i8,
    weekend_format: WeekendFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WeekendFormat {
    Classic,
    Sprint,
    /// [`Self::Classic`], with dates but no times.
    TimesUnknown,
}

impl Calendar {
    /// A calendar whose live race started ten to fifteen minutes before `now` (unix seconds).
    pub(crate) fn starting(now: u64) -> Self {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let start = (now - 600).max(0) / 300 * 300;
        Self { first_race_start: Timestamp::from_second(start).unwrap_or(Timestamp::UNIX_EPOCH) }
    }

    /// The season at `now` (unix seconds).
    pub(crate) fn season(&self, now: u64) -> Season {
        let live = self.live_race_start(now);
        let today = utc_date(live);
        let meeting = |(round, venue): (u32, &'static Venue)| {
            let race = if venue.days_from_live == 0 {
                live
            } else {
                let date = today.saturating_add(venue.days_from_live.days());
                utc_timestamp(date, Time::constant(venue.race_hour, 0, 0, 0))
            };
            Meeting { round, venue, sessions: venue.weekend_format.sessions(race) }
        };
        Season { year: today.year(), meetings: (1..).zip(&VENUES).map(meeting).collect() }
    }

    fn live_race_start(&self, now: u64) -> Timestamp {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let periods = (now - self.first_race_start.as_second()).max(0) / RACE_PERIOD_SECONDS;
        self.first_race_start
            .saturating_add(SignedDuration::from_secs(periods * RACE_PERIOD_SECONDS))
            .unwrap_or(self.first_race_start)
    }
}

impl WeekendFormat {
    /// The sessions before and including a race that starts at `race`, spaced as on real race
    /// weekends; the tables are minutes before the race.
    fn sessions(self, race: Timestamp) -> Vec<Session> {
        use SessionKind::{
            FirstPractice, Qualifying, Race, SecondPractice, Sprint, SprintQualifying,
            ThirdPractice,
        };
        let classic = [
            (FirstPractice, 3030),
            (SecondPractice, 2820),
            (ThirdPractice, 1590),
            (Qualifying, 1380),
            (Race, 0),
        ];
        let sprint = [
            (FirstPractice, 3090),
            (SprintQualifying, 2850),
            (Sprint, 1680),
            (Qualifying, 1440),
            (Race, 0),
        ];
        let offsets = if self == Self::Sprint { sprint } else { classic };
        let session = |(kind, before)| {
            let start = race.saturating_sub(SignedDuration::from_mins(before)).unwrap_or(race);
            let is_time_known = self != Self::TimesUnknown;
            Session { kind, date: utc_date(start), start: is_time_known.then_some(start) }
        };
        offsets.into_iter().map(session).collect()
    }
}

impl SessionKind {
    pub(crate) fn nominal_duration(self) -> SignedDuration {
        SignedDuration::from_mins(match self {
            Self::Race => 120,
            Self::SprintQualifying => 44,
            _ => 60,
        })
    }
}

fn utc_date(start: Timestamp) -> Date {
    start.to_zoned(TimeZone::UTC).date()
}

fn utc_timestamp(date: Date, time: Time) -> Timestamp {
    let zoned = TimeZone::UTC.to_timestamp(date.to_datetime(time));
    zoned.unwrap_or(Timestamp::UNIX_EPOCH)
}

#[rustfmt::skip]
static VENUES: [Venue; 6] = [
    Venue { name: "Lakeside Grand Prix", circuit_id: "lakeside", circuit: "Lakeside Park Circuit", lat: "46.2101", long: "9.0304", locality: "Sant Elio", country: "Lakeland", country_code: "XLL", gmt_offset: "02:00:00", days_from_live: -14, race_hour: 13, weekend_format: WeekendFormat::Classic },
    Venue { name: "Harbour Grand Prix", circuit_id: "harbour_street", circuit: "Harbour Street Circuit", lat: "51.0402", long: "1.2107", locality: "Port Calder", country: "Northmark", country_code: "XNM", gmt_offset: "01:00:00", days_from_live: 0, race_hour: 14, weekend_format: WeekendFormat::Classic },
    Venue { name: "Highland Grand Prix", circuit_id: "highland_ring", circuit: "Highland Ring", lat: "57.1200", long: "-4.7101", locality: "Glen Arrow", country: "Highmoor", country_code: "XHM", gmt_offset: "00:00:00", days_from_live: 7, race_hour: 13, weekend_format: WeekendFormat::Classic },
    Venue { name: "Canyon Grand Prix", circuit_id: "red_canyon", circuit: "Red Canyon Raceway", lat: "36.0544", long: "-112.1401", locality: "Red Canyon", country: "Westhaven", country_code: "XWH", gmt_offset: "-06:00:00", days_from_live: 14, race_hour: 19, weekend_format: WeekendFormat::Sprint },
    Venue { name: "Lagoon Grand Prix", circuit_id: "lagoon_bay", circuit: "Lagoon Bay Circuit", lat: "1.3004", long: "103.8505", locality: "Marisol", country: "Lagoona", country_code: "XLG", gmt_offset: "08:00:00", days_from_live: 28, race_hour: 12, weekend_format: WeekendFormat::Classic },
    Venue { name: "Forest Grand Prix", circuit_id: "silverwood_forest", circuit: "Silverwood Forest Circuit", lat: "50.4303", long: "5.9701", locality: "Silverwood", country: "Eastvale", country_code: "XEV", gmt_offset: "01:00:00", days_from_live: 42, race_hour: 13, weekend_format: WeekendFormat::TimesUnknown },
];

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_790_000_123;

    /// Circuit and kind of the sessions that nominally run at `now` (unix seconds).
    fn live(season: &Season, now: u64) -> Vec<(&'static str, SessionKind)> {
        let now = Timestamp::from_second(now as i64).unwrap();
        let all = season.meetings.iter().flat_map(|m| m.sessions.iter().map(move |s| (m, s)));
        let running = all.filter(|(_, s)| {
            s.start.is_some_and(|start| start <= now && now < start + s.kind.nominal_duration())
        });
        running.map(|(m, s)| (m.venue.circuit_id, s.kind)).collect()
    }

    #[test]
    fn a_race_is_always_live() {
        let calendar = Calendar::starting(START);
        for minute in 0..3 * 24 * 60 {
            let now = START + minute * 60;
            let live = live(&calendar.season(now), now);
            assert_eq!(live, [("harbour_street", SessionKind::Race)], "{minute} minutes later");
        }
    }

    #[test]
    fn the_race_started_ten_minutes_ago_and_stands_still() {
        let calendar = Calendar::starting(START);
        let race = |now| calendar.season(now).meetings[1].sessions[4].start.unwrap();
        let ago = START as i64 - race(START).as_second();
        assert!((600..900).contains(&ago), "{ago} s");
        assert_eq!(race(START), race(START + 80 * 60));
        assert_ne!(race(START), race(START + 120 * 60));
    }

    #[test]
    fn a_season_is_sane() {
        let season = Calendar::starting(START).season(START);
        let mut before = None;
        for meeting in &season.meetings {
            assert_eq!(meeting.sessions.last().unwrap().kind, SessionKind::Race);
            let first = meeting.sessions[0].date;
            for session in &meeting.sessions {
                assert!(session.start.is_none_or(|s| Some(s) > before), "{session:?}");
                before = session.start.or(before);
                assert!((session.date - first).get_days() <= 3, "{session:?}");
            }
        }
        let kinds = |round: usize| season.meetings[round - 1].sessions.iter().map(|s| s.kind);
        assert!(
            kinds(4).any(|k| k == SessionKind::Sprint)
                && kinds(4).all(|k| k != SessionKind::ThirdPractice)
        );
        assert!(season.meetings[5].sessions.iter().all(|s| s.start.is_none()));
    }
}
