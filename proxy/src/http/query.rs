//! [`Query`]: the parameters of a request, and [`Link`]: how they name an upstream URL.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::http::problem::Problem;

/// The delivery directives of RFC 8216bis, and the query parameters of content steering and
/// interstitials.
const DELIVERY_DIRECTIVES: [&str; 7] = [
    "_HLS_msn",
    "_HLS_part",
    "_HLS_pathway",
    "_HLS_primary_id",
    "_HLS_skip",
    "_HLS_start_offset",
    "_HLS_throughput",
];

/// How a link names its upstream URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link<'a> {
    /// `url=`: the URL in base64url.
    Plain { url: Cow<'a, str> },
    /// `u=`: a seal, and the path that it must be bound to.
    Sealed { seal: Cow<'a, str>, path: Cow<'a, str> },
}

/// The path that the seal of a link with a multivariant playlist's variables is bound to. A viewer
/// who could change the variables could choose the hosts of all URIs in the playlist.
pub fn path_with_variables(path: &str, variables: &str) -> String {
    format!("{path}&v={variables}")
}

/// The query of a request, without its `?`.
pub struct Query<'a>(pub &'a str);

impl<'a> Query<'a> {
    fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.0
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// A parameter's decoded value. A parameter that is given twice is refused, so that the check
    /// of a request and its handler cannot read different values.
    ///
    /// # Errors
    /// [`Problem::BadUrl`] when the parameter is given twice or is not UTF-8.
    pub fn get(&self, name: &str) -> Result<Option<Cow<'a, str>>, Problem> {
        let mut values = self.pairs().filter(|(key, _)| *key == name).map(|(_, value)| value);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Problem::BadUrl("a query parameter is given twice"));
        }
        percent_decode_str(value)
            .decode_utf8()
            .map(Some)
            .map_err(|_| Problem::BadUrl("a query parameter is not UTF-8"))
    }

    /// The query without this parameter.
    pub fn without_parameter(&self, name: &str) -> String {
        let rest = self.0.split('&').filter(|pair| {
            !pair.is_empty() && pair.split_once('=').map_or(*pair, |(key, _)| key) != name
        });
        rest.collect::<Vec<_>>().join("&")
    }

    /// The sealed link of a request whose seal must be bound to `path`.
    ///
    /// # Errors
    /// [`Problem::SealMissing`], or the problem of [`get`](Self::get).
    pub fn sealed_link(&self, path: impl Into<Cow<'a, str>>) -> Result<Link<'a>, Problem> {
        let seal = self.get("u")?.ok_or(Problem::SealMissing)?;
        Ok(Link::Sealed { seal, path: path.into() })
    }

    /// The link of a request that names its upstream URL, plain or sealed.
    ///
    /// # Errors
    /// [`Problem::BadUrl`] when both forms are given, or the problem of
    /// [`sealed_link`](Self::sealed_link).
    pub fn target_link(&self, path: &'a str) -> Result<Link<'a>, Problem> {
        match (self.get("url")?, self.get("u")?) {
            (Some(_), Some(_)) => Err(Problem::BadUrl("url= and u= exclude each other")),
            (Some(url), None) => Ok(Link::Plain { url }),
            (None, _) => self.sealed_link(path),
        }
    }

    /// The [`DELIVERY_DIRECTIVES`] of the query, the only parameters that are sent upstream. They
    /// are sorted, so that polls with the same directives share an upstream request.
    pub fn delivery_directives(&self) -> Option<String> {
        let mut directives: Vec<String> = self
            .pairs()
            .filter(|(name, _)| DELIVERY_DIRECTIVES.contains(name))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        directives.sort_unstable();
        (!directives.is_empty()).then(|| directives.join("&"))
    }
}

/// The media sequence number in the link of a segment, which may have a query.
pub fn segment_number(link: &[u8]) -> Option<u64> {
    let path = link.split(|byte| *byte == b'?').next()?;
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    let stem = name.split(|byte| *byte == b'.').next()?;
    std::str::from_utf8(stem).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_numbers() {
        for (link, expected) in [
            ("/live/world-feed/v/1007.ts?u=AAAA/9.ts", Some(1007)),
            ("/relay/7.m4s", Some(7)),
            ("/live/world-feed/v/x/983bacbe33bf961d.mp4?u=AAAA", None),
            ("/proxy?u=AAAA", None),
        ] {
            assert_eq!(segment_number(link.as_bytes()), expected, "{link}");
        }
    }
}
