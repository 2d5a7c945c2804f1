//! The last successfully fetched playlist of each rendition, kept for its stale-if-error lifetime.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::playlist::Playlist;

/// The last good playlists, by stream and rendition.
#[derive(Default)]
pub(super) struct LastGoodPlaylists(Mutex<HashMap<(String, String), Arc<Playlist>>>);

impl LastGoodPlaylists {
    pub(super) fn insert(&self, stream: &str, rendition: &str, playlist: &Arc<Playlist>) {
        let mut playlists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        playlists.retain(|_, playlist| {
            playlist.fetched_at.elapsed() < playlist.stale_if_error_lifetime()
        });
        playlists.insert((stream.to_owned(), rendition.to_owned()), playlist.clone());
    }

    /// The last good playlist, if its stale-if-error lifetime has not passed.
    pub(super) fn get_recent(&self, stream: &str, rendition: &str) -> Option<Arc<Playlist>> {
        let playlists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let playlist = playlists.get(&(stream.to_owned(), rendition.to_owned()))?;
        (playlist.fetched_at.elapsed() < playlist.stale_if_error_lifetime())
            .then(|| playlist.clone())
    }
}
