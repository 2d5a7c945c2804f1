use std::time::Duration;

use super::*;

const NEW_YEAR: &str = "2026-01-01T00:00:00Z";

fn base64url(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn encode_jwt(claims: &str) -> String {
    format!("{}.{}.c2lnbmF0dXJl", base64url(r#"{"alg":"HS256"}"#), base64url(claims))
}

fn encode_cloudfront_policy(json: &str) -> String {
    let standard = base64::engine::general_purpose::STANDARD.encode(json);
    standard.replace('+', "-").replace('=', "_").replace('/', "~")
}

#[test]
fn expiry_is_read_from_urls() {
    let policy = r#"{"Statement":[{"Resource":"https://a.example/*?>","Condition":{"DateLessThan":{"AWS:EpochTime":1767225600}}}]}"#;
    let jwt = encode_jwt(r#"{"sub":"me","exp":1767225600}"#);
    for (url, expected) in [
        ("m.m3u8?exp=1767225600&sig=ab".to_owned(), Some(NEW_YEAR)),
        ("m.m3u8?expires=1767225600".to_owned(), Some(NEW_YEAR)),
        ("m.m3u8?Expires=1767225600".to_owned(), Some(NEW_YEAR)),
        ("m.m3u8?st=x&e=1767225600".to_owned(), Some(NEW_YEAR)),
        ("m.m3u8?e=1767225600000".to_owned(), Some(NEW_YEAR)),
        ("m.m3u8?e=7".to_owned(), None),
        ("m.m3u8?exp=never".to_owned(), None),
        ("m.m3u8?exp=99999999999999999".to_owned(), None),
        ("m.m3u8".to_owned(), None),
        // The earliest expiry counts.
        ("m.m3u8?exp=1767229200&expires=1767225600".to_owned(), Some(NEW_YEAR)),
        ("m.m3u8?hdnea=st=1767200000~exp=1767225600~acl=/*~hmac=ab".to_owned(), Some(NEW_YEAR)),
        ("m.m3u8?hdnts=exp%3D1767225600~acl%3D%2F*~hmac%3Dab".to_owned(), Some(NEW_YEAR)),
        ("m.m3u8?hdnea=st=1767200000~acl=/*".to_owned(), None),
        ("hdntl=exp=1767225600~acl=%2f*~hmac=ab/m.m3u8".to_owned(), Some(NEW_YEAR)),
        ("hdnts=st=1767200000~exp=1767225600~hmac=ab/m.m3u8".to_owned(), Some(NEW_YEAR)),
        ("live;hdnea=exp=1767225600~hmac=ab/m.m3u8".to_owned(), Some(NEW_YEAR)),
        ("Expires=1767225600;Signature=ab/m.m3u8".to_owned(), Some(NEW_YEAR)),
        ("exp=1767225600,sig=ab/live/m.m3u8".to_owned(), Some(NEW_YEAR)),
        ("expires%3D1767225600/m.m3u8".to_owned(), Some(NEW_YEAR)),
        ("season=2026/e=1767225600/m.m3u8".to_owned(), None),
        (format!("m.m3u8?Policy={}&Signature=x", encode_cloudfront_policy(policy)), Some(NEW_YEAR)),
        (format!("m.m3u8?Policy={}", encode_cloudfront_policy("{}")), None),
        ("m.m3u8?Policy=%%%".to_owned(), None),
        (format!("m.m3u8?token={jwt}"), Some(NEW_YEAR)),
        (format!("t={jwt}/m.m3u8"), Some(NEW_YEAR)),
        (format!("{jwt}/m.m3u8"), Some(NEW_YEAR)),
        (format!("m.m3u8?token={}", encode_jwt(r#"{"sub":"me"}"#)), None),
        ("m.m3u8?token=eyJ.eyJ.eyJ".to_owned(), None),
        ("v1.2.3/m.m3u8".to_owned(), None),
    ] {
        let expected = expected.map(|text| text.parse().unwrap());
        let url = Url::parse(&format!("https://a.example/{url}")).unwrap();
        assert_eq!(expiry_from_url(&url), expected, "{url}");
    }
}

#[test]
fn expiry_is_read_from_texts() {
    for (text, expected) in [
        ("1767225600", Some(NEW_YEAR)),
        ("1767225600000", Some(NEW_YEAR)),
        ("2026-01-01T01:00:00+01:00", Some(NEW_YEAR)),
        ("tomorrow", None),
        ("", None),
    ] {
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(expiry_from_text(text), expected, "{text}");
    }
}

#[test]
fn a_stated_expiry_precedes_learned_and_configured_ones() {
    let now: Timestamp = NEW_YEAR.parse().unwrap();
    let in_seconds = |seconds: i64| now + jiff::SignedDuration::from_secs(seconds);
    let seconds = Duration::from_secs;
    for (stated, learned, configured, expected, source) in [
        (Some(60), Some(30), Some(10), Some(60), ExpirySource::Upstream),
        (None, Some(30), Some(10), Some(30), ExpirySource::Learned),
        (None, None, Some(10), Some(10), ExpirySource::Configured),
        (None, None, None, None, ExpirySource::Unknown),
        // The URL plays, so its apparent expiry in the past was misread.
        (Some(-60), None, Some(10), Some(10), ExpirySource::Configured),
        (Some(-60), None, None, None, ExpirySource::Unknown),
    ] {
        let got = TokenExpiry::resolve(
            stated.map(in_seconds),
            learned.map(seconds),
            configured.map(seconds),
            now,
        );
        let expected = TokenExpiry { expires_at: expected.map(in_seconds), source };
        assert_eq!(got, expected, "{stated:?} {learned:?} {configured:?}");
    }
}
