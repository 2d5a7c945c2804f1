//! [`Summary`]: the meeting and session that an event's title names: `F1: FP1 (Miami Grand Prix)`,
//! `FORMULA 1 … GRAND PRIX 2026 - Race`, `Miami Grand Prix: Qualifying`, `F1 Miami Grand Prix`, or
//! any other text.
//!
//! - [`session_names`]: the names of sessions, in several languages.

mod session_names;

use pitwall_upstream_map::slug::{normalize_name, slugify};

use self::session_names::{KnownSession, RACE, find_session, is_grand_prix};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    /// Whether the event is of Formula 1: `F2:` and `MotoGP:` are other championships on the same
    /// days.
    pub(super) series: bool,
    pub(super) meeting: String,
    pub(super) session: Option<KnownSession>,
    /// Whether the title names a Grand Prix alone, which is its race.
    pub(super) is_race_by_name: bool,
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

/// Names of Formula 1 in titles, in lower case.
const SERIES_NAMES: [&str; 4] = ["f1", "formula 1", "formula one", "formula1"];

/// Words that make an event with the name of Formula 1 one of another championship.
const OTHER_SERIES_WORDS: [&str; 3] = ["academy", "esports", "sim racing"];

/// Words of a part of a title that says no more than what the calendar is about: `F1 2026`,
/// `Round 5`, `LIVE`.
const TAG_WORDS: [&str; 12] = [
    "f1",
    "formula",
    "formula1",
    "one",
    "fia",
    "world",
    "championship",
    "season",
    "round",
    "rd",
    "live",
    "motorsport",
];

/// Signs between the parts of a title; of two at one place the longer one comes first.
const SEPARATORS: [&str; 9] = [" - ", " – ", " — ", " | ", " · ", " • ", ": ", ", ", ":"];

/// Signs around the name of a series.
const SEPARATOR_SIGNS: [char; 11] = [' ', ':', ',', '-', '–', '—', '|', '·', '•', '®', '™'];

pub(super) fn parse_summary(text: &str) -> Summary {
    let (title, cancelled) = strip_remarks_and_emoji(text);
    let lower = title.to_lowercase();
    let names_any = |names: &[&str]| names.iter().any(|name| has_words(&lower, name));
    if !names_any(&SERIES_NAMES) || names_any(&OTHER_SERIES_WORDS) {
        let (session, meeting) = split_session(title, false);
        return Summary { series: false, meeting, session, is_race_by_name: false, cancelled };
    }
    let words = title.split(is_emoji).map(str::trim).filter(|words| !words.is_empty());
    let title = words.collect::<Vec<_>>().join(" ");
    let (mut session, rest) = split_session(&title, true);
    let mut meeting = strip_series(&rest).to_owned();
    if session.is_none()
        && let Some((found, grand_prix)) = split_grand_prix(&meeting)
    {
        (session, meeting) = (Some(found), grand_prix);
    }
    // `Show: Miami Grand Prix` names something else.
    let is_race_by_name =
        session.is_none() && split_parts(&meeting).len() == 1 && is_grand_prix(&meeting);
    if is_race_by_name {
        session = Some(RACE);
    }
    if meeting.is_empty() {
        "Formula 1".clone_into(&mut meeting);
    }
    Summary { series: true, meeting, session, is_race_by_name, cancelled }
}

/// A part of a title between separators, as a range of its bytes. The last one may be in
/// parentheses.
#[derive(Clone, Copy)]
struct TitlePart {
    start: usize,
    end: usize,
    in_parentheses: bool,
}

impl TitlePart {
    fn text(self, title: &str) -> &str {
        title.get(self.start..self.end).unwrap_or_default().trim()
    }
}

/// The session that a part of a title names, and the rest of the title: its meeting. Of a title of
/// the championship, parts that name only the series are left out of the meeting.
fn split_session(title: &str, series: bool) -> (Option<KnownSession>, String) {
    let mut parts = split_parts(title);
    if series {
        while parts.first().is_some_and(|part| is_boilerplate(part.text(title))) {
            parts.remove(0);
        }
        while parts.last().is_some_and(|part| is_boilerplate(part.text(title))) {
            parts.pop();
        }
    }
    let session_of = |part: &TitlePart| {
        let text = part.text(title);
        find_session(if series { strip_series(text) } else { text }, series)
    };
    let last = parts.len().saturating_sub(1);
    let others = match (series, parts.last().is_some_and(|part| part.in_parentheses)) {
        (true, _) => 0..last,
        // `F2: Sprint (Miami)`
        (false, true) => last.saturating_sub(1)..last,
        (false, false) => 0..last.min(1),
    };
    let mut order = [last].into_iter().chain(others);
    // The name of a session alone is that of an event outside of the championship.
    let found = order.find_map(|at| Some((at, session_of(parts.get(at)?)?)));
    let found = found.filter(|_| series || parts.len() > 1);
    let Some((at, session)) = found else { return (None, join_parts(title, &parts)) };
    let (before, after) = (parts.get(..at), parts.get(at + 1..));
    let runs = [before, after].map(|run| join_parts(title, run.unwrap_or_default()));
    let runs: Vec<&str> = runs.iter().map(String::as_str).filter(|run| !run.is_empty()).collect();
    (Some(session), runs.join(": "))
}

fn split_parts(title: &str) -> Vec<TitlePart> {
    let group = title.strip_suffix(')').and_then(|open| Some((open.find('(')?, open.len())));
    let head_end = group.map_or(title.len(), |(open, _)| open);
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(head) = title.get(start..head_end) {
        let found = SEPARATORS.iter().filter_map(|sign| Some((head.find(sign)?, sign.len())));
        let next = found.min_by_key(|(at, length)| (*at, usize::MAX - length));
        let end = next.map_or(head_end, |(at, _)| start + at);
        parts.push(TitlePart { start, end, in_parentheses: false });
        let Some((_, length)) = next else { break };
        start = end + length;
    }
    parts.extend(group.map(|(open, end)| TitlePart { start: open + 1, end, in_parentheses: true }));
    parts.retain(|part| !part.text(title).is_empty());
    parts
}

/// The text from the first to the last of neighbouring parts.
fn join_parts(title: &str, parts: &[TitlePart]) -> String {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return String::new() };
    // A parenthesis that another part precedes is closed.
    let end = last.end + usize::from(last.in_parentheses && parts.len() > 1);
    title.get(first.start..end).unwrap_or_default().trim().to_owned()
}

/// The session and the Grand Prix of a title without separators: `Miami Grand Prix Qualifying`,
/// `FP1 Miami GP`.
fn split_grand_prix(title: &str) -> Option<(KnownSession, String)> {
    let spaces = || title.match_indices(' ').map(|(at, _)| title.split_at(at));
    let named = |session: &str, rest: &str| {
        let session = find_session(session, true).filter(|_| is_grand_prix(rest))?;
        Some((session, rest.trim().to_owned()))
    };
    let behind = spaces().find_map(|(rest, session)| named(session, rest));
    behind.or_else(|| spaces().filter_map(|(session, rest)| named(session, rest)).next_back())
}

/// Whether a part of a title says no more than what the calendar is about.
fn is_boilerplate(part: &str) -> bool {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let normalized = normalize_name(part);
    let words = || normalized.split('-');
    let is_tag_word =
        |word: &str| TAG_WORDS.contains(&word) || word.strip_prefix('r').is_some_and(is_number);
    words().all(|word| is_number(word) || is_tag_word(word))
        && words().any(|word| is_tag_word(word) || word.len() == 4)
}

/// Strips emoji and remarks in parentheses from the start of a title, emoji from its end, and
/// remarks that the event is cancelled from both; returns whether it has such a remark.
fn strip_remarks_and_emoji(text: &str) -> (&str, bool) {
    // Signs that belong to the first word are not stripped: "[F2] Feature", "#24", "“Le Mans”
    // live".
    const WORD_START_SIGNS: &str = "([{<\"'#@+&$€£¿¡“‘„«‹「『【（";
    let is_ornament = |c: char| !c.is_alphanumeric() && !WORD_START_SIGNS.contains(c);
    let stripped = text.trim_start_matches(is_ornament);
    let mut title = stripped.trim_end_matches(|c: char| is_emoji(c) || c.is_whitespace());
    let mut cancelled = false;
    while let Some((remark, rest)) = title.strip_prefix('(').and_then(|open| open.split_once(')')) {
        cancelled |= is_cancellation(remark);
        title = rest.trim();
    }
    for strip in [strip_first_remark, strip_last_remark] {
        if let Some(rest) = strip(title) {
            (title, cancelled) = (rest.trim(), true);
        }
    }
    // A title of ornaments and remarks alone is its own name.
    (if title.is_empty() { text } else { title }, cancelled)
}

/// The rest of a title that begins with a remark that it is cancelled: `Cancelled: F1: Race`,
/// `[Cancelled] Show`.
fn strip_first_remark(title: &str) -> Option<&str> {
    let tagged = title.strip_prefix('[').and_then(|open| open.split_once(']'));
    let tagged = tagged.filter(|(remark, _)| is_cancellation(remark)).map(|(_, rest)| rest);
    let parts = split_parts(title);
    let [first, second, ..] = parts.as_slice() else { return tagged };
    let rest = || title.get(second.start..).filter(|_| is_cancellation(first.text(title)));
    tagged.or_else(rest)
}

/// The rest of a title that ends with a remark that it is cancelled: `F1: Race (Miami) - cancelled`,
/// `Show (cancelled)`.
fn strip_last_remark(title: &str) -> Option<&str> {
    let closed = title.strip_suffix(')').and_then(|open| open.rsplit_once('('));
    let closed = closed.filter(|(_, remark)| is_cancellation(remark)).map(|(rest, _)| rest);
    let parts = split_parts(title);
    let [.., previous, last] = parts.as_slice() else { return closed };
    let rest = || title.get(..previous.end).filter(|_| is_cancellation(last.text(title)));
    closed.or_else(rest)
}

fn is_cancellation(remark: &str) -> bool {
    const CANCELLATIONS: [&str; 9] = [
        "canceled",
        "cancelled",
        "called-off",
        "abgesagt",
        "annule",
        "annulee",
        "cancelado",
        "cancelada",
        "annullato",
    ];
    CANCELLATIONS.contains(&normalize_name(remark).as_str())
}

/// Whether a character is a picture or a part of one, which says nothing.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{200d}' | '\u{20e3}' | '\u{fe0f}' | '\u{2190}'..='\u{2bff}')
        || matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{e0020}'..='\u{e007f}')
}

/// Strips the names of Formula 1 from the start of a title.
fn strip_series(title: &str) -> &str {
    let mut title = title.trim_matches(SEPARATOR_SIGNS);
    if let Some((tag, rest)) = title.strip_prefix('[').and_then(|open| open.split_once(']'))
        && SERIES_NAMES.iter().any(|name| tag.trim().eq_ignore_ascii_case(name))
    {
        title = rest.trim_matches(SEPARATOR_SIGNS);
    }
    for name in SERIES_NAMES {
        if let Some((head, rest)) = title.split_at_checked(name.len())
            && head.eq_ignore_ascii_case(name)
            && !rest.starts_with(char::is_alphanumeric)
        {
            title = rest.trim_matches(SEPARATOR_SIGNS);
        }
    }
    title
}

/// Whether `text` contains `words` as whole words: `f10` does not contain `f1`.
fn has_words(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + words.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}
