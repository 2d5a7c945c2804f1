use pitwall_upstream_map::documents::ExtractorDocument;
use pitwall_upstream_map::{Stream, StreamId, Upstream};
use serde_json::json;

use super::*;
use crate::api::local_overrides::ActiveUpstreamFn;

/// A stream that two sources play, the first of which is active.
fn stream(id: &str, position: (usize, usize), public: bool) -> (StreamId, Arc<Stream>) {
    let source = |name: &str, active| {
        json!({
            "name": name, "kind": "static", "active": active, "health": "healthy", "score": 1.0,
        })
    };
    let document = json!({
        "id": id, "feed": id, "playlist": "", "health": "healthy", "renditions": [],
        "sources": [source("a", true), source("b", false)],
    });
    let public = if public { document.to_string() } else { String::new() };
    let upstream = |source: &str| {
        json!({
            "source": source, "profile": source, "generation": 1, "health": "healthy",
            "playlist": "https://a.example/m.m3u8", "expires_at": null, "score": 1.0,
            "renditions": [],
        })
    };
    let stream = json!({
        "id": id, "feed": id, "position": position, "upstreams": [upstream("a"), upstream("b")],
        "public": public,
        "explanation": "{\"viewers\":0}",
    });
    let stream: Stream = serde_json::from_value(stream).unwrap();
    (stream.id.clone(), Arc::new(stream))
}

fn map(version: u64, streams: &[(StreamId, Arc<Stream>)]) -> Arc<UpstreamMap> {
    let extractor = |(name, position): (&str, usize)| {
        let status = PublicDocument::from_text(format!("{{\"name\":\"{name}\"}}"));
        (name.to_owned(), Arc::new(ExtractorDocument { position, status }))
    };
    let session = json!({
        "id": "s", "code": "race", "name": "Race", "meeting": "Lakeside", "start": null,
        "date": "2026-11-29", "time_known": false, "end": null, "end_estimated": false,
        "live_from": null, "live_until": null, "source": "ics", "revision": 1,
        "status": "live",
    });
    let mut past = session.clone();
    past["id"] = "past".into();
    past["status"] = "past".into();
    let meeting = json!({
        "id": "m", "name": "Lakeside", "round": null, "circuit": { "id": "c", "name": "C" },
        "sessions": [session, past],
    });
    let status = json!({
        "started_at": "2026-11-29T00:00:00Z", "schedule": {},
        "streams": { "total": 3, "healthy": 2, "down": 1 },
        "extractors": { "total": 2, "failing": 1 },
    });
    let documents = SharedDocuments {
        session: PublicDocument::from_value(&session).unwrap(),
        version: PublicDocument::from_text("7"),
        schedule: PublicDocument::from_value(&json!({ "meetings": [meeting] })).unwrap(),
        status: PublicDocument::from_value(&status).unwrap(),
        extractors: [("beta", 1), ("zeta", 0), ("alpha", 1)].map(extractor).into(),
        ..SharedDocuments::default()
    };
    let streams = streams.iter().cloned().collect();
    Arc::new(UpstreamMap { version, streams, documents, ..UpstreamMap::default() })
}

/// This edge plays everything as the map says.
fn published<'s>(_: &UpstreamMap, stream: &'s Stream) -> Option<&'s Upstream> {
    stream.active_upstream()
}

/// This edge plays `late` from its second source.
fn second<'s>(_: &UpstreamMap, stream: &'s Stream) -> Option<&'s Upstream> {
    stream.upstreams.get(usize::from(stream.feed == "late"))
}

fn json_of(document: Result<PublicDocument, Problem>) -> serde_json::Value {
    serde_json::from_str(document.unwrap().as_str().unwrap()).unwrap()
}

#[test]
fn lists_are_in_the_order_of_position_then_name() {
    let streams = [
        stream("late", (1, 0), true),
        stream("b-side", (0, 2), true),
        stream("older", (0, 0), false),
        stream("a-side", (0, 2), true),
    ];
    let map = map(1, &streams);
    let documents = DocumentViews::default().for_map(&map);
    for (active_upstream, expected) in [
        (&published as ActiveUpstreamFn<'_>, [("a-side", "a"), ("b-side", "a"), ("late", "a")]),
        (&second, [("a-side", "a"), ("b-side", "a"), ("late", "b")]),
    ] {
        let overrides = LocalOverrides::for_map(&map, active_upstream);
        let bootstrap = json_of(documents.bootstrap(&overrides));
        assert_eq!(bootstrap["session"]["name"], "Race");
        assert_eq!(bootstrap["version"], 7);
        for list in [
            &bootstrap,
            &json_of(documents.streams(&overrides)),
            &json_of(documents.session_streams("s", &overrides)),
        ] {
            let list = list["streams"].as_array().unwrap().iter().map(|stream| {
                let sources = stream["sources"].as_array().unwrap();
                let active = sources.iter().find(|source| source["active"] == true).unwrap();
                (stream["id"].as_str().unwrap(), active["name"].as_str().unwrap())
            });
            assert_eq!(list.collect::<Vec<_>>(), expected);
        }
        assert_eq!(
            json_of(documents.session_streams("past", &overrides)),
            json!({ "version": 7, "streams": [] })
        );
        let late = json_of(documents.stream("late", &overrides));
        assert_eq!(late["sources"][1]["active"], expected[2].1 == "b");
    }
    let names = ["zeta", "alpha", "beta"].map(|name| json!({ "name": name }));
    assert_eq!(json_of(documents.extractors()), json!({ "extractors": names }));
    assert_eq!(json_of(documents.explanation("late")), json!({ "viewers": 0 }));
    let widget = json_of(documents.widget());
    assert_eq!([&widget["session"], &widget["status"]], ["Race", "live"]);
    assert_eq!([&widget["streams"], &widget["failing_sources"]], [3, 1]);
}

#[test]
fn requests_share_a_text_and_maps_an_entity_tag() {
    let streams = [stream("world", (0, 0), true)];
    let views = DocumentViews::default();
    let (first, second) = (map(1, &streams), map(2, &streams));
    let of = |map: &Arc<UpstreamMap>| {
        let overrides = LocalOverrides::for_map(map, &published);
        let documents = views.for_map(map);
        [
            documents.bootstrap(&overrides),
            documents.streams(&overrides),
            documents.extractors(),
            documents.widget(),
            documents.stream("world", &overrides),
        ]
        .map(|document| document.unwrap())
    };
    let text = |document: &PublicDocument| document.as_str().unwrap().as_ptr();
    let documents = of(&first);
    assert_eq!(documents.each_ref().map(text), of(&first).each_ref().map(text));
    let next = of(&second);
    assert_eq!(
        documents.each_ref().map(PublicDocument::etag),
        next.each_ref().map(PublicDocument::etag)
    );
    let [.., stream] = &next;
    assert_eq!(text(stream), text(&streams[0].1.public), "no copy of what is published");
}

#[test]
fn what_cannot_be_known_before_the_first_map_is_a_problem() {
    let (empty, views) = (Arc::new(UpstreamMap::default()), DocumentViews::default());
    let overrides = LocalOverrides::for_map(&empty, &published);
    let documents = views.for_map(&empty);
    for document in [
        documents.bootstrap(&overrides),
        documents.streams(&overrides),
        documents.stream("world", &overrides),
        documents.explanation("world"),
        documents.extractors(),
        documents.widget(),
        documents.session_streams("s", &overrides),
    ] {
        assert_eq!(document, Err(Problem::Starting));
    }
    let map = map(1, &[]);
    let documents = views.for_map(&map);
    for document in [
        documents.stream("world", &overrides),
        documents.explanation("world"),
        documents.session_streams("x", &overrides),
    ] {
        assert_eq!(document, Err(Problem::NotFound));
    }
}
