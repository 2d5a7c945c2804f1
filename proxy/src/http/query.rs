//! [`Query`]: the parameters of a request, and [`Link`]: how they name an upstream URL.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::http::problem::Problem;

/// The delivery directives of a request (RFC 8216bis, 6.2.5), with their values as written. One
/// that is given twice has both values, which is none that it may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryDirectives {
    pub msn: Option<String>,
    pub part: Option<String>,
    pub skip: Option<String>,
    /// The parameters of content steering and interstitials, which only documents take: sorted, as
    /// they are sent upstream.
    pub of_documents: Option<String>,
}

/// Query parameters of RFC 8216bis, 7 and appendix D.
const DOCUMENT_PARAMETERS: [&str; 4] =
    ["_HLS_pathway", "_HLS_primary_id", "_HLS_start_offset", "_HLS_throughput"];
/// A pathway id, a number or a UUID is shorter.
const DOCUMENT_PARAMETER_MAX_BYTES: usize = 128;

/// How a link names its upstream URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Link<'a> {
    /// `url=`: the URL in base64url.
    Plain { url: Cow<'a, str> },
    /// `u=`: a seal, and the path that it must be bound to.
    Sealed { seal: Cow<'a, str>, path: Cow<'a, str> },
}

impl Link<'_> {
    /// The same link, independent of its request.
    pub fn to_static(&self) -> Link<'static> {
        let to_static = |text: &Cow<'_, str>| Cow::Owned(text.clone().into_owned());
        match self {
            Self::Plain { url } => Link::Plain { url: to_static(url) },
            Self::Sealed { seal, path } => {
                Link::Sealed { seal: to_static(seal), path: to_static(path) }
            }
        }
    }
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

    /// The delivery directives that Pitwall knows. No other parameter of a request has to do with
    /// what is asked of an upstream.
    pub fn delivery_directives(&self) -> Option<DeliveryDirectives> {
        let mut directives = DeliveryDirectives::default();
        let mut of_documents = Vec::new();
        for (name, value) in self.pairs() {
            let directive = match name {
                "_HLS_msn" => &mut directives.msn,
                "_HLS_part" => &mut directives.part,
                "_HLS_skip" => &mut directives.skip,
                name if DOCUMENT_PARAMETERS.contains(&name)
                    && is_document_parameter_value(value) =>
                {
                    of_documents.push(format!("{name}={value}"));
                    continue;
                }
                _ => continue,
            };
            *directive = Some(match directive.take() {
                Some(first) => format!("{first}&{value}"),
                None => value.to_owned(),
            });
        }
        // Requests with the same parameters share an upstream request.
        of_documents.sort_unstable();
        of_documents.dedup();
        directives.of_documents = (!of_documents.is_empty()).then(|| of_documents.join("&"));
        (directives != DeliveryDirectives::default()).then_some(directives)
    }
}

fn is_document_parameter_value(value: &str) -> bool {
    let is_value = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    (1..=DOCUMENT_PARAMETER_MAX_BYTES).contains(&value.len()) && value.bytes().all(is_value)
}

/// What a link, which may have a query, numbers an object by: the media sequence number of a
/// segment, or the name of a map, a key or a part, which is hexadecimal.
pub fn object_number(link: &[u8]) -> Option<u64> {
    let path = link.split(|byte| *byte == b'?').next()?;
    let mut components = path.rsplit(|byte| *byte == b'/');
    let stem = components.next()?.split(|byte| *byte == b'.').next()?;
    let radix = if components.next().is_some_and(|folder| folder == b"x") { 16 } else { 10 };
    u64::from_str_radix(std::str::from_utf8(stem).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_directives() {
        let text = |value: &str| Some(value.to_owned());
        let none = DeliveryDirectives::default();
        for (query, expected) in [
            ("", none.clone()),
            ("_HLS_push=1&_HLS_other=2&msn=3&_hls_msn=4&u=5", none.clone()),
            (
                "_HLS_skip=YES&_HLS_part=1&_HLS_msn=7",
                DeliveryDirectives {
                    msn: text("7"),
                    part: text("1"),
                    skip: text("YES"),
                    ..none.clone()
                },
            ),
            ("_HLS_msn", DeliveryDirectives { msn: text(""), ..none.clone() }),
            ("_HLS_msn=7&_HLS_msn=7", DeliveryDirectives { msn: text("7&7"), ..none.clone() }),
            (
                "_HLS_throughput=9&_HLS_pathway=CDN-A&_HLS_throughput=9",
                DeliveryDirectives {
                    of_documents: text("_HLS_pathway=CDN-A&_HLS_throughput=9"),
                    ..none.clone()
                },
            ),
            ("_HLS_pathway=a/../b&_HLS_primary_id=&_HLS_start_offset=a#b", none.clone()),
        ] {
            let directives = Query(query).delivery_directives();
            assert_eq!(directives.unwrap_or_default(), expected, "{query}");
        }
    }

    #[test]
    fn object_numbers() {
        for (link, expected) in [
            ("/live/world-feed/v/1007.ts?u=AAAA/9.ts", Some(1007)),
            ("/relay/7.m4s", Some(7)),
            ("/live/world-feed/v/x/983bacbe33bf961d.mp4?u=AAAA", Some(0x983b_acbe_33bf_961d)),
            ("/proxy?u=AAAA", None),
        ] {
            assert_eq!(object_number(link.as_bytes()), expected, "{link}");
        }
    }
}
