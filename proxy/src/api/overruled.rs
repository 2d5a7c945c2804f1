//! Where this edge plays another source than the map has first. It knows better for a while, and
//! the control plane, which writes the documents, need not hear of it.

use std::collections::BTreeMap;

use pitwall_upstream_map::documents::{PublicRendition, PublicStream};
use pitwall_upstream_map::{Stream, Upstream, UpstreamMap};

/// Who plays a stream here.
pub type Playing<'a> = &'a dyn for<'m> Fn(&UpstreamMap, &'m Stream) -> Option<&'m Upstream>;

/// By stream: who plays instead.
pub struct Overruled<'m>(BTreeMap<&'m str, &'m Upstream>);

impl<'m> Overruled<'m> {
    pub fn of(map: &'m UpstreamMap, playing: Playing<'_>) -> Self {
        Self(map.streams.values().filter_map(|stream| instead(map, stream, playing)).collect())
    }

    pub fn one(map: &'m UpstreamMap, id: &str, playing: Playing<'_>) -> Self {
        let stream = map.streams.get(id);
        Self(stream.and_then(|stream| instead(map, stream, playing)).into_iter().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The stream as it plays here.
    pub fn correct(&self, stream: &mut PublicStream) {
        let Some(plays) = self.0.get(stream.id.as_str()) else { return };
        for source in &mut stream.sources {
            source.active = source.name == plays.source;
        }
        stream.renditions = plays.renditions.iter().map(PublicRendition::from).collect();
    }
}

fn instead<'m>(
    map: &UpstreamMap,
    stream: &'m Stream,
    playing: Playing<'_>,
) -> Option<(&'m str, &'m Upstream)> {
    let plays = playing(map, stream)?;
    let first = stream.active()?;
    (plays.source != first.source).then_some((stream.id.as_str(), plays))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pitwall_upstream_map::StreamId;

    use super::*;

    #[test]
    fn a_stream_says_who_plays_it_here() {
        let id = StreamId::of_feed("W").unwrap();
        let upstream = |source| {
            serde_json::json!({
                "source": source, "profile": source, "generation": 1, "health": "healthy",
                "playlist": "https://a.example/m.m3u8", "expires_at": null, "score": 1.0,
                "renditions": [],
            })
        };
        let upstreams = [upstream("a"), upstream("b")];
        let stream = serde_json::json!({ "id": "w", "feed": "W", "upstreams": upstreams });
        let stream: Stream = serde_json::from_value(stream).unwrap();
        let streams = [(id.clone(), Arc::new(stream))].into();
        let map = UpstreamMap { version: 1, streams, ..UpstreamMap::default() };
        let source = |name, active| {
            serde_json::json!({
                "name": name, "kind": "static", "active": active, "health": "healthy", "score": 1.0,
            })
        };
        for (plays, expected) in [(Some("a"), None), (None, None), (Some("b"), Some("b"))] {
            let overruled = Overruled::one(&map, "w", &|_, stream| {
                stream.upstreams.iter().find(|one| plays == Some(&*one.source))
            });
            let mut public: PublicStream = serde_json::from_value(serde_json::json!({
                "id": "w", "feed": "W", "playlist": "/live/w/index.m3u8", "health": "healthy",
                "sources": [source("a", true), source("b", false)], "renditions": [],
            }))
            .unwrap();
            overruled.correct(&mut public);
            let active: Vec<_> = public.sources.iter().filter(|one| one.active).collect();
            assert_eq!(overruled.is_empty(), expected.is_none(), "{plays:?}");
            assert_eq!(active.len(), 1, "{plays:?}");
            assert_eq!(active[0].name, expected.unwrap_or("a"), "{plays:?}");
        }
    }
}
