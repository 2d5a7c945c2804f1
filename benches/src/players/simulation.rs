//! Simulates many players.

use std::cell::RefCell;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use url::Url;

use super::client::Connector;
use super::playback_statistics::PlaybackStatistics;
use super::viewer::Viewer;

/// A number of viewers of some playlists.
#[derive(Clone, Debug)]
pub struct ViewerSimulation {
    /// URLs of the playlists, over which the viewers are spread evenly.
    pub playlists: Vec<Url>,
    pub viewers: usize,
    pub duration: Duration,
    /// Time over which the viewers' arrivals are spread evenly.
    pub arrival_period: Duration,
}

impl ViewerSimulation {
    /// Runs all players on the current thread for [`Self::duration`].
    pub async fn run(&self, connector: &Connector) -> PlaybackStatistics {
        let statistics = RefCell::new(PlaybackStatistics::new());
        let began = Instant::now();
        let end = began + self.duration;
        let count = u32::try_from(self.viewers).unwrap_or(u32::MAX);
        let viewers = (0..count).zip(self.playlists.iter().cycle()).map(|(number, playlist)| {
            let statistics = &statistics;
            let arrival = began + self.arrival_period * number / count;
            async move {
                tokio::time::sleep_until(arrival).await;
                Viewer::new(connector, playlist.clone(), statistics).watch(end).await;
            }
        });
        join_all(viewers).await;
        statistics.into_inner()
    }
}

#[cfg(test)]
mod tests;
