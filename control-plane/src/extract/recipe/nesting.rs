//! An upper bound of a page's nesting depth, from its text alone: the time to build a tree grows
//! with the square of its depth, so that no tree is built of a page that is nested too deeply.

/// Ordinary pages are nested a few dozen deep.
pub(super) const NESTING_MAX_DEPTH: usize = 1000;

/// Elements that are closed implicitly or are empty, so that their tags do not nest.
const NON_NESTING_TAGS: [&str; 31] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr", "p", "li", "td", "th", "tr", "dt", "dd", "option", "optgroup", "rp", "rt",
    "thead", "tbody", "tfoot", "colgroup", "html", "body",
];
/// Elements whose content is text, even if it looks like tags.
const RAW_TEXT_TAGS: [&str; 5] = ["script", "style", "textarea", "title", "noscript"];
/// Elements of foreign content, in which every tag nests that is not self-closing.
const FOREIGN_TAGS: [&str; 2] = ["svg", "math"];

/// How many open elements an end tag may close at once, for pages that omit end tags.
const CLOSING_TAG_LOOKBACK: usize = 8;

pub(super) fn is_too_deep(html: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut foreign_at: Option<usize> = None;
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        let (closing, tag) = after.strip_prefix('/').map_or((false, after), |tag| (true, tag));
        let end = tag.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(tag.len());
        let (name, tail) = tag.split_at(end);
        let is = |other: &&str| other.eq_ignore_ascii_case(name);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        foreign_at = foreign_at.filter(|at| open.len() > *at);
        let closes_itself = || tail.split_once('>').is_some_and(|(tag, _)| tag.ends_with('/'));
        match foreign_at {
            None if NON_NESTING_TAGS.iter().any(is) => continue,
            Some(_) if !closing && closes_itself() => continue,
            None if !closing && FOREIGN_TAGS.iter().any(is) => foreign_at = Some(open.len()),
            _ => {}
        }
        if closing {
            if let Some(back) = open.iter().rev().take(CLOSING_TAG_LOOKBACK).position(is) {
                open.truncate(open.len() - back - 1);
            }
        } else if let Some(raw) = RAW_TEXT_TAGS.iter().find(|it| is(it)) {
            rest = skip_raw_text(tail, raw);
        } else {
            open.push(name);
            if open.len() > NESTING_MAX_DEPTH {
                return true;
            }
        }
    }
    false
}

/// The text after `</name`, or an empty text if there is none.
fn skip_raw_text<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("</") {
        if after.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return after;
        }
        rest = after;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths() {
        let n = NESTING_MAX_DEPTH + 1;
        for (html, expected) in [
            ("<div>".repeat(n), true),
            ("<DIV class='a'>".repeat(n), true),
            ("<div></x>".repeat(n), true),
            ("<b><i>".repeat(n), true),
            ("<svg><g>".repeat(n), true),
            (format!("<svg>{}", "<td>".repeat(n)), true),
            (format!("<svg>{}</svg>{}", "<path/>".repeat(n), "<td>".repeat(n)), false),
            ("<div>x</div>".repeat(n), false),
            ("<p>x".repeat(n), false),
            ("<li>x<br><img src=a>".repeat(n), false),
            ("<div><b>forgotten</div>".repeat(n), false),
            (format!("<script>{}</script>", "\"<div>\" < 3".repeat(n)), false),
            (format!("<script>{}", "<div>".repeat(n)), false),
            ("< < <<".repeat(n), false),
            ("plain".to_owned(), false),
        ] {
            let begin: String = html.chars().take(40).collect();
            assert_eq!(is_too_deep(&html), expected, "{begin}");
        }
    }
}
