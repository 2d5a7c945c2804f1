//! Tests of resolving maps, one after another.

use pitwall_upstream_map::{MemoryStore, RequestProfile, RequestProfileId};
use serde_json::{Value, json};
use url::Url;

use super::*;

/// `map`, resolved as the first one.
pub(crate) fn resolve(map: UpstreamMap) -> Arc<ResolvedMap> {
    let (mut limiters, denials) = (UpstreamLimiters::default(), DenialLog::default());
    Arc::new(ResolvedMap::default().resolve_next(Arc::new(map), &mut limiters, &denials))
}

/// A stream with one upstream for each profile and playlist URL.
fn stream(id: &str, upstreams: &[(&str, &str)]) -> Value {
    let upstream = |(profile, playlist): &(&str, &str)| {
        json!({
            "source": profile, "profile": profile, "generation": 1, "health": "healthy",
            "playlist": playlist, "expires_at": null, "score": 1.0, "renditions": [],
        })
    };
    let upstreams: Vec<_> = upstreams.iter().map(upstream).collect();
    json!({ "id": id, "feed": id, "upstreams": upstreams })
}

fn profile(headers: &[(&str, &str)], connections: Option<u32>) -> Arc<RequestProfile> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let headers = headers.collect();
    Arc::new(RequestProfile { headers, connections, ..RequestProfile::default() })
}

/// A store, its resolver and the map to publish next.
struct Fixture {
    store: Arc<MemoryStore>,
    resolver: MapResolver,
    next: UpstreamMap,
}

impl Fixture {
    fn new() -> Self {
        let store = MemoryStore::new();
        let resolver = MapResolver::new(store.clone(), DenialLog::default());
        Self { store, resolver, next: UpstreamMap::default() }
    }

    fn set_profile(&mut self, id: &str, profile: Option<Arc<RequestProfile>>) {
        let id = RequestProfileId(id.to_owned());
        match profile {
            Some(profile) => drop(self.next.profiles.insert(id, profile)),
            None => drop(self.next.profiles.remove(&id)),
        }
    }

    fn set_stream(&mut self, id: &str, upstreams: &[(&str, &str)]) {
        let stream: Stream = serde_json::from_value(stream(id, upstreams)).unwrap();
        self.next.streams.insert(stream.id.clone(), Arc::new(stream));
    }

    async fn publish(&mut self) -> Arc<ResolvedMap> {
        self.next.version += 1;
        self.store.publish(self.next.clone()).await.unwrap();
        self.resolver.current()
    }
}

#[tokio::test]
async fn a_limiter_survives_maps_until_its_limit_changes() {
    let mut fixture = Fixture::new();
    fixture.set_profile("club", Some(profile(&[], Some(1))));
    let first = fixture.publish().await;
    let _permit = first.find_profile("club").unwrap().limiter.acquire().await.unwrap();
    for (what, connections, has_free_permit) in [
        ("the same limit", Some(Some(1)), false),
        ("the profile is gone", None, true),
        ("it is there again", Some(Some(1)), false),
        ("another limit", Some(Some(2)), true),
        ("no limit", Some(None), true),
    ] {
        // A header that changes makes another profile each time.
        let version = fixture.next.version.to_string();
        let changed = connections.map(|limit| profile(&[("X-Version", &version)], limit));
        fixture.set_profile("club", changed);
        let map = fixture.publish().await;
        let profile = map.find_profile("club");
        assert!(profile.is_none_or(|it| it.limiter.has_free_permit() == has_free_permit), "{what}");
        assert_eq!(profile.is_some(), connections.is_some(), "{what}");
    }
}

#[tokio::test]
async fn a_changed_header_is_used_at_once_and_what_did_not_change_is_taken_over() {
    let mut fixture = Fixture::new();
    // An invalid field is logged where a profile is resolved, which is once for each change.
    let invalid = &[("Bad Name", "x"), ("Referer", "https://club.example/")];
    fixture.set_profile("club", Some(profile(invalid, None)));
    fixture.set_profile("pit", Some(profile(&[("Referer", "https://a/")], None)));
    fixture.set_stream("world", &[("club", "https://cdn.example.com/m.m3u8")]);
    let first = fixture.publish().await;
    assert!(Arc::ptr_eq(&first, &fixture.resolver.current()), "a version is resolved once");
    let url: Url = "https://cdn.example.com/1.ts".parse().unwrap();
    assert_eq!(first.find_profile("club").unwrap().headers_for(&url).len(), 1);

    fixture.set_profile("pit", Some(profile(&[("Referer", "https://b/")], None)));
    // An equal profile, as a store reads it anew, and another stream at the same origin.
    fixture.set_profile("club", Some(profile(invalid, None)));
    fixture.set_stream("world", &[("club", "https://cdn.example.com/other.m3u8")]);
    let second = fixture.publish().await;
    let club = |map: &ResolvedMap| map.find_profile("club").unwrap().clone();
    assert!(Arc::ptr_eq(&club(&first), &club(&second)));
    assert_eq!(second.find_profile("pit").unwrap().headers_for(&url)["referer"], "https://b/");
}

/// Each step changes the map before it; then the cookie is sent to these origins of three.
#[tokio::test]
async fn a_cookie_goes_only_to_the_origins_of_its_source() {
    const ORIGINS: [&str; 3] = ["https://a.example", "https://b.example", "https://b.example:8443"];
    let mut fixture = Fixture::new();
    let playlists = ORIGINS.map(|origin| format!("{origin}/m.m3u8"));
    let [a, b, b_8443] = playlists.each_ref().map(String::as_str);
    let cookie = || Some(profile(&[("Cookie", "secret"), ("X-Any", "1")], None));
    for (what, profile, streams, expected) in [
        ("a stream before its profile", None, vec![("world", vec![("club", a)])], [0, 0, 0]),
        ("the profile", Some(cookie()), vec![], [1, 0, 0]),
        ("a second origin", None, vec![("pit", vec![("club", b), ("other", b_8443)])], [1, 1, 0]),
        ("one of two at an origin leaves", None, vec![("world", vec![("club", b)])], [0, 1, 0]),
        ("none is left", None, vec![("pit", vec![]), ("world", vec![("other", b)])], [0, 0, 0]),
        ("another port", None, vec![("world", vec![("club", b_8443)])], [0, 0, 1]),
        ("the profile is gone", Some(None), vec![], [0, 0, 0]),
        ("it is there again", Some(cookie()), vec![], [0, 0, 1]),
    ] {
        if let Some(profile) = profile {
            fixture.set_profile("club", profile);
        }
        for (id, upstreams) in streams {
            fixture.set_stream(id, &upstreams);
        }
        let map = fixture.publish().await;
        let sent = ORIGINS.map(|origin| {
            let url: Url = format!("{origin}/1.ts").parse().unwrap();
            let headers = map.find_profile("club").map(|profile| profile.headers_for(&url));
            assert!(headers.is_none_or(|headers| headers.contains_key("x-any")), "{what}");
            usize::from(headers.is_some_and(|headers| headers.contains_key("cookie")))
        });
        assert_eq!(sent, expected, "{what}");
    }
}
