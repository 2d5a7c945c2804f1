//! Low latency across a change of source: players wait for numbers of ours, upstreams for their own.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::splice::switch;
use crate::support::{Edge, eventually, fetch};
use crate::twins::{edge, json};
use crate::viewer::{Viewer, media};

const TARGET: u64 = 6;
const PARTS: u64 = 4;
/// How far the second one's numbers are ahead.
const OFFSET: u64 = 7000;

/// Two sources of one picture, which goes on when a test says so.
struct Upstream {
    /// When its first segment began: Unix seconds.
    began: u64,
    /// So many parts there are.
    parts: watch::Sender<u64>,
    /// Every request for a playlist: whose, and what it asked for.
    asked: Mutex<Vec<(String, String)>>,
}

impl Upstream {
    fn goes_on(&self, parts: u64) {
        self.parts.send_modify(|there| *there += parts);
    }

    /// The number of the segment that is under way.
    fn number(&self) -> u64 {
        *self.parts.borrow() / PARTS
    }

    fn was_asked(&self, name: &str, query: &str) -> bool {
        let asked = self.asked.lock().unwrap();
        asked.iter().any(|(whose, what)| whose == name && what == query)
    }

    fn playlist(&self, offset: u64) -> String {
        let parts = *self.parts.borrow();
        let number = parts / PARTS;
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{TARGET}\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=4.5\n\
             #EXT-X-PART-INF:PART-TARGET=1.5\n#EXT-X-MEDIA-SEQUENCE:{}\n",
            number - 5 + offset
        );
        for n in number - 5..=number {
            let date = i64::try_from(self.began + n * TARGET).unwrap();
            let date = jiff::Timestamp::from_second(date).unwrap();
            text += &format!("#EXT-X-PROGRAM-DATE-TIME:{date}\n");
            for part in (0..PARTS).filter(|part| n + 2 > number && n * PARTS + part < parts) {
                let name = n + offset;
                text += &format!("#EXT-X-PART:DURATION=1.5,URI=\"{name}.{part}.ts\"\n");
            }
            if n < number {
                text += &format!("#EXTINF:{TARGET},\n{}.ts\n", n + offset);
            }
        }
        let (name, part) = (number + offset, parts % PARTS);
        text + &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}.{part}.ts\"\n")
    }
}

async fn answer(
    State(upstream): State<Arc<Upstream>>,
    Path((name, file)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    if file != "live.m3u8" {
        let mut bytes = vec![0; 64_000];
        bytes.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
        bytes[1000..1000 + file.len()].copy_from_slice(file.as_bytes());
        return bytes.into_response();
    }
    let offset = if name == "first" { 0 } else { OFFSET };
    let query = query.unwrap_or_default();
    upstream.asked.lock().unwrap().push((name, query.clone()));
    let value = |name: &str| {
        let value = query.split('&').find_map(|one| one.strip_prefix(name))?;
        Some(value.parse::<u64>().unwrap())
    };
    if let Some(number) = value("_HLS_msn=") {
        // Without a part it is the whole segment that is waited for.
        let part = value("_HLS_part=").unwrap_or(PARTS - 1);
        let wanted = (number - offset) * PARTS + part;
        upstream.parts.subscribe().wait_for(|parts| *parts > wanted).await.unwrap();
    }
    upstream.playlist(offset).into_response()
}

async fn upstream() -> (String, Arc<Upstream>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let upstream = Arc::new(Upstream {
        began: now - 10 * TARGET,
        parts: watch::Sender::new(10 * PARTS + 1),
        asked: Mutex::default(),
    });
    let router = Router::new().route("/{name}/{file}", get(answer)).with_state(upstream.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://{address}"), upstream)
}

/// The number that follows the segments of a playlist, and the links of the parts behind them.
fn end_of(text: &str) -> (u64, Vec<String>) {
    let first = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    let is_segment = |line: &&str| line.starts_with('/');
    let next =
        first.unwrap().parse::<u64>().unwrap() + text.lines().filter(is_segment).count() as u64;
    let parts = text.lines().rev().take_while(|line| !is_segment(line));
    let link = |line: &str| line.strip_prefix("#EXT-X-PART:")?.split('"').nth(1).map(str::to_owned);
    let mut links: Vec<_> = parts.filter_map(link).collect();
    links.reverse();
    (next, links)
}

/// A player that asks for what is not there yet.
fn waits(url: &str, number: u64, part: u64) -> JoinHandle<String> {
    let url = format!("{url}?_HLS_msn={number}&_HLS_part={part}");
    tokio::spawn(async move {
        let answer = fetch(&url).await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        answer.text().await.unwrap()
    })
}

struct Player {
    url: [String; 1],
    seen: Viewer,
}

impl Player {
    /// Asks for a part of the next segment, which is there `parts` later. The source was asked for
    /// `query`.
    async fn waits(
        &mut self,
        upstream: &Upstream,
        part: u64,
        (name, query): (&str, &str),
        parts: u64,
    ) -> (u64, Vec<String>) {
        let number = self.seen.last() + 1;
        let mut answer = waits(&self.url[0], number, part);
        let asked = || async { upstream.was_asked(name, query).then_some(()) };
        eventually(query, asked).await;
        assert!(futures::poll!(&mut answer).is_pending(), "{query}");
        upstream.goes_on(parts);
        let text = answer.await.unwrap();
        self.seen.sees(query, &text);
        let end = end_of(&text);
        assert!(
            end.0 > number || (end.0 == number && end.1.len() as u64 > part),
            "{number}.{part}: {text}"
        );
        end
    }
}

/// What comes by this link.
async fn named(edge: &Edge, link: &str) -> String {
    let answer = fetch(&edge.url(link)).await.unwrap();
    assert_eq!(answer.status(), 200, "{link}");
    let bytes = answer.bytes().await.unwrap();
    bytes[1000..]
        .iter()
        .take_while(|byte| **byte != 0 && **byte != 0x47)
        .map(|byte| char::from(*byte))
        .collect()
}

/// Until its next poll is one of the second source.
async fn moves_on(edge: &Edge) {
    switch(edge, "second").await;
    eventually("the second plays", || async {
        let stream = json(&edge.url("/api/streams/world-feed")).await?;
        let mut sources = stream["sources"].as_array()?.iter();
        sources.any(|one| one["name"] == "second" && one["active"] == true).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_player_waits_for_parts_across_a_switch() {
    let (site, upstream) = upstream().await;
    let edge = edge(&site).await;
    let url = [media(&edge.url("")).await];
    let mut player = Player { url: url.clone(), seen: Viewer::default() };
    player.seen.polls("as it began", &url[0]).await;
    let began = player.seen.last();
    assert_eq!(began + 1, upstream.number(), "as the first source counts");
    let query = format!("_HLS_msn={}&_HLS_part=1", began + 1);
    let (_, parts) = player.waits(&upstream, 1, ("first", &query), 1).await;
    assert_eq!(named(&edge, &parts[1]).await, format!("{}.1.ts", began + 1));

    moves_on(&edge).await;
    player.seen.polls("switched", &url[0]).await;
    // Its first segment follows a discontinuity, and is not given in parts.
    let first = began + 1 + OFFSET;
    let query = format!("_HLS_msn={first}");
    let (next, parts) = player.waits(&upstream, 2, ("second", &query), 3).await;
    assert_eq!((next, parts.len()), (began + 2, 1));
    assert_eq!(player.seen.discontinuity(), 1);
    assert_eq!(named(&edge, player.seen.newest()).await, format!("{first}.ts"));
    assert_eq!(named(&edge, &parts[0]).await, format!("{}.0.ts", first + 1));

    // From there on as before, and what is new has its own number.
    for part in [1, 2, 3] {
        let query = format!("_HLS_msn={}&_HLS_part={part}", first + 1);
        let (next, parts) = player.waits(&upstream, part, ("second", &query), 1).await;
        match parts.last() {
            Some(newest) => {
                assert_eq!(named(&edge, newest).await, format!("{}.{part}.ts", first + 1));
            }
            None => assert_eq!((next, part), (began + 3, 3), "the segment is whole"),
        }
    }
    // What is published is not waited for.
    let asked = upstream.asked.lock().unwrap().len();
    let text = waits(&url[0], began, 0).await.unwrap();
    player.seen.sees("published", &text);
    let asked = upstream.asked.lock().unwrap().split_off(asked);
    assert!(asked.iter().all(|(_, query)| query.is_empty()), "{asked:?}");
    assert_eq!(player.seen.discontinuity(), 1, "one switch is one discontinuity");
    player.seen.has_seen_all();
}

/// It is answered by who plays then, and brings the one that it waited for not back.
#[tokio::test]
async fn a_player_may_wait_for_a_source_that_plays_no_more() {
    let (site, upstream) = upstream().await;
    let edge = edge(&site).await;
    let url = [media(&edge.url("")).await];
    let mut player = Viewer::default();
    player.polls("as it began", &url[0]).await;
    let next = player.last() + 1;
    let late = waits(&url[0], next, 3);
    let query = format!("_HLS_msn={next}&_HLS_part=3");
    let asked = || async { upstream.was_asked("first", &query).then_some(()) };
    eventually("it waits", asked).await;
    moves_on(&edge).await;
    player.polls("switched", &url[0]).await;
    upstream.goes_on(3);
    player.sees("late", &late.await.unwrap());
    for _ in 0..2 {
        upstream.goes_on(PARTS);
        player.watch_until("on", &url, |player| player.last() > next).await;
        assert_eq!(player.discontinuity(), 1, "one switch is one discontinuity");
    }
    player.has_seen_all();
}
