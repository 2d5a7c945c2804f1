use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::*;

const NEW_YEAR: &str = "2026-01-01T00:00:00Z";

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

fn base64url(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn encode_jwt(claims: &str) -> String {
    format!("{}.{}.c2lnbmF0dXJl", base64url(r#"{"alg":"HS256"}"#), base64url(claims))
}

fn encode_cloudfront_policy(json: &str) -> String {
    base64(json).replace('+', "-").replace('=', "_").replace('/', "~")
}

fn encode_query_value(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Each path and query states New Year 2026 as its expiry.
#[test]
fn stated_expiries_are_read() {
    let policy = r#"{"Statement":[{"Resource":"https://a.example/*?>","Condition":{"DateLessThan":{"AWS:EpochTime":1767225600},"DateGreaterThan":{"AWS:EpochTime":1767220000}}}]}"#;
    let jwt = encode_jwt(r#"{"sub":"me","iat":1767220000,"exp":1767225600}"#);
    let nimble =
        "server_time=12/31/2025 11:50:00 PM&hash_value=AAAA/+==&validminutes=10&strm_len=0";
    let cache_token = "URLPrefix=aHR0cA~Expires=1767225600~KeyName=k~Signature=00";
    let sha1 = "a6cbe4fab2f574d4d58436fa4b44bdbf765b2674";
    for url in [
        // Parameters of a query.
        "m.m3u8?exp=1767225600&sig=ab",
        "m.m3u8?expires=1767225600",
        "m.m3u8?Expires=1767225600",
        "m.m3u8?EXPIRES=1767225600",
        "m.m3u8?expire=1767225600",
        "m.m3u8?expiry=1767225600",
        "m.m3u8?token_expires=1767225600",
        "m.m3u8?tokenExpirationTime=1767225600",
        "m.m3u8?x-expires=1767225600",
        "m.m3u8?expiresAt=1767225600",
        "m.m3u8?exp_ts=1767225600",
        "m.m3u8?deadline=1767225600",
        "m.m3u8?validfrom=1767220000&validto=1767225600",
        "m.m3u8?valid_until=1767225600",
        "m.m3u8?st=x&e=1767225600",
        "m.m3u8?e=1767225600000",
        "m.m3u8?exp=1767225600.25",
        "m.m3u8?exp=1767225600000000",
        "m.m3u8?exp=1767225600000000000",
        "m.m3u8?exp=6955B900",
        "m.m3u8?expires=0x6955b900&sig=00",
        "m.m3u8?Expires=Thu,%2001%20Jan%202026%2000:00:00%20GMT",
        "m.m3u8?expires=Thu%2C+01+Jan+2026+00%3A00%3A00+GMT",
        "m.m3u8?eXpIrEsAt=1767225600",
        "m.m3u8?expires=2026-01-01T00:00:00Z",
        "m.m3u8?expires=20260101T000000Z",
        "m.m3u8?expires=2026-01-01T01:00:00+01:00",
        "m.m3u8?expires=2026-01-01T01%3A00%3A00%2B01%3A00",
        // Of several expiry times the earliest counts, and an implausible one does not.
        "m.m3u8?exp=1767229200&expires=1767225600",
        "m.m3u8?exp=99999999999&e=1234567890&expires=1767225600",
        // Forms of one vendor.
        "m.m3u8?sv=2023-01-03&sp=r&se=2026-01-01T00%3A00%3A00Z&sig=00",
        "m.m3u8?se=2026-01-01T00%3A00Z&sig=00",
        "m.m3u8?se=2026-01-01&ske=2026-01-02&sig=00",
        "m.m3u8?txSecret=ab&txTime=6955B900",
        "m.m3u8?txSecret=ab&txTime=1767225600",
        "m.m3u8?wsSecret=ab&wsABStime=6955b900",
        "m.m3u8?volcSecret=ab&volcTime=1767225600",
        "m.m3u8?q-sign-time=1767220000;1767225600&q-key-time=1767220000%3B1767225600",
        &format!("m.m3u8?token=1767225600_{sha1}"),
        &format!("m.m3u8?token=6955b900_{sha1}"),
        &format!("m.m3u8?token={sha1}-a5cd6c00-1767225600-1767220000"),
        "m.m3u8?wowzatokenstarttime=1767220000&wowzatokenendtime=1767225600&wowzatokenhash=a-b=",
        "m.m3u8?myprefixhash=ab&myprefixend_time=1767225600000",
        "m.m3u8?X-Amz-Date=20251231T235000Z&X-Amz-Expires=600&X-Amz-Signature=00",
        "m.m3u8?X-Goog-Expires=600&X-Goog-Date=20251231T235000Z&X-Goog-Signature=00",
        "m.m3u8?x-oss-date=20251231T235000Z&x-oss-expires=600",
        "m.m3u8?iat=1767225000&expires_in=600",
        "m.m3u8?st=1767225000&ttl=600&sig=ab",
        "m.m3u8?iat=1767225000&ttl=600",
        "m.m3u8?timestamp=1767225000&validity=600",
        "m.m3u8?created=2025-12-31T23:50:00Z&expires_in=600",
        "m.m3u8?starttime=1767225000&validseconds=600",
        "m.m3u8?expires=600&st=1767225000",
        "m.m3u8?valid_from=1767225000&lifetime=600",
        "m.m3u8?time=1767225000&max-age=600",
        "m.m3u8?signed_at=1767225000&expire_in=600",
        "live/st/1767225000/ttl/600/m.m3u8",
        "st=1767225000~ttl=600~hmac=ab/m.m3u8",
        &format!("m.m3u8?t={}", base64url("starttime=1767225000&validminutes=10&ip=1")),
        &format!("live/{}/m.m3u8", base64url("server_time=12/31/2025 11:50:00 PM&validminutes=10")),
        "m.m3u8?temp_url_sig=ab&temp_url_expires=1767225600",
        "m.m3u8?ExpiresUtc=2026-01-01T00:00:00Z",
        // Lists and objects in a value.
        "m.m3u8?hdnea=st=1767200000~exp=1767225600~acl=/*~hmac=ab",
        "m.m3u8?hdnts=exp%3D1767225600~acl%3D%2F*~hmac%3Dab",
        "m.m3u8?hdnts=exp%253D1767225600~acl%253D%252F*",
        "m.m3u8?token=exp=1767225600:sig=ab",
        &format!("m.m3u8?Edge-Cache-Token={}", encode_query_value(cache_token)),
        &format!("m.m3u8?wmsAuthSign={}", base64(nimble)),
        &format!("m.m3u8?wmsAuthSign={}", encode_query_value(&base64(nimble))),
        &format!("m.m3u8?t={}", base64url("ip=192.0.2.1&expires=1767225600&id=??>")),
        "m.m3u8?token={%22channel%22:%22x%22,%22expires%22:1767225600}&sig=00",
        "m.m3u8?url=https%3A%2F%2Fb.example%2Fx.m3u8%3Fexpires%3D1767225600%26sig%3D00",
        "m.m3u8?url=https%3A%2F%2Fb.example%2Fexpire%2F1767225600%2Fx.m3u8",
        &format!("m.m3u8?Policy={}&Signature=x", encode_cloudfront_policy(policy)),
        &format!("m.m3u8?token={jwt}"),
        &format!("m.m3u8?{jwt}"),
        // Paths.
        "hdntl=exp=1767225600~acl=%2f*~hmac=ab/m.m3u8",
        "hdnts=st=1767200000~exp=1767225600~hmac=ab/m.m3u8",
        "live;hdnea=exp=1767225600~hmac=ab/m.m3u8",
        "Expires=1767225600;Signature=ab/m.m3u8",
        "exp=1767225600,sig=ab/live/m.m3u8",
        "expires%3D1767225600/m.m3u8",
        "expires=2026-01-01T00:00:00Z/m.m3u8",
        "bcdn_token=abc&expires=1767225600&token_path=%2F/m.m3u8",
        "expire/1767225600/ei/x/m.m3u8",
        "live/expires/1767225600/m.m3u8",
        &format!("live,vxttoken={}/m.m3u8", base64url("pathURI=%2F&expiry=1767225600&random=1")),
        &format!("Policy={}/m.m3u8", encode_cloudfront_policy(policy)),
        &format!("policy/{}/m.m3u8", encode_cloudfront_policy(policy)),
        &format!("t={jwt}/m.m3u8"),
        &format!("{jwt}/m.m3u8"),
    ] {
        let expected = NEW_YEAR.parse().unwrap();
        let url = Url::parse(&format!("https://a.example/{url}")).unwrap();
        assert_eq!(expiry_from_url(&url), Some(expected), "{url}");
    }
}

#[test]
fn numbers_and_dates_that_are_no_expiry_are_not_read() {
    let md5 = "0123456789abcdef0123456789abcdef";
    for url in [
        "m.m3u8",
        "m.m3u8?e=7",
        "m.m3u8?exp=never",
        "m.m3u8?exp=0",
        "m.m3u8?exp=5000000",
        "m.m3u8?exp=1262304000",
        "m.m3u8?exp=5123456789",
        "m.m3u8?exp=99999999999",
        "m.m3u8?exp=99999999999999999",
        "m.m3u8?exp=20260101",
        "m.m3u8?exp=60000000",
        "m.m3u8?exp=abcdef",
        "m.m3u8?expires=Thu",
        "m.m3u8?bitrate=1767225600&id=1767225600&t=1767225600&export=1767225600",
        "m.m3u8?expires_in=600",
        "m.m3u8?X-Amz-Date=20251231T235000Z",
        "m.m3u8?X-Amz-Date=20251231T235000Z&X-Goog-Expires=600",
        "m.m3u8?X-Amz-Date=20251231T235000Z&X-Amz-Expires=0",
        "m.m3u8?st=1767225600&ttl=1767225600",
        "m.m3u8?starttime=1767220000&duration=5600",
        "m.m3u8?X-Amz-Date=20251231T235000Z&X-Amz-Expires=9223372036854775807",
        // Issue times and starts.
        &format!("m.m3u8?verify=1767225600-{md5}"),
        &format!("m.m3u8?auth_key=1767225600-0-0-{md5}"),
        &format!("m.m3u8?sign=1767225600-0-0-{md5}"),
        &format!("m.m3u8?sign={md5}&t=6955b900"),
        &format!("m.m3u8?wsSecret={md5}&wsTime=6955b900"),
        &format!("m.m3u8?hwSecret={md5}&hwTime=6955b900"),
        "m.m3u8?validfrom=1767225600",
        "m.m3u8?hdnea=st=1767200000~acl=/*",
        &format!("m.m3u8?token={}", encode_jwt(r#"{"sub":"me","iat":1767225600}"#)),
        "m.m3u8?token=1767225600_day",
        &format!("m.m3u8?token={md5}-a5cd6c00-1767220000-1767225600"),
        // What plays of an archive.
        "m.m3u8?starttime=1767220000&endtime=1767225600",
        "m.m3u8?programmeendtime=1767225600&hash=ab",
        // In which time zone?
        "m.m3u8?expires=2026-01-01T00:00:00",
        "m.m3u8?nva=20260101000000",
        "m.m3u8?se=2026-01-01T00",
        // Numbers in a path.
        "season=2026/e=1767225600/m.m3u8",
        "season/2026/e/1767225600/m.m3u8",
        "v1.2.3/m.m3u8",
        &format!("{md5}/1767225600/m.m3u8"),
        &format!("{md5}/6955b900/m.m3u8"),
        &format!("202601010800/{md5}/m.m3u8"),
        // Broken encodings.
        &format!("m.m3u8?Policy={}", encode_cloudfront_policy("{}")),
        "m.m3u8?Policy=%%%",
        "m.m3u8?hdnts=exp%3D%FF",
        "m.m3u8?token=eyJ.eyJ.eyJ",
    ] {
        let url = Url::parse(&format!("https://a.example/{url}")).unwrap();
        assert_eq!(expiry_from_url(&url), None, "{url}");
    }
}

#[test]
fn expiry_is_read_from_texts() {
    for (text, expected) in [
        ("1767225600", Some(NEW_YEAR)),
        ("1767225600000", Some(NEW_YEAR)),
        ("2026-01-01T01:00:00+01:00", Some(NEW_YEAR)),
        ("99999999999", None),
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
    const DAY: i64 = 86_400;
    for (stated, learned, configured, expected, source) in [
        (Some(60), Some(30), Some(10), Some(60), ExpirySource::Upstream),
        (None, Some(30), Some(10), Some(30), ExpirySource::Learned),
        (None, None, Some(10), Some(10), ExpirySource::Configured),
        (None, None, None, None, ExpirySource::Unknown),
        // The URL plays, so its apparent expiry in the past was misread.
        (Some(-60), None, Some(10), Some(10), ExpirySource::Configured),
        (Some(-60), None, None, None, ExpirySource::Unknown),
        // So far ahead that it stands for none.
        (Some(3000 * DAY), Some(30), None, Some(3000 * DAY), ExpirySource::Upstream),
        (Some(4000 * DAY), Some(30), None, Some(30), ExpirySource::Learned),
    ] {
        let got = TokenExpiry::resolve(
            &Url::parse("https://a.example/m.m3u8").unwrap(),
            stated.map(in_seconds),
            learned.map(seconds),
            configured.map(seconds),
            now,
        );
        let expected = TokenExpiry { expires_at: expected.map(in_seconds), source };
        assert_eq!(got, expected, "{stated:?} {learned:?} {configured:?}");
    }
}

/// Of the times that a URL states, those that are past or stand for no end do not count.
#[test]
fn an_expiry_that_is_none_does_not_hide_another() {
    let now: Timestamp = NEW_YEAR.parse().unwrap();
    for (url, expected) in [
        ("m.m3u8?exp=1767225660", Some(60)),
        ("m.m3u8?exp=1767225660&expires=1767225720", Some(60)),
        ("m.m3u8?exp=1767225000&expires=1767225660", Some(60)),
        ("m.m3u8?exp=2147483647&expires=1767225660", Some(60)),
        ("exp=1609459200/m.m3u8?e=1767225660", Some(60)),
        ("m.m3u8?exp=2147483647", Some(2_147_483_647 - 1_767_225_600)),
        ("m.m3u8?exp=1609459200", None),
        ("m.m3u8?exp=0&expires=4102444799", Some(4_102_444_799 - 1_767_225_600)),
    ] {
        let url = Url::parse(&format!("https://a.example/{url}")).unwrap();
        let got = TokenExpiry::resolve(&url, expiry_from_url(&url), None, None, now);
        let expected = expected.map(|seconds| now + jiff::SignedDuration::from_secs(seconds));
        assert_eq!(got.expires_at, expected, "{url}");
    }
}
