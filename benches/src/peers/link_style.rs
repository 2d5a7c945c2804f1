//! [`LinkStyle`]: the form of the links by which a contender is asked for an upstream URL.

use std::fmt::Write;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// What the upstream URL names; some contenders have different routes for playlists and segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkTarget {
    Segment,
    Playlist,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkStyle {
    /// The upstream's own path: the contender's upstream is configured.
    SamePath,
    Pitwall,
    HlsProxy,
    Mediaflow,
}

impl LinkStyle {
    /// Writes the path by which the contender serves `path` of `upstream`.
    pub(crate) fn write_link(
        self,
        upstream: SocketAddr,
        path: &str,
        target: LinkTarget,
        out: &mut String,
    ) {
        let url = || format!("http://{upstream}{path}");
        let _ = match (self, target) {
            (Self::SamePath, _) => write!(out, "{path}"),
            (Self::Pitwall, LinkTarget::Segment) => {
                write!(out, "/relay/segment.ts?url={}", URL_SAFE_NO_PAD.encode(url()))
            }
            (Self::Pitwall, LinkTarget::Playlist) => {
                write!(out, "/proxy?url={}", URL_SAFE_NO_PAD.encode(url()))
            }
            (Self::HlsProxy, LinkTarget::Segment) => write!(out, "/{}.ts", STANDARD.encode(url())),
            (Self::HlsProxy, LinkTarget::Playlist) => {
                write!(out, "/{}.m3u8", STANDARD.encode(url()))
            }
            (Self::Mediaflow, LinkTarget::Segment) => {
                write!(out, "/proxy/stream?d={}", percent_encode(&url()))
            }
            (Self::Mediaflow, LinkTarget::Playlist) => {
                write!(out, "/proxy/hls/manifest.m3u8?d={}", percent_encode(&url()))
            }
        };
    }

    /// [`Self::write_link`] into a new string.
    pub(crate) fn link_to(self, upstream: SocketAddr, path: &str, target: LinkTarget) -> String {
        let mut out = String::new();
        self.write_link(upstream, path, target, &mut out);
        out
    }
}

fn percent_encode(url: &str) -> String {
    url.replace(':', "%3A").replace('/', "%2F").replace('?', "%3F").replace('=', "%3D")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_each_style() {
        let upstream = SocketAddr::from(([127, 0, 0, 1], 9000));
        for (link, target, expected) in [
            (LinkStyle::SamePath, LinkTarget::Segment, "/a.ts?n=1"),
            (
                LinkStyle::Pitwall,
                LinkTarget::Segment,
                "/relay/segment.ts?url=aHR0cDovLzEyNy4wLjAuMTo5MDAwL2EudHM_bj0x",
            ),
            (
                LinkStyle::Pitwall,
                LinkTarget::Playlist,
                "/proxy?url=aHR0cDovLzEyNy4wLjAuMTo5MDAwL2EudHM_bj0x",
            ),
            (
                LinkStyle::HlsProxy,
                LinkTarget::Segment,
                "/aHR0cDovLzEyNy4wLjAuMTo5MDAwL2EudHM/bj0x.ts",
            ),
            (
                LinkStyle::Mediaflow,
                LinkTarget::Playlist,
                "/proxy/hls/manifest.m3u8?d=http%3A%2F%2F127.0.0.1%3A9000%2Fa.ts%3Fn%3D1",
            ),
        ] {
            assert_eq!(link.link_to(upstream, "/a.ts?n=1", target), expected, "{link:?}");
        }
    }
}
