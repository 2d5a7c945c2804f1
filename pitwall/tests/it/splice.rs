//! A stream goes on when its source changes: what a player sees that polls one playlist.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::{client, fetch};
use crate::twins::{TOKEN, edge, upstream};

/// What a player has seen, poll by poll.
#[derive(Default)]
struct Player {
    head: u64,
    /// Line by number, with its discontinuity number.
    seen: BTreeMap<u64, (String, u64)>,
}

impl Player {
    fn sees(&mut self, text: &str) {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.parse::<u64>().unwrap())
        };
        let mut number = value("#EXT-X-MEDIA-SEQUENCE:").unwrap();
        let mut discontinuity = value("#EXT-X-DISCONTINUITY-SEQUENCE:").unwrap_or_default();
        assert!(number >= self.head, "it steps back from {} to {number}", self.head);
        self.head = number;
        for line in text.lines() {
            if line == "#EXT-X-DISCONTINUITY" {
                discontinuity += 1;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let now = (line.to_owned(), discontinuity);
            let seen = self.seen.entry(number).or_insert_with(|| now.clone());
            assert_eq!(*seen, now, "{number} has changed");
            assert!(line.contains(&format!("/{number}.ts?u=")), "{number} is {line}");
            number += 1;
        }
    }

    fn discontinuities(&self) -> u64 {
        self.seen.values().last().unwrap().1
    }
}

#[tokio::test]
async fn a_player_that_polls_one_playlist_never_sees_a_switch() {
    let (site, broken) = upstream().await;
    let edge = edge(&site).await;
    let multivariant = fetch(&edge.url("/live/world-feed/index.m3u8")).await.unwrap();
    let text = multivariant.text().await.unwrap();
    let media = text.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap();
    let media = edge.url(&format!("/live/world-feed/{media}"));
    let mut player = Player::default();
    // First by command, then because the source that plays is refused, each way once.
    for (what, expected) in [("as it began", 0), ("second", 1), ("first", 2), ("broken", 3)] {
        match what {
            "as it began" => {}
            "broken" => broken.store(true, Ordering::SeqCst),
            source => {
                let switch = client().post(edge.url("/api/streams/world-feed/switch"));
                let switch = switch.bearer_auth(TOKEN).header("content-type", "application/json");
                let body = format!("{{\"source\":\"{source}\",\"pin\":true}}");
                assert_eq!(switch.body(body).send().await.unwrap().status(), 200);
            }
        }
        let done = async {
            loop {
                let answer = fetch(&media).await.unwrap();
                assert_eq!(answer.status(), 200, "{what}");
                player.sees(&answer.text().await.unwrap());
                if player.discontinuities() == expected && !player.seen.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let done = tokio::time::timeout(Duration::from_secs(30), done).await;
        assert!(done.is_ok(), "{what}: {:?}", player.seen);
    }
    // The first source numbers by the clock: as what follows is chosen by date, published numbers
    // still do, so that nothing came twice and nothing was left out.
    let (first, last) = (*player.seen.keys().min().unwrap(), *player.seen.keys().max().unwrap());
    assert_eq!(player.seen.len() as u64, last - first + 1);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 2;
    assert!((last..last + 4).contains(&clock), "{last} is published at {clock}");
    let newest = &player.seen[&last].0;
    assert_eq!(fetch(&edge.url(newest)).await.unwrap().status(), 200, "{newest}");
}
