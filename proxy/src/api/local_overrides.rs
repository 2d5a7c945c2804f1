//! [`LocalOverrides`]: streams for which this edge plays another source than the map's active one,
//! as after a failover that the control plane has not published yet. They are applied to the
//! documents, which the control plane has written.

use std::collections::BTreeMap;

use pitwall_upstream_map::documents::{PublicRendition, PublicStream};
use pitwall_upstream_map::{Stream, Upstream, UpstreamMap};

/// Gives the upstream that this edge plays a stream from.
pub type ActiveUpstreamFn<'a> =
    &'a dyn for<'m> Fn(&UpstreamMap, &'m Stream) -> Option<&'m Upstream>;

/// The upstream that this edge plays instead of the map's active one, by stream id.
pub struct LocalOverrides<'m>(BTreeMap<&'m str, &'m Upstream>);

impl<'m> LocalOverrides<'m> {
    pub fn for_map(map: &'m UpstreamMap, active_upstream: ActiveUpstreamFn<'_>) -> Self {
        let streams = map.streams.values();
        Self(streams.filter_map(|stream| find_override(map, stream, active_upstream)).collect())
    }

    pub fn for_stream(
        map: &'m UpstreamMap,
        id: &str,
        active_upstream: ActiveUpstreamFn<'_>,
    ) -> Self {
        let stream = map.streams.get(id);
        let upstream = stream.and_then(|stream| find_override(map, stream, active_upstream));
        Self(upstream.into_iter().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes a stream's public document say which source this edge plays, and its renditions.
    pub fn apply_to(&self, stream: &mut PublicStream) {
        let Some(upstream) = self.0.get(stream.id.as_str()) else { return };
        for source in &mut stream.sources {
            source.active = source.name == upstream.source;
        }
        stream.renditions = upstream.renditions.iter().map(PublicRendition::from).collect();
    }
}

fn find_override<'m>(
    map: &UpstreamMap,
    stream: &'m Stream,
    active_upstream: ActiveUpstreamFn<'_>,
) -> Option<(&'m str, &'m Upstream)> {
    let local = active_upstream(map, stream)?;
    let published = stream.active()?;
    (local.source != published.source).then_some((stream.id.as_str(), local))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pitwall_upstream_map::StreamId;

    use super::*;

    #[test]
    fn an_override_marks_the_source_that_this_edge_plays() {
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
        for (active_source, expected) in [(Some("a"), None), (None, None), (Some("b"), Some("b"))] {
            let overrides = LocalOverrides::for_stream(&map, "w", &|_, stream| {
                stream.upstreams.iter().find(|one| active_source == Some(&*one.source))
            });
            let mut public: PublicStream = serde_json::from_value(serde_json::json!({
                "id": "w", "feed": "W", "playlist": "/live/w/index.m3u8", "health": "healthy",
                "sources": [source("a", true), source("b", false)], "renditions": [],
            }))
            .unwrap();
            overrides.apply_to(&mut public);
            let active: Vec<_> = public.sources.iter().filter(|one| one.active).collect();
            assert_eq!(overrides.is_empty(), expected.is_none(), "{active_source:?}");
            assert_eq!(active.len(), 1, "{active_source:?}");
            assert_eq!(active[0].name, expected.unwrap_or("a"), "{active_source:?}");
        }
    }
}
