//! [`Redactor`]: which text of a playlist or document names its origin.
//!
//! A playlist is published with links in place of its URIs. A comment, a title or an attribute that
//! is no URI would tell what the links hide all the same, so such a text is published only if it
//! has neither a URL nor a known host or token in it, also not percent-encoded, escaped as in JSON
//! or in base64.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use memchr::memmem::Finder;
use url::Url;

/// Whether a URL may be named, because its host is no secret.
pub type PublicUrlFilter = Arc<dyn Fn(&Url) -> bool + Send + Sync>;

/// The hosts and tokens of an origin, and which URLs may be named nevertheless.
#[derive(Default)]
pub struct Redactor {
    /// As written, and whether the word counts only where it stands by itself.
    words: Vec<(String, bool)>,
    open_urls: Option<PublicUrlFilter>,
    searches: OnceLock<WordMatchers>,
}

/// The words in the forms in which a text may have them.
struct WordMatchers {
    /// Lower case, and whether the word counts only where it stands by itself.
    plain: Vec<(Finder<'static>, bool)>,
    /// What [`encode`] makes of the words.
    encoded: OnceLock<Vec<Finder<'static>>>,
}

/// What [`encode`] makes of the beginnings of URLs.
static ENCODED_SCHEMES: LazyLock<Vec<Finder<'static>>> = LazyLock::new(|| {
    ["http://", "https://", "HTTP://", "HTTPS://"].into_iter().flat_map(encode).collect()
});

/// What a URL with a host has in it.
static SLASHES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"//"));

/// A shorter text names nothing.
const TEXT_MIN_BYTES: usize = 4;
/// A query value in large and small letters that is as long may be a token; a shorter one if it has
/// letters and digits, or if it is a secret by its name, a field or a cookie.
const TOKEN_MIN_BYTES: usize = 8;
const MIXED_TOKEN_MIN_BYTES: usize = 6;
/// A token as long is part of no other word by chance.
const UNIQUE_TOKEN_MIN_BYTES: usize = 10;
/// What names of query parameters have in them that are secrets.
const SECRET_NAMES: [&str; 11] =
    ["token", "auth", "sig", "key", "pass", "pwd", "secret", "sess", "jwt", "hash", "hmac"];
/// Request fields whose values many clients send.
const COMMON_FIELDS: [&str; 4] = ["user-agent", "accept", "accept-language", "accept-encoding"];
/// Further words are not looked for: an honest source has a few.
const WORDS_MAX_COUNT: usize = 64;
/// How often a text may be encoded.
const DECODING_ROUNDS: usize = 3;
/// A shorter run of base64 holds no word, and a shorter part of one is found by chance.
const BASE64_RUN_MIN_BYTES: usize = 8;
const BASE64_FORM_MIN_BYTES: usize = 6;

impl Redactor {
    /// `open_urls`: the URLs that may be named; none without it.
    pub fn new(open_urls: Option<PublicUrlFilter>) -> Self {
        Self { open_urls, ..Self::default() }
    }

    /// Adds host, user, password and query values of a URL that may not be named.
    pub fn add_url(&mut self, url: &Url) {
        if self.is_public_url(url) {
            return;
        }
        if let Some(host) = url.host_str() {
            self.add_host(host);
        }
        self.add_token(url.username(), true);
        if let Some(password) = url.password().filter(|password| password.len() >= TEXT_MIN_BYTES) {
            self.add_word(password.to_owned(), true);
        }
        for (name, value) in url.query_pairs() {
            self.add_token(&value, is_secret_name(&name));
        }
        // As it is written, too.
        for pair in url.query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or_default();
            self.add_token(value, is_secret_name(name));
        }
    }

    /// Adds the value of a request field or of `Set-Cookie`: each part of it that may be a token.
    pub fn add_field(&mut self, name: &str, value: &str) {
        if COMMON_FIELDS.iter().any(|common| common.eq_ignore_ascii_case(name)) {
            return;
        }
        // The attributes of a cookie are no secrets.
        let value = match name.eq_ignore_ascii_case("set-cookie") {
            true => value.split(';').next().unwrap_or_default(),
            false => value,
        };
        if let Ok(url) = Url::parse(value)
            && url.has_host()
        {
            return self.add_url(&url);
        }
        for part in value.split([' ', ';', ',']) {
            // The name of a scheme (RFC 9110, 11.1) is shorter.
            self.add_token(part, is_secret_name(name) && part.len() >= TOKEN_MIN_BYTES);
            let (name, value) = part.split_once('=').unwrap_or_default();
            self.add_token(value, is_secret_name(name));
            // Basic authentication (RFC 7617).
            if let Ok(decoded) = STANDARD.decode(part)
                && let Ok(pair) = String::from_utf8(decoded)
                && let Some((user, password)) = pair.split_once(':')
            {
                self.add_token(user, true);
                self.add_token(password, true);
            }
        }
    }

    fn add_host(&mut self, host: &str) {
        // A name of one label may be any word; in a URL it follows its slashes.
        match host.contains(['.', ':']) {
            true => self.add_word(host.to_owned(), true),
            false => self.add_word(format!("//{host}"), true),
        }
    }

    /// Adds a value that looks like a token. One that `is_secret` may be any word.
    fn add_token(&mut self, text: &str, is_secret: bool) {
        let text = text.trim_matches(['"', ' ']);
        // Numbers are no secrets: ends of tokens, bit rates, 1920x1080, 1080p60, 50fps.
        let is_number =
            text.bytes().all(|byte| byte.is_ascii_digit() || b"x.-:pikfs".contains(&byte));
        let has = |is_kind: fn(&u8) -> bool| text.as_bytes().iter().any(is_kind);
        let has_letters = has(u8::is_ascii_uppercase) || has(u8::is_ascii_lowercase);
        let min = match () {
            () if is_secret || (has(u8::is_ascii_digit) && has_letters) => MIXED_TOKEN_MIN_BYTES,
            () if has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) => TOKEN_MIN_BYTES,
            // A word such as `subtitles`, which a playlist has too.
            () => return,
        };
        if !is_number && text.len() >= min {
            self.add_word(text.to_owned(), text.len() < UNIQUE_TOKEN_MIN_BYTES);
        }
    }

    fn add_word(&mut self, word: String, stands_alone: bool) {
        let is_known = self.words.iter().any(|(known, _)| *known == word);
        if self.words.len() < WORDS_MAX_COUNT && !is_known {
            self.words.push((word, stands_alone));
            self.searches.take();
        }
    }

    fn is_public_url(&self, url: &Url) -> bool {
        self.open_urls.as_ref().is_some_and(|is_open| is_open(url))
    }

    /// Whether the text may be published: it has neither a URL that may not be named nor a host or
    /// token of the origin. The URI of a FairPlay key (`skd:`) is no such URL, as nobody fetches it.
    pub fn can_publish(&self, text: &[u8]) -> bool {
        text.len() < TEXT_MIN_BYTES || !self.has_secret(text)
    }

    fn has_secret(&self, text: &[u8]) -> bool {
        let searches = self.searches.get_or_init(|| WordMatchers::new(&self.words));
        let mut text = Cow::Borrowed(text);
        for _ in 0..DECODING_ROUNDS {
            if self.has_hidden_url(&text)
                || searches.has_match_in(&text)
                || self.has_encoded_secret(&text, searches)
            {
                return true;
            }
            match unescape(&text) {
                Some(unescaped) => text = Cow::Owned(unescaped),
                None => return false,
            }
        }
        // An honest text is not encoded as often.
        true
    }

    fn has_hidden_url(&self, text: &[u8]) -> bool {
        SLASHES.find_iter(text).any(|slashes| {
            let Some(start) = url_start(text, slashes) else { return false };
            let url = text.get(start..).unwrap_or_default();
            let end = url.iter().position(|&byte| is_url_delimiter(byte)).unwrap_or(url.len());
            let url = String::from_utf8_lossy(url.get(..end).unwrap_or_default());
            let absolute = match url.starts_with("//") {
                true => format!("https:{url}"),
                false => url.into_owned(),
            };
            !Url::parse(&absolute).is_ok_and(|url| self.is_public_url(&url))
        })
    }

    fn has_encoded_secret(&self, text: &[u8], searches: &WordMatchers) -> bool {
        if !has_base64_run(text) {
            return false;
        }
        let standard: Vec<u8> = text
            .iter()
            .map(|byte| match byte {
                b'-' => b'+',
                b'_' => b'/',
                byte => *byte,
            })
            .collect();
        let has = |finders: &[Finder<'_>]| finders.iter().any(|it| it.find(&standard).is_some());
        has(searches.encoded(&self.words))
            || (has(&ENCODED_SCHEMES)
                && (self.open_urls.is_none() || self.has_hidden_url_in_base64(&standard)))
    }

    fn has_hidden_url_in_base64(&self, text: &[u8]) -> bool {
        text.split(|byte| !is_base64_byte(*byte)).any(|run| {
            (0..4).any(|skipped| {
                let run = run.get(skipped..).unwrap_or_default();
                let whole = run.get(..run.len() / 4 * 4).unwrap_or_default();
                STANDARD_NO_PAD.decode(whole).is_ok_and(|decoded| self.has_hidden_url(&decoded))
            })
        })
    }
}

impl WordMatchers {
    fn new(words: &[(String, bool)]) -> Self {
        let plain = words
            .iter()
            .map(|(word, alone)| {
                (Finder::new(word.to_ascii_lowercase().as_bytes()).into_owned(), *alone)
            })
            .collect();
        Self { plain, encoded: OnceLock::new() }
    }

    /// Made when the first text has something that may be base64, which few playlists have.
    fn encoded(&self, words: &[(String, bool)]) -> &[Finder<'static>] {
        self.encoded.get_or_init(|| words.iter().flat_map(|(word, _)| encode(word)).collect())
    }

    /// Whether a word is in the text.
    fn has_match_in(&self, text: &[u8]) -> bool {
        if self.plain.is_empty() {
            return false;
        }
        let text = text.to_ascii_lowercase();
        let is_letter = |at: Option<usize>| {
            at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric)
        };
        self.plain.iter().any(|(word, stands_alone)| {
            let length = word.needle().len();
            word.find_iter(&text).any(|at| {
                !stands_alone || (!is_letter(at.checked_sub(1)) && !is_letter(Some(at + length)))
            })
        })
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Where the URL begins whose slashes are at `slashes`. `None`: these are no slashes of a URL.
fn url_start(text: &[u8], slashes: usize) -> Option<usize> {
    let (before, rest) = text.split_at_checked(slashes)?;
    if let Some(scheme) = before.strip_suffix(b":") {
        let is_scheme = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let length = scheme.iter().rev().take_while(is_scheme).count();
        let start = scheme.len() - length;
        // The URI of a FairPlay key, which nobody fetches.
        let is_key = scheme.get(start..).is_some_and(|name| name.eq_ignore_ascii_case(b"skd"));
        return (length > 0 && !is_key).then_some(start);
    }
    // Base64 has slashes too, and no dot, colon or, for long, only small letters behind them.
    let authority = rest.get(2..)?;
    let end = authority.iter().position(|&byte| byte == b'/' || is_url_delimiter(byte));
    let authority = authority.get(..end.unwrap_or(authority.len()))?;
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b".:-_@[]%{$}~".contains(byte);
    let is_named = authority.contains(&b'.')
        || authority.contains(&b':')
        || (authority.iter().any(u8::is_ascii_lowercase)
            && !authority.iter().any(u8::is_ascii_uppercase));
    let is_first = before
        .last()
        .is_none_or(|&byte| !is_base64_byte(byte) && !matches!(byte, b'-' | b'_' | b'.'));
    (is_first && is_named && authority.iter().all(is_host)).then_some(slashes)
}

/// Whether a URL in a text ends before this byte.
fn is_url_delimiter(byte: u8) -> bool {
    byte <= b' ' || b"\"'<>|`\\^".contains(&byte)
}

/// What base64 makes of a word at each of three positions, without the characters that also depend
/// on what is around it.
fn encode(word: &str) -> impl Iterator<Item = Finder<'static>> {
    let forms: Vec<Vec<u8>> = base64_forms(word.as_bytes()).collect();
    forms.into_iter().map(|form| Finder::new(&form).into_owned())
}

fn is_base64_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

fn has_base64_run(text: &[u8]) -> bool {
    let is_run_byte = |byte: u8| is_base64_byte(byte) || matches!(byte, b'-' | b'_');
    text.split(|byte| !is_run_byte(*byte)).any(|run| run.len() >= BASE64_RUN_MIN_BYTES)
}

/// What base64 makes of `word` behind 0, 1 and 2 other bytes, without the characters that depend on
/// what is around it.
fn base64_forms(word: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    // Characters that depend on 0, 1 and 2 bytes before.
    [0, 2, 3].into_iter().enumerate().filter_map(move |(position, first)| {
        let mut padded = vec![0; position];
        padded.extend_from_slice(word);
        let encoded = STANDARD_NO_PAD.encode(&padded).into_bytes();
        let end = padded.len() * 8 / 6;
        encoded
            .get(first..end)
            .filter(|form| form.len() >= BASE64_FORM_MIN_BYTES)
            .map(<[u8]>::to_vec)
    })
}

/// The text with its escapes decoded: percent-encoding (RFC 3986), escapes of JSON, references of
/// HTML. `None` without any.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr3(b'%', b'\\', b'&', text)?;
    let mut out = Vec::with_capacity(text.len());
    let (mut rest, mut has_escape) = (text, false);
    while let Some((&first, tail)) = rest.split_first() {
        let decoded = match first {
            b'%' => parse_hex_byte(tail, 2).map(|byte| (byte, 3)),
            b'\\' => match tail.first() {
                Some(b'u') => parse_hex_byte(tail.get(1..)?, 4).map(|byte| (byte, 6)),
                Some(b'x') => parse_hex_byte(tail.get(1..)?, 2).map(|byte| (byte, 4)),
                Some(&byte @ (b'/' | b'\\' | b'"' | b'\'')) => Some((byte, 2)),
                _ => None,
            },
            b'&' => parse_html_reference(tail),
            _ => None,
        };
        let (byte, length) = decoded.unwrap_or((first, 1));
        has_escape |= decoded.is_some();
        out.push(byte);
        rest = rest.get(length..).unwrap_or_default();
    }
    has_escape.then_some(out)
}

/// The byte of so many hexadecimal digits.
fn parse_hex_byte(text: &[u8], digits: usize) -> Option<u8> {
    let text = std::str::from_utf8(text.get(..digits)?).ok()?;
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    u8::try_from(u32::from_str_radix(text, 16).ok()?).ok()
}

/// The byte of a reference behind its `&`, and the length of the reference.
fn parse_html_reference(text: &[u8]) -> Option<(u8, usize)> {
    let end = text.get(..9.min(text.len()))?.iter().position(|&byte| byte == b';')?;
    let name = std::str::from_utf8(text.get(..end)?).ok()?;
    let byte = match name {
        "amp" => b'&',
        "sol" => b'/',
        "colon" => b':',
        "period" => b'.',
        "quot" => b'"',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            u8::try_from(code.ok()?).ok()?
        }
    };
    Some((byte, end + 2))
}

#[cfg(test)]
mod tests;
