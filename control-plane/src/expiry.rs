//! When a URL's token expires, as far as its query or path says so.
//!
//! | form | where it comes from |
//! |---|---|
//! | `exp`, `expire`, `expires`, `expiry`, `expiration`, `deadline`, `notafter`, `validto`, `validuntil`, `validtill`, in any case, also as `token_expires`, `x-expires`, `expiresAt`, `exptime`, `temp_url_expires` and the like | nearly everyone |
//! | `e` in a query; in a path it is more likely an episode number | secure links of nginx and others, Qiniu |
//! | `se`, `ske` | Azure SAS |
//! | `txTime`, `wsABSTime`, hexadecimal or decimal; `volcTime` | Tencent, Wangsu, Volcengine |
//! | `q-sign-time`, `q-key-time`: `START;END` | Tencent COS |
//! | `token=END_SIGNATURE`, decimal or hexadecimal | Fastly |
//! | `token=HASH-SALT-END-START` | Flussonic, Astra |
//! | `{prefix}endtime` beside `{prefix}hash` | Wowza |
//! | `{prefix}Date` and `{prefix}Expires`: `X-Amz-`, `X-Goog-`, `X-Oss-`, … | presigned URLs of S3 and its relatives |
//! | `server_time` and `validminutes` | `wmsAuthSign` of Nimble |
//! | `iat`, `issued_at`, `created`, `validfrom`, `starttime`, `st` or `timestamp`, and `expires_in`, `expires`, `max_age`, `ttl`, `validity` or `lifetime` below ten years | OAuth's names and their like |
//! | `DateLessThan` of the statements in `Policy` | CloudFront |
//!
//! Each form is read in a query, in a segment of a path (`/exp=1767225600~acl=…/`), as two segments
//! (`/expires/1767225600/`), as a member of a JSON object, and inside of a value that is
//! percent-encoded or base64: `hdnea`, `hdntl` and `Edge-Cache-Token` hold such a list, a JWT holds
//! such an object. A time is unix seconds, or thousandths, millionths or billionths of them, ISO 8601
//! with an offset, or an HTTP date; eight hexadecimal digits with a letter are seconds.
//!
//! Not read, because the same form means different things, or the end is not in the URL:
//!
//! | form | why not |
//! |---|---|
//! | `verify=TIME-HASH` (Cloudflare), `auth_key=TIME-RAND-UID-HASH` (Alibaba and others), `hwTime` (Huawei), `sign=TIME-…` (Tencent CDN), and their forms in paths | when the URL was issued; its lifetime is a setting of the CDN |
//! | `wsTime` (Wangsu), `t` beside `sign` (Tencent, Qiniu) | issue or end, as the CDN is configured |
//! | `st`, `validfrom`, `nbf` and other starts | no end |
//! | `start`, `end`, `starttime`, `endtime`, `duration` | the part of an archive that plays |
//! | `ttl`, `expires_in` or `max_age` without a start | the lifetime's start is unknown |
//! | `nva`, `etime` and other dates without an offset | in which time zone? A wrong one is late by hours |
//! | a number without a name, as in `/HASH/1767225600/` | any number looks like it |
//!
//! The earliest of several expiry times counts. An expiry time in the past was misread if the URL
//! still plays, and one more than ten years ahead counts after all others: see [`TokenExpiry::resolve`].

mod forms;
mod parameters;
mod times;

use jiff::Timestamp;
use pitwall_upstream_map::documents::ExpirySource;
use url::Url;

use self::forms::UrlPart;
pub(crate) use self::times::parse_time as expiry_from_text;

/// Ten years, in seconds: servers write later times, such as the last one that 32 bits hold, for no
/// end.
const STATED_MAX_SECONDS: i64 = 315_360_000;

/// When a URL expires, and where that time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenExpiry {
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) source: ExpirySource,
}

impl TokenExpiry {
    /// The expiry of a `url` that passed a check at `now`: the `stated` time or another that the URL
    /// states, else `now` plus the learned lifetime, else `now` plus the configured lifetime.
    pub(crate) fn resolve(
        url: &Url,
        stated: Option<Timestamp>,
        learned: Option<std::time::Duration>,
        configured: Option<std::time::Duration>,
        now: Timestamp,
    ) -> Self {
        let after = |lifetime: std::time::Duration| now.checked_add(lifetime).ok();
        // A stated time in the past was misread, as the URL still plays, and one far in the future
        // often stands for no end: any other counts first.
        let is_end =
            |at: &Timestamp| (0..=STATED_MAX_SECONDS).contains(&(at.as_second() - now.as_second()));
        let by_upstream = |expires_at| (expires_at, ExpirySource::Upstream);
        let near = stated.filter(is_end).or_else(|| expiries_in_url(url).filter(is_end).min());
        let learned = || Some((after(learned?)?, ExpirySource::Learned));
        let configured = || Some((after(configured?)?, ExpirySource::Configured));
        let far = || stated.into_iter().chain(expiries_in_url(url)).filter(|at| *at > now).min();
        let expiry = near.map(by_upstream).or_else(learned).or_else(configured);
        match expiry.or_else(|| far().map(by_upstream)) {
            Some((expires_at, source)) => Self { expires_at: Some(expires_at), source },
            None => Self { expires_at: None, source: ExpirySource::Unknown },
        }
    }
}

/// The earliest expiry in the query or path of a playlist URL.
pub(crate) fn expiry_from_url(url: &Url) -> Option<Timestamp> {
    expiries_in_url(url).min()
}

fn expiries_in_url(url: &Url) -> impl Iterator<Item = Timestamp> {
    let in_query = url.query().map(|query| forms::find_expiries(query, UrlPart::Query));
    let in_path = forms::find_expiries(url.path(), UrlPart::Path);
    in_query.into_iter().flatten().chain(in_path)
}

#[cfg(test)]
mod tests;
