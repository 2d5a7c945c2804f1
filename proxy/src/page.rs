//! The page: static files embedded in the binary, and a shell that starts with the current
//! map inlined, so that a viewer's browser need not ask before it plays.

use std::collections::HashMap;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{StatusCode, header};
use jiff::Timestamp;
use rust_embed::RustEmbed;

use crate::answer::{Answer, etag_of};

#[derive(RustEmbed)]
#[folder = "../frontend/build"]
#[allow_missing = true]
struct Files;

/// Where the shell wants the bootstrap document.
const BOOTSTRAP: &str = "<!--pitwall:bootstrap-->";

const SECURITY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; \
                        img-src 'self' data:; media-src 'self' blob:; worker-src 'self'; \
                        connect-src 'self'; object-src 'none'; base-uri 'none'; \
                        form-action 'none'; frame-ancestors 'none'";

pub struct Page {
    files: HashMap<String, File>,
    shell: String,
}

struct File {
    content_type: String,
    body: Bytes,
    gzip: Option<Bytes>,
    etag: String,
}

/// The page's own files tell nothing of what is here, and the form that asks for the key is made
/// of them.
pub fn is_public(path: &str) -> bool {
    path.starts_with("/_app/") || path == "/favicon.svg"
}

/// The elements by which the shell loads its style.
pub fn stylesheets() -> String {
    let shell = Files::get("index.html").map(|file| file.data).unwrap_or_default();
    let shell = String::from_utf8_lossy(&shell);
    let links = shell.split_inclusive('>').filter_map(|text| text.rsplit_once("<link "));
    let links = links.filter(|(_, link)| link.contains("rel=\"stylesheet\""));
    links.map(|(_, link)| format!("<link {link}")).collect()
}

impl Default for Page {
    fn default() -> Self {
        let files = Files::iter()
            .filter_map(|path| Some((path.to_string(), File::new(Files::get(&path)?))))
            .collect();
        let shell = Files::get("index.html").map_or_else(
            || {
                "<!doctype html><title>Pitwall</title><p>The page was not built: run make build."
                    .to_owned()
            },
            |file| String::from_utf8_lossy(&file.data).into_owned(),
        );
        Self { files, shell }
    }
}

impl File {
    fn new(file: rust_embed::EmbeddedFile) -> Self {
        let body = Bytes::from(file.data.into_owned());
        let content_type = file.metadata.mimetype().to_owned();
        let text = ["text/", "javascript", "json", "svg", "manifest"];
        let compresses = text.iter().any(|kind| content_type.contains(kind));
        let gzip = compresses.then(|| gzip(&body)).flatten();
        Self { content_type, gzip, etag: etag_of(&body), body }
    }
}

impl Page {
    /// A file, or the shell for every other path: the page has its own routes.
    ///
    /// `bootstrap`: what the shell starts with, once there is something.
    pub fn answer(
        &self,
        path: &str,
        takes_gzip: bool,
        bootstrap: impl FnOnce() -> Option<String>,
    ) -> Answer {
        match self.files.get(path.trim_start_matches('/')) {
            Some(file) if path != "/index.html" => file.answer(path, takes_gzip),
            // A file that is gone must not be answered with a page: a browser would run it.
            _ if path.starts_with("/_app/") => Answer::new(StatusCode::NOT_FOUND),
            _ => self.shell(bootstrap()),
        }
    }

    fn shell(&self, bootstrap: Option<String>) -> Answer {
        let inlined = bootstrap.map_or(String::new(), |json| inlined(&json, Timestamp::now()));
        let html = self.shell.replace(BOOTSTRAP, &inlined);
        Answer::ok("text/html; charset=utf-8", html.into())
            // It carries the server's time, which is only right once.
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::CONTENT_SECURITY_POLICY, SECURITY)
            .header(header::REFERRER_POLICY, "no-referrer")
    }
}

impl File {
    fn answer(&self, path: &str, takes_gzip: bool) -> Answer {
        // Hashed names never change their content.
        let caching = if path.starts_with("/_app/immutable/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        let (body, encoding) = match &self.gzip {
            Some(gzip) if takes_gzip => (gzip.clone(), Some("gzip")),
            _ => (self.body.clone(), None),
        };
        let answer = Answer::new(StatusCode::OK)
            .header(header::CONTENT_TYPE, &self.content_type)
            .header(header::CACHE_CONTROL, caching)
            .header(header::ETAG, &self.etag)
            .header(header::VARY, "Accept-Encoding")
            .body(body);
        match encoding {
            Some(encoding) => answer.header(header::CONTENT_ENCODING, encoding),
            None => answer,
        }
    }
}

/// The bootstrap document as the shell carries it.
fn inlined(json: &str, now: Timestamp) -> String {
    // Inside a script element only this sequence could end it.
    let json = json.replace("</", "<\\/").replace("<!--", "<\\u0021--");
    format!(r#"<script id="bootstrap" type="application/json" data-now="{now}">{json}</script>"#)
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).ok()?;
    let compressed = encoder.finish().ok()?;
    (compressed.len() < body.len()).then(|| compressed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inlined_document_cannot_end_its_element() {
        let json = serde_json::to_string("</script><!-- <script>").unwrap();
        let html = inlined(&json, Timestamp::UNIX_EPOCH);
        assert_eq!(html.matches("</").count(), 1, "{html}");
        assert!(!html.contains("<!--"));
        let start = html.find('>').unwrap() + 1;
        let end = html.rfind("</script>").unwrap();
        let read: String = serde_json::from_str(html.get(start..end).unwrap()).unwrap();
        assert_eq!(read, "</script><!-- <script>");
    }
}
