//! When a token ends, as far as it says so itself: in the query or the path of a URL.
//!
//! - plain: `exp=`, `expires=`, `e=`, `Expires=` in unix seconds, or the same within a path;
//! - Akamai: `hdnea=`, `hdnts=`, `hdntl=` whose value holds `exp=…` between tildes;
//! - CloudFront: `Policy=`, whose statement says `DateLessThan`;
//! - a JWT anywhere, whose claims say `exp`.
//!
//! Where a URL says several things the earliest ends it. A time that lies in the past was read
//! wrong if the URL still plays: see [`Expiry::judged`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use pitwall_upstream_map::documents::ExpirySource;
use serde_json::Value;
use url::Url;

/// What carries the end of a URL's life in unix seconds.
const PARAMETERS: [&str; 4] = ["exp", "expires", "e", "Expires"];
/// The same in a path, where a lone `e` is rather an episode.
const IN_PATH: [&str; 3] = ["exp", "expires", "Expires"];
const AKAMAI: [&str; 3] = ["hdnea", "hdnts", "hdntl"];

/// What is later than this is in milliseconds, what is earlier than that is not a date.
const YEAR_2200: i64 = 7_258_118_400;
const YEAR_2001: i64 = 978_307_200;

/// When a URL ends, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    pub(crate) at: Option<Timestamp>,
    pub(crate) source: ExpirySource,
}

impl Expiry {
    /// Of a URL that has just passed a check: what it says, else what experience tells, else
    /// what is configured.
    pub(crate) fn judged(
        told: Option<Timestamp>,
        learned: Option<std::time::Duration>,
        configured: Option<std::time::Duration>,
        now: Timestamp,
    ) -> Self {
        let after = |lifetime: std::time::Duration| now.checked_add(lifetime).ok();
        // One that plays has not ended.
        let told = told.filter(|at| *at > now).map(|at| (at, ExpirySource::Upstream));
        let learned = || Some((after(learned?)?, ExpirySource::Learned));
        let configured = || Some((after(configured?)?, ExpirySource::Configured));
        match told.or_else(learned).or_else(configured) {
            Some((at, source)) => Self { at: Some(at), source },
            None => Self { at: None, source: ExpirySource::Unknown },
        }
    }
}

/// Of a playlist's URL.
pub(crate) fn of_url(url: &Url) -> Option<Timestamp> {
    let query = url.query_pairs().filter_map(|(name, value)| of_parameter(&name, &value));
    let path = url.path_segments().into_iter().flatten().filter_map(of_segment);
    query.chain(path).min()
}

/// Unix seconds, unix milliseconds, or RFC 3339.
pub(crate) fn of_text(text: &str) -> Option<Timestamp> {
    match text.parse() {
        Ok(number) => seconds(number),
        Err(_) => text.parse().ok(),
    }
}

fn of_parameter(name: &str, value: &str) -> Option<Timestamp> {
    match name {
        _ if PARAMETERS.contains(&name) => seconds(value.parse().ok()?),
        _ if AKAMAI.contains(&name) => akamai(value),
        "Policy" => policy(value),
        _ => jwt(value),
    }
}

/// `…/hdntl=exp=1767225600~acl=…/…`, `…/exp=1767225600,sig=…/…`, `…/expires/1767225600/…` is
/// not told apart from any other number and not read.
fn of_segment(segment: &str) -> Option<Timestamp> {
    let segment = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
    let pairs = || segment.split(['~', ',', ';', '&', ':']);
    let plain = pairs().filter_map(|pair| {
        // `hdntl=exp=…`: the last two.
        let (name, value) = pair.rsplit_once('=')?;
        let name = name.rsplit('=').next()?;
        if !IN_PATH.contains(&name) {
            return None;
        }
        seconds(value.parse().ok()?)
    });
    let token = pairs().filter_map(|pair| jwt(pair.rsplit('=').next()?));
    plain.chain(token).min()
}

fn akamai(value: &str) -> Option<Timestamp> {
    let exp = value.split('~').find_map(|part| part.strip_prefix("exp="))?;
    seconds(exp.parse().ok()?)
}

/// Base64 in which `+`, `=` and `/` are `-`, `_` and `~`.
fn policy(value: &str) -> Option<Timestamp> {
    let standard = value.trim_end_matches('_').replace('~', "_");
    let policy: Value = decoded(&standard)?;
    let ends = policy.get("Statement")?.as_array()?.iter().filter_map(|statement| {
        seconds(statement.pointer("/Condition/DateLessThan/AWS:EpochTime")?.as_i64()?)
    });
    ends.min()
}

/// The claims are read, not believed: whether the signature holds is the upstream's business.
fn jwt(value: &str) -> Option<Timestamp> {
    let mut parts = value.split('.');
    let (header, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !header.starts_with("eyJ") {
        return None;
    }
    let exp = decoded(claims)?.get("exp")?.as_f64()?;
    seconds(exp as i64)
}

fn decoded(base64url: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(base64url.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn seconds(number: i64) -> Option<Timestamp> {
    match number {
        YEAR_2001..YEAR_2200 => Timestamp::from_second(number).ok(),
        YEAR_2200.. => {
            Timestamp::from_millisecond(number).ok().filter(|at| at.as_second() < YEAR_2200)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
