//! [`Viewer`]: a player that polls playlists and asserts what RFC 8216 requires of their updates.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::fetch;

/// Loads the multivariant playlist; the URL of its first media playlist.
pub(crate) async fn find_media_playlist(base: &str) -> String {
    let multivariant = fetch(&format!("{base}/live/world-feed/index.m3u8")).await.unwrap();
    assert_eq!(multivariant.status(), 200);
    let text = multivariant.text().await.unwrap();
    let media = text.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap();
    format!("{base}/live/world-feed/{media}")
}

/// The playlists that a player has loaded, from one edge or from several.
#[derive(Default)]
pub(crate) struct Viewer {
    /// By URL, of the last response: media sequence number, discontinuity sequence number, and
    /// target duration.
    playlist_heads: BTreeMap<String, (u64, u64, u64)>,
    /// By media sequence number: the segment's URI line and its discontinuity sequence number.
    seen: BTreeMap<u64, (String, u64)>,
    /// Whether the last playlist had EXT-X-ENDLIST.
    pub(crate) ended: bool,
}

impl Viewer {
    /// Records a playlist.
    ///
    /// # Panics
    /// When sequence numbers go back, a segment or the target duration changes, or a link has
    /// another number than its segment.
    pub(crate) fn record_playlist(&mut self, url: &str, text: &str) {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.parse::<u64>().unwrap())
        };
        let mut number = value("#EXT-X-MEDIA-SEQUENCE:").unwrap();
        let mut discontinuity = value("#EXT-X-DISCONTINUITY-SEQUENCE:").unwrap_or_default();
        let head = (number, discontinuity, value("#EXT-X-TARGETDURATION:").unwrap());
        if let Some(last) = self.playlist_heads.insert(url.to_owned(), head) {
            assert!(
                head.0 >= last.0 && head.1 >= last.1,
                "{url}: from {last:?} to {head:?}: {text}"
            );
            assert_eq!(head.2, last.2, "{url}: the target duration changes");
        }
        self.ended = text.lines().any(|line| line == "#EXT-X-ENDLIST");
        for line in text.lines() {
            if line == "#EXT-X-DISCONTINUITY" {
                discontinuity += 1;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let current = (line.to_owned(), discontinuity);
            let seen = self.seen.entry(number).or_insert_with(|| current.clone());
            assert_eq!(*seen, current, "{url}: {number} has changed: {text}");
            assert!(line.contains(&format!("/{number}.ts?u=")), "{number} is {line}");
            number += 1;
        }
    }

    pub(crate) async fn poll(&mut self, what: &str, url: &str) {
        let response = fetch(url).await.unwrap();
        assert_eq!(response.status(), 200, "{what}");
        self.record_playlist(url, &response.text().await.unwrap());
    }

    /// Polls each of `urls` every 200 ms until `condition` holds.
    ///
    /// # Panics
    /// After 40 s.
    pub(crate) async fn watch_until(
        &mut self,
        what: &str,
        urls: &[String],
        condition: impl Fn(&Self) -> bool,
    ) {
        let deadline = Instant::now() + Duration::from_secs(40);
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        loop {
            for url in urls {
                self.poll(what, url).await;
            }
            if condition(self) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: not in 40 s: {:?}", self.seen);
            ticks.tick().await;
        }
    }

    /// Polls each of `urls` for `time`.
    pub(crate) async fn watch_for(&mut self, time: Duration, urls: &[String]) {
        let deadline = Instant::now() + time;
        self.watch_until("on", urls, |_| Instant::now() >= deadline).await;
    }

    /// The discontinuity sequence number of the newest segment, 0 without one.
    pub(crate) fn discontinuity_sequence(&self) -> u64 {
        self.seen.values().last().map_or(0, |last| last.1)
    }

    /// The last target duration of every polled URL.
    pub(crate) fn target_durations(&self) -> Vec<u64> {
        self.playlist_heads.values().map(|head| head.2).collect()
    }

    pub(crate) fn has_seen_anything(&self) -> bool {
        !self.seen.is_empty()
    }

    /// The media sequence number of the oldest segment.
    pub(crate) fn first(&self) -> u64 {
        self.seen.keys().next().copied().unwrap()
    }

    /// The media sequence number of the newest segment.
    pub(crate) fn last(&self) -> u64 {
        self.seen.keys().last().copied().unwrap()
    }

    /// The URI line and discontinuity sequence number of a segment.
    pub(crate) fn line(&self, number: u64) -> Option<&(String, u64)> {
        self.seen.get(&number)
    }

    /// The URI line of the newest segment.
    pub(crate) fn newest(&self) -> &str {
        &self.seen.values().last().unwrap().0
    }

    /// The URI lines of all segments from this media sequence number on.
    pub(crate) fn lines_from(&self, number: u64) -> impl Iterator<Item = &str> {
        self.seen.range(number..).map(|(_, (line, _))| line.as_str())
    }

    /// Asserts that no media sequence number is missing; the newest one.
    pub(crate) fn assert_no_gap(&self) -> u64 {
        let (first, last) = (self.first(), self.last());
        assert_eq!(self.seen.len() as u64, last - first + 1, "{:?}", self.seen.keys());
        last
    }
}
