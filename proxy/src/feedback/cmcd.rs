//! CMCD reports (CTA-5004, version 2, event mode) that players post: one report per line of
//! `key=value` pairs, as the standard specifies, or JSON objects with the same keys, which are
//! easier for web pages.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::problem::Problem;

/// The keys of one CMCD report that Pitwall evaluates; all others are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(default)]
pub struct Report {
    /// The stream's id.
    #[schema(required = true, min_length = 1)]
    pub cid: String,
    /// The player's buffer ran dry since its last report.
    pub bs: bool,
    /// The player's state: `p` is playing, `r` is rebuffering.
    pub sta: Option<String>,
}

/// Limit of a posted body: more than a player gathers within minutes.
pub const BODY_MAX_BYTES: usize = 64 << 10;
/// Limit of the reports in one body.
pub const REPORTS_MAX_COUNT: usize = 200;

impl Report {
    pub fn has_stalled(&self) -> bool {
        self.bs || self.sta.as_deref() == Some("r")
    }
}

/// A JSON body: one report, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum JsonReports {
    Many(Vec<Report>),
    One(Report),
}

/// Parses a posted body: at least one report, each of which names its stream.
///
/// # Errors
/// [`Problem::UnsupportedReportType`] for another content type, [`Problem::BadBody`] for anything
/// else.
pub fn parse_reports(content_type: &[u8], body: &[u8]) -> Result<Vec<Report>, Problem> {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    let media_type = media_type.trim_ascii().to_ascii_lowercase();
    let reports = match media_type.as_slice() {
        b"application/json" => match serde_json::from_slice(body) {
            Ok(JsonReports::Many(reports)) => reports,
            Ok(JsonReports::One(report)) => vec![report],
            Err(_) => return Err(Problem::BadBody("it is no JSON of CMCD reports")),
        },
        // A browser sends `text/plain` to another origin without a preflight request (CORS).
        b"application/cmcd" | b"text/plain" => {
            let text =
                std::str::from_utf8(body).map_err(|_| Problem::BadBody("it is not UTF-8"))?;
            text.lines()
                .filter(|line| !line.trim().is_empty())
                .map(parse_report_line)
                .collect::<Result<_, _>>()?
        }
        _ => return Err(Problem::UnsupportedReportType),
    };
    match reports.len() {
        0 => Err(Problem::BadBody("it holds no report")),
        1..=REPORTS_MAX_COUNT if reports.iter().all(|report| !report.cid.is_empty()) => Ok(reports),
        1..=REPORTS_MAX_COUNT => Err(Problem::BadBody("a report does not name its stream: cid")),
        _ => Err(Problem::BadBody("it holds more than 200 reports")),
    }
}

/// Parses a line such as `bs,cid="world-feed",sta=p`: a dictionary (RFC 9651), of which the values
/// of ignored keys are not validated.
fn parse_report_line(line: &str) -> Result<Report, Problem> {
    let mut report = Report::default();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let end = rest.find(['=', ',']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let (value, next) = match after.strip_prefix('=') {
            Some(value) => parse_value(value)?,
            None => (None, after),
        };
        match (key.trim(), value) {
            ("cid", Some(value)) => report.cid = value,
            ("sta", value) => report.sta = value,
            ("bs", value) => report.bs = value.is_none_or(|value| value == "?1"),
            _ => {}
        }
        let next = next.trim_start();
        rest = match next.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if next.is_empty() => next,
            None => return Err(Problem::BadBody("a report is no list of key=value")),
        };
    }
    Ok(report)
}

/// Splits a value off, and gives it with the text that follows it.
fn parse_value(text: &str) -> Result<(Option<String>, &str), Problem> {
    let Some(quoted) = text.strip_prefix('"') else {
        // An inner list in parentheses may hold commas.
        let close = if text.starts_with('(') { text.find(')').unwrap_or(0) } else { 0 };
        let after = text.get(close..).unwrap_or_default();
        let (value, next) = text.split_at(close + after.find(',').unwrap_or(after.len()));
        return Ok((Some(value.trim().to_owned()), next));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Ok((Some(value), quoted.get(index + 1..).unwrap_or_default())),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    Err(Problem::BadBody("a quoted text in a report does not end"))
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_parsed_from_lines_and_json() {
        let json = "application/json";
        let lines = "application/cmcd";
        for (content_type, body, expected) in [
            (json, r#"{"cid":"world-feed","bs":true,"v":2,"e":"rr"}"#, Ok("world-feed!")),
            (json, r#"[{"cid":"a","sta":"p"},{"cid":"b","sta":"r"}]"#, Ok("a b!")),
            ("application/json; charset=utf-8", r#"{"cid":"a"}"#, Ok("a")),
            (lines, "cid=\"world-feed\",e=ps,sta=r,ts=1767225600,v=2\n", Ok("world-feed!")),
            (lines, "bs,cid=\"a\"\ncid=\"b\",bs=?0\n\n", Ok("a! b")),
            (
                lines,
                "br=(1000;v 200;a),cid=\"a,b\\\"c\",url=\"https://x/?a=1,b\",bs",
                Ok("a,b\"c!"),
            ),
            ("text/plain;charset=UTF-8", "cid=\"a\"", Ok("a")),
            (lines, "bsd=3,cid=\"a\",nor=\"bs\"", Ok("a")),
            (lines, "cid=\"a", Err(Problem::BadBody("a quoted text in a report does not end"))),
            (lines, "cid=\"a\"x", Err(Problem::BadBody("a report is no list of key=value"))),
            (lines, "bs", Err(Problem::BadBody("a report does not name its stream: cid"))),
            (
                lines,
                "\u{e9}=\u{e9},(",
                Err(Problem::BadBody("a report does not name its stream: cid")),
            ),
            (lines, "", Err(Problem::BadBody("it holds no report"))),
            (json, "[]", Err(Problem::BadBody("it holds no report"))),
            (json, "{}", Err(Problem::BadBody("a report does not name its stream: cid"))),
            (json, r#"{"cid":7}"#, Err(Problem::BadBody("it is no JSON of CMCD reports"))),
            (json, &"[".repeat(1000), Err(Problem::BadBody("it is no JSON of CMCD reports"))),
            (
                json,
                &format!("[{}{{}}]", "{},".repeat(200)),
                Err(Problem::BadBody("it holds more than 200 reports")),
            ),
            ("application/x-www-form-urlencoded", "cid=a", Err(Problem::UnsupportedReportType)),
            ("", "cid=\"a\"", Err(Problem::UnsupportedReportType)),
        ] {
            let parsed = parse_reports(content_type.as_bytes(), body.as_bytes()).map(|reports| {
                let streams = reports
                    .iter()
                    .map(|it| format!("{}{}", it.cid, if it.has_stalled() { "!" } else { "" }));
                streams.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(parsed, expected.map(str::to_owned), "{content_type}: {body}");
        }
        let binary = parse_reports(b"application/cmcd", b"\xff");
        assert_eq!(binary, Err(Problem::BadBody("it is not UTF-8")));
    }
}
