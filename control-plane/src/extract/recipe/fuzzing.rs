//! Properties of the pages that recipes read.

use bytes::Bytes;
use scraper::Html;

use super::decode::{CODING_NAMES, DECODED_MAX_BYTES, decode_text};
use super::matcher::CssSelector;
use super::nesting::{NESTING_MAX_DEPTH, is_too_deep};
use super::page::Page;
use crate::extract::recorder::RecordedResponse;

/// Checks that links of a page can be fetched, that no deep tree is built of one that passes for
/// flat, and that no coding makes more of a text than a page may be.
pub fn page(data: &[u8]) {
    let response = RecordedResponse {
        url: "https://page.example/a/b".to_owned(),
        status: 200,
        headers: vec![("content-type".to_owned(), "text/html".to_owned())],
        cookies: Vec::new(),
        body: Bytes::copy_from_slice(data),
    };
    let Ok(page) = Page::from_response(response) else { panic!("its URL is one") };
    for link in [page.refresh_target(), page.resolve_link(&page.text).ok()].into_iter().flatten() {
        assert!(matches!(link.scheme(), "http" | "https"), "{link}");
        assert!(link.username().is_empty(), "{link}");
        assert!(!pitwall_fetch::as_written(&link).contains('#'), "{link}");
    }
    if let Some(css) = CssSelector::from_static("a[href]") {
        let _ = css.first_attribute(&page.text, "href");
    }
    if !is_too_deep(&page.text) {
        let document = Html::parse_document(&page.text);
        let (mut depth, mut level) = (0, vec![document.tree.root()]);
        while !level.is_empty() {
            level = level.iter().flat_map(|node| node.children()).collect();
            depth += 1;
        }
        assert!(depth <= 2 * NESTING_MAX_DEPTH, "{depth} deep");
    }
    for (name, coding) in CODING_NAMES {
        if let Ok(text) = decode_text(&[coding], data) {
            // A character reference of HTML is shorter than what it stands for by less than this.
            assert!(text.len() <= DECODED_MAX_BYTES.max(3 * data.len()), "{}", name);
        }
    }
}
