use std::time::Duration;

use super::*;

const NEW_YEAR: &str = "2026-01-01T00:00:00Z";

fn base64url(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn jwt_of(claims: &str) -> String {
    format!("{}.{}.c2lnbmF0dXJl", base64url(r#"{"alg":"HS256"}"#), base64url(claims))
}

fn policy_of(json: &str) -> String {
    let standard = base64::engine::general_purpose::STANDARD.encode(json);
    standard.replace('+', "-").replace('=', "_").replace('/', "~")
}

#[test]
fn urls_that_say_when_they_end() {
    let policy = r#"{"Statement":[{"Resource":"https://a.example/*?>","Condition":{"DateLessThan":{"AWS:EpochTime":1767225600}}}]}"#;
    let jwt = jwt_of(r#"{"sub":"me","exp":1767225600}"#);
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
        // Whatever ends first ends it.
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
        (format!("m.m3u8?Policy={}&Signature=x", policy_of(policy)), Some(NEW_YEAR)),
        (format!("m.m3u8?Policy={}", policy_of("{}")), None),
        ("m.m3u8?Policy=%%%".to_owned(), None),
        (format!("m.m3u8?token={jwt}"), Some(NEW_YEAR)),
        (format!("t={jwt}/m.m3u8"), Some(NEW_YEAR)),
        (format!("{jwt}/m.m3u8"), Some(NEW_YEAR)),
        (format!("m.m3u8?token={}", jwt_of(r#"{"sub":"me"}"#)), None),
        ("m.m3u8?token=eyJ.eyJ.eyJ".to_owned(), None),
        ("v1.2.3/m.m3u8".to_owned(), None),
    ] {
        let expected = expected.map(|text| text.parse().unwrap());
        let url = Url::parse(&format!("https://a.example/{url}")).unwrap();
        assert_eq!(of_url(&url), expected, "{url}");
    }
}

#[test]
fn texts() {
    for (text, expected) in [
        ("1767225600", Some(NEW_YEAR)),
        ("1767225600000", Some(NEW_YEAR)),
        ("2026-01-01T01:00:00+01:00", Some(NEW_YEAR)),
        ("tomorrow", None),
        ("", None),
    ] {
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(of_text(text), expected, "{text}");
    }
}

#[test]
fn who_is_believed() {
    let now: Timestamp = NEW_YEAR.parse().unwrap();
    let in_seconds = |seconds: i64| now + jiff::SignedDuration::from_secs(seconds);
    let seconds = Duration::from_secs;
    for (told, learned, configured, expected, source) in [
        (Some(60), Some(30), Some(10), Some(60), ExpirySource::Upstream),
        (None, Some(30), Some(10), Some(30), ExpirySource::Learned),
        (None, None, Some(10), Some(10), ExpirySource::Configured),
        (None, None, None, None, ExpirySource::Unknown),
        // It plays: what was read as its end is something else.
        (Some(-60), None, Some(10), Some(10), ExpirySource::Configured),
        (Some(-60), None, None, None, ExpirySource::Unknown),
    ] {
        let got = Expiry::judged(
            told.map(in_seconds),
            learned.map(seconds),
            configured.map(seconds),
            now,
        );
        let expected = Expiry { at: expected.map(in_seconds), source };
        assert_eq!(got, expected, "{told:?} {learned:?} {configured:?}");
    }
}
