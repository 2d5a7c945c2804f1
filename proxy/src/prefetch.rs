//! What a playlist tells of its segments is put to use: how long they are worth keeping, and
//! which ones viewers will ask for next. A playlist is only fetched when somebody polls it, so
//! nothing is fetched here that nobody watches.

use pitwall_fetch::parse_url;

use crate::playlists::version::{Resource, Version};
use crate::problem::Problem;
use crate::rooms::Rooms;
use crate::storage::Ahead;
use crate::target::Target;

impl Rooms {
    /// `playlist` is where the version was had. Says what it has fetched for those who will ask.
    pub fn follow(&self, version: &Version, playlist: &Target) -> Vec<Ahead> {
        if let Some(segment) = version.segment() {
            self.storage.lifetimes.tell(&playlist.profile, segment, &version.tempo);
        }
        if version.tempo.end_list {
            return Vec::new();
        }
        let fetch = |resource| {
            let ahead = self.prefetch(resource, playlist);
            let outcome = match &ahead {
                Ahead::Coming { joined: false, .. } | Ahead::Renewed => Some("fetched"),
                Ahead::Skipped => Some("skipped"),
                Ahead::Refused(_) => Some("refused"),
                Ahead::Coming { joined: true, .. } | Ahead::Stored => None,
            };
            if let Some(outcome) = outcome {
                self.metrics.prefetched.with_label_values(&[outcome]).inc();
            }
            ahead
        };
        version.fresh.iter().map(fetch).collect()
    }

    fn prefetch(&self, resource: &Resource, playlist: &Target) -> Ahead {
        let map = self.store.current();
        let target = parse_url(&resource.url)
            .map_err(Problem::from)
            .and_then(|url| self.targets.of_profile(url, &playlist.profile, &map));
        match target {
            Ok(target) => {
                let target = Target { stream: playlist.stream.clone(), ..target };
                self.storage.prefetch(&target, resource.byte_range, resource.stays)
            }
            Err(problem) => Ahead::Refused(problem),
        }
    }
}
