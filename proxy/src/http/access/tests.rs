use http::HeaderValue;

use super::*;

const KEY: &str = "the-key-of-everybody-who-watches-here";
const NOW: u64 = 1_780_000_000;

fn access(keys: &[&'static str]) -> AccessControl {
    let line = |key: &&'static str| KeyLine { name: None, key: key.as_bytes() };
    AccessControl::Key(AccessKeys::new(&keys.iter().map(line).collect::<Vec<_>>()))
}

fn authorize(
    access: &AccessControl,
    scope: AccessScope<'_>,
    query: &str,
    cookie: &str,
    now: u64,
) -> Result<Grant, Problem> {
    let mut headers = HeaderMap::new();
    if !cookie.is_empty() {
        headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
    }
    access.authorize(scope, &Query(query), &headers, now)
}

/// The admin token opens the API alone: neither streams nor the page.
#[test]
fn the_admin_token_opens_the_api_alone() {
    let token = "the-token-of-whoever-runs-this-place";
    let keys = AccessKeys::new(&[KeyLine { name: None, key: KEY.as_bytes() }])
        .with_admin_token(Some(AdminToken::new(token.as_bytes())));
    let (edge, none) = (AccessControl::Key(keys), access(&[KEY]));
    let cookie = edge.issue_cookie(&Grant::Key(MintingKeyIndex(0)), "/", false, NOW).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let bearer = format!("Bearer {token}");
    let (key, world) = (format!("key={KEY}"), AccessScope::Stream("world-feed"));
    let (missing, invalid) = (Err(Problem::KeyMissing), Err(Problem::AdminTokenInvalid));
    for (name, access, scope, query, authorization, cookie, expected) in [
        ("the token", &edge, AccessScope::Api, "", bearer.as_str(), "", Ok(Grant::Admin)),
        (
            "in small letters",
            &edge,
            AccessScope::Api,
            "",
            &bearer.replace('B', "b"),
            "",
            Ok(Grant::Admin),
        ),
        (
            "beside an old cookie",
            &edge,
            AccessScope::Api,
            "",
            &bearer,
            "pitwall=AAAA",
            Ok(Grant::Admin),
        ),
        (
            "beside the key",
            &edge,
            AccessScope::Api,
            &key,
            &bearer,
            "",
            Ok(Grant::Key(MintingKeyIndex(0))),
        ),
        ("beside an old key", &edge, AccessScope::Api, "key=old", &bearer, "", Ok(Grant::Admin)),
        ("another token", &edge, AccessScope::Api, "", "Bearer another", "", invalid.clone()),
        (
            "the key as a token",
            &edge,
            AccessScope::Api,
            "",
            &format!("Bearer {KEY}"),
            "",
            invalid.clone(),
        ),
        ("something else", &edge, AccessScope::Api, "", "Basic YTpi", "", missing.clone()),
        (
            "beside a cookie",
            &edge,
            AccessScope::Api,
            "",
            "Bearer another",
            cookie,
            Ok(Grant::Cookie(MintingKeyIndex(0))),
        ),
        ("to watch", &edge, world, "", &bearer, "", missing.clone()),
        ("for the page", &edge, AccessScope::Site, "", &bearer, "", missing.clone()),
        ("for the guide", &edge, AccessScope::Guide, "", &bearer, "", missing),
        ("none is configured", &none, AccessScope::Api, "", &bearer, "", invalid),
        (
            "as a key",
            &edge,
            AccessScope::Api,
            &format!("key={token}"),
            "",
            "",
            Err(Problem::KeyInvalid),
        ),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::AUTHORIZATION, authorization), (header::COOKIE, cookie)] {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        let granted = access.authorize(scope, &Query(query), &headers, NOW);
        assert_eq!(granted, expected, "{name}");
    }
}

#[test]
fn keys_cookies_and_tokens_open_their_scopes() {
    let (edge, other) = (access(&[KEY]), access(&["another-key-that-is-long-enough-too"]));
    let (world, pit) = (AccessScope::Stream("world-feed"), AccessScope::Stream("pit-lane"));
    let token = edge.issue_token(&Grant::Key(MintingKeyIndex(0)), world, NOW).unwrap();
    let foreign = other.issue_token(&Grant::Key(MintingKeyIndex(0)), world, NOW).unwrap();
    let cookie = edge.issue_cookie(&Grant::Key(MintingKeyIndex(0)), "/tv", true, NOW).unwrap();
    assert!(cookie.ends_with("; Path=/tv; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"));
    let cookie = cookie.split_once(';').unwrap().0;
    let jar = format!("theme=dark; {cookie}; a=b");
    let (key, token_query) = (format!("key={KEY}"), format!("x=1&key={token}"));
    let (day, later) = (24 * 3600, 31 * 24 * 3600);
    let granted_by_token = || Ok(Grant::Token(token.clone()));
    for (name, scope, query, cookie, now, expected) in [
        ("nothing", world, "", "", NOW, Err(Problem::KeyMissing)),
        ("the key", world, key.as_str(), "", NOW, Ok(Grant::Key(MintingKeyIndex(0)))),
        (
            "the key for the site",
            AccessScope::Site,
            &key,
            "",
            NOW,
            Ok(Grant::Key(MintingKeyIndex(0))),
        ),
        (
            "the key for the API",
            AccessScope::Api,
            &key,
            "",
            NOW,
            Ok(Grant::Key(MintingKeyIndex(0))),
        ),
        ("a token for the API", AccessScope::Api, &token_query, "", NOW, Err(Problem::KeyInvalid)),
        (
            "a cookie for the API",
            AccessScope::Api,
            "",
            cookie,
            NOW,
            Ok(Grant::Cookie(MintingKeyIndex(0))),
        ),
        ("another key", world, "key=another", "", NOW, Err(Problem::KeyInvalid)),
        ("no key", world, "key=", "", NOW, Err(Problem::KeyInvalid)),
        (
            "two keys",
            world,
            "key=a&key=b",
            "",
            NOW,
            Err(Problem::BadUrl("a query parameter is given twice")),
        ),
        ("a token", world, &token_query, "", NOW + day, granted_by_token()),
        ("of another stream", pit, &token_query, "", NOW, Err(Problem::KeyInvalid)),
        (
            "of a stream, for the site",
            AccessScope::Site,
            &token_query,
            "",
            NOW,
            Err(Problem::KeyInvalid),
        ),
        ("an old token", world, &token_query, "", NOW + 2 * day, Err(Problem::KeyExpired)),
        ("of another edge", world, &format!("key={foreign}"), "", NOW, Err(Problem::KeyInvalid)),
        ("a cookie", world, "", &jar, NOW + day, Ok(Grant::Cookie(MintingKeyIndex(0)))),
        (
            "a cookie for the site",
            AccessScope::Site,
            "",
            cookie,
            NOW,
            Ok(Grant::Cookie(MintingKeyIndex(0))),
        ),
        ("beside an old key", world, "key=old", cookie, NOW, Ok(Grant::Cookie(MintingKeyIndex(0)))),
        (
            "beside an old token",
            world,
            &token_query,
            cookie,
            NOW + 2 * day,
            Ok(Grant::Cookie(MintingKeyIndex(0))),
        ),
        ("an old key and cookie", world, "key=old", cookie, NOW + later, Err(Problem::KeyInvalid)),
        ("an old cookie", world, "", cookie, NOW + later, Err(Problem::KeyExpired)),
        (
            "a token for a cookie",
            world,
            "",
            &format!("pitwall={token}"),
            NOW,
            Err(Problem::KeyInvalid),
        ),
        (
            "a cookie for a token",
            world,
            &cookie.replace("pitwall", "key"),
            "",
            NOW,
            Err(Problem::KeyInvalid),
        ),
        ("another's cookie", world, "", "session=1", NOW, Err(Problem::KeyMissing)),
    ] {
        assert_eq!(authorize(&edge, scope, query, cookie, now), expected, "{name}");
    }
    assert_eq!(authorize(&AccessControl::Open, world, "key=a&key=b", "", NOW), Ok(Grant::Open));
}

/// Whatever was given to a person ends with the line of that person, and nobody else's does.
#[test]
fn what_a_person_was_given_ends_with_the_key() {
    const ANNA: KeyLine<'_> =
        KeyLine { name: Some("anna"), key: b"the-key-of-anna-which-is-long-enough" };
    const BEN: KeyLine<'_> =
        KeyLine { name: Some("ben"), key: b"the-key-of-ben-which-is-long-enough" };
    const ALL: KeyLine<'_> = KeyLine { name: None, key: KEY.as_bytes() };
    let of = |keys: &[KeyLine<'_>]| AccessControl::Key(AccessKeys::new(keys));
    let (before, after) = (of(&[ANNA, ALL, BEN]), of(&[ALL, BEN]));
    let scope = AccessScope::Stream("world-feed");
    let token_of =
        |grant: &Grant| before.token_query(grant, scope, NOW).trim_start_matches('?').to_owned();
    for (line, is_let_in) in [(ANNA, false), (BEN, true), (ALL, true)] {
        let name = line.name;
        let query = format!("key={}", String::from_utf8_lossy(line.key));
        let grant = authorize(&before, scope, &query, "", NOW).unwrap();
        let cookie = before.issue_cookie(&grant, "/", false, NOW).unwrap();
        let cookie = cookie.split(';').next().unwrap();
        let by_cookie = authorize(&before, scope, "", cookie, NOW).unwrap();
        for (what, query, cookie) in [
            ("the key", query.as_str(), ""),
            ("a cookie", "", cookie),
            ("a token", token_of(&grant).as_str(), ""),
            ("a token by a cookie", token_of(&by_cookie).as_str(), ""),
        ] {
            assert!(authorize(&before, scope, query, cookie, NOW).is_ok(), "{name:?} {what}");
            let granted = authorize(&after, scope, query, cookie, NOW).is_ok();
            assert_eq!(granted, is_let_in, "{name:?} {what}");
        }
    }
}

#[test]
fn a_token_is_passed_on_unchanged() {
    let (edge, scope) = (access(&[KEY]), AccessScope::Stream("world-feed"));
    let token = edge.issue_token(&Grant::Cookie(MintingKeyIndex(0)), scope, NOW).unwrap();
    assert_ne!(
        edge.issue_token(&Grant::Cookie(MintingKeyIndex(0)), scope, NOW),
        Some(token.clone()),
        "each viewer's own"
    );
    let passed_on = edge.issue_token(&Grant::Token(token.clone()), scope, NOW + 1000);
    assert_eq!(passed_on, Some(token));
    assert_eq!(AccessControl::Open.issue_token(&Grant::Open, scope, NOW), None);
    assert_eq!(edge.issue_cookie(&Grant::Cookie(MintingKeyIndex(0)), "/", true, NOW), None);
}

#[test]
fn keys_rotate_without_a_break_and_forgery_fails() {
    let scope = AccessScope::Stream("world-feed");
    let old = access(&[KEY]).issue_token(&Grant::Key(MintingKeyIndex(0)), scope, NOW).unwrap();
    let rotated = access(&["the-new-key-which-is-long-enough-too", KEY]);
    assert!(authorize(&rotated, scope, &format!("key={old}"), "", NOW).is_ok());
    assert!(authorize(&rotated, scope, &format!("key={KEY}"), "", NOW).is_ok());
    let bytes = URL_SAFE_NO_PAD.decode(&old).unwrap();
    for index in 0..bytes.len() {
        let mut touched = bytes.clone();
        touched[index] ^= 1;
        let query = format!("key={}", URL_SAFE_NO_PAD.encode(touched));
        assert_eq!(
            authorize(&rotated, scope, &query, "", NOW),
            Err(Problem::KeyInvalid),
            "{index}"
        );
    }
    for length in 0..bytes.len() {
        let query = format!("key={}", URL_SAFE_NO_PAD.encode(&bytes[..length]));
        assert_eq!(
            authorize(&rotated, scope, &query, "", NOW),
            Err(Problem::KeyInvalid),
            "{length}"
        );
    }
}
