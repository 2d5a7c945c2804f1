//! `pitwall bench`: virtual players against a playlist.

use std::time::Duration;

use anyhow::bail;
use pitwall_benches::players::{Connector, DelayHistogram, PlaybackStatistics, ViewerSimulation};
use pitwall_fetch::parse_url;
use tokio::time::{Instant, interval};

use crate::config::ConfigError;
use crate::file_descriptors;
use crate::terminal::{print_progress, print_text};

/// Viewers arrive one after the other within this fraction of the time, and at most 5 s.
const ARRIVAL_PERIOD_DIVISOR: u32 = 10;

pub(crate) fn run(against: &str, viewers: u32, duration: Duration) -> anyhow::Result<()> {
    let playlist = parse_url(against).map_err(|error| ConfigError::new("--against", error))?;
    let simulation = ViewerSimulation {
        playlists: vec![playlist],
        viewers: usize::try_from(viewers)?,
        duration,
        arrival_period: (duration / ARRIVAL_PERIOD_DIVISOR).min(Duration::from_secs(5)),
    };
    // Each viewer is a connection.
    file_descriptors::raise_open_file_limit();
    let connector = Connector::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    print_text(&format!("{viewers} viewers for {} s", duration.as_secs()));
    let statistics = runtime.block_on(watch_with_progress(&connector, &simulation));
    print_text(&format_statistics(&statistics, duration));
    if statistics.segments == 0 {
        bail!("nobody saw anything");
    }
    Ok(())
}

async fn watch_with_progress(
    connector: &Connector,
    simulation: &ViewerSimulation,
) -> PlaybackStatistics {
    let (started_at, mut ticks) = (Instant::now(), interval(Duration::from_secs(1)));
    let mut watching = std::pin::pin!(simulation.run(connector));
    loop {
        tokio::select! {
            statistics = &mut watching => {
                print_progress(None);
                return statistics;
            }
            _ = ticks.tick() => {
                let (elapsed, total) = (started_at.elapsed().as_secs(), simulation.duration.as_secs());
                print_progress(Some(&format!("{elapsed} of {total} s")));
            }
        }
    }
}

fn format_statistics(statistics: &PlaybackStatistics, duration: Duration) -> String {
    let rate = |count: u64| count as f64 / duration.as_secs_f64();
    let milliseconds = |microseconds: u64| microseconds as f64 / 1e3;
    let delays = |name: &str, histogram: &DelayHistogram| {
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        format!("{name:<14}p50 {:.1} ms, p99 {:.1} ms\n", at(0.5), at(0.99))
    };
    let mut text = format!(
        "stalls        {} ({:.2} % of the time after the start)\n",
        statistics.stalls,
        statistics.stall_ratio() * 100.0
    );
    text += &delays("start", &statistics.startup_delay);
    text += &delays("playlist", &statistics.playlist_delay);
    text += &delays("first byte", &statistics.first_byte_delay);
    text += &delays("segment", &statistics.segment_delay);
    text += &format!(
        "segments      {} ({} missed), {:.1} MB/s\nplaylists     {} ({:.1}/s)",
        statistics.segments,
        statistics.missed,
        rate(statistics.bytes) / 1e6,
        statistics.polls,
        rate(statistics.polls),
    );
    for (failure, count) in &statistics.failures {
        text += &format!("\nfailed        {count} x {failure}");
    }
    text
}
