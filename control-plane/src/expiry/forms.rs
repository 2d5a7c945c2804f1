//! The forms in which [`Parameter`]s state when a token expires. Pure functions; the table of forms is
//! in [`super`].

use jiff::{SignedDuration, Timestamp};

use super::parameters::{Parameter, decode_texts, find_parameters};
use super::times::{
    parse_american_time, parse_hex_time, parse_http_date, parse_lettered_hex_time, parse_time,
    parse_utc_date,
};

/// How often a text is decoded, for lists in base64 in a percent-encoded value of an encoded URL.
const NESTING_MAX_DEPTH: usize = 4;

/// Names of parameters that are an expiry time, without what [`NAME_PREFIXES`] and
/// [`NAME_SUFFIXES`] add.
const EXPIRY_NAMES: [&str; 11] = [
    "exp",
    "expire",
    "expires",
    "expiry",
    "expiration",
    "deadline",
    "notafter",
    "validto",
    "validuntil",
    "validtill",
    "volctime",
];
const NAME_PREFIXES: [&str; 13] = [
    "x",
    "token",
    "auth",
    "access",
    "signature",
    "sign",
    "sig",
    "url",
    "link",
    "stream",
    "temp",
    "cdn",
    "ec",
];
const NAME_SUFFIXES: [&str; 8] = ["token", "timestamp", "time", "ts", "date", "at", "on", "utc"];

/// Ends of the names of a lifetime's start, which has the same prefix as its length.
const LIFETIME_STARTS: [&str; 15] = [
    "date",
    "servertime",
    "issuedat",
    "issued",
    "iat",
    "createdat",
    "created",
    "validfrom",
    "starttime",
    "start",
    "st",
    "timestamp",
    "ts",
    "signedat",
    "time",
];
/// Ends of the names of a lifetime's length, in units of so many seconds.
const LIFETIME_LENGTHS: [(&str, i64); 11] = [
    ("expires", 1),
    ("expiresin", 1),
    ("expirein", 1),
    ("maxage", 1),
    ("ttl", 1),
    ("validity", 1),
    ("validfor", 1),
    ("validseconds", 1),
    ("lifetime", 1),
    ("validminutes", 60),
    ("validhours", 3600),
];
/// A longer lifetime, ten years in seconds, is a time.
const LIFETIME_MAX_SECONDS: i64 = 315_360_000;

/// 2020 to 2099, in unix seconds. A URL that plays today did not expire earlier, and a later time
/// is a number of something else.
const PLAUSIBLE_EXPIRIES: std::ops::Range<i64> = 1_577_836_800..4_102_444_800;

/// Which part of a URL a text is from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlPart {
    Query,
    Path,
}

/// The plausible expiry times that a text and the texts encoded in it state.
pub(super) fn find_expiries(text: &str, place: UrlPart) -> Vec<Timestamp> {
    let mut found = Vec::new();
    collect_expiries(text, place, 0, &mut found);
    found.retain(|expiry| PLAUSIBLE_EXPIRIES.contains(&expiry.as_second()));
    found
}

fn collect_expiries(text: &str, place: UrlPart, depth: usize, found: &mut Vec<Timestamp>) {
    let parameters = find_parameters(text);
    found.extend(parameters.iter().filter_map(|parameter| stated_expiry(parameter, place)));
    found.extend(parameters.iter().filter_map(|parameter| {
        lifetime_end(parameter, &parameters).or_else(|| wowza_expiry(parameter, &parameters))
    }));
    if depth < NESTING_MAX_DEPTH {
        decode_texts(text).for_each(|text| collect_expiries(&text, place, depth + 1, found));
    }
}

fn stated_expiry(parameter: &Parameter, place: UrlPart) -> Option<Timestamp> {
    let value = first_part(&parameter.value);
    match parameter.name.as_str() {
        "e" if place == UrlPart::Query => time_in(value),
        "se" | "ske" => time_in(value).or_else(|| parse_utc_date(value)),
        "txtime" | "wsabstime" => parse_hex_time(value),
        "qsigntime" | "qkeytime" => time_in(first_part(parameter.value.split_once(';')?.1)),
        "token" => fastly_expiry(value).or_else(|| flussonic_expiry(value)),
        // A date in words has a comma.
        name if is_expiry_name(name) => time_in(value)
            .or_else(|| parse_lettered_hex_time(value))
            .or_else(|| parse_http_date(&parameter.value)),
        _ => None,
    }
}

fn is_expiry_name(name: &str) -> bool {
    let shorter = || {
        let prefix = NAME_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
        prefix.or_else(|| NAME_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)))
    };
    EXPIRY_NAMES.contains(&name) || shorter().is_some_and(is_expiry_name)
}

/// `{prefix}Date` and `{prefix}Expires`, and the other pairs of [`LIFETIME_STARTS`] and
/// [`LIFETIME_LENGTHS`].
fn lifetime_end(length: &Parameter, parameters: &[Parameter]) -> Option<Timestamp> {
    LIFETIME_LENGTHS.iter().find_map(|(length_name, unit)| {
        let prefix = length.name.strip_suffix(length_name)?;
        let units: i64 = first_part(&length.value).parse().ok().filter(|units| *units > 0)?;
        let seconds = units.checked_mul(*unit).filter(|it| *it <= LIFETIME_MAX_SECONDS)?;
        let start = LIFETIME_STARTS.iter().find_map(|start_name| {
            let is_start = |it: &&Parameter| it.name.strip_suffix(start_name) == Some(prefix);
            let start = &parameters.iter().find(is_start)?.value;
            time_in(first_part(start)).or_else(|| parse_american_time(start))
        })?;
        start.checked_add(SignedDuration::from_secs(seconds)).ok()
    })
}

/// `{prefix}endtime`. The prefix is a setting, so that only `{prefix}hash` tells it from the end of
/// a programme.
fn wowza_expiry(end: &Parameter, parameters: &[Parameter]) -> Option<Timestamp> {
    let prefix = end.name.strip_suffix("endtime").filter(|prefix| !prefix.is_empty())?;
    let is_hash = |it: &Parameter| it.name.strip_suffix("hash") == Some(prefix);
    time_in(first_part(&end.value)).filter(|_| parameters.iter().any(is_hash))
}

/// `1767225600_a6cbe4fa…` or `6955b900_a6cbe4fa…`
fn fastly_expiry(token: &str) -> Option<Timestamp> {
    let (expiry, signature) = token.split_once('_')?;
    let is_signature = signature.len() >= 32 && signature.bytes().all(|b| b.is_ascii_hexdigit());
    parse_hex_time(expiry).filter(|_| is_signature)
}

/// `HASH-SALT-END-START`
fn flussonic_expiry(token: &str) -> Option<Timestamp> {
    let mut parts = token.rsplit('-');
    let (start, expiry) = (parse_time(parts.next()?)?, parse_time(parts.next()?)?);
    (parts.count() == 2 && start < expiry).then_some(expiry)
}

/// A value without what follows in a list or a path.
fn first_part(value: &str) -> &str {
    value.split(['~', ';', ',', '|', '/', '?', '#']).next().unwrap_or_default()
}

/// The time that a value is, or the number before a colon.
fn time_in(value: &str) -> Option<Timestamp> {
    let number = value.split(':').next()?;
    parse_time(if number.bytes().all(|b| b.is_ascii_digit()) { number } else { value })
}
