//! When a URL's token expires, as far as its query or path says so:
//!
//! - plain: `exp=`, `expires=`, `e=`, `Expires=` in unix seconds, or the same within a path;
//! - Akamai: `hdnea=`, `hdnts=`, `hdntl=` whose value holds `exp=…` between tildes;
//! - CloudFront: `Policy=`, whose statement has `DateLessThan`;
//! - a JWT anywhere, whose claims have `exp`.
//!
//! The earliest of several expiry times counts. An expiry time in the past was misread if the URL
//! still plays: see [`TokenExpiry::resolve`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use pitwall_upstream_map::documents::ExpirySource;
use serde_json::Value;
use url::Url;

/// Query parameters that hold a URL's expiry in unix seconds.
const EXPIRY_PARAMETERS: [&str; 4] = ["exp", "expires", "e", "Expires"];
/// The same for a path, without `e`, which is more likely an episode number there.
const EXPIRY_PATH_KEYS: [&str; 3] = ["exp", "expires", "Expires"];
const AKAMAI_PARAMETERS: [&str; 3] = ["hdnea", "hdnts", "hdntl"];

/// Numbers from [`YEAR_2200`] on are unix milliseconds; numbers below [`YEAR_2001`] are no dates.
const YEAR_2200: i64 = 7_258_118_400;
const YEAR_2001: i64 = 978_307_200;

/// When a URL expires, and where that time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenExpiry {
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) source: ExpirySource,
}

impl TokenExpiry {
    /// The expiry of a URL that passed a check at `now`: the time that the URL states, else `now`
    /// plus the learned lifetime, else `now` plus the configured lifetime.
    pub(crate) fn resolve(
        stated: Option<Timestamp>,
        learned: Option<std::time::Duration>,
        configured: Option<std::time::Duration>,
        now: Timestamp,
    ) -> Self {
        let after = |lifetime: std::time::Duration| now.checked_add(lifetime).ok();
        // A stated time in the past was misread, as the URL still plays.
        let stated = stated
            .filter(|expires_at| *expires_at > now)
            .map(|expires_at| (expires_at, ExpirySource::Upstream));
        let learned = || Some((after(learned?)?, ExpirySource::Learned));
        let configured = || Some((after(configured?)?, ExpirySource::Configured));
        match stated.or_else(learned).or_else(configured) {
            Some((expires_at, source)) => Self { expires_at: Some(expires_at), source },
            None => Self { expires_at: None, source: ExpirySource::Unknown },
        }
    }
}

/// The earliest expiry in the query or path of a playlist URL.
pub(crate) fn expiry_from_url(url: &Url) -> Option<Timestamp> {
    let query = url.query_pairs().filter_map(|(name, value)| expiry_from_parameter(&name, &value));
    let path = url.path_segments().into_iter().flatten().filter_map(expiry_from_path_segment);
    query.chain(path).min()
}

/// Parses unix seconds, unix milliseconds or RFC 3339.
pub(crate) fn expiry_from_text(text: &str) -> Option<Timestamp> {
    match text.parse() {
        Ok(number) => timestamp_from_number(number),
        Err(_) => text.parse().ok(),
    }
}

fn expiry_from_parameter(name: &str, value: &str) -> Option<Timestamp> {
    match name {
        _ if EXPIRY_PARAMETERS.contains(&name) => timestamp_from_number(value.parse().ok()?),
        _ if AKAMAI_PARAMETERS.contains(&name) => akamai_expiry(value),
        "Policy" => cloudfront_policy_expiry(value),
        _ => jwt_expiry(value),
    }
}

/// Reads `…/hdntl=exp=1767225600~acl=…/…` and `…/exp=1767225600,sig=…/…`. The number in
/// `…/expires/1767225600/…` is not read, as it cannot be told from any other number.
fn expiry_from_path_segment(segment: &str) -> Option<Timestamp> {
    let segment = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
    let pairs = || segment.split(['~', ',', ';', '&', ':']);
    let plain = pairs().filter_map(|pair| {
        // In `hdntl=exp=…` the last two elements are the name and the value.
        let (name, value) = pair.rsplit_once('=')?;
        let name = name.rsplit('=').next()?;
        if !EXPIRY_PATH_KEYS.contains(&name) {
            return None;
        }
        timestamp_from_number(value.parse().ok()?)
    });
    let token = pairs().filter_map(|pair| jwt_expiry(pair.rsplit('=').next()?));
    plain.chain(token).min()
}

fn akamai_expiry(value: &str) -> Option<Timestamp> {
    let exp = value.split('~').find_map(|field| field.strip_prefix("exp="))?;
    timestamp_from_number(exp.parse().ok()?)
}

/// CloudFront's base64 writes `+`, `=` and `/` as `-`, `_` and `~`.
fn cloudfront_policy_expiry(value: &str) -> Option<Timestamp> {
    let standard = value.trim_end_matches('_').replace('~', "_");
    let policy: Value = decode_json(&standard)?;
    let ends = policy.get("Statement")?.as_array()?.iter().filter_map(|statement| {
        timestamp_from_number(statement.pointer("/Condition/DateLessThan/AWS:EpochTime")?.as_i64()?)
    });
    ends.min()
}

/// The claims are used unverified: only the upstream can verify the signature.
fn jwt_expiry(value: &str) -> Option<Timestamp> {
    let mut parts = value.split('.');
    let (header, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !header.starts_with("eyJ") {
        return None;
    }
    let exp = decode_json(claims)?.get("exp")?.as_f64()?;
    timestamp_from_number(exp as i64)
}

fn decode_json(base64url: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(base64url.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn timestamp_from_number(number: i64) -> Option<Timestamp> {
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
