//! CMCD (CTA-5004, version 2), event mode: what players post of how they fare. A report a line of
//! `key=value` pairs, as the standard has it, or JSON objects of the same keys, as pages find
//! easier.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// What matters of one report; all else that players say is theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(default)]
pub struct Report {
    /// The stream's id.
    #[schema(required = true, min_length = 1)]
    pub cid: String,
    /// The buffer ran dry since the last report.
    pub bs: bool,
    /// What the player does: `p` plays, `r` waits for its buffer.
    pub sta: Option<String>,
}

/// More than a player gathers within minutes.
pub const LONGEST: usize = 64 << 10;
pub const MOST: usize = 200;

impl Report {
    pub fn stalled(&self) -> bool {
        self.bs || self.sta.as_deref() == Some("r")
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Posted {
    Many(Vec<Report>),
    One(Report),
}

pub fn parse(content_type: &[u8], body: &[u8]) -> Result<Vec<Report>, Problem> {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    let media_type = media_type.trim_ascii().to_ascii_lowercase();
    let reports = match media_type.as_slice() {
        b"application/json" => match serde_json::from_slice(body) {
            Ok(Posted::Many(reports)) => reports,
            Ok(Posted::One(report)) => vec![report],
            Err(_) => return Err(Problem::BadBody("it is no JSON of CMCD reports")),
        },
        // Browsers send text without asking first.
        b"application/cmcd" | b"text/plain" => {
            let text =
                std::str::from_utf8(body).map_err(|_| Problem::BadBody("it is not UTF-8"))?;
            text.lines()
                .filter(|line| !line.trim().is_empty())
                .map(line)
                .collect::<Result<_, _>>()?
        }
        _ => return Err(Problem::NotCmcd),
    };
    match reports.len() {
        0 => Err(Problem::BadBody("it holds no report")),
        1..=MOST if reports.iter().all(|report| !report.cid.is_empty()) => Ok(reports),
        1..=MOST => Err(Problem::BadBody("a report does not name its stream: cid")),
        _ => Err(Problem::BadBody("it holds more than 200 reports")),
    }
}

/// `bs,cid="world-feed",sta=p`: a dictionary of RFC 9651, but for keys that nobody here reads.
fn line(line: &str) -> Result<Report, Problem> {
    let mut report = Report::default();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let end = rest.find(['=', ',']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let (value, next) = match after.strip_prefix('=') {
            Some(value) => value_of(value)?,
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

/// A value, and what follows it.
fn value_of(text: &str) -> Result<(Option<String>, &str), Problem> {
    let Some(quoted) = text.strip_prefix('"') else {
        // Lists in brackets hold commas of their own.
        let close = if text.starts_with('(') { text.find(')').unwrap_or(0) } else { 0 };
        let after = text.get(close..).unwrap_or_default();
        let (value, next) = text.split_at(close + after.find(',').unwrap_or(after.len()));
        return Ok((Some(value.trim().to_owned()), next));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Ok((Some(value), quoted.get(place + 1..).unwrap_or_default())),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    Err(Problem::BadBody("a quoted text in a report does not end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_players_report() {
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
            ("application/x-www-form-urlencoded", "cid=a", Err(Problem::NotCmcd)),
            ("", "cid=\"a\"", Err(Problem::NotCmcd)),
        ] {
            let told = parse(content_type.as_bytes(), body.as_bytes()).map(|reports| {
                let told = reports
                    .iter()
                    .map(|it| format!("{}{}", it.cid, if it.stalled() { "!" } else { "" }));
                told.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(told, expected.map(str::to_owned), "{content_type}: {body}");
        }
        let binary = parse(b"application/cmcd", b"\xff");
        assert_eq!(binary, Err(Problem::BadBody("it is not UTF-8")));
    }
}
