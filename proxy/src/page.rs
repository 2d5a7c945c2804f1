//! [`Page`]: the static files of the page, embedded in the binary, and its HTML shell, which has
//! the bootstrap document inlined so that a viewer's browser plays without a further request.

pub mod login_page;

use std::collections::HashMap;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use pitwall_upstream_map::documents::PublicDocument;
use rust_embed::RustEmbed;

use crate::http::response::{Response, etag_of};

#[derive(RustEmbed)]
#[folder = "../frontend/build"]
#[allow_missing = true]
struct EmbeddedFiles;

/// The text of the shell that the bootstrap document replaces.
const BOOTSTRAP_PLACEHOLDER: &str = "<!--pitwall:bootstrap-->";

/// The text that stands for Pitwall's root in the links of the shell and of the login page.
const ROOT_PLACEHOLDER: &str = "<!--pitwall:root-->";

const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; \
                        img-src 'self' data:; media-src 'self' blob:; worker-src 'self'; \
                        connect-src 'self'; object-src 'none'; base-uri 'none'; \
                        form-action 'none'; frame-ancestors 'none'";

/// The embedded page.
pub struct Page {
    files: HashMap<String, StaticFile>,
    shell: String,
}

struct StaticFile {
    content_type: String,
    body: Bytes,
    gzip: Option<Bytes>,
    brotli: Option<Bytes>,
    etag: HeaderValue,
}

/// Whether a path is one of the page's own files, which need no access: they say nothing of the
/// streams, and the login page is styled with them.
pub fn is_public_file(path: &str) -> bool {
    path.starts_with("/_app/") || path == "/favicon.svg"
}

/// The HTML of a page for the address `path`, with links that are relative to it: they lead to
/// Pitwall's root below whatever path a proxy in front publishes it.
pub fn with_relative_links(html: &str, path: &str) -> String {
    let root = match path.matches('/').count() {
        0 | 1 => "./".to_owned(),
        slashes => "../".repeat(slashes - 1),
    };
    html.replace(ROOT_PLACEHOLDER, &root)
}

/// Answers a request for a directory whose path lacks the slash at its end.
pub fn redirect_to_directory(path: &str, query: Option<&str>) -> Response {
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    Response::new(StatusCode::PERMANENT_REDIRECT)
        .with_header(header::LOCATION, format!("{path}/{query}"))
}

/// How the names of files end that hold another file in brotli; the build of the page writes them.
const BROTLI_SUFFIX: &str = ".br";

/// How a link to a stylesheet ends in the shell.
const STYLESHEET_END: &str = "rel=\"stylesheet\">";

/// The `<link rel="stylesheet">` elements of the shell, for the login page.
pub fn stylesheet_links() -> String {
    let shell = EmbeddedFiles::get("index.html").map(|file| file.data).unwrap_or_default();
    let shell = String::from_utf8_lossy(&shell);
    let links = shell.split("<link ").filter_map(|text| text.split_once(STYLESHEET_END));
    links.map(|(start, _)| format!("<link {start}{STYLESHEET_END}")).collect()
}

/// The content codings that a client accepts, of those in which the page is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedCodings {
    pub brotli: bool,
    pub gzip: bool,
}

impl AcceptedCodings {
    /// Reads the `Accept-Encoding` of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
        let is_accepted = |name: &str| {
            accepted.unwrap_or_default().split(',').any(|coding| {
                let mut parts = coding.split(';').map(str::trim);
                parts.next() == Some(name) && parts.all(|parameter| parameter != "q=0")
            })
        };
        Self { brotli: is_accepted("br"), gzip: is_accepted("gzip") }
    }
}

impl Default for Page {
    fn default() -> Self {
        let files = EmbeddedFiles::iter()
            .filter(|path| !path.ends_with(BROTLI_SUFFIX))
            .filter_map(|path| {
                let brotli = EmbeddedFiles::get(&format!("{path}{BROTLI_SUFFIX}"));
                Some((path.to_string(), StaticFile::new(EmbeddedFiles::get(&path)?, brotli)))
            })
            .collect();
        let shell = EmbeddedFiles::get("index.html").map_or_else(
            || {
                "<!doctype html><title>Pitwall</title><p>The page was not built: run make build."
                    .to_owned()
            },
            |file| String::from_utf8_lossy(&file.data).into_owned(),
        );
        Self { files, shell }
    }
}

impl StaticFile {
    /// `brotli`: the file as the build of the page has compressed it, if it has.
    fn new(file: rust_embed::EmbeddedFile, brotli: Option<rust_embed::EmbeddedFile>) -> Self {
        let body = Bytes::from(file.data.into_owned());
        let content_type = file.metadata.mimetype().to_owned();
        let compressible = ["text/", "javascript", "json", "svg", "manifest"];
        let is_compressible = compressible.iter().any(|kind| content_type.contains(kind));
        let gzip = is_compressible.then(|| gzip(&body, Compression::default())).flatten();
        let brotli = brotli.map(|file| Bytes::from(file.data.into_owned()));
        Self { content_type, gzip, brotli, etag: etag_of(&body), body }
    }
}

impl Page {
    /// A file, or the shell for every other path, as the page routes by itself.
    ///
    /// `bootstrap`: the document for the shell; `None` before the first map.
    pub fn respond(
        &self,
        path: &str,
        accepted: AcceptedCodings,
        bootstrap: impl FnOnce() -> Option<PublicDocument>,
    ) -> Response {
        match self.files.get(path.trim_start_matches('/')) {
            Some(file) if path != "/index.html" => file.to_response(path, accepted),
            // A missing file is a 404: a browser would take the shell for the script that it loads.
            _ if path.starts_with("/_app/") => Response::new(StatusCode::NOT_FOUND),
            _ => self.render_shell(path, accepted, bootstrap()),
        }
    }

    fn render_shell(
        &self,
        path: &str,
        accepted: AcceptedCodings,
        bootstrap: Option<PublicDocument>,
    ) -> Response {
        let json = bootstrap.as_ref().and_then(PublicDocument::as_str);
        let inlined = json.map_or(String::new(), |json| inline_bootstrap(json, Timestamp::now()));
        let html = with_relative_links(&self.shell, path).replace(BOOTSTRAP_PLACEHOLDER, &inlined);
        // The shell is made anew for every request, so that it gets the coding that is made quickly.
        let gzip = accepted.gzip.then(|| gzip(html.as_bytes(), Compression::fast())).flatten();
        let response = match gzip {
            Some(body) => Response::ok("text/html; charset=utf-8", body)
                .with_header(header::CONTENT_ENCODING, "gzip"),
            None => Response::ok("text/html; charset=utf-8", html.into()),
        };
        response
            .with_header(header::VARY, "Accept-Encoding")
            // The shell carries the server's time, which is wrong in a stored response.
            .with_header(header::CACHE_CONTROL, "no-store")
            .with_header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
            .with_header(header::REFERRER_POLICY, "no-referrer")
    }
}

impl StaticFile {
    fn to_response(&self, path: &str, accepted: AcceptedCodings) -> Response {
        // Files in `immutable` have the hash of their content in their name.
        let caching = if path.starts_with("/_app/immutable/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        let (body, encoding) = match (&self.brotli, &self.gzip) {
            (Some(brotli), _) if accepted.brotli => (brotli.clone(), Some("br")),
            (_, Some(gzip)) if accepted.gzip => (gzip.clone(), Some("gzip")),
            _ => (self.body.clone(), None),
        };
        let response = Response::new(StatusCode::OK)
            .with_header(header::CONTENT_TYPE, &self.content_type)
            .with_header(header::CACHE_CONTROL, caching)
            .with_header(header::ETAG, &self.etag)
            .with_header(header::VARY, "Accept-Encoding")
            .with_body(body);
        match encoding {
            Some(encoding) => response.with_header(header::CONTENT_ENCODING, encoding),
            None => response,
        }
    }
}

/// The script element with the bootstrap document, for the shell.
fn inline_bootstrap(json: &str, now: Timestamp) -> String {
    // Only `</` can end a script element, and `<!--` changes how the rest of it is parsed.
    let json = json.replace("</", "<\\/").replace("<!--", "<\\u0021--");
    format!(r#"<script id="bootstrap" type="application/json" data-now="{now}">{json}</script>"#)
}

/// The body compressed; `None` where that makes it no smaller.
fn gzip(body: &[u8], level: Compression) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(body).ok()?;
    let compressed = encoder.finish().ok()?;
    (compressed.len() < body.len()).then(|| compressed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_a_page_lead_to_the_root_from_every_address() {
        for (path, expected) in [
            ("/", "./_app/a.js"),
            ("/watch", "./_app/a.js"),
            ("/watch/", "../_app/a.js"),
            ("/watch/2026:monaco:R", "../_app/a.js"),
            ("/live/w/index.m3u8", "../../_app/a.js"),
        ] {
            let html = with_relative_links("<!--pitwall:root-->_app/a.js", path);
            assert_eq!(html, expected, "{path}");
            for root in ["", "/tv", "/tv/pitwall"] {
                let base = url::Url::parse(&format!("https://tv.example{root}{path}")).unwrap();
                let link = base.join(&html).unwrap();
                assert_eq!(link.path(), format!("{root}/_app/a.js"), "{base}");
            }
        }
    }

    #[test]
    fn each_client_gets_a_coding_that_it_accepts() {
        let file = |text: &'static [u8]| StaticFile {
            content_type: "text/javascript".to_owned(),
            body: Bytes::from_static(text),
            gzip: gzip(text, Compression::default()),
            brotli: Some(Bytes::from_static(b"brotli")),
            etag: etag_of(text),
        };
        let page = Page {
            files: HashMap::from([("app.js".to_owned(), file(&[b'a'; 100]))]),
            shell: format!("<html>{}</html>", "shell ".repeat(100)),
        };
        for (accepted, of_file, of_shell) in [
            ("gzip, deflate, br, zstd", Some("br"), Some("gzip")),
            ("br", Some("br"), None),
            ("gzip;q=0.5", Some("gzip"), Some("gzip")),
            ("br;q=0, gzip", Some("gzip"), Some("gzip")),
            ("identity", None, None),
            ("", None, None),
        ] {
            let fields = HeaderMap::from_iter([(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static(accepted),
            )]);
            for (path, expected) in [("/app.js", of_file), ("/watch", of_shell)] {
                let response = page.respond(path, AcceptedCodings::of(&fields), || None);
                let mut fields = response.fields().iter();
                let coding = fields.find(|(name, _)| name == header::CONTENT_ENCODING);
                let coding = coding.map(|(_, value)| value.to_str().unwrap());
                assert_eq!(coding, expected, "{path} for {accepted:?}");
            }
        }
    }

    #[test]
    fn the_inlined_document_cannot_end_its_element() {
        let json = serde_json::to_string("</script><!-- <script>").unwrap();
        let html = inline_bootstrap(&json, Timestamp::UNIX_EPOCH);
        assert_eq!(html.matches("</").count(), 1, "{html}");
        assert!(!html.contains("<!--"));
        let start = html.find('>').unwrap() + 1;
        let end = html.rfind("</script>").unwrap();
        let read: String = serde_json::from_str(html.get(start..end).unwrap()).unwrap();
        assert_eq!(read, "</script><!-- <script>");
    }
}
