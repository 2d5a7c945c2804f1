//! The last playlist of each rendition that could be had.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::playlists::Playlist;

#[derive(Default)]
pub(super) struct LastGood(Mutex<HashMap<(String, String), Arc<Playlist>>>);

impl LastGood {
    pub(super) fn keep(&self, stream: &str, rendition: &str, playlist: &Arc<Playlist>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, playlist| playlist.fetched.elapsed() < playlist.bridges());
        kept.insert((stream.to_owned(), rendition.to_owned()), playlist.clone());
    }

    pub(super) fn recent(&self, stream: &str, rendition: &str) -> Option<Arc<Playlist>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let playlist = kept.get(&(stream.to_owned(), rendition.to_owned()))?;
        (playlist.fetched.elapsed() < playlist.bridges()).then(|| playlist.clone())
    }
}
