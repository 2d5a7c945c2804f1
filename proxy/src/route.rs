//! [`Route`]: what a request is for, parsed from its path and query.

use std::borrow::Cow;

use pitwall_hls::PlaylistLimits;

use crate::api::{self, ApiRequest, DocumentKind};
use crate::http::access::AccessScope;
use crate::http::problem::Problem;
use crate::http::query::{DeliveryDirectives, Link, Query, path_with_variables};
use crate::metrics::RouteLabel;
use crate::page;

/// Limit of path and query together: a link of a playlist, and what players append to it, such as
/// delivery directives and CMCD reports.
pub const URI_MAX_BYTES: usize = PlaylistLimits::DEFAULT.max_link_bytes + 4 * 1024;

/// A parsed request target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/live/{stream}/index.m3u8[?rendition=]`
    MultivariantPlaylist {
        stream: &'a str,
        rendition: Option<Cow<'a, str>>,
    },
    /// `/live/{stream}/{rendition}.m3u8`
    MediaPlaylist {
        stream: &'a str,
        rendition: &'a str,
        directives: Option<DeliveryDirectives>,
    },
    /// `/live/{stream}/{rendition}/…?u=`: a segment, map, key or partial segment. The seal is bound
    /// to the path.
    Segment {
        stream: &'a str,
        link: Link<'a>,
    },
    /// `/proxy[/{source}]`
    Proxy {
        source: Option<&'a str>,
        link: Link<'a>,
        variables: Option<String>,
        directives: Option<DeliveryDirectives>,
    },
    /// `/relay[/{name}.{ext}]`
    Relay {
        link: Link<'a>,
    },
    Api(ApiRequest),
    Page {
        path: &'a str,
    },
}

impl<'a> Route<'a> {
    /// # Errors
    /// [`Problem::UriTooLong`], [`Problem::NotFound`] for a path that is no route,
    /// [`Problem::BadUrl`] and [`Problem::SealMissing`] for a link that names no one URL.
    pub fn parse(path: &'a str, query: Option<&'a str>) -> Result<Self, Problem> {
        if path.len() + query.map_or(0, str::len) > URI_MAX_BYTES {
            return Err(Problem::UriTooLong);
        }
        let query = Query(query.unwrap_or_default());
        // No route has more segments than this, so that the others of a longer path do not matter.
        let (mut path_segments, mut count) = ([""; 8], 0);
        let segments = path.strip_prefix('/').unwrap_or(path).split('/');
        for (slot, segment) in path_segments.iter_mut().zip(segments) {
            (*slot, count) = (segment, count + 1);
        }
        match path_segments.get(..count).unwrap_or_default() {
            ["live", rest @ ..] => parse_live(path, rest, &query),
            ["proxy"] => parse_proxy(path, None, &query),
            ["proxy", source] => parse_proxy(path, Some(source), &query),
            ["relay"] | ["relay", _] => Ok(Self::Relay { link: query.target_link(path)? }),
            ["proxy" | "relay", ..] => Err(Problem::NotFound),
            rest => match (api::parse_request(path, &query), rest) {
                (Some(request), _) => Ok(Self::Api(request?)),
                (None, ["api" | "iptv", ..]) => Err(Problem::NotFound),
                (None, _) => Ok(Self::Page { path }),
            },
        }
    }

    pub fn label(&self) -> RouteLabel {
        match self {
            Self::MultivariantPlaylist { .. } => RouteLabel::Multivariant,
            Self::MediaPlaylist { .. } => RouteLabel::Media,
            Self::Segment { .. } => RouteLabel::Segment,
            Self::Proxy { .. } => RouteLabel::Proxy,
            Self::Relay { .. } => RouteLabel::Relay,
            Self::Api(ApiRequest::Health | ApiRequest::Ready) => RouteLabel::Health,
            Self::Api(ApiRequest::Events) => RouteLabel::Events,
            Self::Api(ApiRequest::Command(_)) => RouteLabel::Command,
            Self::Api(_) => RouteLabel::Api,
            Self::Page { .. } => RouteLabel::Page,
        }
    }

    /// Whether pages of any origin may send the request (CORS): media and reports.
    pub fn is_cors_allowed(route: &Result<Self, Problem>, path: &str) -> bool {
        let first = path.strip_prefix('/').and_then(|path| path.split('/').next());
        matches!(first, Some("live" | "proxy" | "relay"))
            || matches!(route, Ok(Self::Api(ApiRequest::Report)))
    }

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

fn parse_live<'a>(
    path: &'a str,
    rest: &[&'a str],
    query: &Query<'a>,
) -> Result<Route<'a>, Problem> {
    match rest {
        [stream, "index.m3u8"] => {
            Ok(Route::MultivariantPlaylist { stream, rendition: query.get("rendition")? })
        }
        [stream, playlist] => {
            let rendition = playlist.strip_suffix(".m3u8").ok_or(Problem::NotFound)?;
            Ok(Route::MediaPlaylist { stream, rendition, directives: query.delivery_directives() })
        }
        [stream, _, _] | [stream, _, "x", _] => {
            Ok(Route::Segment { stream, link: query.sealed_link(path)? })
        }
        _ => Err(Problem::NotFound),
    }
}

fn parse_proxy<'a>(
    path: &'a str,
    source: Option<&'a str>,
    query: &Query<'a>,
) -> Result<Route<'a>, Problem> {
    let variables = query.get("v")?.map(Cow::into_owned);
    let link = match &variables {
        Some(variables) => query.sealed_link(path_with_variables(path, variables))?,
        None => query.target_link(path)?,
    };
    Ok(Route::Proxy { source, link, variables, directives: query.delivery_directives() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(path: &str) -> Link<'_> {
        Link::Sealed { seal: "S".into(), path: path.into() }
    }

    #[test]
    fn paths_and_queries_are_parsed_into_routes() {
        for (path, query, expected) in [
            (
                "/live/world-feed/index.m3u8",
                Some("rendition=v720"),
                Ok(Route::MultivariantPlaylist {
                    stream: "world-feed",
                    rendition: Some("v720".into()),
                }),
            ),
            (
                "/live/world-feed/v720.m3u8",
                Some("_HLS_part=2&x=1&_HLS_msn=7&_HLS_other=1"),
                Ok(Route::MediaPlaylist {
                    stream: "world-feed",
                    rendition: "v720",
                    directives: Some(DeliveryDirectives {
                        msn: Some("7".into()),
                        part: Some("2".into()),
                        ..DeliveryDirectives::default()
                    }),
                }),
            ),
            (
                "/live/w/v/12.m4s",
                Some("u=S"),
                Ok(Route::Segment { stream: "w", link: sealed("/live/w/v/12.m4s") }),
            ),
            (
                "/live/w/v/x/abc.mp4",
                Some("u=S"),
                Ok(Route::Segment { stream: "w", link: sealed("/live/w/v/x/abc.mp4") }),
            ),
            ("/live/w/v/12.m4s", None, Err(Problem::SealMissing)),
            ("/live/w/v", None, Err(Problem::NotFound)),
            ("/live", None, Err(Problem::NotFound)),
            (
                "/proxy/demo",
                Some("url=aHR0cA&_HLS_skip=YES"),
                Ok(Route::Proxy {
                    source: Some("demo"),
                    link: Link::Plain { url: "aHR0cA".into() },
                    variables: None,
                    directives: Some(DeliveryDirectives {
                        skip: Some("YES".into()),
                        ..DeliveryDirectives::default()
                    }),
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
            ("/watch/x", None, Ok(Route::Page { path: "/watch/x" })),
            ("/", None, Ok(Route::Page { path: "/" })),
        ] {
            assert_eq!(Route::parse(path, query), expected, "{path} {query:?}");
        }
    }

    #[test]
    fn long_uris_are_refused() {
        let query = format!("url={}", "a".repeat(URI_MAX_BYTES));
        assert_eq!(Route::parse("/proxy", Some(&query)), Err(Problem::UriTooLong));
    }
}
