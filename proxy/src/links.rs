//! What the URIs of a playlist become. Playlists are named, segments are sealed.

use pitwall_hls::{Linker, Reference, Role as Uri, Splice, Target as Leads};
use pitwall_upstream_map::{Container, Upstream};

use crate::route::with_variables;
use crate::seal::{Purpose, Sealer};
use crate::target::canonical;

/// Links of `/proxy`: stateless, every one sealed.
pub struct ProxyLinks<'a> {
    pub sealer: &'a Sealer,
    pub profile: &'a str,
    /// What the playlist's segments are made of.
    pub extension: &'static str,
    pub now: u64,
    /// What a link that ends early leads to ends with it.
    pub expires: Option<u64>,
}

/// Links of `/live`: segments under the stream's own path, all else as on `/proxy`.
pub struct LiveLinks<'a> {
    pub proxy: ProxyLinks<'a>,
    pub stream: &'a str,
    pub rendition: &'a str,
    pub upstream: &'a Upstream,
    pub token_parameters: &'a [String],
    /// By which segments have other numbers than their source gives them.
    pub splice: Option<&'a Splice>,
}

impl ProxyLinks<'_> {
    fn sealed(&self, purpose: Purpose, path: &str, bound: &str, url: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(b"?u=");
        self.sealer.seal_until(purpose, bound, self.profile, url, self.now, self.expires, out);
    }

    fn media(&self, reference: &Reference<'_>, out: &mut Vec<u8>) {
        let extension = extension(reference, self.extension);
        let path = match (reference.role, reference.sequence) {
            // Players know a segment again by its number, and stop when its path changes.
            (Uri::Segment, Some(sequence)) => format!("/relay/{sequence}.{extension}"),
            _ => format!("/relay/{}.{extension}", self.sealer.name(reference.url)),
        };
        self.sealed(Purpose::Media, &path, &path, reference.url, out);
    }
}

impl Linker for ProxyLinks<'_> {
    fn link(&mut self, reference: &Reference<'_>, out: &mut Vec<u8>) {
        match reference.target {
            Leads::Playlist if !reference.variables.is_empty() => {
                let variables = reference.variables.encode();
                let bound = with_variables("/proxy", &variables);
                self.sealed(Purpose::Playlist, "/proxy", &bound, reference.url, out);
                // Last, so that a rendition report still begins with the link it was loaded from.
                out.extend_from_slice(b"&v=");
                out.extend_from_slice(variables.as_bytes());
            }
            Leads::Playlist => {
                self.sealed(Purpose::Playlist, "/proxy", "/proxy", reference.url, out);
            }
            Leads::Document => {
                self.sealed(Purpose::Document, "/proxy", "/proxy", reference.url, out);
            }
            Leads::Media => self.media(reference, out),
        }
    }
}

impl LiveLinks<'_> {
    /// Without its token the same map keeps the same link across renewals. An encoder that starts
    /// anew writes another map under the same URL, and players take a map whose link they know for
    /// the one that they have: from each splice on it has a link of its own.
    fn name(&self, url: &str) -> String {
        let url = canonical(url, self.token_parameters);
        match self.splice.filter(|splice| !splice.is_plain()) {
            Some(splice) => self.proxy.sealer.name(&format!("{} {url}", splice.from.discontinuity)),
            None => self.proxy.sealer.name(&url),
        }
    }
}

impl Linker for LiveLinks<'_> {
    fn link(&mut self, reference: &Reference<'_>, out: &mut Vec<u8>) {
        match reference.target {
            Leads::Playlist => {
                let known =
                    self.upstream.renditions.iter().find(|r| r.playlist.as_str() == reference.url);
                match known {
                    Some(rendition) => {
                        let id = &rendition.id.0;
                        out.extend_from_slice(
                            format!("/live/{}/{id}.m3u8", self.stream).as_bytes(),
                        );
                    }
                    None => self.proxy.link(reference, out),
                }
            }
            Leads::Document => self.proxy.link(reference, out),
            Leads::Media => {
                let (stream, rendition) = (self.stream, self.rendition);
                let extension = extension(reference, self.proxy.extension);
                let path = match (reference.role, reference.sequence) {
                    (Uri::Segment, Some(n)) => {
                        let n = self.splice.and_then(|splice| splice.number(n)).unwrap_or(n);
                        format!("/live/{stream}/{rendition}/{n}.{extension}")
                    }
                    _ => {
                        let name = self.name(reference.url);
                        format!("/live/{stream}/{rendition}/x/{name}.{extension}")
                    }
                };
                self.proxy.sealed(Purpose::Media, &path, &path, reference.url, out);
            }
        }
    }
}

/// What a link ends in: the container, never the upstream's disguise.
fn extension(reference: &Reference<'_>, container: &'static str) -> &'static str {
    match reference.role {
        Uri::Map => "mp4",
        Uri::Key | Uri::SessionKey => "key",
        Uri::SessionData => "json",
        Uri::Segment | Uri::Part | Uri::Hint | Uri::Prefetch => container,
        _ => "bin",
    }
}

/// The content type of what a link with this path leads to.
pub fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("ts") => "video/mp2t",
        Some("m4s" | "mp4") => "video/mp4",
        Some("aac") => "audio/aac",
        Some("mp3") => "audio/mpeg",
        Some("ac3") => "audio/ac3",
        Some("eac3") => "audio/eac3",
        Some("vtt") => "text/vtt; charset=utf-8",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

pub fn container_extension(container: pitwall_hls::Container) -> &'static str {
    use pitwall_hls::Container as Found;
    match container {
        Found::Fmp4 => Container::Fmp4.extension(),
        Found::PackedAudio => Container::PackedAudio.extension(),
        Found::Mp3 => Container::Mp3.extension(),
        Found::Ac3 => Container::Ac3.extension(),
        Found::Eac3 => Container::Eac3.extension(),
        Found::WebVtt => Container::WebVtt.extension(),
        _ => Container::MpegTs.extension(),
    }
}
