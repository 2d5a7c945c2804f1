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
mod tests;
