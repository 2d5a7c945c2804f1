//! [`Summary`]: the meeting and session that an event's title names: `F1: FP1 (Miami Grand Prix)`,
//! `FORMULA 1 … GRAND PRIX 2026 - Race`, `Miami Grand Prix: Qualifying`, or any other text.

use pitwall_upstream_map::slug::slugify;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    /// Whether the event is of Formula 1: `F2:` and `MotoGP:` are other championships on the same
    /// days.
    pub(super) series: bool,
    pub(super) meeting: String,
    /// The code and name of a known session.
    pub(super) session: Option<(&'static str, &'static str)>,
    /// Whether the title says `(Canceled)`, which some calendars write instead of the status.
    pub(super) cancelled: bool,
}

impl Summary {
    /// The id of the meeting that an event with this title belongs to.
    pub(super) fn meeting_id(&self, location: Option<&str>, year: i16) -> String {
        let name = slugify(&self.meeting).unwrap_or_else(|| "event".to_owned());
        let circuit = location.and_then(slugify).unwrap_or_else(|| "ics".to_owned());
        format!("{year}:{name}:{circuit}")
    }
}

/// Code, name and lower-case titles of the sessions of a weekend.
const KNOWN_SESSIONS: &[(&str, &str, &[&str])] = &[
    (
        "fp1",
        "Practice 1",
        &["fp1", "fp 1", "practice 1", "free practice 1", "first practice", "p1"],
    ),
    (
        "fp2",
        "Practice 2",
        &["fp2", "fp 2", "practice 2", "free practice 2", "second practice", "p2"],
    ),
    (
        "fp3",
        "Practice 3",
        &["fp3", "fp 3", "practice 3", "free practice 3", "third practice", "p3"],
    ),
    ("sprint-qualifying", "Sprint Qualifying", &["sprint qualifying", "sprint shootout", "sq"]),
    ("sprint", "Sprint", &["sprint", "sprint race"]),
    ("qualifying", "Qualifying", &["qualifying", "quali", "q"]),
    ("race", "Race", &["race", "grand prix", "gp"]),
];

/// Names of Formula 1 in titles, in lower case.
const SERIES_NAMES: [&str; 4] = ["f1", "formula 1", "formula one", "formula1"];

const SEPARATORS: [&str; 6] = [" - ", " – ", " — ", " | ", ": ", ", "];

pub(super) fn parse_summary(text: &str) -> Summary {
    let (text, cancelled) = strip_remarks(text);
    let lower = text.to_lowercase();
    let series =
        SERIES_NAMES.iter().any(|name| has_words(&lower, name)) && !has_words(&lower, "academy");
    let (session, meeting) = match split_session(text) {
        Some((code, name, meeting)) => (Some((code, name)), meeting),
        None => (None, text.to_owned()),
    };
    let meeting = if series { strip_series(&meeting) } else { meeting };
    Summary { series, meeting, session, cancelled }
}

/// The code and name of the session that a title names, and the rest of the title: its meeting.
fn split_session(text: &str) -> Option<(&'static str, &'static str, String)> {
    let session_and_rest =
        |title: &str, rest: String| find_session(title).map(|(code, name)| (code, name, rest));
    // `F1: Sprint (Miami Grand Prix)`
    if let Some((before, meeting)) = text.strip_suffix(')').and_then(|open| open.split_once('(')) {
        let (prefix, session) = before.rsplit_once(':').unwrap_or(("", before));
        let rest = match prefix.trim() {
            "" => meeting.trim().to_owned(),
            prefix => format!("{prefix}: {}", meeting.trim()),
        };
        if let Some(found) = session_and_rest(session, rest) {
            return Some(found);
        }
    }
    for separator in SEPARATORS {
        if let Some((meeting, session)) = text.rsplit_once(separator)
            && let Some(found) = session_and_rest(session, meeting.trim().to_owned())
        {
            return Some(found);
        }
        if let Some((session, meeting)) = text.split_once(separator)
            && let Some(found) = session_and_rest(session, meeting.trim().to_owned())
        {
            return Some(found);
        }
    }
    None
}

fn find_session(title: &str) -> Option<(&'static str, &'static str)> {
    let title = title.trim().to_lowercase();
    let known = KNOWN_SESSIONS.iter().find(|(_, _, titles)| titles.contains(&title.as_str()));
    known.map(|(code, name, _)| (*code, *name))
}

/// Strips leading emoji and remarks in parentheses from a title, and returns whether a remark says
/// that the event is cancelled.
fn strip_remarks(text: &str) -> (&str, bool) {
    // Signs that belong to the first word are not stripped: "[F2] Feature", "#24", "“Le Mans”
    // live".
    const WORD_START_SIGNS: &str = "([{<\"'#@+&$€£¿¡“‘„«‹「『【（";
    let is_ornament = |c: char| !c.is_alphanumeric() && !WORD_START_SIGNS.contains(c);
    let mut text = text.trim_start_matches(is_ornament).trim();
    let mut cancelled = false;
    while let Some((remark, rest)) = text.strip_prefix('(').and_then(|open| open.split_once(')')) {
        cancelled |= matches!(remark.to_lowercase().as_str(), "canceled" | "cancelled");
        text = rest.trim();
    }
    (text, cancelled)
}

fn strip_series(meeting: &str) -> String {
    let mut meeting = meeting.trim();
    if let Some((tag, rest)) = meeting.strip_prefix('[').and_then(|open| open.split_once(']'))
        && SERIES_NAMES.iter().any(|name| tag.trim().eq_ignore_ascii_case(name))
    {
        meeting = rest.trim();
    }
    for name in SERIES_NAMES {
        if let Some((head, rest)) = meeting.split_at_checked(name.len())
            && head.eq_ignore_ascii_case(name)
            && !rest.starts_with(char::is_alphanumeric)
        {
            meeting = rest.trim_start_matches([':', ' ', '-', '®']).trim();
        }
    }
    if meeting.is_empty() { "Formula 1".to_owned() } else { meeting.to_owned() }
}

/// Whether `text` contains `words` as whole words: `f10` does not contain `f1`.
fn has_words(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + words.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}
