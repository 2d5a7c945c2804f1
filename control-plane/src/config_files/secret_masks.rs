//! [`SecretMasks`]: secrets of a source file are shown as masks, and a mask that comes back stands
//! for the secret that it was made of, wherever in the file it stands then.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use toml_edit::{DocumentMut, Item, TableLike, Value};
use url::Url;

use crate::extract::is_secret_name;

/// Header fields that say nothing secret. All others are masked.
const SHOWN_HEADERS: [&str; 6] =
    ["accept", "accept-language", "origin", "referer", "user-agent", "x-requested-with"];

#[expect(clippy::expect_used, reason = "a constant, covered by a test")]
static MASK_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("masked-[0-9a-f]{12}").expect("a pattern"));

/// Makes masks that nobody can compare with guesses: its key is made anew in each process.
pub(super) struct Masker([u8; 32]);

/// The secrets of a file, by mask.
#[derive(Default)]
pub(super) struct SecretMasks(HashMap<String, String>);

impl Masker {
    pub(super) fn new() -> Self {
        Self(rand::random())
    }

    /// Replaces each secret of a file with its mask.
    pub(super) fn mask(&self, file: &mut DocumentMut) -> SecretMasks {
        let mut masks = SecretMasks::default();
        replace_each_text(file.as_table_mut(), &mut Vec::new(), &mut |path, text| {
            let masked = self.mask_text(path, text, &mut masks);
            (masked != text).then_some(masked)
        });
        masks
    }

    fn mask_text(&self, path: &[String], text: &str, masks: &mut SecretMasks) -> String {
        // A placeholder of a recipe is no secret, and a part of a text cannot be told from the rest.
        if text.is_empty() || text.contains("{{") {
            return text.to_owned();
        }
        if is_secret_key(path) {
            return self.mask_secret(text, masks);
        }
        // The text of a URL stays as it is written, but for the values of its query.
        let Some((start, rest)) = text.split_once('?').filter(|_| Url::parse(text).is_ok()) else {
            return text.to_owned();
        };
        let (query, fragment) = rest.split_once('#').map_or((rest, None), |(q, f)| (q, Some(f)));
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret_name(name) => {
                format!("{name}={}", self.mask_secret(value, masks))
            }
            _ => pair.to_owned(),
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        let fragment = fragment.map_or(String::new(), |fragment| format!("#{fragment}"));
        format!("{start}?{query}{fragment}")
    }

    fn mask_secret(&self, secret: &str, masks: &mut SecretMasks) -> String {
        let hash = blake3::keyed_hash(&self.0, secret.as_bytes()).to_hex();
        let mask = format!("masked-{}", hash.as_str().split_at(12).0);
        masks.0.insert(mask.clone(), secret.to_owned());
        mask
    }
}

impl SecretMasks {
    /// Replaces each mask with its secret.
    ///
    /// # Errors
    /// The dotted key of a mask that was made of no secret of this file.
    pub(super) fn restore(&self, file: &mut DocumentMut) -> Result<(), String> {
        let mut unknown = None;
        replace_each_text(file.as_table_mut(), &mut Vec::new(), &mut |path, text| {
            let restored = MASK_PATTERN.replace_all(text, |found: &regex::Captures<'_>| {
                self.0.get(&found[0]).cloned().unwrap_or_else(|| {
                    unknown.get_or_insert_with(|| path.join("."));
                    found[0].to_owned()
                })
            });
            (restored != text).then(|| restored.into_owned())
        });
        unknown.map_or(Ok(()), Err)
    }
}

fn is_secret_key(path: &[String]) -> bool {
    let Some((name, tables)) = path.split_last() else { return false };
    match tables.last().map(String::as_str) {
        Some("headers") => !SHOWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()),
        Some("cookies") => true,
        Some(_) => is_secret_name(name),
        // The keys of a source itself have names that this file gives.
        None => false,
    }
}

/// Gives each text of a table, with its dotted key, to `change`, and replaces it with what `change`
/// returns. White space and comments around it stay.
fn replace_each_text(
    table: &mut dyn TableLike,
    path: &mut Vec<String>,
    change: &mut dyn FnMut(&[String], &str) -> Option<String>,
) {
    for (key, item) in table.iter_mut() {
        path.push(key.get().to_owned());
        match item {
            Item::None => {}
            Item::Value(value) => replace_texts_in_value(value, path, change),
            Item::Table(inner) => replace_each_text(inner, path, change),
            Item::ArrayOfTables(tables) => {
                tables.iter_mut().for_each(|inner| replace_each_text(inner, path, change));
            }
        }
        path.pop();
    }
}

fn replace_texts_in_value(
    value: &mut Value,
    path: &mut Vec<String>,
    change: &mut dyn FnMut(&[String], &str) -> Option<String>,
) {
    match value {
        Value::String(text) => {
            if let Some(changed) = change(path, text.value()) {
                let decor = text.decor().clone();
                *value = Value::from(changed);
                *value.decor_mut() = decor;
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| replace_texts_in_value(item, path, change))
        }
        Value::InlineTable(inner) => replace_each_text(inner, path, change),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"# Club feed
name = "club" # the name
kind = "m3u"
url = "https://list.example/get.php?username=me&password=hunter2&type=m3u"
headers = { Authorization = "Basic YTpi", Referer = "https://club.example/" } # theirs

[[step]]
post = "https://club.example/login"
form = { user = "me", password = "s3cret", csrf = "{{csrf}}" }
headers.X-Api = "k1"
cookies = { remember = "c00kie" }
"#;

    fn parse(text: &str) -> DocumentMut {
        text.parse().unwrap()
    }

    #[test]
    fn secrets_are_masked_and_everything_else_stays() {
        let mut file = parse(FILE);
        let masks = Masker::new().mask(&mut file);
        let shown = file.to_string();
        for secret in ["hunter2", "YTpi", "s3cret", "k1", "c00kie"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let unmasked = MASK_PATTERN.replace_all(&shown, "…");
        let expected = FILE
            .replace("hunter2", "…")
            .replace("Basic YTpi", "…")
            .replace("s3cret", "…")
            .replace("c00kie", "…")
            .replace("\"k1\"", "\"…\"");
        assert_eq!(unmasked, expected);
        masks.restore(&mut file).unwrap();
        assert_eq!(file.to_string(), FILE);
    }

    #[test]
    fn a_mask_is_restored_wherever_it_stands() {
        let masker = Masker::new();
        let mut file = parse("headers = { A = \"one\", B = \"two\" }\n");
        let masks = masker.mask(&mut file);
        let mask = |name: &str| file["headers"][name].as_str().unwrap().to_owned();
        let (one, two) = (mask("A"), mask("B"));
        for (text, expected) in [
            (format!("[headers]\nB = \"{one}\"\n"), Ok("[headers]\nB = \"one\"\n")),
            (format!("a = [\"{two}\"]\n"), Ok("a = [\"two\"]\n")),
            (
                format!("url = \"http://x/?k={one}&l={two}\"\n"),
                Ok("url = \"http://x/?k=one&l=two\"\n"),
            ),
            ("headers = { C = \"new\" }\n".to_owned(), Ok("headers = { C = \"new\" }\n")),
            ("headers = { C = \"masked-000000000000\" }\n".to_owned(), Err("headers.C".to_owned())),
        ] {
            let mut edited = parse(&text);
            let restored = masks.restore(&mut edited).map(|()| edited.to_string());
            assert_eq!(restored, expected.map(str::to_owned), "{text}");
        }
        let mut other = parse("headers = { A = \"one\" }\n");
        assert_ne!(Masker::new().mask(&mut other).0.keys().next(), Some(&one), "per process");
    }
}
