//! CMCD reports that players post to `/api/cmcd`.

use std::collections::BTreeMap;

use http::{HeaderValue, StatusCode, header};
use pingora::protocols::http::ServerSession;
use pitwall_upstream_map::{Stream, UpstreamMap};

use super::cmcd;
use super::viewers::UpstreamReporter;
use crate::http::access::{AccessControl, AccessScope};
use crate::http::admission::read_body;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::response::Response;

/// Records the reports in a request's body. All of them are refused if one names a stream that this
/// player has no access to.
///
/// # Errors
/// The problem of the body, of the access, or [`Problem::NotFound`] for a stream that the map does
/// not have.
pub async fn record_posted_reports(
    session: &mut ServerSession,
    access: &AccessControl,
    map: &UpstreamMap,
    playback_reports: &UpstreamReporter,
    now: u64,
) -> Result<Response, Problem> {
    let body = read_body(session, cmcd::BODY_MAX_BYTES).await?;
    let request = session.req_header();
    let content_type = request.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.map(HeaderValue::as_bytes).unwrap_or_default();
    let reports = cmcd::parse_reports(content_type, &body)?;
    let query = Query(request.uri.query().unwrap_or_default());
    let mut stalled_by_stream: BTreeMap<&str, (&Stream, bool)> = BTreeMap::new();
    for report in &reports {
        let scope = AccessScope::Stream(&report.cid);
        access.authorize(scope, &query, &request.headers, now)?;
        let stream = map.streams.get(report.cid.as_str()).ok_or(Problem::NotFound)?;
        let entry = stalled_by_stream.entry(&report.cid).or_insert((stream, false));
        entry.1 |= report.has_stalled();
    }
    for (stream, stalled) in stalled_by_stream.values() {
        playback_reports.record_posted_report(stream, *stalled);
    }
    Ok(Response::new(StatusCode::NO_CONTENT))
}
