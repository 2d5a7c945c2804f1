//! A player that polls playlists, and what it must never see.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::fetch;

/// What a player loads first, and the playlist that it finds there.
pub(crate) async fn media(base: &str) -> String {
    let multivariant = fetch(&format!("{base}/live/world-feed/index.m3u8")).await.unwrap();
    assert_eq!(multivariant.status(), 200);
    let text = multivariant.text().await.unwrap();
    let media = text.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap();
    format!("{base}/live/world-feed/{media}")
}

/// What it has seen, poll by poll, wherever it polled.
#[derive(Default)]
pub(crate) struct Viewer {
    /// By URL: the first number, the discontinuity number there, and the target duration.
    heads: BTreeMap<String, (u64, u64, u64)>,
    /// Line by number, with its discontinuity number.
    seen: BTreeMap<u64, (String, u64)>,
    pub(crate) ended: bool,
}

impl Viewer {
    pub(crate) fn sees(&mut self, url: &str, text: &str) {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.parse::<u64>().unwrap())
        };
        let mut number = value("#EXT-X-MEDIA-SEQUENCE:").unwrap();
        let mut discontinuity = value("#EXT-X-DISCONTINUITY-SEQUENCE:").unwrap_or_default();
        let head = (number, discontinuity, value("#EXT-X-TARGETDURATION:").unwrap());
        if let Some(last) = self.heads.insert(url.to_owned(), head) {
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
            let now = (line.to_owned(), discontinuity);
            let seen = self.seen.entry(number).or_insert_with(|| now.clone());
            assert_eq!(*seen, now, "{url}: {number} has changed: {text}");
            assert!(line.contains(&format!("/{number}.ts?u=")), "{number} is {line}");
            number += 1;
        }
    }

    pub(crate) async fn polls(&mut self, what: &str, url: &str) {
        let answer = fetch(url).await.unwrap();
        assert_eq!(answer.status(), 200, "{what}");
        self.sees(url, &answer.text().await.unwrap());
    }

    /// Polls these in turn, each twice a second, until it has seen what it waits for.
    pub(crate) async fn watch_until(
        &mut self,
        what: &str,
        urls: &[String],
        is: impl Fn(&Self) -> bool,
    ) {
        let deadline = Instant::now() + Duration::from_secs(40);
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        loop {
            for url in urls {
                self.polls(what, url).await;
            }
            if is(self) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: not in 40 s: {:?}", self.seen);
            ticks.tick().await;
        }
    }

    pub(crate) async fn watch_for(&mut self, time: Duration, urls: &[String]) {
        let deadline = Instant::now() + time;
        self.watch_until("on", urls, |_| Instant::now() >= deadline).await;
    }

    /// Of what it saw last.
    pub(crate) fn discontinuity(&self) -> u64 {
        self.seen.values().last().map_or(0, |last| last.1)
    }

    /// Of every playlist that it polled, as it said last.
    pub(crate) fn target_durations(&self) -> Vec<u64> {
        self.heads.values().map(|head| head.2).collect()
    }

    pub(crate) fn sees_anything(&self) -> bool {
        !self.seen.is_empty()
    }

    pub(crate) fn first(&self) -> u64 {
        self.seen.keys().next().copied().unwrap()
    }

    pub(crate) fn last(&self) -> u64 {
        self.seen.keys().last().copied().unwrap()
    }

    /// And its discontinuity number.
    pub(crate) fn line(&self, number: u64) -> Option<&(String, u64)> {
        self.seen.get(&number)
    }

    pub(crate) fn newest(&self) -> &str {
        &self.seen.values().last().unwrap().0
    }

    /// The lines of all numbers from this one on.
    pub(crate) fn lines_from(&self, number: u64) -> impl Iterator<Item = &str> {
        self.seen.range(number..).map(|(_, (line, _))| line.as_str())
    }

    /// Without a gap; says which number was the last.
    pub(crate) fn has_seen_all(&self) -> u64 {
        let (first, last) = (self.first(), self.last());
        assert_eq!(self.seen.len() as u64, last - first + 1, "{:?}", self.seen.keys());
        last
    }
}
