//! [`LocalOverrides`]: streams for which this edge plays another source than the map's active one,
//! as after a failover that the control plane has not published yet. They are applied to the
//! streams' documents, which the control plane has written.

use std::collections::BTreeMap;

use pitwall_upstream_map::documents::{PublicDocument, PublicRendition, PublicStream};
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

    /// The stream's public document, which says which source this edge plays, and its renditions.
    /// One that cannot be parsed, as of a newer control plane, stays as it is published.
    pub fn apply_to_stream_document(&self, stream: &Stream) -> PublicDocument {
        let Some(upstream) = self.0.get(stream.id.as_str()) else { return stream.public.clone() };
        let published = stream.public.as_str().unwrap_or_default();
        let overridden = serde_json::from_str(published).and_then(|mut public: PublicStream| {
            for source in &mut public.sources {
                source.active = source.name == upstream.source;
            }
            public.renditions = upstream.renditions.iter().map(PublicRendition::from).collect();
            PublicDocument::from_value(&public)
        });
        overridden.unwrap_or_else(|_| stream.public.clone())
    }
}

fn find_override<'m>(
    map: &UpstreamMap,
    stream: &'m Stream,
    active_upstream: ActiveUpstreamFn<'_>,
) -> Option<(&'m str, &'m Upstream)> {
    let local = active_upstream(map, stream)?;
    let published = stream.active_upstream()?;
    (local.source != published.source).then_some((stream.id.as_str(), local))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn an_override_marks_the_source_that_this_edge_plays() {
        let upstream = |source| {
            json!({
                "source": source, "profile": source, "generation": 1, "health": "healthy",
                "playlist": "https://a.example/m.m3u8", "expires_at": null, "score": 1.0,
                "renditions": [],
            })
        };
        let source = |name, active| {
            json!({
                "name": name, "kind": "static", "active": active, "health": "healthy", "score": 1.0,
            })
        };
        let public = json!({
            "id": "w", "feed": "W", "playlist": "/live/w/index.m3u8", "health": "healthy",
            "sources": [source("a", true), source("b", false)], "renditions": [],
        });
        for (public, active_source, expected) in [
            (public.to_string(), Some("a"), None),
            (public.to_string(), None, None),
            (public.to_string(), Some("b"), Some("b")),
            ("{\"of\":\"a later day\"}".to_owned(), Some("b"), None),
            (String::new(), Some("b"), None),
        ] {
            let stream: Stream = serde_json::from_value(json!({
                "id": "w", "feed": "W", "upstreams": [upstream("a"), upstream("b")],
                "public": public,
            }))
            .unwrap();
            let streams = [(stream.id.clone(), Arc::new(stream.clone()))].into();
            let map = UpstreamMap { version: 1, streams, ..UpstreamMap::default() };
            let overrides = LocalOverrides::for_stream(&map, "w", &|_, stream| {
                stream.upstreams.iter().find(|one| active_source == Some(&*one.source))
            });
            assert_eq!(overrides.is_empty(), active_source != Some("b"), "{active_source:?}");
            let document = overrides.apply_to_stream_document(&stream);
            let Some(expected) = expected else {
                assert_eq!(document, stream.public, "{active_source:?}");
                continue;
            };
            let public: PublicStream = serde_json::from_str(document.as_str().unwrap()).unwrap();
            let active = public.sources.iter().filter(|one| one.active);
            let names: Vec<_> = active.map(|one| one.name.as_str()).collect();
            assert_eq!(names, [expected]);
        }
    }
}
