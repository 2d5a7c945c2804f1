//! One virtual player: it polls its playlist and fetches segments.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use pitwall_hls::analysis::{MediaPlaylist, Segment};
use pitwall_hls::{Playlist, PlaylistLimits, Variables, analyse};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use url::Url;

use super::buffer::PlaybackBuffer;
use super::client::{Connector, PlaybackError, PlayerHttpClient};
use super::playback_statistics::PlaybackStatistics;
use super::playlist_cursor::{PlaylistCursor, reload_interval};

/// Buffered media beyond which a player delays its next segment request, which happens with
/// recordings.
const BUFFER_AHEAD_MAX: Duration = Duration::from_secs(30);

/// Playlists fetched to find a media playlist: a multivariant playlist and its variant.
const MULTIVARIANT_MAX_DEPTH: usize = 2;

pub(super) struct Viewer<'a> {
    client: PlayerHttpClient,
    playlist: Url,
    started_at: Instant,
    statistics: &'a RefCell<PlaybackStatistics>,
    buffer: RefCell<PlaybackBuffer>,
    missed: Cell<u64>,
}

impl<'a> Viewer<'a> {
    pub(super) fn new(
        connector: &Connector,
        playlist: Url,
        statistics: &'a RefCell<PlaybackStatistics>,
    ) -> Self {
        Self {
            client: PlayerHttpClient::new(connector),
            playlist,
            started_at: Instant::now(),
            statistics,
            buffer: RefCell::default(),
            missed: Cell::default(),
        }
    }

    /// Plays until `end`, then records the viewer's totals.
    pub(super) async fn watch(self, end: Instant) {
        let (segment_sender, segment_receiver) = mpsc::unbounded_channel();
        let playback = async {
            tokio::join!(self.poll_playlist(segment_sender), self.fetch_segments(segment_receiver))
        };
        // Requests in flight at `end` are cancelled and not counted.
        let _ = timeout_at(end, playback).await;
        let mut buffer = self.buffer.into_inner();
        buffer.advance_to(self.started_at.elapsed());
        self.statistics.borrow_mut().record_departure(&buffer, self.missed.get());
    }

    async fn poll_playlist(&self, sender: mpsc::UnboundedSender<Segment>) {
        let mut url = self.playlist.clone();
        let mut cursor = PlaylistCursor::default();
        let mut interval = Duration::from_secs(1);
        loop {
            let started = Instant::now();
            match self.fetch_media_playlist(&mut url).await {
                Ok(media) => {
                    let new_segments = cursor.take_new_segments(&media);
                    interval = reload_interval(&media, !new_segments.is_empty());
                    self.missed.set(cursor.missed);
                    for segment in new_segments {
                        if sender.send(segment).is_err() {
                            return;
                        }
                    }
                    if media.has_end_list {
                        return;
                    }
                }
                Err(error) => self.statistics.borrow_mut().record_failure(&error),
            }
            sleep_until(started + interval).await;
        }
    }

    /// Fetches the media playlist of `url`. When `url` is a multivariant playlist, `url` becomes
    /// the URL of its first variant, so that reloads go there directly.
    async fn fetch_media_playlist(&self, url: &mut Url) -> Result<MediaPlaylist, PlaybackError> {
        for _ in 0..MULTIVARIANT_MAX_DEPTH {
            let (base, body, timing) = self.client.fetch_playlist(url).await?;
            self.statistics.borrow_mut().record_poll(timing);
            match analyse(&body, &base, &Variables::default(), &PlaylistLimits::default())? {
                Playlist::Media(media) => return Ok(media),
                Playlist::Multivariant(multivariant) => {
                    let variant =
                        multivariant.variants.first().ok_or(PlaybackError::EmptyPlaylist)?;
                    *url = parse_url(&variant.url)?;
                }
            }
        }
        Err(PlaybackError::EmptyPlaylist)
    }

    async fn fetch_segments(&self, mut segments: mpsc::UnboundedReceiver<Segment>) {
        let mut map = None;
        while let Some(segment) = segments.recv().await {
            let ahead = self.buffer.borrow().buffered_duration();
            if ahead > BUFFER_AHEAD_MAX {
                sleep(ahead - BUFFER_AHEAD_MAX).await;
            }
            if let Some(next) = segment.map.as_ref().filter(|next| map.as_ref() != Some(*next)) {
                self.fetch_segment(&next.url, next.byte_range, None).await;
                map = Some(next.clone());
            }
            let duration = Duration::try_from_secs_f64(segment.duration).unwrap_or_default();
            self.fetch_segment(&segment.url, segment.byte_range, Some(duration)).await;
        }
    }

    async fn fetch_segment(&self, url: &str, range: Option<(u64, u64)>, media: Option<Duration>) {
        let result = match parse_url(url) {
            Ok(url) => self.client.fetch_segment(&url, range).await,
            Err(error) => Err(error),
        };
        match (result, media) {
            (Ok(timing), media) => {
                self.statistics.borrow_mut().record_segment(timing);
                let Some(media) = media else { return };
                let mut buffer = self.buffer.borrow_mut();
                if !buffer.has_started() {
                    self.statistics.borrow_mut().record_startup(self.started_at.elapsed());
                }
                buffer.append_media(self.started_at.elapsed(), media);
            }
            (Err(error), _) => self.statistics.borrow_mut().record_failure(&error),
        }
    }
}

fn parse_url(url: &str) -> Result<Url, PlaybackError> {
    Url::parse(url).map_err(|_| PlaybackError::InvalidUrl(url.to_owned()))
}
