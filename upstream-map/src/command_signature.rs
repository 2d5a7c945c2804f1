//! [`CommandSignature`]: what an edge sends with an operator's command in place of the admin token,
//! which never travels between Pitwall's processes.
//!
//! `Authorization: Pitwall-HMAC-SHA256 TIME.NONCE.BODY.MAC`: Unix seconds; 16 random bytes; the
//! SHA-256 of the body; the HMAC-SHA-256 (RFC 2104) over method, path with query, time,
//! [`PRECONDITION_HEADERS`], nonce and body hash. All but the time are hex digits. The key is
//! derived from the admin token.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use sha2::{Digest as _, Sha256};

const SCHEME: &str = "Pitwall-HMAC-SHA256 ";

/// The fields by which a command names the version that it changes (RFC 9110, section 13.1). They
/// are sent along and signed: without them a command would overwrite what it has not seen.
pub const PRECONDITION_HEADERS: [HeaderName; 2] = [header::IF_MATCH, header::IF_NONE_MATCH];

/// The key of signatures, which is derived from the admin token.
#[derive(Clone)]
pub struct CommandKey([u8; 64]);

/// The parts of a signature as they were received; nothing of them is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSignature {
    /// When the command was signed, in Unix seconds by the clock of who signed it.
    pub time: i64,
    /// Differs between any two commands.
    pub nonce: [u8; 16],
    body_hash: [u8; 32],
    mac: [u8; 32],
}

impl CommandKey {
    pub fn of_admin_token(token: &[u8]) -> Self {
        let mut key = [0; 64];
        blake3::Hasher::new_derive_key("pitwall 2026 command signatures")
            .update(token.trim_ascii())
            .finalize_xof()
            .fill(&mut key);
        Self(key)
    }

    /// Signs a command. `path_and_query`: as they are sent. `headers`: only
    /// [`PRECONDITION_HEADERS`] of them count. `time`: now, in Unix seconds.
    pub fn sign(
        &self,
        method: &Method,
        path_and_query: &str,
        headers: &HeaderMap,
        body: &[u8],
        time: i64,
    ) -> CommandSignature {
        let mut signature = CommandSignature {
            time,
            nonce: rand::random(),
            body_hash: Sha256::digest(body).into(),
            mac: [0; 32],
        };
        let mac = self.compute_mac(&signature, method, path_and_query, headers);
        signature.mac = mac.finalize().into_bytes().into();
        signature
    }

    /// Whether a holder of this key signed the command with this method, path and preconditions.
    /// Takes the same
    /// time wherever the signatures differ. Whether the command has its signed body is for
    /// [`CommandSignature::is_of_body`] to say.
    pub fn has_signed(
        &self,
        signature: &CommandSignature,
        method: &Method,
        path_and_query: &str,
        headers: &HeaderMap,
    ) -> bool {
        self.compute_mac(signature, method, path_and_query, headers)
            .verify_slice(&signature.mac)
            .is_ok()
    }

    fn compute_mac(
        &self,
        signature: &CommandSignature,
        method: &Method,
        path_and_query: &str,
        headers: &HeaderMap,
    ) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        // Neither a method, a path nor a field contains a line end, and what follows the lines has
        // one length, so no two commands give the same text.
        mac.update(format!("{method}\n{path_and_query}\n{}\n", signature.time).as_bytes());
        for name in PRECONDITION_HEADERS {
            for value in headers.get_all(&name) {
                mac.update(format!("{name}: ").as_bytes());
                mac.update(value.as_bytes());
                mac.update(b"\n");
            }
        }
        mac.update(&signature.nonce);
        mac.update(&signature.body_hash);
        mac
    }
}

impl CommandSignature {
    /// The signature in `Authorization`; `None` where it holds anything else.
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let mut parts = value.strip_prefix(SCHEME)?.split('.');
        let signature = Self {
            time: parts.next()?.parse().ok()?,
            nonce: parse_hex(parts.next()?)?,
            body_hash: parse_hex(parts.next()?)?,
            mac: parse_hex(parts.next()?)?,
        };
        parts.next().is_none().then_some(signature)
    }

    /// The value of `Authorization`.
    pub fn to_header(&self) -> HeaderValue {
        let Self { time, nonce, body_hash, mac } = self;
        let text = [&nonce[..], body_hash, mac].map(to_hex).join(".");
        #[expect(clippy::expect_used, reason = "letters, digits, dots and a space")]
        HeaderValue::try_from(format!("{SCHEME}{time}.{text}")).expect("visible ASCII")
    }

    pub fn is_of_body(&self, body: &[u8]) -> bool {
        self.body_hash == <[u8; 32]>::from(Sha256::digest(body))
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut digits = text.chars().map(|digit| digit.to_digit(16));
    let mut bytes = [0; N];
    for byte in &mut bytes {
        *byte = u8::try_from(digits.next()?? * 16 + digits.next()??).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_command_that_was_signed_is_accepted() {
        let (key, path) = (CommandKey::of_admin_token(TOKEN), "/api/streams/w/switch?a=b");
        let none = HeaderMap::new();
        let sign = |body: &[u8]| key.sign(&Method::POST, path, &none, body, 1_700_000_000);
        let signature = sign(b"{}");
        let value = signature.to_header();
        let value = value.to_str().unwrap();
        assert_eq!(CommandSignature::of_headers(&headers(value)).as_ref(), Some(&signature));
        assert_ne!(sign(b"{}").nonce, signature.nonce, "each command has its own");
        let other_key = CommandKey::of_admin_token(&TOKEN[1..]);
        let later = CommandSignature { time: signature.time + 1, ..signature.clone() };
        let renewed = CommandSignature { nonce: [0; 16], ..signature.clone() };
        let another_body = CommandSignature { body_hash: [0; 32], ..signature.clone() };
        let forged = CommandSignature { mac: [0; 32], ..signature.clone() };
        for (what, key, signature, method, path, body, expected) in [
            ("the command", &key, &signature, Method::POST, path, "{}", true),
            ("another key", &other_key, &signature, Method::POST, path, "{}", false),
            ("the method", &key, &signature, Method::GET, path, "{}", false),
            ("the path", &key, &signature, Method::POST, "/api/x?a=b", "{}", false),
            (
                "the query",
                &key,
                &signature,
                Method::POST,
                path.get(..path.len() - 1).unwrap(),
                "{}",
                false,
            ),
            ("the body", &key, &signature, Method::POST, path, "{ }", false),
            ("the time", &key, &later, Method::POST, path, "{}", false),
            ("the nonce", &key, &renewed, Method::POST, path, "{}", false),
            ("the body and its hash", &key, &another_body, Method::POST, path, "{}", false),
            ("the signature", &key, &forged, Method::POST, path, "{}", false),
        ] {
            let accepted = key.has_signed(signature, &method, path, &none)
                && signature.is_of_body(body.as_bytes());
            assert_eq!(accepted, expected, "{what}");
        }
    }

    #[test]
    fn preconditions_are_signed() {
        let key = CommandKey::of_admin_token(TOKEN);
        let fields = |pairs: &[(HeaderName, &str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
        };
        let sent = fields(&[(header::IF_MATCH, "\"a\""), (header::ACCEPT, "*/*")]);
        let signature = key.sign(&Method::PUT, "/api/overrides", &sent, b"{}", 7);
        for (what, received, expected) in [
            ("as it was sent", sent.clone(), true),
            ("another field", fields(&[(header::IF_MATCH, "\"a\"")]), true),
            ("another version", fields(&[(header::IF_MATCH, "\"b\"")]), false),
            ("any version", fields(&[(header::IF_MATCH, "*")]), false),
            ("no version", HeaderMap::new(), false),
            ("another condition", fields(&[(header::IF_NONE_MATCH, "\"a\"")]), false),
        ] {
            let accepted = key.has_signed(&signature, &Method::PUT, "/api/overrides", &received);
            assert_eq!(accepted, expected, "{what}");
        }
    }

    #[test]
    fn only_whole_signatures_are_read() {
        let key = CommandKey::of_admin_token(TOKEN);
        let value = key.sign(&Method::GET, "/", &HeaderMap::new(), b"", 7).to_header();
        let value = value.to_str().unwrap();
        let (without_mac, _) = value.rsplit_once('.').unwrap();
        let shortened = |by| value.get(..value.len() - by).unwrap().to_owned();
        for text in [
            "Bearer 0123456789abcdef0123456789abcdef".to_owned(),
            without_mac.to_owned(),
            format!("{value}.00"),
            format!("{value}0"),
            shortened(1),
            value.replace("SHA256 7.", "SHA256 ."),
            value.replace("SHA256 7.", "SHA256 7x."),
            shortened(2) + "gg",
            SCHEME.to_owned(),
        ] {
            assert_eq!(CommandSignature::of_headers(&headers(&text)), None, "{text}");
        }
        assert!(CommandSignature::of_headers(&HeaderMap::new()).is_none());
    }
}
