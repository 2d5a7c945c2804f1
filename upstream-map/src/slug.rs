//! Slugs: ids made from names. Links, state files and guides contain ids, so equal names always
//! give the same id, and two names give the same id only if they are equal as defined here.
//!
//! Names are equal if they differ only in case, in accents on Latin letters (`é` and `e`), and in
//! separators: spaces, dashes, dots, slashes, brackets and quotes. Everything else counts, so
//! `Canal` and `Canal+`, `Первый HD` and `Россия HD` are different names. A name whose normalised
//! form is a slug is its own id (`World feed`: `world-feed`). The id of any other name is the ASCII
//! part of its normalised form, if any, and a hash of the whole form (`Canal+`:
//! `canal-cbe0ab1144`).

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

/// Maximum length of an id, in characters.
pub const SLUG_MAX_CHARS: usize = 64;
const HASH_SUFFIX_CHARS: usize = 10;

/// The id of a name: `[a-z0-9-]{1,64}`. `None` if the name consists of separators only.
pub fn slugify(name: &str) -> Option<String> {
    let normalized = normalize_name(name);
    if normalized.is_empty() {
        return None;
    }
    // A name that looks like an id with a hash gets a hash too, since it could equal another name's
    // id.
    if is_slug(&normalized) && !has_hash_suffix(&normalized) {
        Some(normalized)
    } else {
        Some(slug_with_hash(&normalized))
    }
}

/// Whether the text has the form of an id.
pub fn is_slug(text: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let has_single_hyphens = !text.starts_with('-') && !text.ends_with('-') && !text.contains("--");
    !text.is_empty()
        && text.len() <= SLUG_MAX_CHARS
        && text.bytes().all(is_allowed)
        && has_single_hyphens
}

/// Normalises a name: lower case, Latin letters without accents, one `-` for any run of separators.
/// Names are equal if their normalised forms are.
pub fn normalize_name(name: &str) -> String {
    let decompose = DecomposingNormalizerBorrowed::new_nfd();
    let visible = decompose.normalize_iter(name.chars()).filter(|c| !is_invisible(*c));
    // Case is folded through upper case, which maps ß to SS and ς to Σ.
    let folded = visible.flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    let mut normalized = String::new();
    for c in decompose.normalize_iter(folded) {
        let follows_latin_letter = normalized.ends_with(|base: char| base.is_ascii_lowercase());
        if follows_latin_letter && matches!(c, '\u{300}'..='\u{36f}') {
            continue;
        }
        match is_separator(c) {
            true if normalized.is_empty() || normalized.ends_with('-') => {}
            true => normalized.push('-'),
            false => normalized.push(c),
        }
    }
    ComposingNormalizerBorrowed::new_nfc().normalize(normalized.trim_end_matches('-')).into_owned()
}

/// Whether the character separates words and has no meaning of its own.
fn is_separator(c: char) -> bool {
    const SEPARATORS: &str = "-_.,:;/\\|#'\"`()[]{}<>®™©•·…«»‹›、。・（），．：；／｜";
    let is_other_separator =
        matches!(c, '\u{2010}'..='\u{2015}' | '‘'..='‟' | '〈'..='】' | '〔'..='〟');
    c.is_whitespace() || c.is_control() || SEPARATORS.contains(c) || is_other_separator
}

/// Whether the character is an invisible typesetting mark, which separates nothing and is ignored.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

fn slug_with_hash(normalized: &str) -> String {
    let hash = hash_suffix(normalized);
    let mut ascii_part = String::new();
    for c in normalized.chars() {
        match c.is_ascii_lowercase() || c.is_ascii_digit() {
            true => ascii_part.push(c),
            false if ascii_part.is_empty() || ascii_part.ends_with('-') => {}
            false => ascii_part.push('-'),
        }
    }
    ascii_part.truncate(SLUG_MAX_CHARS - HASH_SUFFIX_CHARS - 1);
    match ascii_part.trim_end_matches('-') {
        "" => hash,
        ascii_part => format!("{ascii_part}-{hash}"),
    }
}

/// Hash as hexadecimal digits that begin with a letter and end with a digit, as hardly any word or
/// date at the end of a name does.
fn hash_suffix(normalized: &str) -> String {
    let hash = blake3::hash(normalized.as_bytes());
    let [first, middle @ .., last] = hash.as_bytes();
    let letter = char::from(b'a' + first % 6);
    let middle = middle.iter().take(HASH_SUFFIX_CHARS / 2 - 1).map(|byte| format!("{byte:02x}"));
    format!("{letter}{}{}", middle.collect::<String>(), last % 10)
}

fn has_hash_suffix(slug: &str) -> bool {
    let last = slug.rsplit('-').next().unwrap_or_default().as_bytes();
    let hex = last.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let [first, .., end] = last else { return false };
    last.len() == HASH_SUFFIX_CHARS && hex && first.is_ascii_alphabetic() && end.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Viewers' links contain ids, so none of these may ever change.
    #[test]
    fn ids() {
        for (name, expected) in [
            ("World feed", Some("world-feed")),
            ("world-feed", Some("world-feed")),
            ("  Onboard #44 (HAM) ", Some("onboard-44-ham")),
            ("Onboard_7/2", Some("onboard-7-2")),
            ("Pit—Lane", Some("pit-lane")),
            ("F1® “Main” feed…", Some("f1-main-feed")),
            ("Camera 20261206", Some("camera-20261206")),
            ("São Paulo", Some("sao-paulo")),
            ("L'Équipe", Some("l-equipe")),
            ("İstanbul Yıldız", Some("istanbul-yildiz")),
            ("Straße", Some("strasse")),
            (&"x".repeat(64), Some(&*"x".repeat(64))),
            ("Canal+", Some("canal-cbe0ab1144")),
            ("F1 直播", Some("f1-e748877cf3")),
            ("Первый HD", Some("hd-HASH")),
            ("Łódź 1", Some("odz-1-HASH")),
            ("Гонка", Some("b6819db320")),
            ("日本", Some("HASH")),
            ("+", Some("HASH")),
            ("😀", Some("HASH")),
            ("World feed 😀", Some("world-feed-HASH")),
            ("", None),
            (" — ", None),
            ("\u{200b}\u{feff}", None),
        ] {
            let slug = slugify(name);
            let hash = slug.as_deref().filter(|slug| has_hash_suffix(slug));
            let hash = hash.and_then(|slug| slug.rsplit('-').next()).unwrap_or("HASH");
            let expected = expected.map(|expected| expected.replace("HASH", hash));
            assert_eq!(slug, expected, "{name:?}");
            assert!(slug.is_none_or(|slug| is_slug(&slug)), "{name:?}");
        }
    }

    #[test]
    fn equal_names_have_one_id() {
        for same in [
            ["Sport 5+", "  sport\t5+ "],
            ["Sport 5+", "SPORT-5+"],
            ["ПЕРВЫЙ HD", "Первый hd"],
            ["São Paulo", "Sa\u{303}o Paulo"],
            ["Йога", "Йога"],
            ["ガ", "カ\u{3099}"],
            ["ΝΙΚΟΣ", "νικος"],
            ["F1 直播", "F1：直播"],
            ["Sport\u{200b} 5+\u{fe0f}", "Sport 5+"],
        ] {
            assert_eq!(slugify(same[0]), slugify(same[1]), "{same:?}");
        }
    }

    #[test]
    fn different_names_have_different_ids() {
        let long = "x".repeat(80);
        let mut names: Vec<String> = [
            "Первый HD",
            "Россия HD",
            "HD",
            "Матч ТВ",
            "Canal",
            "Canal+",
            "Canal -+",
            "Canal++",
            "Canal &",
            "Sport 5",
            "Sport 5+",
            "Sport 5*",
            "Sport 5!",
            "F1",
            "F1 直播",
            "F1 回放",
            "直播",
            "Гонка",
            "+",
            "и",
            "й",
            "か",
            "が",
            "1",
            "¹",
            "१",
            "😀",
            "😁",
            "łódź",
            "łodź 1",
            "Œ",
            "Ø",
        ]
        .map(str::to_owned)
        .into();
        names.extend([long.clone(), format!("{long}x"), format!("{long}y")]);
        // Ids of other names, used as names themselves.
        let ids: Vec<String> = names.iter().filter_map(|name| slugify(name)).collect();
        let hashes = ids.iter().filter(|id| has_hash_suffix(id));
        names.extend(hashes.cloned());
        let mut known: HashMap<String, String> = HashMap::new();
        for name in names {
            if let Some(other) = known.insert(slugify(&name).unwrap(), name.clone()) {
                panic!("{name:?} and {other:?} are both {:?}", slugify(&name));
            }
        }
    }

    #[test]
    fn the_form_of_ids_is_checked() {
        let (longest, longer) = ("x".repeat(64), "x".repeat(65));
        for (id, ok) in [
            ("world-feed", true),
            ("canal-cbe0ab1144", true),
            (&*longest, true),
            (&*longer, false),
            ("World", false),
            ("a--b", false),
            ("-a", false),
            ("a-", false),
            ("../x", false),
            ("ü", false),
            ("", false),
        ] {
            assert_eq!(is_slug(id), ok, "{id:?}");
        }
    }
}
