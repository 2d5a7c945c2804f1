//! What an event's title says it is: `F1: FP1 (Miami Grand Prix)`, `FORMULA 1 … GRAND PRIX 2026 -
//! Race`, `Miami Grand Prix: Qualifying`, or anything.

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    /// Of Formula 1. `F2:` and `MotoGP:` are other championships on the same days.
    pub(super) series: bool,
    pub(super) meeting: String,
    /// Code and name of a session, when it is one that is known.
    pub(super) session: Option<(&'static str, &'static str)>,
    /// `(Canceled)`, which some write beside the status and some instead.
    pub(super) cancelled: bool,
}

const SESSIONS: &[(&str, &str, &[&str])] = &[
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

/// What a title calls Formula 1.
const SERIES: [&str; 4] = ["f1", "formula 1", "formula one", "formula1"];

const SEPARATORS: [&str; 6] = [" - ", " – ", " — ", " | ", ": ", ", "];

pub(super) fn read(text: &str) -> Summary {
    let (text, cancelled) = without_remarks(text);
    let lower = text.to_lowercase();
    let series = SERIES.iter().any(|name| says(&lower, name)) && !says(&lower, "academy");
    let (session, meeting) = match split(text) {
        Some((code, name, meeting)) => (Some((code, name)), meeting),
        None => (None, text.to_owned()),
    };
    let meeting = if series { without_series(&meeting) } else { meeting };
    Summary { series, meeting, session, cancelled }
}

/// The session, and what is left: its meeting.
fn split(text: &str) -> Option<(&'static str, &'static str, String)> {
    let found = |part: &str, rest: String| session(part).map(|(code, name)| (code, name, rest));
    // `F1: Sprint (Miami Grand Prix)`
    if let Some((before, meeting)) = text.strip_suffix(')').and_then(|open| open.split_once('(')) {
        let (prefix, part) = before.rsplit_once(':').unwrap_or(("", before));
        let rest = match prefix.trim() {
            "" => meeting.trim().to_owned(),
            prefix => format!("{prefix}: {}", meeting.trim()),
        };
        if let Some(found) = found(part, rest) {
            return Some(found);
        }
    }
    for separator in SEPARATORS {
        if let Some((meeting, part)) = text.rsplit_once(separator)
            && let Some(found) = found(part, meeting.trim().to_owned())
        {
            return Some(found);
        }
        if let Some((part, meeting)) = text.split_once(separator)
            && let Some(found) = found(part, meeting.trim().to_owned())
        {
            return Some(found);
        }
    }
    None
}

fn session(part: &str) -> Option<(&'static str, &'static str)> {
    let part = part.trim().to_lowercase();
    let known = SESSIONS.iter().find(|(_, _, words)| words.contains(&part.as_str()));
    known.map(|(code, name, _)| (*code, *name))
}

/// Without emoji in front and remarks in brackets, and whether one says that it is off.
fn without_remarks(text: &str) -> (&str, bool) {
    // What belongs to the first word is no ornament: "[F2] Feature", "#24", "“Le Mans” live".
    const BEGINS: &str = "([{<\"'#@+&$€£¿¡“‘„«‹「『【（";
    let is_ornament = |c: char| !c.is_alphanumeric() && !BEGINS.contains(c);
    let mut text = text.trim_start_matches(is_ornament).trim();
    let mut cancelled = false;
    while let Some((remark, rest)) = text.strip_prefix('(').and_then(|open| open.split_once(')')) {
        cancelled |= matches!(remark.to_lowercase().as_str(), "canceled" | "cancelled");
        text = rest.trim();
    }
    (text, cancelled)
}

fn without_series(meeting: &str) -> String {
    let mut meeting = meeting.trim();
    if let Some((tag, rest)) = meeting.strip_prefix('[').and_then(|open| open.split_once(']'))
        && SERIES.iter().any(|name| tag.trim().eq_ignore_ascii_case(name))
    {
        meeting = rest.trim();
    }
    for name in SERIES {
        if let Some((head, rest)) = meeting.split_at_checked(name.len())
            && head.eq_ignore_ascii_case(name)
            && !rest.starts_with(char::is_alphanumeric)
        {
            meeting = rest.trim_start_matches([':', ' ', '-', '®']).trim();
        }
    }
    if meeting.is_empty() { "Formula 1".to_owned() } else { meeting.to_owned() }
}

/// As words of their own: not the `f1` of `f10`.
fn says(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + words.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}
