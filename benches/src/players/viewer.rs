//! One player, from the playlist to the last segment.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use pitwall_hls::analysis::{Media, Segment};
use pitwall_hls::{Limits, Playlist, Variables, analyse};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use url::Url;

use super::audience::Outcome;
use super::buffer::Buffer;
use super::client::{CannotPlay, Client, Connector};
use super::feed::{Feed, next_poll};

/// With so much of a recording ahead a player waits before it takes more.
const ENOUGH: Duration = Duration::from_secs(30);

/// Multivariant playlists that lead to multivariant playlists lead nowhere.
const DEPTH: usize = 2;

pub(super) struct Viewer<'a> {
    client: Client,
    playlist: Url,
    began: Instant,
    outcome: &'a RefCell<Outcome>,
    buffer: RefCell<Buffer>,
    missed: Cell<u64>,
}

impl<'a> Viewer<'a> {
    pub(super) fn new(connector: &Connector, playlist: Url, outcome: &'a RefCell<Outcome>) -> Self {
        Self {
            client: Client::new(connector),
            playlist,
            began: Instant::now(),
            outcome,
            buffer: RefCell::default(),
            missed: Cell::default(),
        }
    }

    /// Watches until `end`.
    pub(super) async fn watch(self, end: Instant) {
        let (found, segments) = mpsc::unbounded_channel();
        let both = async { tokio::join!(self.poll(found), self.take(segments)) };
        // Whatever is under way at the end is left: nobody watches it.
        let _ = timeout_at(end, both).await;
        let mut buffer = self.buffer.into_inner();
        buffer.advance(self.began.elapsed());
        self.outcome.borrow_mut().left(&buffer, self.missed.get());
    }

    async fn poll(&self, found: mpsc::UnboundedSender<Segment>) {
        let mut url = self.playlist.clone();
        let mut feed = Feed::default();
        let mut wait = Duration::from_secs(1);
        loop {
            let started = Instant::now();
            match self.media(&mut url).await {
                Ok(media) => {
                    let new = feed.take(&media);
                    wait = next_poll(&media, !new.is_empty());
                    self.missed.set(feed.missed);
                    for segment in new {
                        if found.send(segment).is_err() {
                            return;
                        }
                    }
                    if media.end_list {
                        return;
                    }
                }
                Err(error) => self.outcome.borrow_mut().failed(&error),
            }
            sleep_until(started + wait).await;
        }
    }

    /// The media playlist behind `url`, which becomes the media playlist's own.
    async fn media(&self, url: &mut Url) -> Result<Media, CannotPlay> {
        for _ in 0..DEPTH {
            let (base, body, timing) = self.client.playlist(url).await?;
            self.outcome.borrow_mut().polled(timing);
            match analyse(&body, &base, &Variables::default(), &Limits::default())? {
                Playlist::Media(media) => return Ok(media),
                Playlist::Master(master) => {
                    let variant = master.variants.first().ok_or(CannotPlay::Nothing)?;
                    *url = parse(&variant.url)?;
                }
            }
        }
        Err(CannotPlay::Nothing)
    }

    async fn take(&self, mut segments: mpsc::UnboundedReceiver<Segment>) {
        let mut map = None;
        while let Some(segment) = segments.recv().await {
            let ahead = self.buffer.borrow().ahead();
            if ahead > ENOUGH {
                sleep(ahead - ENOUGH).await;
            }
            if let Some(next) = segment.map.as_ref().filter(|next| map.as_ref() != Some(*next)) {
                self.fetch(&next.url, next.byte_range, None).await;
                map = Some(next.clone());
            }
            let duration = Duration::try_from_secs_f64(segment.duration).unwrap_or_default();
            self.fetch(&segment.url, segment.byte_range, Some(duration)).await;
        }
    }

    async fn fetch(&self, url: &str, range: Option<(u64, u64)>, media: Option<Duration>) {
        let taken = match parse(url) {
            Ok(url) => self.client.segment(&url, range).await,
            Err(error) => Err(error),
        };
        match (taken, media) {
            (Ok(timing), media) => {
                self.outcome.borrow_mut().took(timing);
                let Some(media) = media else { return };
                let mut buffer = self.buffer.borrow_mut();
                if !buffer.has_started() {
                    self.outcome.borrow_mut().started(self.began.elapsed());
                }
                buffer.push(self.began.elapsed(), media);
            }
            (Err(error), _) => self.outcome.borrow_mut().failed(&error),
        }
    }
}

fn parse(url: &str) -> Result<Url, CannotPlay> {
    Url::parse(url).map_err(|_| CannotPlay::Url(url.to_owned()))
}
