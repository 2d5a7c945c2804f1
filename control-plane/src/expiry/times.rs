//! Times as URLs write them. Pure functions.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Numbers from [`YEAR_2200`] on are unix milliseconds, from a thousand times that on microseconds,
/// and so on; numbers below [`YEAR_2001`] are no dates.
const YEAR_2200: i64 = 7_258_118_400;
const YEAR_2001: i64 = 978_307_200;

/// Parses unix seconds or their thousandths, millionths or billionths, or ISO 8601 with an offset. A fraction of a second is
/// ignored.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    match whole.parse() {
        Ok(number) => timestamp_from_number(number),
        Err(_) => text.parse().ok(),
    }
}

/// Parses eight hexadecimal digits, which are unix seconds, or what [`parse_time`] does.
pub(super) fn parse_hex_time(text: &str) -> Option<Timestamp> {
    let from_hex = || {
        let is_hex = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        timestamp_from_number(i64::from_str_radix(text, 16).ok().filter(|_| is_hex)?)
    };
    parse_time(text).or_else(from_hex)
}

/// Parses eight hexadecimal digits, one of which is a letter: otherwise they are a number.
pub(super) fn parse_lettered_hex_time(text: &str) -> Option<Timestamp> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let has_letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    parse_hex_time(text).filter(|_| has_letter)
}

/// Parses `Thu, 01 Jan 2026 00:00:00 GMT`, whose spaces may be `+`.
pub(super) fn parse_http_date(text: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(&text.replace('+', " ")).ok()?.timestamp())
}

/// Parses a date alone, `2026-01-01`, as its midnight in UTC.
pub(super) fn parse_utc_date(text: &str) -> Option<Timestamp> {
    // A date with half a time, as a separator may leave it, would otherwise be its midnight.
    let date: Date = text.parse().ok().filter(|_| text.len() == 10)?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Parses `1/31/2026 9:05:00 PM`, which Nimble writes in UTC.
pub(super) fn parse_american_time(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%m/%d/%Y %I:%M:%S %p", text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn timestamp_from_number(number: i64) -> Option<Timestamp> {
    const MILLISECONDS_END: i64 = YEAR_2200 * 1_000;
    const MICROSECONDS_END: i64 = YEAR_2200 * 1_000_000;
    let timestamp = match number {
        ..YEAR_2200 => Timestamp::from_second(number),
        YEAR_2200..MILLISECONDS_END => Timestamp::from_millisecond(number),
        MILLISECONDS_END..MICROSECONDS_END => Timestamp::from_microsecond(number),
        _ => Timestamp::from_nanosecond(number.into()),
    };
    timestamp.ok().filter(|time| (YEAR_2001..YEAR_2200).contains(&time.as_second()))
}
