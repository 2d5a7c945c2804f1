//! How deep a page is nested, at most, told from its text alone: building a tree takes a time
//! that grows with the square of its depth, so what is too deep is not built.

/// Pages that people made are nested a few dozen deep.
pub(super) const DEEPEST: usize = 1000;

/// These end without an end tag, or hold nothing.
const FLAT: [&str; 31] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr", "p", "li", "td", "th", "tr", "dt", "dd", "option", "optgroup", "rp", "rt",
    "thead", "tbody", "tfoot", "colgroup", "html", "body",
];
/// These hold text, whatever it looks like.
const RAW: [&str; 5] = ["script", "style", "textarea", "title", "noscript"];
/// In these every tag nests that does not close itself.
const FOREIGN: [&str; 2] = ["svg", "math"];

/// A tag that was forgotten is looked for this far out.
const FORGIVEN: usize = 8;

pub(super) fn too_deep(html: &str) -> bool {
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
            None if FLAT.iter().any(is) => continue,
            Some(_) if !closing && closes_itself() => continue,
            None if !closing && FOREIGN.iter().any(is) => foreign_at = Some(open.len()),
            _ => {}
        }
        if closing {
            if let Some(back) = open.iter().rev().take(FORGIVEN).position(is) {
                open.truncate(open.len() - back - 1);
            }
        } else if let Some(raw) = RAW.iter().find(|it| is(it)) {
            rest = after_end_of(tail, raw);
        } else {
            open.push(name);
            if open.len() > DEEPEST {
                return true;
            }
        }
    }
    false
}

/// Behind `</name`, or nothing.
fn after_end_of<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("</") {
        if after.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name)) {
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
        let n = DEEPEST + 1;
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
            assert_eq!(too_deep(&html), expected, "{begin}");
        }
    }
}
