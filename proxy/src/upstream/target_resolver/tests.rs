use pitwall_fetch::PolicyDenial;

use super::*;
use crate::config::AllowedHost;

fn targets() -> TargetResolver {
    let host = |text: &str| AllowedHost::try_from(text.to_owned()).unwrap();
    let config = UpstreamConfig {
        allow_hosts: vec![host("cdn.example.com"), host("192.168.1.20:9000")],
        allow_private: vec!["192.168.1.0/24".parse().unwrap()],
        ..UpstreamConfig::default()
    };
    TargetResolver::new(&config, DenialLog::default())
}

/// A map in which a source with a cookie plays at `cdn.example.com`.
fn map() -> Arc<ResolvedMap> {
    let json = serde_json::json!({
        "version": 1,
        "streams": { "world": { "id": "world", "feed": "World", "upstreams": [{
            "source": "club", "profile": "club", "generation": 1, "health": "healthy",
            "playlist": "https://cdn.example.com/m.m3u8", "expires_at": null, "score": 1.0,
            "renditions": [],
        }] } },
        "profiles": { "club": {
            "headers": [["Cookie", "secret"], ["Referer", "https://club.example/"]],
            "allow_private": [], "ports": [], "token_parameters": [],
        } },
        "documents": {},
    });
    crate::upstream::resolved_map::tests::resolve(serde_json::from_value(json).unwrap())
}

#[test]
fn private_ranges_are_for_the_hosts_that_may_be_named() {
    for (url, private) in [
        ("http://192.168.1.20:9000/a", true),
        ("https://cdn.example.com/a", true),
        ("http://192.168.1.1/admin", false),
        ("https://elsewhere.example/a", false),
    ] {
        let target = targets().resolve_for_profile(url.parse().unwrap(), "", &map()).unwrap();
        assert_eq!(!target.profile.policy.allow_private.is_empty(), private, "{url}");
        let is_named = target.profile.private_hosts.clone().unwrap();
        assert_eq!(is_named(&url.parse().unwrap()), private, "{url}");
    }
}

/// The denial log is for the operator: it names the address and the configuration key, and no
/// path.
#[test]
fn a_denial_names_the_key_that_would_allow_the_target() {
    let private =
        |address: &str| FetchError::from(PolicyDenial::PrivateAddress(address.parse().unwrap()));
    for (profile, url, error, expected) in [
        (
            "",
            "http://192.168.1.20:9000/secret",
            private("192.168.1.20"),
            "192.168.1.20 is private: allow_private = [\"192.168.1.20/32\"] in [upstream] allows it",
        ),
        (
            "",
            "http://nas.example/secret",
            private("10.0.0.9"),
            "10.0.0.9 is private: allow_private = [\"10.0.0.9/32\"] together with \
                 allow_hosts = [\"nas.example\"] in [upstream] allows it",
        ),
        (
            "",
            "http://cdn.example.com:8443/secret",
            FetchError::from(PolicyDenial::Port(8443)),
            "port 8443 is neither 80 nor 443: allow_hosts = [\"cdn.example.com:8443\"] in \
                 [upstream] allows it",
        ),
        (
            "club",
            "http://nas.example/secret",
            private("10.0.0.9"),
            "10.0.0.9 is private: allow_private = [\"10.0.0.9/32\"] in source \"club\" allows it",
        ),
    ] {
        let target = targets().resolve_for_profile(url.parse().unwrap(), profile, &map()).unwrap();
        assert_eq!(target.explain_denial(&error), expected);
    }
    let url = "https://cdn.example.net:8443/secret?token=1".parse().unwrap();
    let expected = "cdn.example.net:8443 is not in allow_hosts: \
                        allow_hosts = [\"cdn.example.net:8443\"] in [upstream] allows it";
    assert_eq!(explain_unlisted_host(&url), expected);
}

#[test]
fn a_sources_cookie_goes_where_it_plays() {
    for (url, cookie) in
        [("https://cdn.example.com/1.ts", true), ("https://elsewhere.example/1.ts", false)]
    {
        let target = targets().resolve_for_profile(url.parse().unwrap(), "club", &map()).unwrap();
        assert_eq!(target.headers().contains_key("cookie"), cookie, "{url}");
        assert!(target.headers().contains_key("referer"), "{url}");
    }
    let map = map();
    let plain = |url: &str| {
        targets().resolve_plain(&URL_SAFE_NO_PAD.encode(url), Some("club"), &map).map(drop)
    };
    assert_eq!(plain("https://cdn.example.com/x"), Ok(()));
    assert_eq!(plain("http://192.168.1.20:9000/x"), Err(Problem::TargetDenied));
}
