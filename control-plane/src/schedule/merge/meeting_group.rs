//! [`MeetingGroup`]: the same meeting as listed by different providers, whose ids for it differ.

use std::collections::BTreeSet;

use pitwall_upstream_map::slug::normalize_name;

use super::choice::SessionClaim;
use crate::schedule::calendar::{ProviderMeeting, add_days, days_between};
use crate::schedule::provider_snapshot::ProviderSnapshot;

/// By how many days a race may be moved and still be matched by its name: a race that returns after
/// months is another one.
const RACE_MOVE_MAX_DAYS: i32 = 10;

/// One meeting as each of its providers lists it, the most trusted provider first.
pub(crate) struct MeetingGroup<'a> {
    members: Vec<(&'a str, &'a ProviderMeeting)>,
}

impl<'a> MeetingGroup<'a> {
    pub(crate) fn lead_meeting(&self) -> &'a ProviderMeeting {
        // A group is built from one meeting, and meetings are only added.
        #[expect(clippy::indexing_slicing, reason = "never empty")]
        self.members[0].1
    }

    pub(crate) fn meetings(&self) -> impl Iterator<Item = &'a ProviderMeeting> {
        self.members.iter().map(|(_, meeting)| *meeting)
    }

    pub(crate) fn providers(&self) -> impl Iterator<Item = &'a str> {
        self.members.iter().map(|(provider, _)| *provider)
    }

    /// The claims on each session with its code, in order of the codes. Sessions of two providers
    /// are the same if they have one code, or else if they start at the same time: those of the
    /// championship are never simultaneous, and a calendar may have its own names for them.
    pub(crate) fn sessions(&self) -> Vec<(String, Vec<SessionClaim<'a>>)> {
        let mut sessions: Vec<(String, Vec<SessionClaim<'a>>)> = Vec::new();
        for (code, claims) in self.sessions_by_code() {
            match sessions.iter_mut().find(|(_, known)| are_simultaneous(known, &claims)) {
                Some((_, known)) => {
                    known.extend(claims);
                    let trust = |claim: &SessionClaim<'_>| {
                        self.providers().position(|provider| provider == claim.provider)
                    };
                    known.sort_by_key(trust);
                }
                None => sessions.push((code, claims)),
            }
        }
        sessions.sort_by(|(one, _), (other, _)| one.cmp(other));
        sessions
    }

    fn sessions_by_code(&self) -> Vec<(String, Vec<SessionClaim<'a>>)> {
        let mut sessions: Vec<(String, Vec<SessionClaim<'a>>)> = Vec::new();
        for (provider, meeting) in &self.members {
            for session in &meeting.slots {
                let claim = SessionClaim { provider, session };
                match sessions.iter_mut().find(|(code, _)| *code == session.code) {
                    Some((_, claims)) if claims.iter().all(|one| one.provider != *provider) => {
                        claims.push(claim);
                    }
                    // One provider has two meetings within the weekend, such as two shows of one
                    // title at two places: both are listed.
                    Some(_) => {
                        let hash = blake3::hash(meeting.id.as_bytes()).to_hex();
                        let suffix: String = hash.chars().take(6).collect();
                        sessions.push((format!("{}-{suffix}", session.code), vec![claim]));
                    }
                    None => sessions.push((session.code.clone(), vec![claim])),
                }
            }
        }
        sessions
    }

    /// By how many days a meeting of another provider is off this group's, or `None` if it is
    /// another meeting. A provider does not list one meeting twice, so that two tests of one name
    /// within days are two meetings.
    fn match_distance_days(&self, provider: &str, other: &ProviderMeeting) -> Option<i32> {
        if self.meetings().any(|one| one.id == other.id) {
            return Some(0);
        }
        let by_others = self.members.iter().all(|(by, _)| *by != provider);
        let same = self.meetings().filter(|one| by_others && one.series);
        same.filter_map(|one| race_distance_days(one, other)).min()
    }

    /// Whether a meeting without a race, such as a show, takes place within this group's weekend.
    fn has_meeting_within(&self, extra: &ProviderMeeting) -> bool {
        let Some(day) = extra.anchor_date().filter(|_| extra.race_session().is_none()) else {
            return false;
        };
        let lead = self.lead_meeting();
        let Some(race) = lead.race_session().filter(|_| lead.series && extra.series) else {
            return false;
        };
        let first = lead.slots.iter().map(|session| session.date).min().unwrap_or(race.date);
        add_days(first, -1) <= day && day <= add_days(race.date, 1)
    }
}

/// Whether sessions of different providers start at the same time.
fn are_simultaneous(one: &[SessionClaim<'_>], other: &[SessionClaim<'_>]) -> bool {
    let is_of_another =
        |claim: &SessionClaim<'_>| one.iter().all(|known| known.provider != claim.provider);
    let is_at_one_time = |claim: &SessionClaim<'_>| {
        claim.session.start.is_some()
            && one.iter().any(|known| known.session.start == claim.session.start)
    };
    other.iter().all(is_of_another) && other.iter().any(is_at_one_time)
}

/// Groups the meetings of all snapshots, the most trusted provider first.
pub(crate) fn group_meetings<'a>(
    snapshots: &[&'a ProviderSnapshot],
    season: Option<&str>,
) -> Vec<MeetingGroup<'a>> {
    let mut groups: Vec<MeetingGroup<'a>> = Vec::new();
    // The races of all providers come first: other meetings are matched to the weekend of a race.
    for races in [true, false] {
        for snapshot in snapshots {
            let calendar = &snapshot.calendar;
            if calendar.season.is_some() && calendar.season.as_deref() != season {
                continue;
            }
            let provider = snapshot.provider.as_str();
            let meetings = calendar
                .meetings
                .iter()
                .filter(|one| one.race_session().is_some() == races)
                .filter(|one| !one.series || is_in_season(one, season));
            for meeting in meetings {
                match find_group(&mut groups, provider, meeting) {
                    Some(group) => group.members.push((provider, meeting)),
                    None => groups.push(MeetingGroup { members: vec![(provider, meeting)] }),
                }
            }
        }
    }
    groups
}

/// The nearest group that matches a meeting, else the group whose weekend contains it.
fn find_group<'g, 'a>(
    groups: &'g mut [MeetingGroup<'a>],
    provider: &str,
    meeting: &ProviderMeeting,
) -> Option<&'g mut MeetingGroup<'a>> {
    let nearest = groups
        .iter()
        .enumerate()
        .filter_map(|(index, one)| Some((one.match_distance_days(provider, meeting)?, index)))
        .min();
    let index = nearest.map(|(_, index)| index);
    let index = index.or_else(|| groups.iter().position(|one| one.has_meeting_within(meeting)))?;
    groups.get_mut(index)
}

/// Whether a meeting is of `season`, by its id: a general calendar lists the races of other years
/// too.
fn is_in_season(meeting: &ProviderMeeting, season: Option<&str>) -> bool {
    season.is_none_or(|season| meeting.id.split(':').next() == Some(season))
}

/// By how many days two listings of one meeting are apart, or `None` if they are of different
/// meetings. Meetings match by the day of their race, or by their name if it moved by days.
fn race_distance_days(one: &ProviderMeeting, other: &ProviderMeeting) -> Option<i32> {
    let distance = days_between(one.anchor_date()?, other.anchor_date()?);
    let comparable = one.series
        && other.series
        && one.race_session().is_some() == other.race_session().is_some();
    let same_day = distance <= 1 && one.race_session().is_some();
    let moved = distance <= RACE_MOVE_MAX_DAYS && is_same_name(&one.name, &other.name);
    (comparable && (same_day || moved)).then_some(distance)
}

/// Whether the distinctive words of one name are a subset of the other's: "Miami Grand Prix" and
/// "FORMULA 1 CRYPTO.COM MIAMI GRAND PRIX 2026".
pub(crate) fn is_same_name(one: &str, other: &str) -> bool {
    let (one, other) = (name_words(one), name_words(other));
    !one.is_empty() && !other.is_empty() && (one.is_subset(&other) || other.is_subset(&one))
}

/// The normalized words of a name without generic words and years.
fn name_words(name: &str) -> BTreeSet<String> {
    const GENERIC_WORDS: [&str; 9] =
        ["grand", "prix", "gp", "formula", "f1", "1", "the", "of", "race"];
    normalize_name(name)
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && !GENERIC_WORDS.contains(word))
        .filter(|word| !(word.len() == 4 && word.parse::<u16>().is_ok()))
        .map(str::to_owned)
        .collect()
}
