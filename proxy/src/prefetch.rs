//! What a playlist tells of its segments is put to use: how long they are worth keeping, and
//! which ones viewers will ask for next. A playlist is only fetched when somebody polls it, so
//! nothing is fetched here that nobody watches.

use pitwall_fetch::parse_url;

use crate::playlists::version::{Segment, Version};
use crate::rooms::Rooms;
use crate::target::Target;

impl Rooms {
    /// `playlist` is where the version was had.
    pub fn follow(&self, version: &Version, playlist: &Target) {
        if let Some(segment) = version.segment() {
            self.storage.lifetimes.tell(&playlist.profile, segment, &version.tempo);
        }
        if version.tempo.end_list {
            return;
        }
        for segment in &version.fresh {
            let outcome = match self.prefetch(segment, playlist) {
                Some(true) => "fetched",
                Some(false) => "skipped",
                None => "refused",
            };
            self.metrics.prefetched.with_label_values(&[outcome]).inc();
        }
    }

    /// `None` for what may not be fetched.
    fn prefetch(&self, segment: &Segment, playlist: &Target) -> Option<bool> {
        let url = parse_url(&segment.url).ok()?;
        let map = self.store.current();
        let target = self.targets.of_profile(url, &playlist.profile, &map).ok()?;
        let target = Target { stream: playlist.stream.clone(), ..target };
        Some(self.storage.prefetch(target, segment.byte_range))
    }
}
