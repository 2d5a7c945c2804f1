//! The names of the sessions of a weekend and of Grands Prix, in the languages of most calendars.
//! Names are compared in their normalised form: in lower case, without accents, and with `-` between
//! words.

use pitwall_upstream_map::slug::normalize_name;

/// The code and name of a session that each weekend has once.
pub(in crate::schedule::ics) type KnownSession = (&'static str, &'static str);

pub(super) const RACE: KnownSession = ("race", "Race");

/// A session, its names in any title, and further names in titles of Formula 1: in another title,
/// `course` may be anything.
type SessionNames = (KnownSession, &'static [&'static str], &'static [&'static str]);

const SESSION_NAMES: &[SessionNames] = &[
    (
        ("sprint-qualifying", "Sprint Qualifying"),
        &["sprint-qualifying", "sprint-shootout", "sq"],
        &[
            "sprint-quali",
            "sprint-qualification",
            "sprint-qualy",
            "sprint-shoot-out",
            "shootout",
            "sprintqualifying",
            "sprint-qualifikation",
            "qualifications-sprint",
            "qualification-sprint",
            "clasificacion-sprint",
            "clasificacion-al-sprint",
            "qualifiche-sprint",
            "qualifica-sprint",
            "classificacao-sprint",
            "classificacao-da-sprint",
            "sprintkwalificatie",
        ],
    ),
    (
        ("sprint", "Sprint"),
        &["sprint", "sprint-race"],
        &[
            "sprintrennen",
            "course-sprint",
            "carrera-sprint",
            "carrera-al-sprint",
            "gara-sprint",
            "corrida-sprint",
            "sprintrace",
        ],
    ),
    (
        ("qualifying", "Qualifying"),
        &["qualifying", "quali", "q"],
        &[
            "qualification",
            "qualifications",
            "qualifs",
            "qualy",
            "qualifikation",
            "clasificacion",
            "qualifiche",
            "qualifica",
            "classificacao",
            "qualificacao",
            "kwalificatie",
        ],
    ),
    (
        RACE,
        &["race", "grand-prix", "gp"],
        &["main-race", "rennen", "course", "carrera", "gara", "corrida"],
    ),
];

/// The practices and the days of a test, by their number.
const PRACTICES: [KnownSession; 3] =
    [("fp1", "Practice 1"), ("fp2", "Practice 2"), ("fp3", "Practice 3")];
const TEST_DAYS: [KnownSession; 3] = [("day-1", "Day 1"), ("day-2", "Day 2"), ("day-3", "Day 3")];

/// The names of a practice without its number, in any title and in titles of Formula 1.
const PRACTICE_NAMES: [&str; 4] = ["fp", "p", "practice", "free-practice"];
const SERIES_PRACTICE_NAMES: [&str; 15] = [
    "practice-session",
    "free-practice-session",
    "freies-training",
    "training",
    "essais-libres",
    "el",
    "libres",
    "practica",
    "practica-libre",
    "entrenamientos-libres",
    "prove-libere",
    "pl",
    "treino-livre",
    "tl",
    "vrije-training",
];
const TEST_DAY_NAMES: [&str; 3] = ["day", "test-day", "testing-day"];

/// What a number of a session is called: the digit, and words for it.
const NUMBER_WORDS: [[&str; 4]; 3] =
    [["1", "one", "first", "1st"], ["2", "two", "second", "2nd"], ["3", "three", "third", "3rd"]];

/// The session that a title names; of an event of Formula 1 (`series`) in more languages.
pub(super) fn find_session(title: &str, series: bool) -> Option<KnownSession> {
    let normalized = normalize_name(title);
    // `Sprint presented by …` has the name of its sponsor.
    let sponsor = ["-presented-by-", "-powered-by-"].iter().find_map(|by| normalized.find(by));
    let name = normalized.get(..sponsor.unwrap_or(normalized.len()))?;
    let is_named =
        |(_, any, more): &&SessionNames| any.contains(&name) || (series && more.contains(&name));
    let named = SESSION_NAMES.iter().find(is_named).map(|(session, ..)| *session);
    named.or_else(|| find_numbered_session(name, series))
}

fn find_numbered_session(name: &str, series: bool) -> Option<KnownSession> {
    let (number, base) = split_number(name)?;
    let base = base.as_str();
    let is_practice =
        PRACTICE_NAMES.contains(&base) || (series && SERIES_PRACTICE_NAMES.contains(&base));
    let sessions = match series && TEST_DAY_NAMES.contains(&base) {
        true => TEST_DAYS,
        false if is_practice => PRACTICES,
        false => return None,
    };
    sessions.get(number).copied()
}

/// The index of a numbered session and its name without the number: `fp1`, `practice-2`,
/// `third-practice`.
fn split_number(name: &str) -> Option<(usize, String)> {
    let index = |word: &str| NUMBER_WORDS.iter().position(|words| words.contains(&word));
    let mut words: Vec<&str> = name.split('-').collect();
    if let Some(at) = words.iter().position(|word| index(word).is_some()) {
        return Some((index(words.remove(at))?, words.join("-")));
    }
    let (base, digit) = name.split_at_checked(name.len().checked_sub(1)?)?;
    Some((index(digit)?, base.to_owned()))
}

/// Whether a name is that of a Grand Prix and of nothing about it: `Miami Grand Prix 2026`,
/// `Gran Premio de España`, but not `Miami Grand Prix preview`.
pub(super) fn is_grand_prix(name: &str) -> bool {
    const NAMES: [&str; 7] = [
        "grand-prix",
        "gp",
        "gran-premio",
        "grande-premio",
        "grosser-preis",
        "grosse-preis",
        "grote-prijs",
    ];
    const PROGRAMME_WORDS: [&str; 22] = [
        "show",
        "preview",
        "review",
        "recap",
        "highlights",
        "replay",
        "rerun",
        "repeat",
        "conference",
        "parade",
        "ceremony",
        "podium",
        "party",
        "warm",
        "weekend",
        "week",
        "launch",
        "test",
        "testing",
        "tickets",
        "practice",
        "race",
    ];
    let normalized = normalize_name(name);
    let words: Vec<&str> = normalized.split('-').collect();
    let is_year = |word: &str| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    let name = words.iter().copied().filter(|word| !is_year(word)).collect::<Vec<_>>().join("-");
    let has_name = |grand_prix: &&str| {
        let before = name.strip_suffix(*grand_prix).and_then(|rest| rest.strip_suffix('-'));
        let behind = name.strip_prefix(*grand_prix).and_then(|rest| rest.strip_prefix('-'));
        before.or(behind).is_some_and(|rest| !rest.is_empty())
    };
    NAMES.iter().any(has_name) && !words.iter().any(|word| PROGRAMME_WORDS.contains(word))
}
