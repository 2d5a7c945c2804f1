//! One virtual player: it polls its playlist and fetches segments.

use std::cell::RefCell;
use std::time::Duration;

use pitwall_hls::analysis::{MediaPlaylist, Segment};
use pitwall_hls::{Playlist, PlaylistLimits, Variables, parse_playlist};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use url::Url;

use super::buffer::PlaybackBuffer;
use super::client::{Connector, PlaybackError, PlayerHttpClient};
use super::playback_statistics::PlaybackStatistics;
use super::playlist_cursor::{PlaylistCursor, reload_interval};
use super::variant_choice::VariantChoice;
use super::viewer_summary::ViewerSummary;

/// Buffered media beyond which a player delays its next segment request, which happens with
/// recordings.
const BUFFER_AHEAD_MAX: Duration = Duration::from_secs(30);

/// Playlists fetched to find a media playlist: a multivariant playlist and its variant.
const MULTIVARIANT_MAX_DEPTH: usize = 2;

pub(super) struct Viewer {
    client: PlayerHttpClient,
    number: u32,
    playlist: Url,
    variant: VariantChoice,
    /// When the simulation began; times of the timeline are since then.
    began: Instant,
    arrived_at: Instant,
    buffer: RefCell<PlaybackBuffer>,
    summary: RefCell<ViewerSummary>,
}

impl Viewer {
    /// The player with that number, of the playlist with that index.
    pub(super) fn new(
        connector: &Connector,
        number: u32,
        (index, playlist): (usize, &Url),
        variant: VariantChoice,
        began: Instant,
    ) -> Self {
        Self {
            client: PlayerHttpClient::new(connector),
            number,
            playlist: playlist.clone(),
            variant,
            began,
            arrived_at: Instant::now(),
            buffer: RefCell::default(),
            summary: RefCell::new(ViewerSummary { playlist: index, ..ViewerSummary::default() }),
        }
    }

    /// Plays until `end`, then records the viewer's totals.
    pub(super) async fn watch(self, statistics: &RefCell<PlaybackStatistics>, end: Instant) {
        statistics.borrow_mut().timeline.interval_at(self.began.elapsed()).arrivals += 1;
        let (segment_sender, segment_receiver) = mpsc::unbounded_channel();
        let playback = async {
            tokio::join!(
                self.poll_playlist(statistics, segment_sender),
                self.fetch_segments(statistics, segment_receiver)
            )
        };
        // Requests in flight at `end` are cancelled and not counted.
        let _ = timeout_at(end, playback).await;
        self.advance_buffer(statistics, None);
        let buffer = self.buffer.into_inner();
        let viewer = ViewerSummary {
            played: buffer.played,
            stalled: buffer.stalled,
            stalls: buffer.stalls,
            ..self.summary.into_inner()
        };
        statistics.borrow_mut().record_departure(self.began.elapsed(), viewer);
    }

    /// Plays until now, and appends `media` that has arrived; stalls go into the timeline.
    fn advance_buffer(&self, statistics: &RefCell<PlaybackStatistics>, media: Option<Duration>) {
        let (mut buffer, now) = (self.buffer.borrow_mut(), self.arrived_at.elapsed());
        let stalled_before = buffer.stalled;
        match media {
            Some(media) => buffer.append_media(now, media),
            None => buffer.advance_to(now),
        }
        let stalled = buffer.stalled - stalled_before;
        statistics.borrow_mut().timeline.record_stall(self.began.elapsed(), stalled);
    }

    fn record_failure(&self, statistics: &RefCell<PlaybackStatistics>, error: &PlaybackError) {
        self.summary.borrow_mut().failures += 1;
        statistics.borrow_mut().record_failure(self.began.elapsed(), error);
    }

    async fn poll_playlist(
        &self,
        statistics: &RefCell<PlaybackStatistics>,
        sender: mpsc::UnboundedSender<Segment>,
    ) {
        let mut url = self.playlist.clone();
        let mut cursor = PlaylistCursor::default();
        let mut interval = Duration::from_secs(1);
        loop {
            let started = Instant::now();
            match self.fetch_media_playlist(statistics, &mut url).await {
                Ok(media) => {
                    let new_segments = cursor.take_new_segments(&media);
                    interval = reload_interval(&media, !new_segments.is_empty());
                    self.summary.borrow_mut().missed = cursor.missed;
                    for segment in new_segments {
                        if sender.send(segment).is_err() {
                            return;
                        }
                    }
                    if media.has_end_list {
                        return;
                    }
                }
                Err(error) => self.record_failure(statistics, &error),
            }
            sleep_until(started + interval).await;
        }
    }

    /// Fetches the media playlist of `url`. When `url` is a multivariant playlist, `url` becomes
    /// the URL of this player's variant, so that reloads go there directly.
    async fn fetch_media_playlist(
        &self,
        statistics: &RefCell<PlaybackStatistics>,
        url: &mut Url,
    ) -> Result<MediaPlaylist, PlaybackError> {
        for _ in 0..MULTIVARIANT_MAX_DEPTH {
            let (base, body, timing) = self.client.fetch_playlist(url).await?;
            statistics.borrow_mut().record_poll(timing);
            match parse_playlist(&body, &base, &Variables::default(), &PlaylistLimits::default())? {
                Playlist::Media(media) => return Ok(media),
                Playlist::Multivariant(multivariant) => {
                    let variant = self.variant.choose(&multivariant, self.number);
                    *url = parse_url(&variant.ok_or(PlaybackError::EmptyPlaylist)?.url)?;
                }
            }
        }
        Err(PlaybackError::EmptyPlaylist)
    }

    async fn fetch_segments(
        &self,
        statistics: &RefCell<PlaybackStatistics>,
        mut segments: mpsc::UnboundedReceiver<Segment>,
    ) {
        let mut map = None;
        while let Some(segment) = segments.recv().await {
            let ahead = self.buffer.borrow().buffered_duration();
            if ahead > BUFFER_AHEAD_MAX {
                sleep(ahead - BUFFER_AHEAD_MAX).await;
            }
            if let Some(next) = segment.map.as_ref().filter(|next| map.as_ref() != Some(*next)) {
                self.fetch_segment(statistics, (&next.url, next.byte_range), None).await;
                map = Some(next.clone());
            }
            let duration = Duration::try_from_secs_f64(segment.duration).unwrap_or_default();
            let range = (segment.url.as_str(), segment.byte_range);
            self.fetch_segment(statistics, range, Some(duration)).await;
        }
    }

    /// Fetches a segment, or with `media: None` an EXT-X-MAP; a range is (length, offset) in bytes.
    async fn fetch_segment(
        &self,
        statistics: &RefCell<PlaybackStatistics>,
        (url, range): (&str, Option<(u64, u64)>),
        media: Option<Duration>,
    ) {
        let result = match parse_url(url) {
            Ok(url) => self.client.fetch_segment(&url, range).await,
            Err(error) => Err(error),
        };
        let timing = match result {
            Ok(timing) => timing,
            Err(error) => return self.record_failure(statistics, &error),
        };
        statistics.borrow_mut().record_segment(self.began.elapsed(), timing);
        {
            let mut summary = self.summary.borrow_mut();
            summary.segments += 1;
            summary.first_byte_delay += timing.first_byte;
            if let Some(media) = media {
                summary.media_bytes += timing.bytes;
                summary.media += media;
                if summary.startup.is_none() {
                    let after = self.arrived_at.elapsed();
                    summary.startup = Some(after);
                    statistics.borrow_mut().record_startup(after);
                }
            }
        }
        if media.is_some() {
            self.advance_buffer(statistics, media);
        }
    }
}

fn parse_url(url: &str) -> Result<Url, PlaybackError> {
    Url::parse(url).map_err(|_| PlaybackError::InvalidUrl(url.to_owned()))
}
