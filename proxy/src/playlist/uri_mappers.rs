//! Mapping of the URIs in a playlist to links of this edge: playlists are named, segments are
//! sealed.

use pitwall_hls::{LinkRoute, Redactor, Splice, UriMapper, UriReference, UriRole};
use pitwall_upstream_map::{Container, Upstream};

use crate::http::query::path_with_variables;
use crate::upstream::seal::{Purpose, Sealer};
use crate::upstream::target::canonical_url;

/// Links of `/proxy`: stateless, each one sealed.
pub struct ProxyUriMapper<'a> {
    pub sealer: &'a Sealer,
    pub profile: &'a str,
    /// The path below which viewers reach the edge, as of
    /// [`PublicPath`](crate::http::public_path::PublicPath). A seal is bound to the path without it.
    pub public_path: &'a str,
    /// File extension of the container of the playlist's segments.
    pub container_extension: &'static str,
    pub now: u64,
    /// Unix seconds when the link to this playlist expires. The links in the playlist expire with
    /// it.
    pub expires: Option<u64>,
    /// What may be published of the text that is no URI; `None`: all of it.
    pub redactor: Option<Redactor>,
}

/// Links of `/live`: segments below the stream's own path, everything else as on `/proxy`.
pub struct LiveUriMapper<'a> {
    pub proxy_mapper: ProxyUriMapper<'a>,
    pub stream: &'a str,
    pub rendition: &'a str,
    pub upstream: &'a Upstream,
    pub token_parameters: &'a [String],
    /// Splice by which published media sequence numbers differ from the source's.
    pub splice: Option<&'a Splice>,
}

impl ProxyUriMapper<'_> {
    fn write_sealed_link(
        &self,
        purpose: Purpose,
        path: &str,
        bound: &str,
        url: &str,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(self.public_path.as_bytes());
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(b"?u=");
        self.sealer.seal_until(purpose, bound, self.profile, url, self.now, self.expires, out);
    }

    fn write_media_link(&self, reference: &UriReference<'_>, out: &mut Vec<u8>) {
        let extension = link_extension(reference, self.container_extension);
        let path = match (reference.role, reference.sequence) {
            // The path has the sequence number, because players identify a segment by it and stop
            // when the path for a number changes.
            (UriRole::Segment, Some(sequence)) => format!("/relay/{sequence}.{extension}"),
            _ => format!("/relay/{}.{extension}", self.sealer.opaque_name(reference.url)),
        };
        self.write_sealed_link(Purpose::Media, &path, &path, reference.url, out);
    }
}

impl UriMapper for ProxyUriMapper<'_> {
    fn map_uri(&mut self, reference: &UriReference<'_>, out: &mut Vec<u8>) {
        match reference.target {
            LinkRoute::Playlist if !reference.variables.is_empty() => {
                let variables = reference.variables.encode();
                let bound = path_with_variables("/proxy", &variables);
                self.write_sealed_link(Purpose::Playlist, "/proxy", &bound, reference.url, out);
                // The variables come last, so that the URI of a rendition report still begins with
                // the link that the rendition was loaded from.
                out.extend_from_slice(b"&v=");
                out.extend_from_slice(variables.as_bytes());
            }
            LinkRoute::Playlist => {
                self.write_sealed_link(Purpose::Playlist, "/proxy", "/proxy", reference.url, out);
            }
            LinkRoute::Document => {
                self.write_sealed_link(Purpose::Document, "/proxy", "/proxy", reference.url, out);
            }
            LinkRoute::Media => self.write_media_link(reference, out),
        }
    }

    fn redactor(&self) -> Option<&Redactor> {
        self.redactor.as_ref()
    }

    fn map_hidden_text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let name = self.sealer.opaque_name(&String::from_utf8_lossy(text));
        out.extend_from_slice(format!("hidden-{name}").as_bytes());
    }
}

impl LiveUriMapper<'_> {
    /// Name of a map, key or partial segment in its link. Without its token the same URL keeps its
    /// link across renewals. Each splice makes new links, because an encoder that restarts writes
    /// another map under the same URL, and players do not reload a map whose link they know.
    fn stable_name(&self, url: &str) -> String {
        let url = canonical_url(url, self.token_parameters);
        match self.splice.filter(|splice| !splice.is_initial()) {
            Some(splice) => self
                .proxy_mapper
                .sealer
                .opaque_name(&format!("{} {url}", splice.from.discontinuity)),
            None => self.proxy_mapper.sealer.opaque_name(&url),
        }
    }
}

impl UriMapper for LiveUriMapper<'_> {
    fn redactor(&self) -> Option<&Redactor> {
        self.proxy_mapper.redactor()
    }

    fn map_hidden_text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        self.proxy_mapper.map_hidden_text(text, out);
    }

    fn map_uri(&mut self, reference: &UriReference<'_>, out: &mut Vec<u8>) {
        match reference.target {
            LinkRoute::Playlist => {
                let rendition = self.upstream.renditions.iter().find(|rendition| {
                    pitwall_fetch::as_written(&rendition.playlist) == reference.url
                });
                match rendition {
                    Some(rendition) => {
                        let (root, id) = (self.proxy_mapper.public_path, &rendition.id.0);
                        out.extend_from_slice(
                            format!("{root}/live/{}/{id}.m3u8", self.stream).as_bytes(),
                        );
                    }
                    None => self.proxy_mapper.map_uri(reference, out),
                }
            }
            LinkRoute::Document => self.proxy_mapper.map_uri(reference, out),
            LinkRoute::Media => {
                let (stream, rendition) = (self.stream, self.rendition);
                let extension = link_extension(reference, self.proxy_mapper.container_extension);
                let path = match (reference.role, reference.sequence) {
                    (UriRole::Segment, Some(number)) => {
                        let number = self
                            .splice
                            .and_then(|splice| splice.published_number(number))
                            .unwrap_or(number);
                        format!("/live/{stream}/{rendition}/{number}.{extension}")
                    }
                    _ => {
                        let name = self.stable_name(reference.url);
                        format!("/live/{stream}/{rendition}/x/{name}.{extension}")
                    }
                };
                self.proxy_mapper.write_sealed_link(
                    Purpose::Media,
                    &path,
                    &path,
                    reference.url,
                    out,
                );
            }
        }
    }
}

/// The extension of a link: that of the container, never that of the upstream's URL, which may
/// disguise it.
fn link_extension(reference: &UriReference<'_>, container: &'static str) -> &'static str {
    match reference.role {
        UriRole::Map => "mp4",
        UriRole::Key | UriRole::SessionKey => "key",
        UriRole::SessionData => "json",
        UriRole::Segment | UriRole::Part | UriRole::PreloadHint | UriRole::Prefetch => container,
        _ => "bin",
    }
}

/// The content type for a link with this path.
pub fn content_type_of_path(path: &str) -> &'static str {
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
    use pitwall_hls::Container as HlsContainer;
    match container {
        HlsContainer::Fmp4 => Container::Fmp4.extension(),
        HlsContainer::PackedAudio => Container::PackedAudio.extension(),
        HlsContainer::Mp3 => Container::Mp3.extension(),
        HlsContainer::Ac3 => Container::Ac3.extension(),
        HlsContainer::Eac3 => Container::Eac3.extension(),
        HlsContainer::WebVtt => Container::WebVtt.extension(),
        _ => Container::MpegTs.extension(),
    }
}
