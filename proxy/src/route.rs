//! [`Route`]: what a request is for, parsed from its path and query.

use std::borrow::Cow;
use std::sync::Arc;

use crate::api::{self, ApiRequest, DocumentKind};
use crate::http::access::AccessScope;
use crate::http::problem::Problem;
use crate::http::query::{Link, Query, path_with_variables};
use crate::page;

/// Limit of path and query together.
const URI_MAX_BYTES: usize = 8 * 1024;

/// A parsed request target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/live/{stream}/index.m3u8[?rendition=]`
    MultivariantPlaylist {
        stream: String,
        rendition: Option<String>,
    },
    /// `/live/{stream}/{rendition}.m3u8`
    MediaPlaylist {
        stream: String,
        rendition: String,
        directives: Option<String>,
    },
    /// `/live/{stream}/{rendition}/…?u=`: a segment, map, key or partial segment. The seal is bound
    /// to the path.
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
    Api(ApiRequest),
    Page {
        path: String,
    },
}

impl Route {
    /// # Errors
    /// [`Problem::UriTooLong`], [`Problem::NotFound`] for a path that is no route,
    /// [`Problem::BadUrl`] and [`Problem::SealMissing`] for a link that names no one URL.
    pub fn parse(path: &str, query: Option<&str>) -> Result<Self, Problem> {
        if path.len() + query.map_or(0, str::len) > URI_MAX_BYTES {
            return Err(Problem::UriTooLong);
        }
        let query = Query(query.unwrap_or_default());
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        match segments.as_slice() {
            ["live", rest @ ..] => parse_live(path, rest, &query),
            ["proxy"] => parse_proxy(path, None, &query),
            ["proxy", source] => parse_proxy(path, Some((*source).to_owned()), &query),
            ["relay"] | ["relay", _] => Ok(Self::Relay { link: query.target_link(path)? }),
            ["proxy" | "relay", ..] => Err(Problem::NotFound),
            rest => match (api::parse_request(path, &query), rest) {
                (Some(request), _) => Ok(Self::Api(request?)),
                (None, ["api" | "iptv", ..]) => Err(Problem::NotFound),
                (None, _) => Ok(Self::Page { path: path.to_owned() }),
            },
        }
    }

    /// The route's name in metrics and logs, of a closed set: a client must not be able to make up
    /// labels.
    pub fn label(&self) -> &'static str {
        match self {
            Self::MultivariantPlaylist { .. } => "multivariant",
            Self::MediaPlaylist { .. } => "media",
            Self::Segment { .. } => "segment",
            Self::Proxy { .. } => "proxy",
            Self::Relay { .. } => "relay",
            Self::Api(ApiRequest::Health | ApiRequest::Ready) => "health",
            Self::Api(ApiRequest::Events) => "events",
            Self::Api(ApiRequest::Command(_)) => "command",
            Self::Api(_) => "api",
            Self::Page { .. } => "page",
        }
    }
}

impl Route {
    /// The scope that a client needs access to; `None` for a request that carries its own
    /// authorisation, or whose response says nothing of the streams.
    pub fn required_scope(&self) -> Option<AccessScope<'_>> {
        match self {
            Self::MultivariantPlaylist { stream, .. } | Self::MediaPlaylist { stream, .. } => {
                Some(AccessScope::Stream(stream))
            }
            // A seal was issued to a client with access, and expires by itself.
            Self::Segment { .. }
            | Self::Proxy { link: Link::Sealed { .. }, .. }
            | Self::Relay { link: Link::Sealed { .. } } => None,
            Self::Proxy { .. } | Self::Relay { .. } => Some(AccessScope::Site),
            // The control plane checks the admin token of a command, and `Edge` checks the access
            // to the stream of each report.
            Self::Api(
                ApiRequest::Health
                | ApiRequest::Ready
                | ApiRequest::Command(_)
                | ApiRequest::Report,
            ) => None,
            Self::Page { path } if page::is_public_file(path) => None,
            Self::Api(ApiRequest::Document(DocumentKind::Guide)) => Some(AccessScope::Guide),
            // The IPTV list and the calendar are for viewers, so the admin token does not open
            // them.
            Self::Api(ApiRequest::Document(
                DocumentKind::IptvPlaylist | DocumentKind::Calendar,
            )) => Some(AccessScope::Site),
            Self::Api(_) => Some(AccessScope::Api),
            Self::Page { .. } => Some(AccessScope::Site),
        }
    }
}

/// Whether a path is a media route, whose responses pages of any origin may read.
pub fn is_media_path(path: &str) -> bool {
    let first = path.strip_prefix('/').and_then(|path| path.split('/').next());
    matches!(first, Some("live" | "proxy" | "relay"))
}

fn parse_live(path: &str, rest: &[&str], query: &Query<'_>) -> Result<Route, Problem> {
    match rest {
        [stream, "index.m3u8"] => Ok(Route::MultivariantPlaylist {
            stream: (*stream).to_owned(),
            rendition: query.get("rendition")?.map(Cow::into_owned),
        }),
        [stream, playlist] => {
            let rendition = playlist.strip_suffix(".m3u8").ok_or(Problem::NotFound)?;
            Ok(Route::MediaPlaylist {
                stream: (*stream).to_owned(),
                rendition: rendition.to_owned(),
                directives: query.delivery_directives(),
            })
        }
        [stream, _, _] | [stream, _, "x", _] => {
            Ok(Route::Segment { stream: (*stream).into(), link: query.sealed_link(path)? })
        }
        _ => Err(Problem::NotFound),
    }
}

fn parse_proxy(path: &str, source: Option<String>, query: &Query<'_>) -> Result<Route, Problem> {
    let variables = query.get("v")?.map(Cow::into_owned);
    let link = match &variables {
        Some(variables) => query.sealed_link(&path_with_variables(path, variables))?,
        None => query.target_link(path)?,
    };
    Ok(Route::Proxy { source, link, variables, directives: query.delivery_directives() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(path: &str) -> Link {
        Link::Sealed { seal: "S".into(), path: path.into() }
    }

    #[test]
    fn paths_and_queries_are_parsed_into_routes() {
        for (path, query, expected) in [
            (
                "/live/world-feed/index.m3u8",
                Some("rendition=v720"),
                Ok(Route::MultivariantPlaylist {
                    stream: "world-feed".into(),
                    rendition: Some("v720".into()),
                }),
            ),
            (
                "/live/world-feed/v720.m3u8",
                Some("_HLS_part=2&x=1&_HLS_msn=7&_HLS_other=1"),
                Ok(Route::MediaPlaylist {
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
            ("/api/streams", None, Ok(Route::Api(ApiRequest::Streams(None)))),
            ("/api/nothing", None, Err(Problem::NotFound)),
            ("/iptv/other", None, Err(Problem::NotFound)),
            ("/healthz", None, Ok(Route::Api(ApiRequest::Health))),
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
