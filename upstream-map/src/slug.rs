//! Ids made of names. Links, states and guides hold them, so the same name makes the same id
//! everywhere and for ever, and two names make one id only where they say the same.
//!
//! A name says the same in another case, with accents on Latin letters or without (`é` and `e`),
//! and with other separators: spaces, dashes, dots, slashes, brackets and quotes. Everything else
//! counts, so `Canal` and `Canal+`, `Первый HD` and `Россия HD` are different names. One that is
//! plain without loss is its own id (`World feed`: `world-feed`). Of any other the id holds what
//! is plain of it, if there is something, and a hash of all of it (`Canal+`: `canal-cbe0ab1144`).

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

/// The longest id, in characters.
pub const MAX_LENGTH: usize = 64;
const HASH_LENGTH: usize = 10;

/// The id of a name: `[a-z0-9-]{1,64}`. `None` if it is made of nothing but separators.
pub fn slug(name: &str) -> Option<String> {
    let folded = fold(name);
    if folded.is_empty() {
        return None;
    }
    // A plain name that looks like an id with a hash would be taken for another name's id.
    if is_slug(&folded) && !ends_in_hash(&folded) { Some(folded) } else { Some(hashed(&folded)) }
}

/// Is it of the form that ids have?
pub fn is_slug(text: &str) -> bool {
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let tidy = !text.starts_with('-') && !text.ends_with('-') && !text.contains("--");
    !text.is_empty() && text.len() <= MAX_LENGTH && text.bytes().all(legal) && tidy
}

/// What a name says, in one form: lower case, Latin letters without accents, one `-` for any run
/// of separators. Names are the same where this is.
pub fn fold(name: &str) -> String {
    let decompose = DecomposingNormalizerBorrowed::new_nfd();
    let visible = decompose.normalize_iter(name.chars()).filter(|c| !is_invisible(*c));
    // Case is folded by way of upper case, which knows that ß is SS and ς is Σ.
    let lower = visible.flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    let mut folded = String::new();
    for c in decompose.normalize_iter(lower) {
        let on_latin = folded.ends_with(|base: char| base.is_ascii_lowercase());
        if on_latin && matches!(c, '\u{300}'..='\u{36f}') {
            continue;
        }
        match is_separator(c) {
            true if folded.is_empty() || folded.ends_with('-') => {}
            true => folded.push('-'),
            false => folded.push(c),
        }
    }
    ComposingNormalizerBorrowed::new_nfc().normalize(folded.trim_end_matches('-')).into_owned()
}

/// What parts words and says nothing itself.
fn is_separator(c: char) -> bool {
    const SIGNS: &str = "-_.,:;/\\|#'\"`()[]{}<>®™©•·…«»‹›、。・（），．：；／｜";
    let other = matches!(c, '\u{2010}'..='\u{2015}' | '‘'..='‟' | '〈'..='】' | '〔'..='〟');
    c.is_whitespace() || c.is_control() || SIGNS.contains(c) || other
}

/// Marks for typesetting: they part nothing, and nobody sees whether they are there.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

fn hashed(folded: &str) -> String {
    let hash = hash(folded);
    let mut plain = String::new();
    for c in folded.chars() {
        match c.is_ascii_lowercase() || c.is_ascii_digit() {
            true => plain.push(c),
            false if plain.is_empty() || plain.ends_with('-') => {}
            false => plain.push('-'),
        }
    }
    plain.truncate(MAX_LENGTH - HASH_LENGTH - 1);
    match plain.trim_end_matches('-') {
        "" => hash,
        plain => format!("{plain}-{hash}"),
    }
}

/// Hexadecimal digits that begin with a letter and end with a number, as hardly a word or a date
/// at the end of a name does.
fn hash(folded: &str) -> String {
    let hash = blake3::hash(folded.as_bytes());
    let [first, middle @ .., last] = hash.as_bytes();
    let letter = char::from(b'a' + first % 6);
    let middle = middle.iter().take(HASH_LENGTH / 2 - 1).map(|byte| format!("{byte:02x}"));
    format!("{letter}{}{}", middle.collect::<String>(), last % 10)
}

fn ends_in_hash(slug: &str) -> bool {
    let last = slug.rsplit('-').next().unwrap_or_default().as_bytes();
    let hex = last.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let [first, .., end] = last else { return false };
    last.len() == HASH_LENGTH && hex && first.is_ascii_alphabetic() && end.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Links of viewers hold ids: none of these may ever change.
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
            let slug = slug(name);
            let hash = slug.as_deref().filter(|slug| ends_in_hash(slug));
            let hash = hash.and_then(|slug| slug.rsplit('-').next()).unwrap_or("HASH");
            let expected = expected.map(|expected| expected.replace("HASH", hash));
            assert_eq!(slug, expected, "{name:?}");
            assert!(slug.is_none_or(|slug| is_slug(&slug)), "{name:?}");
        }
    }

    #[test]
    fn names_that_say_the_same_are_one() {
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
            assert_eq!(slug(same[0]), slug(same[1]), "{same:?}");
        }
    }

    #[test]
    fn other_names_are_never_one() {
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
        // The id of another as a name, in every form that a name may have.
        let ids: Vec<String> = names.iter().filter_map(|name| slug(name)).collect();
        let hashes = ids.iter().filter(|id| ends_in_hash(id));
        names.extend(hashes.cloned());
        let mut known: HashMap<String, String> = HashMap::new();
        for name in names {
            if let Some(other) = known.insert(slug(&name).unwrap(), name.clone()) {
                panic!("{name:?} and {other:?} are both {:?}", slug(&name));
            }
        }
    }

    #[test]
    fn forms_of_ids() {
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
