//! Simulates many players.

use std::cell::RefCell;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use url::Url;

use super::client::Connector;
use super::playback_statistics::PlaybackStatistics;
use super::variant_choice::VariantChoice;
use super::viewer::Viewer;

/// How often players' timers are compared with the clock.
const LAG_CHECK_PERIOD: Duration = Duration::from_millis(20);

/// A number of viewers of some playlists.
#[derive(Clone, Debug)]
pub struct ViewerSimulation {
    /// URLs of the playlists, over which the viewers are spread evenly.
    pub playlists: Vec<Url>,
    pub viewers: usize,
    pub duration: Duration,
    /// Time over which the viewers' arrivals are spread evenly.
    pub arrival_period: Duration,
    pub variant: VariantChoice,
}

/// Every `of`-th player, from player `index` on: what one of several threads simulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayerShare {
    pub index: u32,
    pub of: u32,
}

impl ViewerSimulation {
    /// Runs all players on the current thread for [`Self::duration`].
    pub async fn run(&self, connector: &Connector) -> PlaybackStatistics {
        self.run_share(connector, PlayerShare { index: 0, of: 1 }).await
    }

    /// Runs some of the players on the current thread, for [`Self::duration`] or until the last of
    /// them has seen its recording.
    pub async fn run_share(&self, connector: &Connector, share: PlayerShare) -> PlaybackStatistics {
        let statistics = RefCell::new(PlaybackStatistics::new(self.duration));
        let began = Instant::now();
        let end = began + self.duration;
        let count = u32::try_from(self.viewers).unwrap_or(u32::MAX);
        let playlists = self.playlists.iter().enumerate().cycle();
        let viewers =
            (0..count).zip(playlists).filter(|(number, _)| number % share.of == share.index);
        let viewers = viewers.map(|(number, (index, playlist))| {
            let statistics = &statistics;
            let arrival = began + self.arrival_period.mul_f64(f64::from(number) / f64::from(count));
            let variant = self.variant;
            async move {
                tokio::time::sleep_until(arrival).await;
                let viewer = Viewer::new(connector, number, (index, playlist), variant, began);
                viewer.watch(statistics, end).await;
            }
        });
        tokio::select! {
            _ = join_all(viewers) => {}
            () = measure_timer_lag(&statistics, began) => {}
        }
        statistics.into_inner()
    }
}

/// Compares timers with the clock, without end: players are late by as much.
async fn measure_timer_lag(statistics: &RefCell<PlaybackStatistics>, began: Instant) {
    loop {
        let due = Instant::now() + LAG_CHECK_PERIOD;
        tokio::time::sleep_until(due).await;
        statistics.borrow_mut().record_lag(began.elapsed(), due.elapsed());
    }
}

#[cfg(test)]
mod tests;
