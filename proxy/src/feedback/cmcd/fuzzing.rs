//! Properties of posted reports.

use serde_json::json;

use super::{REPORTS_MAX_COUNT, Report, parse_reports};

/// A body, as lines and as JSON. Checks that each report names its stream, that there are no more
/// than may be, and that reports are parsed as they were written.
pub fn cmcd(data: &[u8]) {
    for content_type in [b"application/cmcd".as_slice(), b"application/json", b"text/plain; q=1"] {
        let Ok(reports) = parse_reports(content_type, data) else { continue };
        assert!((1..=REPORTS_MAX_COUNT).contains(&reports.len()));
        assert!(reports.iter().all(|report| !report.cid.is_empty()));
        let json: Vec<_> = reports
            .iter()
            .map(|Report { cid, bs, sta }| json!({ "cid": cid, "bs": bs, "sta": sta }))
            .collect();
        let json = serde_json::to_vec(&json).unwrap_or_default();
        assert_eq!(parse_reports(b"application/json", &json), Ok(reports.clone()));
        // A line cannot hold the end of a line, which JSON can.
        let is_one_line = |text: &str| !text.contains(['\n', '\r']);
        let texts = reports.iter().flat_map(|report| [Some(&report.cid), report.sta.as_ref()]);
        if texts.flatten().all(|text| is_one_line(text)) {
            let lines: String = reports.iter().map(write_line).collect();
            let parsed = parse_reports(b"text/plain", lines.as_bytes());
            assert_eq!(parsed, Ok(reports), "{lines}");
        }
    }
}

fn write_line(Report { cid, bs, sta }: &Report) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let bs = if *bs { "bs," } else { "" };
    let sta = sta.as_ref().map_or(String::new(), |sta| format!(",sta={}", quote(sta)));
    format!("{bs}cid={}{sta}\n", quote(cid))
}
