//! How a contender is asked for something of an upstream's.

use std::fmt::Write;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// What the URL names: some take it in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Segment,
    Playlist,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// By the same path: its upstream is configured.
    Path,
    Pitwall,
    HlsProxy,
    Mediaflow,
}

impl Link {
    /// Writes what to ask for to get `path` of `upstream`.
    pub(crate) fn write(self, upstream: SocketAddr, path: &str, kind: Kind, out: &mut String) {
        let url = || format!("http://{upstream}{path}");
        let _ = match (self, kind) {
            (Self::Path, _) => write!(out, "{path}"),
            (Self::Pitwall, Kind::Segment) => {
                write!(out, "/relay/segment.ts?url={}", URL_SAFE_NO_PAD.encode(url()))
            }
            (Self::Pitwall, Kind::Playlist) => {
                write!(out, "/proxy?url={}", URL_SAFE_NO_PAD.encode(url()))
            }
            (Self::HlsProxy, Kind::Segment) => write!(out, "/{}.ts", STANDARD.encode(url())),
            (Self::HlsProxy, Kind::Playlist) => write!(out, "/{}.m3u8", STANDARD.encode(url())),
            (Self::Mediaflow, Kind::Segment) => {
                write!(out, "/proxy/stream?d={}", escaped(&url()))
            }
            (Self::Mediaflow, Kind::Playlist) => {
                write!(out, "/proxy/hls/manifest.m3u8?d={}", escaped(&url()))
            }
        };
    }

    pub(crate) fn to(self, upstream: SocketAddr, path: &str, kind: Kind) -> String {
        let mut out = String::new();
        self.write(upstream, path, kind, &mut out);
        out
    }
}

fn escaped(url: &str) -> String {
    url.replace(':', "%3A").replace('/', "%2F").replace('?', "%3F").replace('=', "%3D")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_asked_in_their_way() {
        let upstream = SocketAddr::from(([127, 0, 0, 1], 9000));
        for (link, kind, expected) in [
            (Link::Path, Kind::Segment, "/a.ts?n=1"),
            (
                Link::Pitwall,
                Kind::Segment,
                "/relay/segment.ts?url=aHR0cDovLzEyNy4wLjAuMTo5MDAwL2EudHM_bj0x",
            ),
            (Link::Pitwall, Kind::Playlist, "/proxy?url=aHR0cDovLzEyNy4wLjAuMTo5MDAwL2EudHM_bj0x"),
            (Link::HlsProxy, Kind::Segment, "/aHR0cDovLzEyNy4wLjAuMTo5MDAwL2EudHM/bj0x.ts"),
            (
                Link::Mediaflow,
                Kind::Playlist,
                "/proxy/hls/manifest.m3u8?d=http%3A%2F%2F127.0.0.1%3A9000%2Fa.ts%3Fn%3D1",
            ),
        ] {
            assert_eq!(link.to(upstream, "/a.ts?n=1", kind), expected, "{link:?}");
        }
    }
}
