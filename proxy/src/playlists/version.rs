//! The last version of each playlist, as it came and as it went out: the next one is mostly the
//! same, and often all of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use pitwall_hls::splice::Numbers;
use pitwall_hls::{Kind, Limits, Linker, Reference, Role, Tempo, Variables, rewrite};
use url::Url;

use super::{Pace, Playlist, UpstreamAnswer};
use crate::problem::Problem;

/// Of all versions that are kept, with their texts and links.
const MEMORY: u64 = 32 << 20;

/// A player that keeps up asks for these next; a longer backlog is for those who seek.
const NEWEST: usize = 3;

pub struct Versions(Cache<String, Arc<Version>>);

/// One version of a media playlist.
pub struct Version {
    pub playlist: Arc<Playlist>,
    pub tempo: Tempo,
    /// What players ask for next: the last few segments that the version before did not have,
    /// or had by another token, and the map and the key that they need.
    pub fresh: Vec<Resource>,
    /// It has other tokens than the version before.
    pub renewed: bool,
    body: Bytes,
    terms: Terms,
    links: Arc<Links>,
}

/// A segment, a map or a key, as a playlist names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub url: String,
    /// Length and offset.
    pub byte_range: Option<(u64, u64)>,
    /// A map or a key: the next version needs it too.
    pub stays: bool,
}

/// What links depend on, beside the text: where any of it differs nothing can be reused.
#[derive(Clone, PartialEq, Eq)]
pub struct Terms {
    pub base: Url,
    pub seal_period: u64,
    pub expires: Option<u64>,
    pub extension: &'static str,
    /// Of the upstream, whose renditions are linked by name.
    pub generation: u64,
    /// By which its numbers are not the upstream's.
    pub splice: Option<Numbers>,
}

impl Default for Versions {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(MEMORY)
            .weigher(|key: &String, version: &Arc<Version>| {
                u32::try_from(key.len() + version.memory()).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            // A playlist that nobody has polled for so long is not being watched.
            .time_to_idle(Duration::from_secs(300))
            .build();
        Self(cache)
    }
}

impl Versions {
    pub fn last(&self, key: &str) -> Option<Arc<Version>> {
        self.0.get(key)
    }

    pub fn keep(&self, key: String, version: Arc<Version>) {
        self.0.insert(key, version);
    }
}

impl Version {
    /// Rewrites what an upstream answered, with all that can be taken over from `last`.
    pub fn make<L: Linker>(
        last: Option<&Self>,
        answer: UpstreamAnswer,
        terms: Terms,
        imported: &Variables,
        content_type: &'static str,
        linker: &mut L,
    ) -> Result<Self, Problem> {
        let same = last.filter(|last| last.terms == terms);
        if let Some(last) = same.filter(|last| last.body == answer.body) {
            return Ok(last.again(answer.took));
        }
        let switched = terms.splice.filter(|from| *from != Numbers::default());
        let switched = switched.map(|from| from.upstream);
        let renewed = last.is_some_and(|last| last.terms.generation != terms.generation);
        let from = match last {
            Some(last) if !renewed && last.terms.splice == terms.splice => {
                Some(last.links.newest().map_or(0, |newest| newest.saturating_add(1)))
            }
            Some(_) => Some(switched.unwrap_or(0)),
            // Whoever looks for the first time may look once, and at many.
            None => switched,
        };
        let mut remembering = Remembering {
            linker,
            last: same.map(|last| &*last.links),
            from,
            links: Links::default(),
            map: None,
            key: None,
            segments: Vec::new(),
        };
        let limits = Limits::default();
        let rewritten = rewrite(&answer.body, &answer.base, imported, &limits, &mut remembering)
            .map_err(|invalid| Problem::UpstreamInvalid(invalid.to_string()))?;
        let Remembering { links, map, key, segments, .. } = remembering;
        let fresh = match segments.is_empty() {
            true => Vec::new(),
            false => segments.into_iter().chain(map).chain(key).collect(),
        };
        let tempo = rewritten.tempo;
        let pace = (rewritten.kind == Kind::Media).then(|| Pace::of(&tempo));
        let playlist = Playlist::new(rewritten.bytes, content_type, pace, answer.took);
        let playlist = Arc::new(playlist);
        let (body, links) = (answer.body, Arc::new(links));
        Ok(Self { playlist, tempo, fresh, renewed, body, terms, links })
    }

    /// One of its segments, if it has any.
    pub fn segment(&self) -> Option<&str> {
        self.links.last_url()
    }

    /// The number of its last segment, as the upstream counts.
    pub fn newest(&self) -> Option<u64> {
        self.links.newest()
    }

    /// How often something new is to be expected.
    pub fn target(&self) -> Duration {
        let told = self.playlist.pace.map(|pace| pace.target);
        told.filter(|told| !told.is_zero()).unwrap_or(Duration::from_secs(6))
    }

    pub fn is_multivariant(&self) -> bool {
        self.playlist.pace.is_none()
    }

    fn again(&self, took: Duration) -> Self {
        Self {
            playlist: Arc::new(self.playlist.again(took)),
            tempo: self.tempo,
            fresh: Vec::new(),
            renewed: false,
            body: self.body.clone(),
            terms: self.terms.clone(),
            links: self.links.clone(),
        }
    }

    fn memory(&self) -> usize {
        self.body.len() + self.playlist.bytes.len() + self.links.memory() + 512
    }
}

/// Writes links as `linker` does, but those of segments that were in the last version are copied
/// from there: sealing is most of what rewriting a long playlist costs.
struct Remembering<'a, L> {
    linker: &'a mut L,
    last: Option<&'a Links>,
    /// The sequence number from which on segments are news, if any are.
    from: Option<u64>,
    links: Links,
    map: Option<Resource>,
    key: Option<Resource>,
    segments: Vec<Resource>,
}

impl<L: Linker> Linker for Remembering<'_, L> {
    fn link(&mut self, reference: &Reference<'_>, out: &mut Vec<u8>) {
        let resource = || Resource {
            url: reference.url.to_owned(),
            byte_range: reference.byte_range,
            stays: reference.role != Role::Segment,
        };
        let (Role::Segment, Some(sequence)) = (reference.role, reference.sequence) else {
            match reference.role {
                Role::Map => self.map = Some(resource()),
                Role::Key => self.key = Some(resource()),
                _ => {}
            }
            return self.linker.link(reference, out);
        };
        let start = out.len();
        match self.last.and_then(|last| last.get(sequence, reference.url)) {
            Some(link) => out.extend_from_slice(link),
            None => self.linker.link(reference, out),
        }
        self.links.push(sequence, reference.url, out.get(start..).unwrap_or_default());
        if !reference.is_gap && self.from.is_some_and(|from| sequence >= from) {
            if self.segments.len() == NEWEST {
                self.segments.remove(0);
            }
            self.segments.push(resource());
        }
    }
}

/// The links of one version's segments, in their order.
#[derive(Default)]
struct Links {
    first: u64,
    entries: Vec<Entry>,
    text: Vec<u8>,
}

/// Where in the text a URL begins, where its link does, and where that ends.
#[derive(Clone, Copy)]
struct Entry {
    url: usize,
    link: usize,
    end: usize,
}

impl Links {
    fn get(&self, sequence: u64, url: &str) -> Option<&[u8]> {
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        let entry = self.entries.get(index)?;
        let known = self.text.get(entry.url..entry.link)?;
        (known == url.as_bytes()).then(|| self.text.get(entry.link..entry.end))?
    }

    fn push(&mut self, sequence: u64, url: &str, link: &[u8]) {
        if sequence != self.first.saturating_add(self.entries.len() as u64) {
            *self = Self { first: sequence, ..Self::default() };
        }
        let start = self.text.len();
        self.text.extend_from_slice(url.as_bytes());
        let middle = self.text.len();
        self.text.extend_from_slice(link);
        self.entries.push(Entry { url: start, link: middle, end: self.text.len() });
    }

    fn last_url(&self) -> Option<&str> {
        let last = self.entries.last()?;
        std::str::from_utf8(self.text.get(last.url..last.link)?).ok()
    }

    fn newest(&self) -> Option<u64> {
        self.first.checked_add((self.entries.len() as u64).checked_sub(1)?)
    }

    fn memory(&self) -> usize {
        self.text.len() + self.entries.len() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        Terms {
            base: Url::parse("http://origin.example/live/v.m3u8").unwrap(),
            seal_period: 1,
            expires: None,
            extension: "ts",
            generation: 1,
            splice: None,
        }
    }

    /// The playlist of segments `names`, the first of which has this number.
    fn answer(first: u64, names: &[&str]) -> UpstreamAnswer {
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for name in names {
            text.push_str(&format!("#EXTINF:2,\n{name}\n"));
        }
        UpstreamAnswer { body: text.into(), base: terms().base, took: Duration::ZERO }
    }

    /// What came out, and how many links had to be made for it.
    fn make(last: Option<&Version>, answer: UpstreamAnswer, terms: Terms) -> (Version, usize) {
        let mut made = 0;
        let mut linker = |reference: &Reference<'_>, out: &mut Vec<u8>| {
            made += 1;
            out.extend_from_slice(format!("/{}", reference.sequence.unwrap()).as_bytes());
        };
        let imported = Variables::default();
        let version = Version::make(last, answer, terms, &imported, "x", &mut linker).unwrap();
        (version, made)
    }

    #[test]
    fn only_what_is_new_is_linked_anew() {
        let (first, made) = make(None, answer(7, &["a.ts", "b.ts", "c.ts"]), terms());
        assert_eq!(made, 3);
        assert!(first.fresh.is_empty(), "a first look is no news");
        for (what, next, links, fresh) in [
            ("the same", answer(7, &["a.ts", "b.ts", "c.ts"]), 0, vec![]),
            ("moved on by one", answer(8, &["b.ts", "c.ts", "d.ts"]), 1, vec!["d.ts"]),
            ("another name for a number", answer(7, &["a.ts", "x.ts", "c.ts"]), 1, vec![]),
            ("far ahead", answer(90, &["p", "q", "r", "s", "t"]), 5, vec!["r", "s", "t"]),
            ("begun anew", answer(0, &["a.ts"]), 1, vec![]),
        ] {
            let whole = make(None, answer_again(&next), terms()).0;
            let (second, made) = make(Some(&first), next, terms());
            assert_eq!(made, links, "{what}");
            assert_eq!(second.playlist.bytes, whole.playlist.bytes, "{what}");
            assert_eq!(second.playlist.etag, whole.playlist.etag, "{what}");
            assert_eq!(fresh_of(&second), fresh, "{what}");
        }
    }

    fn fresh_of(version: &Version) -> Vec<&str> {
        version.fresh.iter().filter_map(|one| one.url.rsplit('/').next()).collect()
    }

    #[test]
    fn what_players_ask_for_next() {
        let names = &["a.ts", "b.ts", "c.ts", "d.ts"];
        let elsewhere = Url::parse("http://origin.example/another/v.m3u8").unwrap();
        let moved = Terms { base: elsewhere.clone(), ..terms() };
        let renewed = Terms { generation: 2, ..moved.clone() };
        let from = |upstream| Numbers { upstream, published: 100, ..Numbers::default() };
        let switched = |upstream| Terms { splice: Some(from(upstream)), ..terms() };
        let (first, _) = make(None, answer(7, names), terms());
        for (what, last, base, terms, fresh) in [
            ("a first look", None, None, terms(), vec![]),
            ("nothing new", Some(&first), None, terms(), vec![]),
            ("another server each time", Some(&first), Some(&elsewhere), moved, vec![]),
            ("other tokens", Some(&first), Some(&elsewhere), renewed, vec!["b.ts", "c.ts", "d.ts"]),
            ("it plays again", Some(&first), None, switched(9), vec!["c.ts", "d.ts"]),
            ("who has just begun to play", None, None, switched(9), vec!["c.ts", "d.ts"]),
            ("nothing of it is published yet", None, None, switched(11), vec![]),
        ] {
            let mut next = answer(7, names);
            next.base = base.unwrap_or(&next.base).clone();
            let (version, _) = make(last, next, terms);
            assert_eq!(fresh_of(&version), fresh, "{what}");
        }
    }

    #[test]
    fn a_segment_is_of_no_use_without_its_map_and_key() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n\
            #EXT-X-MAP:URI=\"old.mp4\"\n#EXTINF:2,\na.m4s\n\
            #EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"9@4\"\n\
            #EXTINF:2,\nb.m4s\n";
        let answered = UpstreamAnswer { body: text.into(), ..answer(7, &[]) };
        let imported = Variables::default();
        let mut linker = |_: &Reference<'_>, out: &mut Vec<u8>| out.extend_from_slice(b"/x");
        let (first, _) = make(None, answer(7, &["a.m4s"]), terms());
        let version =
            Version::make(Some(&first), answered, terms(), &imported, "x", &mut linker).unwrap();
        assert_eq!(fresh_of(&version), ["b.m4s", "i.mp4", "k"]);
        let of: Vec<_> = version.fresh.iter().map(|one| (one.byte_range, one.stays)).collect();
        assert_eq!(of, [(None, false), (Some((9, 4)), true), (None, true)]);
    }

    #[test]
    fn what_is_missing_is_not_fetched() {
        let (first, _) = make(None, answer(7, &["a.ts"]), terms());
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2,\na.ts\n\
            #EXTINF:2,\nb.ts\n#EXT-X-GAP\n#EXTINF:2,\nc.ts\n";
        let answered = UpstreamAnswer { body: text.into(), ..answer(7, &[]) };
        let (version, _) = make(Some(&first), answered, terms());
        assert_eq!(fresh_of(&version), ["b.ts"]);
    }

    fn answer_again(answer: &UpstreamAnswer) -> UpstreamAnswer {
        let UpstreamAnswer { body, base, took } = answer;
        UpstreamAnswer { body: body.clone(), base: base.clone(), took: *took }
    }

    #[test]
    fn on_other_terms_nothing_is_taken_over() {
        let (first, _) = make(None, answer(7, &["a.ts"]), terms());
        for other in [
            Terms { seal_period: 2, ..terms() },
            Terms { expires: Some(1), ..terms() },
            Terms { extension: "aac", ..terms() },
            Terms { generation: 2, ..terms() },
            Terms { splice: Some(Numbers { published: 1, ..Numbers::default() }), ..terms() },
            Terms { base: Url::parse("http://other.example/live/v.m3u8").unwrap(), ..terms() },
        ] {
            assert_eq!(make(Some(&first), answer(7, &["a.ts"]), other).1, 1);
        }
    }
}
