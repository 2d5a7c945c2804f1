//! [`SourceProgress`]: whether the source of a rendition goes on, by its own playlist and by the
//! segments that are fetched of it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How far a source has come, and which of its segments stall.
#[derive(Default)]
pub(super) struct SourceProgress {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    playlist: Option<PlaylistProgress>,
    /// By source, the numbers of segments of which nothing came for a while, with none between that
    /// was fetched.
    stalled_segments: BTreeSet<(String, u64)>,
}

struct PlaylistProgress {
    /// The last number that the playlist has had, in the source's own numbers.
    last_number: Option<u64>,
    advanced_at: Instant,
    polled_at: Instant,
}

impl SourceProgress {
    fn lock_inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything, because another source is published, or the same one behind a new splice
    /// point.
    pub(super) fn reset(&self) {
        *self.lock_inner() = Inner::default();
    }

    /// Records a fetched playlist that ends with the source's number `last_number`. Returns for how
    /// long the playlist has had no new segment.
    pub(super) fn record_playlist(&self, last_number: Option<u64>, target: Duration) -> Duration {
        let now = Instant::now();
        let new = PlaylistProgress { last_number, advanced_at: now, polled_at: now };
        let mut inner = self.lock_inner();
        let playlist = inner.playlist.get_or_insert(new);
        // After a pause without polls the playlist may have advanced just now.
        if last_number > playlist.last_number || playlist.polled_at.elapsed() > target * 2 {
            playlist.advanced_at = now;
        }
        // A server of the source that is behind the others is no progress, nor is the next one.
        playlist.last_number = playlist.last_number.max(last_number);
        playlist.polled_at = now;
        playlist.advanced_at.elapsed()
    }

    /// Records that nothing comes of a segment of this source.
    pub(super) fn record_stalled_segment(&self, source: &str, number: u64) {
        self.lock_inner().stalled_segments.insert((source.to_owned(), number));
    }

    /// Records that a segment of this source was fetched.
    pub(super) fn record_fetched_segment(&self, source: &str) {
        self.lock_inner().stalled_segments.retain(|(one, _)| one != source);
    }

    /// How many segments of this source have stalled since one was fetched.
    pub(super) fn count_stalled_segments(&self, source: &str) -> usize {
        self.lock_inner().stalled_segments.iter().filter(|(one, _)| one == source).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_segments_stall_if_none_was_fetched_between() {
        let progress = SourceProgress::default();
        let stall = |number: u64| progress.record_stalled_segment("club", number);
        stall(7);
        stall(7);
        assert_eq!(progress.count_stalled_segments("club"), 1, "the same one again");
        // A fetch of the source before ends late.
        progress.record_stalled_segment("spare", 6);
        progress.record_fetched_segment("spare");
        assert_eq!(progress.count_stalled_segments("club"), 1, "of another source");
        stall(8);
        assert_eq!(progress.count_stalled_segments("club"), 2);
        progress.record_fetched_segment("club");
        stall(9);
        assert_eq!(progress.count_stalled_segments("club"), 1, "one was fetched");
    }

    #[tokio::test(start_paused = true)]
    async fn a_playlist_stands_still_that_has_no_new_segment() {
        let progress = SourceProgress::default();
        let target = Duration::from_secs(6);
        for (what, seconds, last_number, expected) in [
            ("the first poll", 0, Some(7), 0),
            ("nothing new", 4, Some(7), 4),
            ("nothing new still", 4, Some(7), 8),
            ("a segment", 4, Some(8), 0),
            ("a server that is behind", 4, Some(7), 4),
            ("and one that is not", 2, Some(8), 6),
            ("a pause without polls", 13, Some(8), 0),
        ] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            let stands = progress.record_playlist(last_number, target);
            assert_eq!(stands.as_secs(), expected, "{what}");
        }
    }
}
