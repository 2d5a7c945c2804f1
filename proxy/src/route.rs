//! What a request asks for, read from its path and query.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::access::Door;
use crate::api::{self, Ask, Document};
use crate::page;
use crate::problem::Problem;

const MAX_URI: usize = 8 * 1024;

const DIRECTIVES: [&str; 7] = [
    "_HLS_msn",
    "_HLS_part",
    "_HLS_pathway",
    "_HLS_primary_id",
    "_HLS_skip",
    "_HLS_start_offset",
    "_HLS_throughput",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/live/{stream}/index.m3u8[?rendition=]`
    Multivariant {
        stream: String,
        rendition: Option<String>,
    },
    /// `/live/{stream}/{rendition}.m3u8`
    Media {
        stream: String,
        rendition: String,
        directives: Option<String>,
    },
    /// `/live/{stream}/{rendition}/…?u=`: the path is what the seal is bound to.
    Segment {
        stream: Arc<str>,
        link: Link,
    },
    /// `/proxy[/{source}]`
    Proxy {
        source: Option<String>,
        link: Link,
        variables: Option<String>,
        directives: Option<String>,
    },
    /// `/relay[/{name}.{ext}]`
    Relay {
        link: Link,
    },
    Api(Ask),
    Page {
        path: String,
    },
}

/// How a link names its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Plain { url: String },
    Sealed { seal: String, path: String },
}

impl Route {
    pub fn parse(path: &str, query: Option<&str>) -> Result<Self, Problem> {
        if path.len() + query.map_or(0, str::len) > MAX_URI {
            return Err(Problem::UriTooLong);
        }
        let query = Query(query.unwrap_or_default());
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        match segments.as_slice() {
            ["live", rest @ ..] => live(path, rest, &query),
            ["proxy"] => proxy(path, None, &query),
            ["proxy", source] => proxy(path, Some((*source).to_owned()), &query),
            ["relay"] | ["relay", _] => Ok(Self::Relay { link: query.link(path)? }),
            ["proxy" | "relay", ..] => Err(Problem::NotFound),
            rest => match (api::find(path, &query), rest) {
                (Some(ask), _) => Ok(Self::Api(ask?)),
                (None, ["api" | "iptv", ..]) => Err(Problem::NotFound),
                (None, _) => Ok(Self::Page { path: path.to_owned() }),
            },
        }
    }

    /// For metrics and logs: a closed set, nothing a client wrote.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Multivariant { .. } => "multivariant",
            Self::Media { .. } => "media",
            Self::Segment { .. } => "segment",
            Self::Proxy { .. } => "proxy",
            Self::Relay { .. } => "relay",
            Self::Api(Ask::Health | Ask::Ready) => "health",
            Self::Api(Ask::Events) => "events",
            Self::Api(Ask::Command(_)) => "command",
            Self::Api(_) => "api",
            Self::Page { .. } => "page",
        }
    }
}

impl Route {
    /// What has to be open for this; `None` for what shows its own right to be answered, or
    /// tells nothing.
    pub fn door(&self) -> Option<Door<'_>> {
        match self {
            Self::Multivariant { stream, .. } | Self::Media { stream, .. } => {
                Some(Door::Stream(stream))
            }
            // A seal is made for whoever was let in, and ends by itself.
            Self::Segment { .. }
            | Self::Proxy { link: Link::Sealed { .. }, .. }
            | Self::Relay { link: Link::Sealed { .. } } => None,
            Self::Proxy { .. } | Self::Relay { .. } => Some(Door::House),
            // The control plane wants the admin token, and each report is about a stream.
            Self::Api(Ask::Health | Ask::Ready | Ask::Command(_) | Ask::Report) => None,
            Self::Page { path } if page::is_public(path) => None,
            Self::Api(Ask::Document(Document::Guide)) => Some(Door::Guide),
            // A list of channels is a way in for who watches, as the calendar is.
            Self::Api(Ask::Document(Document::Playlist | Document::Calendar)) => Some(Door::House),
            Self::Api(_) => Some(Door::Api),
            Self::Page { .. } => Some(Door::House),
        }
    }
}

/// Media routes answer pages of any origin.
pub fn is_media(path: &str) -> bool {
    let first = path.strip_prefix('/').and_then(|path| path.split('/').next());
    matches!(first, Some("live" | "proxy" | "relay"))
}

fn live(path: &str, rest: &[&str], query: &Query<'_>) -> Result<Route, Problem> {
    match rest {
        [stream, "index.m3u8"] => Ok(Route::Multivariant {
            stream: (*stream).to_owned(),
            rendition: query.get("rendition")?.map(Cow::into_owned),
        }),
        [stream, playlist] => {
            let rendition = playlist.strip_suffix(".m3u8").ok_or(Problem::NotFound)?;
            Ok(Route::Media {
                stream: (*stream).to_owned(),
                rendition: rendition.to_owned(),
                directives: query.directives(),
            })
        }
        [stream, _, _] | [stream, _, "x", _] => {
            Ok(Route::Segment { stream: (*stream).into(), link: query.sealed(path)? })
        }
        _ => Err(Problem::NotFound),
    }
}

fn proxy(path: &str, source: Option<String>, query: &Query<'_>) -> Result<Route, Problem> {
    let variables = query.get("v")?.map(Cow::into_owned);
    let link = match &variables {
        Some(variables) => query.sealed(&with_variables(path, variables))?,
        None => query.link(path)?,
    };
    Ok(Route::Proxy { source, link, variables, directives: query.directives() })
}

/// What a link that carries a master's variables is bound to. Whoever could change them would
/// choose the hosts of everything below.
pub fn with_variables(path: &str, variables: &str) -> String {
    format!("{path}&v={variables}")
}

/// What follows the path.
pub struct Query<'a>(pub &'a str);

impl<'a> Query<'a> {
    fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.0
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// A parameter's value. One that is given twice is refused: whoever checks a request and
    /// whoever answers it must not read different ones.
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

    /// All but this parameter.
    pub fn without(&self, name: &str) -> String {
        let kept = self.0.split('&').filter(|pair| {
            !pair.is_empty() && pair.split_once('=').map_or(*pair, |(key, _)| key) != name
        });
        kept.collect::<Vec<_>>().join("&")
    }

    fn sealed(&self, path: &str) -> Result<Link, Problem> {
        let seal = self.get("u")?.ok_or(Problem::SealMissing)?.into_owned();
        Ok(Link::Sealed { seal, path: path.to_owned() })
    }

    fn link(&self, path: &str) -> Result<Link, Problem> {
        match (self.get("url")?, self.get("u")?) {
            (Some(_), Some(_)) => Err(Problem::BadUrl("url= and u= exclude each other")),
            (Some(url), None) => Ok(Link::Plain { url: url.into_owned() }),
            (None, _) => self.sealed(path),
        }
    }

    /// The delivery directives of low-latency HLS, the only parameters that travel upstream.
    /// In one order, so that whoever asks for the same shares an answer.
    fn directives(&self) -> Option<String> {
        let mut directives: Vec<String> = self
            .pairs()
            .filter(|(name, _)| DIRECTIVES.contains(name))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        directives.sort_unstable();
        (!directives.is_empty()).then(|| directives.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(path: &str) -> Link {
        Link::Sealed { seal: "S".into(), path: path.into() }
    }

    #[test]
    fn routes() {
        for (path, query, expected) in [
            (
                "/live/world-feed/index.m3u8",
                Some("rendition=v720"),
                Ok(Route::Multivariant {
                    stream: "world-feed".into(),
                    rendition: Some("v720".into()),
                }),
            ),
            (
                "/live/world-feed/v720.m3u8",
                Some("_HLS_part=2&x=1&_HLS_msn=7&_HLS_other=1"),
                Ok(Route::Media {
                    stream: "world-feed".into(),
                    rendition: "v720".into(),
                    directives: Some("_HLS_msn=7&_HLS_part=2".into()),
                }),
            ),
            (
                "/live/w/v/12.m4s",
                Some("u=S"),
                Ok(Route::Segment { stream: "w".into(), link: sealed("/live/w/v/12.m4s") }),
            ),
            (
                "/live/w/v/x/abc.mp4",
                Some("u=S"),
                Ok(Route::Segment { stream: "w".into(), link: sealed("/live/w/v/x/abc.mp4") }),
            ),
            ("/live/w/v/12.m4s", None, Err(Problem::SealMissing)),
            ("/live/w/v", None, Err(Problem::NotFound)),
            ("/live", None, Err(Problem::NotFound)),
            (
                "/proxy/demo",
                Some("url=aHR0cA&_HLS_skip=YES"),
                Ok(Route::Proxy {
                    source: Some("demo".into()),
                    link: Link::Plain { url: "aHR0cA".into() },
                    variables: None,
                    directives: Some("_HLS_skip=YES".into()),
                }),
            ),
            (
                "/proxy",
                Some("u=S&v=VARS"),
                Ok(Route::Proxy {
                    source: None,
                    link: sealed("/proxy&v=VARS"),
                    variables: Some("VARS".into()),
                    directives: None,
                }),
            ),
            ("/proxy", Some("url=aHR0cA&v=VARS"), Err(Problem::SealMissing)),
            ("/relay/1.ts", Some("u=S"), Ok(Route::Relay { link: sealed("/relay/1.ts") })),
            ("/proxy", None, Err(Problem::SealMissing)),
            ("/proxy", Some("url=a&u=b"), Err(Problem::BadUrl("url= and u= exclude each other"))),
            (
                "/proxy",
                Some("url=a&url=b"),
                Err(Problem::BadUrl("a query parameter is given twice")),
            ),
            ("/api/streams", None, Ok(Route::Api(Ask::Streams(None)))),
            ("/api/nothing", None, Err(Problem::NotFound)),
            ("/iptv/other", None, Err(Problem::NotFound)),
            ("/healthz", None, Ok(Route::Api(Ask::Health))),
            ("/watch/x", None, Ok(Route::Page { path: "/watch/x".into() })),
            ("/", None, Ok(Route::Page { path: "/".into() })),
        ] {
            assert_eq!(Route::parse(path, query), expected, "{path} {query:?}");
        }
    }

    #[test]
    fn long_uris_are_refused() {
        let query = format!("url={}", "a".repeat(10_000));
        assert_eq!(Route::parse("/proxy", Some(&query)), Err(Problem::UriTooLong));
    }
}
