//! The shape of a value without the value: it stays the same from run to run while the site stays
//! the same. Drift is a change of shape.

use url::Url;

pub(crate) fn describe_shape(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "empty".to_owned();
    }
    if let Ok(url) = Url::parse(text)
        && url.has_host()
    {
        return describe_url(&url);
    }
    if text.starts_with('/') && !text.contains(char::is_whitespace) {
        return match Url::parse("http://here/").and_then(|base| base.join(text)) {
            Ok(url) => describe_url(&url).replacen("http://here", "", 1),
            Err(_) => "text".to_owned(),
        };
    }
    if text.starts_with(['{', '['])
        && let Ok(json) = serde_json::from_str(text)
    {
        return format!("json {}", describe_json(&json, 2));
    }
    classify_word(text).to_owned()
}

/// A URL's host with runs of digits replaced by `#`, its path with tokens replaced by their class,
/// and the sorted names of its query.
fn describe_url(url: &Url) -> String {
    let host = collapse_digits(url.host_str().unwrap_or_default());
    let segments = url.path_segments().into_iter().flatten();
    let path: Vec<String> = segments.map(describe_path_segment).collect();
    let mut names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    names.sort();
    names.dedup();
    let query = if names.is_empty() { String::new() } else { format!("?{}", names.join("&")) };
    format!("{}://{host}/{}{query}", url.scheme(), path.join("/"))
}

fn describe_path_segment(text: &str) -> String {
    // The last part of a JWT is no extension.
    let named = text.rsplit_once('.').filter(|(_, extension)| extension.len() < 12);
    let (stem, extension) = named.map_or((text, None), |(s, e)| (s, Some(e)));
    let stem = match classify_word(stem) {
        // A list such as `hdntl=exp=1767225600~acl=/*~hmac=…` has signs of its own.
        "text" if stem.len() >= 16 && stem.contains('=') => "<token>".to_owned(),
        "word" | "text" => collapse_digits(stem),
        other => format!("<{other}>"),
    };
    extension.map_or(stem.clone(), |extension| format!("{stem}.{extension}"))
}

/// Replaces each run of digits by `#`: hosts and files of one site differ in their numbers.
fn collapse_digits(text: &str) -> String {
    let mut stem = String::new();
    for c in text.chars() {
        match c {
            c if !c.is_ascii_digit() => stem.push(c),
            _ if stem.ends_with('#') => {}
            _ => stem.push('#'),
        }
    }
    stem
}

fn describe_json(json: &serde_json::Value, depth: u8) -> String {
    use serde_json::Value;
    match json {
        Value::Object(members) if depth > 0 => {
            let mut names: Vec<String> = members
                .iter()
                .map(|(name, value)| match value {
                    Value::Object(_) => format!("{name}{}", self::describe_json(value, depth - 1)),
                    _ => name.clone(),
                })
                .collect();
            names.sort();
            names.truncate(20);
            format!("{{{}}}", names.join(","))
        }
        Value::Object(_) => "{…}".to_owned(),
        Value::Array(items) => {
            format!("[{}]", items.first().map_or(String::new(), |item| describe_json(item, depth)))
        }
        Value::String(_) => "text".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Null => "null".to_owned(),
    }
}

/// The class of a text; a run of 16 or more characters with digits is a token.
fn classify_word(text: &str) -> &'static str {
    let all = |test: fn(&u8) -> bool| text.bytes().all(|byte| test(&byte));
    match text.len() {
        _ if all(u8::is_ascii_digit) => "number",
        16.. if all(u8::is_ascii_hexdigit) => "hex",
        16.. if all(|b| b.is_ascii_alphanumeric() || b"-_+/=.%".contains(b))
            && text.bytes().any(|b| b.is_ascii_digit()) =>
        {
            "token"
        }
        _ if all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b)) => "word",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_same_shape() {
        let (a, b) = ("0123456789abcdef01", "fedcba98765432100");
        for (one, other) in [
            ("1767225600", "1"),
            (a, b),
            ("https://e1.a.example/x/7.m3u8?s=1&e=2", "https://e22.a.example/x/8.m3u8?e=9&s=x"),
            ("/play/7", "/play/22"),
            (
                "https://a.example/hdntl=exp=1767225600~acl=%2f*~hmac=0a1b2c/m.m3u8",
                "https://a.example/hdntl=exp=1767229200~acl=%2f*~hmac=f9e8d7/m.m3u8",
            ),
            (
                "https://a.example/bcdn_token=abcdef&expires=1767225600/m.m3u8",
                "https://a.example/bcdn_token=uvwxyz&expires=1767229200/m.m3u8",
            ),
            (
                "https://a.example/eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJlLTE/m.m3u8",
                "https://a.example/eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjJ9.b3RoZXItc2lnLTI/m.m3u8",
            ),
            (r#"{"a":1,"b":{"c":"x"}}"#, r#"{"b":{"c":"y"},"a":7}"#),
            (r#"[{"a":1}]"#, r#"[{"a":2},{"a":3}]"#),
        ] {
            assert_eq!(describe_shape(one), describe_shape(other), "{one} {other}");
        }
    }

    #[test]
    fn values_of_different_shapes() {
        for (one, other) in [
            ("", "x"),
            ("1767225600", "never"),
            ("https://a.example/x", "https://b.example/x"),
            ("https://a.example/x", "https://a.example/login"),
            ("https://a.example/x?t=1", "https://a.example/x"),
            ("/play/7", "/login"),
            (r#"{"stream":{"url":1}}"#, r#"{"error":"no"}"#),
        ] {
            assert_ne!(describe_shape(one), describe_shape(other), "{one} {other}");
        }
    }
}
