//! The last version of each playlist, as fetched and as rewritten, because the next one is mostly
//! or entirely the same.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use pitwall_hls::splice::NumberMapping;
use pitwall_hls::{
    PlaylistKind, PlaylistLimits, PlaylistTiming, Redactor, UriMapper, UriReference, UriRole,
    Variables, rewrite,
};
use url::Url;

use super::{ReloadInterval, ServedPlaylist, UpstreamPlaylist};
use crate::http::problem::Problem;
use crate::http::query::object_number;

/// Memory limit of all remembered playlists with their texts and links.
const REWRITE_CACHE_MAX_BYTES: u64 = 32 << 20;

/// How many new segments are prefetched. A player at the live edge requests these next; an older
/// segment is only requested after a seek.
const PREFETCH_SEGMENTS_MAX: usize = 3;

/// The last rewritten version of each playlist, by poll key; the least recently used is evicted.
pub struct RewriteCache(Cache<String, Arc<RewrittenPlaylist>>);

/// One version of a playlist, rewritten.
pub struct RewrittenPlaylist {
    pub playlist: Arc<ServedPlaylist>,
    pub timing: PlaylistTiming,
    /// What players request next: the last few segments that the previous version did not have, or
    /// had with another token, and the map and the key that these segments need.
    pub new_resources: Vec<MediaResource>,
    /// The links have other tokens than in the previous version, because the upstream's generation
    /// differs.
    pub has_new_tokens: bool,
    upstream_body: Bytes,
    rewrite_key: RewriteKey,
    segment_links: Arc<SegmentLinks>,
}

/// A segment, a map or a key, as a playlist names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaResource {
    pub url: String,
    /// Length and offset in bytes.
    pub byte_range: Option<(u64, u64)>,
    /// A map or a key, which the next version needs too.
    pub is_long_lived: bool,
    /// The number in the link.
    pub number: Option<u64>,
}

/// What the links depend on beside the text of the playlist. Where any of it differs, no link can
/// be reused.
#[derive(Clone, PartialEq, Eq)]
pub struct RewriteKey {
    pub base_url: Url,
    pub seal_period: u64,
    pub expires: Option<u64>,
    pub extension: &'static str,
    /// Generation of the upstream, whose renditions are linked by name.
    pub upstream_generation: u64,
    /// Splice point, where the published numbers differ from the upstream's.
    pub splice: Option<NumberMapping>,
}

impl Default for RewriteCache {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(REWRITE_CACHE_MAX_BYTES)
            .weigher(|key: &String, rewritten: &Arc<RewrittenPlaylist>| {
                u32::try_from(key.len() + rewritten.memory_bytes()).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            // A playlist that has not been polled for this long is not being watched.
            .time_to_idle(Duration::from_secs(300))
            .build();
        Self(cache)
    }
}

impl RewriteCache {
    pub fn get(&self, key: &str) -> Option<Arc<RewrittenPlaylist>> {
        self.0.get(key)
    }

    pub fn insert(&self, key: String, rewritten: Arc<RewrittenPlaylist>) {
        self.0.insert(key, rewritten);
    }
}

impl RewrittenPlaylist {
    /// Rewrites an upstream's response, with all that can be taken over from the `previous`
    /// version.
    ///
    /// # Errors
    /// [`Problem::UpstreamInvalid`] if the response is no playlist.
    pub fn rewrite<L: UriMapper>(
        previous: Option<&Self>,
        upstream_playlist: UpstreamPlaylist,
        rewrite_key: RewriteKey,
        imported: &Variables,
        content_type: &'static str,
        uri_mapper: &mut L,
    ) -> Result<Self, Problem> {
        let reusable = previous.filter(|previous| previous.rewrite_key == rewrite_key);
        if let Some(previous) =
            reusable.filter(|previous| previous.upstream_body == upstream_playlist.body)
        {
            return Ok(previous.with_fetch_duration(upstream_playlist.fetch_duration));
        }
        let splice_start = rewrite_key.splice.filter(|splice| *splice != NumberMapping::default());
        let splice_start = splice_start.map(|splice| splice.upstream);
        let has_new_tokens = previous.is_some_and(|previous| {
            previous.rewrite_key.upstream_generation != rewrite_key.upstream_generation
        });
        let first_new_number = match previous {
            Some(previous)
                if !has_new_tokens && previous.rewrite_key.splice == rewrite_key.splice =>
            {
                Some(
                    previous
                        .segment_links
                        .last_sequence_number()
                        .map_or(0, |last| last.saturating_add(1)),
                )
            }
            Some(_) => Some(splice_start.unwrap_or(0)),
            // The first fetch of a playlist prefetches nothing: the caller may look at many
            // playlists, once each.
            None => splice_start,
        };
        let mut recorder = LinkRecorder {
            uri_mapper,
            previous_links: reusable.map(|previous| &*previous.segment_links),
            first_new_number,
            links: SegmentLinks::default(),
            map: None,
            key: None,
            new_segments: Vec::new(),
        };
        let limits = PlaylistLimits::default();
        let rewritten = rewrite(
            &upstream_playlist.body,
            &upstream_playlist.base_url,
            imported,
            &limits,
            &mut recorder,
        )
        .map_err(|invalid| Problem::UpstreamInvalid(invalid.to_string()))?;
        let LinkRecorder { links: segment_links, map, key, new_segments, .. } = recorder;
        let new_resources = match new_segments.is_empty() {
            true => Vec::new(),
            false => new_segments.into_iter().chain(map).chain(key).collect(),
        };
        let timing = rewritten.timing;
        let reload_interval =
            (rewritten.kind == PlaylistKind::Media).then(|| ReloadInterval::of(&timing));
        let playlist = ServedPlaylist::new(
            rewritten.bytes,
            content_type,
            reload_interval,
            upstream_playlist.fetch_duration,
        );
        let playlist = Arc::new(playlist);
        let (upstream_body, segment_links) = (upstream_playlist.body, Arc::new(segment_links));
        Ok(Self {
            playlist,
            timing,
            new_resources,
            has_new_tokens,
            upstream_body,
            rewrite_key,
            segment_links,
        })
    }

    /// The URL of the last segment, if there is one.
    pub fn last_segment_url(&self) -> Option<&str> {
        self.segment_links.last_url()
    }

    /// The upstream's media sequence number of the last segment.
    pub fn last_sequence_number(&self) -> Option<u64> {
        self.segment_links.last_sequence_number()
    }

    /// How often a new segment is to be expected.
    pub fn target_duration(&self) -> Duration {
        let target_duration =
            self.playlist.reload_interval.map(|reload_interval| reload_interval.target_duration);
        target_duration
            .filter(|target_duration| !target_duration.is_zero())
            .unwrap_or(Duration::from_secs(6))
    }

    pub fn is_multivariant(&self) -> bool {
        self.playlist.reload_interval.is_none()
    }

    fn with_fetch_duration(&self, fetch_duration: Duration) -> Self {
        Self {
            playlist: Arc::new(self.playlist.with_fetch_duration(fetch_duration)),
            timing: self.timing,
            new_resources: Vec::new(),
            has_new_tokens: false,
            upstream_body: self.upstream_body.clone(),
            rewrite_key: self.rewrite_key.clone(),
            segment_links: self.segment_links.clone(),
        }
    }

    fn memory_bytes(&self) -> usize {
        self.upstream_body.len()
            + self.playlist.bytes.len()
            + self.segment_links.memory_bytes()
            + 512
    }
}

/// Writes links as `uri_mapper` does, except that links of segments that were in the previous
/// version are copied from there: sealing is most of the cost of rewriting a long playlist.
struct LinkRecorder<'a, L> {
    uri_mapper: &'a mut L,
    previous_links: Option<&'a SegmentLinks>,
    /// The media sequence number from which segments are new. `None`: no segment counts as new.
    first_new_number: Option<u64>,
    links: SegmentLinks,
    map: Option<MediaResource>,
    key: Option<MediaResource>,
    new_segments: Vec<MediaResource>,
}

impl<L: UriMapper> UriMapper for LinkRecorder<'_, L> {
    fn redactor(&self) -> Option<&Redactor> {
        self.uri_mapper.redactor()
    }

    fn map_hidden_text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        self.uri_mapper.map_hidden_text(text, out);
    }

    fn map_uri(&mut self, reference: &UriReference<'_>, out: &mut Vec<u8>) {
        let resource = |link: &[u8]| MediaResource {
            url: reference.url.to_owned(),
            byte_range: reference.byte_range,
            is_long_lived: reference.role != UriRole::Segment,
            number: object_number(link),
        };
        let start = out.len();
        let (UriRole::Segment, Some(sequence)) = (reference.role, reference.sequence) else {
            self.uri_mapper.map_uri(reference, out);
            let resource = || resource(out.get(start..).unwrap_or_default());
            match reference.role {
                UriRole::Map => self.map = Some(resource()),
                UriRole::Key => self.key = Some(resource()),
                _ => {}
            }
            return;
        };
        match self.previous_links.and_then(|last| last.get(sequence, reference.url)) {
            Some(link) => out.extend_from_slice(link),
            None => self.uri_mapper.map_uri(reference, out),
        }
        let link = out.get(start..).unwrap_or_default();
        self.links.push(sequence, reference.url, link);
        if !reference.is_gap && self.first_new_number.is_some_and(|from| sequence >= from) {
            if self.new_segments.len() == PREFETCH_SEGMENTS_MAX {
                self.new_segments.remove(0);
            }
            self.new_segments.push(resource(link));
        }
    }
}

/// The links of one version's segments, in order.
#[derive(Default)]
struct SegmentLinks {
    first_sequence_number: u64,
    entries: Vec<RecordedLink>,
    text: Vec<u8>,
}

/// Offsets in the text: where a URL begins, where its link begins, and where the link ends.
#[derive(Clone, Copy)]
struct RecordedLink {
    url_start: usize,
    link_start: usize,
    link_end: usize,
}

impl SegmentLinks {
    fn get(&self, sequence: u64, url: &str) -> Option<&[u8]> {
        let index = usize::try_from(sequence.checked_sub(self.first_sequence_number)?).ok()?;
        let entry = self.entries.get(index)?;
        let recorded_url = self.text.get(entry.url_start..entry.link_start)?;
        (recorded_url == url.as_bytes()).then(|| self.text.get(entry.link_start..entry.link_end))?
    }

    fn push(&mut self, sequence: u64, url: &str, link: &[u8]) {
        if sequence != self.first_sequence_number.saturating_add(self.entries.len() as u64) {
            *self = Self { first_sequence_number: sequence, ..Self::default() };
        }
        let start = self.text.len();
        self.text.extend_from_slice(url.as_bytes());
        let middle = self.text.len();
        self.text.extend_from_slice(link);
        self.entries.push(RecordedLink {
            url_start: start,
            link_start: middle,
            link_end: self.text.len(),
        });
    }

    fn last_url(&self) -> Option<&str> {
        let last = self.entries.last()?;
        std::str::from_utf8(self.text.get(last.url_start..last.link_start)?).ok()
    }

    fn last_sequence_number(&self) -> Option<u64> {
        self.first_sequence_number.checked_add((self.entries.len() as u64).checked_sub(1)?)
    }

    fn memory_bytes(&self) -> usize {
        self.text.len() + self.entries.len() * size_of::<RecordedLink>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite_key() -> RewriteKey {
        RewriteKey {
            base_url: Url::parse("http://origin.example/live/v.m3u8").unwrap(),
            seal_period: 1,
            expires: None,
            extension: "ts",
            upstream_generation: 1,
            splice: None,
        }
    }

    /// The playlist of segments `names`, the first of which has the media sequence number `first`.
    fn upstream_playlist(first: u64, names: &[&str]) -> UpstreamPlaylist {
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for name in names {
            text.push_str(&format!("#EXTINF:2,\n{name}\n"));
        }
        UpstreamPlaylist {
            body: text.into(),
            base_url: rewrite_key().base_url,
            fetch_duration: Duration::ZERO,
        }
    }

    /// The rewritten playlist, and how many links were made for it.
    fn rewrite_counting_links(
        last: Option<&RewrittenPlaylist>,
        upstream_playlist: UpstreamPlaylist,
        rewrite_key: RewriteKey,
    ) -> (RewrittenPlaylist, usize) {
        let mut made = 0;
        let mut uri_mapper = |reference: &UriReference<'_>, out: &mut Vec<u8>| {
            made += 1;
            out.extend_from_slice(format!("/{}", reference.sequence.unwrap()).as_bytes());
        };
        let imported = Variables::default();
        let rewritten = RewrittenPlaylist::rewrite(
            last,
            upstream_playlist,
            rewrite_key,
            &imported,
            "x",
            &mut uri_mapper,
        )
        .unwrap();
        (rewritten, made)
    }

    #[test]
    fn only_what_is_new_is_linked_anew() {
        let (first, made) = rewrite_counting_links(
            None,
            upstream_playlist(7, &["a.ts", "b.ts", "c.ts"]),
            rewrite_key(),
        );
        assert_eq!(made, 3);
        assert!(first.new_resources.is_empty(), "a first look is no news");
        for (what, next, links, new_resources) in [
            ("the same", upstream_playlist(7, &["a.ts", "b.ts", "c.ts"]), 0, vec![]),
            ("moved on by one", upstream_playlist(8, &["b.ts", "c.ts", "d.ts"]), 1, vec!["d.ts"]),
            (
                "another name for a number",
                upstream_playlist(7, &["a.ts", "x.ts", "c.ts"]),
                1,
                vec![],
            ),
            (
                "far ahead",
                upstream_playlist(90, &["p", "q", "r", "s", "t"]),
                5,
                vec!["r", "s", "t"],
            ),
            ("begun anew", upstream_playlist(0, &["a.ts"]), 1, vec![]),
        ] {
            let unshared = rewrite_counting_links(None, clone_playlist(&next), rewrite_key()).0;
            let (second, made) = rewrite_counting_links(Some(&first), next, rewrite_key());
            assert_eq!(made, links, "{what}");
            assert_eq!(second.playlist.bytes, unshared.playlist.bytes, "{what}");
            assert_eq!(second.playlist.etag, unshared.playlist.etag, "{what}");
            assert_eq!(new_resource_names(&second), new_resources, "{what}");
        }
    }

    fn new_resource_names(rewritten: &RewrittenPlaylist) -> Vec<&str> {
        rewritten.new_resources.iter().filter_map(|one| one.url.rsplit('/').next()).collect()
    }

    #[test]
    fn what_players_ask_for_next() {
        let names = &["a.ts", "b.ts", "c.ts", "d.ts"];
        let elsewhere = Url::parse("http://origin.example/another/v.m3u8").unwrap();
        let moved = RewriteKey { base_url: elsewhere.clone(), ..rewrite_key() };
        let renewed = RewriteKey { upstream_generation: 2, ..moved.clone() };
        let from =
            |upstream| NumberMapping { upstream, published: 100, ..NumberMapping::default() };
        let switched = |upstream| RewriteKey { splice: Some(from(upstream)), ..rewrite_key() };
        let (first, _) = rewrite_counting_links(None, upstream_playlist(7, names), rewrite_key());
        for (what, last, base, rewrite_key, new_resources) in [
            ("a first look", None, None, rewrite_key(), vec![]),
            ("nothing new", Some(&first), None, rewrite_key(), vec![]),
            ("another server each time", Some(&first), Some(&elsewhere), moved, vec![]),
            ("other tokens", Some(&first), Some(&elsewhere), renewed, vec!["b.ts", "c.ts", "d.ts"]),
            ("it plays again", Some(&first), None, switched(9), vec!["c.ts", "d.ts"]),
            ("who has just begun to play", None, None, switched(9), vec!["c.ts", "d.ts"]),
            ("nothing of it is published yet", None, None, switched(11), vec![]),
        ] {
            let mut next = upstream_playlist(7, names);
            next.base_url = base.unwrap_or(&next.base_url).clone();
            let (rewritten, _) = rewrite_counting_links(last, next, rewrite_key);
            assert_eq!(new_resource_names(&rewritten), new_resources, "{what}");
        }
    }

    #[test]
    fn a_segment_is_of_no_use_without_its_map_and_key() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n\
            #EXT-X-MAP:URI=\"old.mp4\"\n#EXTINF:2,\na.m4s\n\
            #EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"9@4\"\n\
            #EXTINF:2,\nb.m4s\n";
        let response = UpstreamPlaylist { body: text.into(), ..upstream_playlist(7, &[]) };
        let imported = Variables::default();
        let mut uri_mapper = |reference: &UriReference<'_>, out: &mut Vec<u8>| {
            out.extend_from_slice(match reference.role {
                UriRole::Segment => b"/live/s/v/8.m4s?u=A",
                UriRole::Map => b"/live/s/v/x/a0.mp4?u=A",
                _ => b"/live/s/v/x/b0.key?u=A",
            });
        };
        let (first, _) =
            rewrite_counting_links(None, upstream_playlist(7, &["a.m4s"]), rewrite_key());
        let rewritten = RewrittenPlaylist::rewrite(
            Some(&first),
            response,
            rewrite_key(),
            &imported,
            "x",
            &mut uri_mapper,
        )
        .unwrap();
        assert_eq!(new_resource_names(&rewritten), ["b.m4s", "i.mp4", "k"]);
        let of: Vec<_> = rewritten
            .new_resources
            .iter()
            .map(|one| (one.byte_range, one.is_long_lived, one.number))
            .collect();
        let [map, key] = [Some(0xa0), Some(0xb0)];
        assert_eq!(of, [(None, false, Some(8)), (Some((9, 4)), true, map), (None, true, key)]);
    }

    #[test]
    fn what_is_missing_is_not_fetched() {
        let (first, _) =
            rewrite_counting_links(None, upstream_playlist(7, &["a.ts"]), rewrite_key());
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2,\na.ts\n\
            #EXTINF:2,\nb.ts\n#EXT-X-GAP\n#EXTINF:2,\nc.ts\n";
        let response = UpstreamPlaylist { body: text.into(), ..upstream_playlist(7, &[]) };
        let (rewritten, _) = rewrite_counting_links(Some(&first), response, rewrite_key());
        assert_eq!(new_resource_names(&rewritten), ["b.ts"]);
    }

    fn clone_playlist(upstream_playlist: &UpstreamPlaylist) -> UpstreamPlaylist {
        let UpstreamPlaylist { body, base_url: base, fetch_duration } = upstream_playlist;
        UpstreamPlaylist {
            body: body.clone(),
            base_url: base.clone(),
            fetch_duration: *fetch_duration,
        }
    }

    #[test]
    fn on_other_terms_nothing_is_taken_over() {
        let (first, _) =
            rewrite_counting_links(None, upstream_playlist(7, &["a.ts"]), rewrite_key());
        for other in [
            RewriteKey { seal_period: 2, ..rewrite_key() },
            RewriteKey { expires: Some(1), ..rewrite_key() },
            RewriteKey { extension: "aac", ..rewrite_key() },
            RewriteKey { upstream_generation: 2, ..rewrite_key() },
            RewriteKey {
                splice: Some(NumberMapping { published: 1, ..NumberMapping::default() }),
                ..rewrite_key()
            },
            RewriteKey {
                base_url: Url::parse("http://other.example/live/v.m3u8").unwrap(),
                ..rewrite_key()
            },
        ] {
            assert_eq!(
                rewrite_counting_links(Some(&first), upstream_playlist(7, &["a.ts"]), other).1,
                1
            );
        }
    }
}
