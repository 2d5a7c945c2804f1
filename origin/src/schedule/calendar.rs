//! The season: six meetings placed around a race that is live now.
//!
//! Everything hangs on the start of that race. It is set once, some ten minutes before the
//! origin starts, and moves on by [`PERIOD`] whenever it is about to end, so that there is
//! always a live session; in between the calendar stands still.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp, ToSpan, tz::TimeZone};

/// Shorter than a race's nominal two hours: the next one starts before the last one ends.
const PERIOD: i64 = 110 * 60;

/// The start of the first live race; the rest follows from the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calendar {
    anchor: Timestamp,
}

/// All meetings at one moment. The season's name is the year of the live race, also for
/// meetings that fall into the year before or after.
#[derive(Debug)]
pub(crate) struct Season {
    pub(crate) year: i16,
    pub(crate) meetings: Vec<Meeting>,
}

#[derive(Debug)]
pub(crate) struct Meeting {
    pub(crate) round: u32,
    pub(crate) venue: &'static Venue,
    /// In order; the race is last.
    pub(crate) sessions: Vec<Session>,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) kind: Kind,
    pub(crate) date: Date,
    /// None while the time is yet to be announced.
    pub(crate) start: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    FirstPractice,
    SecondPractice,
    ThirdPractice,
    SprintQualifying,
    Sprint,
    Qualifying,
    Race,
}

/// A made-up place. None of these exists.
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
    weekend: Weekend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weekend {
    Classic,
    Sprint,
    /// Classic, with dates only.
    TimesUnknown,
}

impl Calendar {
    /// A calendar whose live race started ten to fifteen minutes before `now`, in unix seconds.
    pub(crate) fn starting(now: u64) -> Self {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let start = (now - 600).max(0) / 300 * 300;
        Self { anchor: Timestamp::from_second(start).unwrap_or(Timestamp::UNIX_EPOCH) }
    }

    pub(crate) fn season(&self, now: u64) -> Season {
        let live = self.live_race(now);
        let today = date_of(live);
        let meeting = |(round, venue): (u32, &'static Venue)| {
            let race = if venue.days_from_live == 0 {
                live
            } else {
                let date = today.saturating_add(venue.days_from_live.days());
                at(date, Time::constant(venue.race_hour, 0, 0, 0))
            };
            Meeting { round, venue, sessions: venue.weekend.sessions(race) }
        };
        Season { year: today.year(), meetings: (1..).zip(&VENUES).map(meeting).collect() }
    }

    fn live_race(&self, now: u64) -> Timestamp {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let rolls = (now - self.anchor.as_second()).max(0) / PERIOD;
        self.anchor.saturating_add(SignedDuration::from_secs(rolls * PERIOD)).unwrap_or(self.anchor)
    }
}

impl Weekend {
    /// The sessions of a weekend, in minutes before the race, as real weekends have them.
    fn sessions(self, race: Timestamp) -> Vec<Session> {
        use Kind::{
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
        let plan = if self == Self::Sprint { sprint } else { classic };
        let session = |(kind, before)| {
            let start = race.saturating_sub(SignedDuration::from_mins(before)).unwrap_or(race);
            let known = self != Self::TimesUnknown;
            Session { kind, date: date_of(start), start: known.then_some(start) }
        };
        plan.into_iter().map(session).collect()
    }
}

impl Kind {
    pub(crate) fn nominal(self) -> SignedDuration {
        SignedDuration::from_mins(match self {
            Self::Race => 120,
            Self::SprintQualifying => 44,
            _ => 60,
        })
    }
}

fn date_of(start: Timestamp) -> Date {
    start.to_zoned(TimeZone::UTC).date()
}

fn at(date: Date, time: Time) -> Timestamp {
    let zoned = TimeZone::UTC.to_timestamp(date.to_datetime(time));
    zoned.unwrap_or(Timestamp::UNIX_EPOCH)
}

#[rustfmt::skip]
static VENUES: [Venue; 6] = [
    Venue { name: "Lakeside Grand Prix", circuit_id: "lakeside", circuit: "Lakeside Park Circuit", lat: "46.2101", long: "9.0304", locality: "Sant Elio", country: "Lakeland", country_code: "XLL", gmt_offset: "02:00:00", days_from_live: -14, race_hour: 13, weekend: Weekend::Classic },
    Venue { name: "Harbour Grand Prix", circuit_id: "harbour_street", circuit: "Harbour Street Circuit", lat: "51.0402", long: "1.2107", locality: "Port Calder", country: "Northmark", country_code: "XNM", gmt_offset: "01:00:00", days_from_live: 0, race_hour: 14, weekend: Weekend::Classic },
    Venue { name: "Highland Grand Prix", circuit_id: "highland_ring", circuit: "Highland Ring", lat: "57.1200", long: "-4.7101", locality: "Glen Arrow", country: "Highmoor", country_code: "XHM", gmt_offset: "00:00:00", days_from_live: 7, race_hour: 13, weekend: Weekend::Classic },
    Venue { name: "Canyon Grand Prix", circuit_id: "red_canyon", circuit: "Red Canyon Raceway", lat: "36.0544", long: "-112.1401", locality: "Red Canyon", country: "Westhaven", country_code: "XWH", gmt_offset: "-06:00:00", days_from_live: 14, race_hour: 19, weekend: Weekend::Sprint },
    Venue { name: "Lagoon Grand Prix", circuit_id: "lagoon_bay", circuit: "Lagoon Bay Circuit", lat: "1.3004", long: "103.8505", locality: "Marisol", country: "Lagoona", country_code: "XLG", gmt_offset: "08:00:00", days_from_live: 28, race_hour: 12, weekend: Weekend::Classic },
    Venue { name: "Forest Grand Prix", circuit_id: "silverwood_forest", circuit: "Silverwood Forest Circuit", lat: "50.4303", long: "5.9701", locality: "Silverwood", country: "Eastvale", country_code: "XEV", gmt_offset: "01:00:00", days_from_live: 42, race_hour: 13, weekend: Weekend::TimesUnknown },
];

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_790_000_123;

    /// The sessions that nominally run at `now`.
    fn live(season: &Season, now: u64) -> Vec<(&'static str, Kind)> {
        let now = Timestamp::from_second(now as i64).unwrap();
        let all = season.meetings.iter().flat_map(|m| m.sessions.iter().map(move |s| (m, s)));
        let running = all.filter(|(_, s)| {
            s.start.is_some_and(|start| start <= now && now < start + s.kind.nominal())
        });
        running.map(|(m, s)| (m.venue.circuit_id, s.kind)).collect()
    }

    #[test]
    fn a_race_is_always_live() {
        let calendar = Calendar::starting(START);
        for minute in 0..3 * 24 * 60 {
            let now = START + minute * 60;
            let live = live(&calendar.season(now), now);
            assert_eq!(live, [("harbour_street", Kind::Race)], "{minute} minutes later");
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
            assert_eq!(meeting.sessions.last().unwrap().kind, Kind::Race);
            let first = meeting.sessions[0].date;
            for session in &meeting.sessions {
                assert!(session.start.is_none_or(|s| Some(s) > before), "{session:?}");
                before = session.start.or(before);
                assert!((session.date - first).get_days() <= 3, "{session:?}");
            }
        }
        let kinds = |round: usize| season.meetings[round - 1].sessions.iter().map(|s| s.kind);
        assert!(kinds(4).any(|k| k == Kind::Sprint) && kinds(4).all(|k| k != Kind::ThirdPractice));
        assert!(season.meetings[5].sessions.iter().all(|s| s.start.is_none()));
    }
}
