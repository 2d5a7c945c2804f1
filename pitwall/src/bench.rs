//! Virtual players against a playlist.

use std::time::Duration;

use anyhow::bail;
use pitwall_benches::players::{Audience, Connector, Delays, Outcome};
use pitwall_fetch::parse_url;
use tokio::time::{Instant, interval};

use crate::cli::{progress, say};
use crate::config::Invalid;
use crate::descriptors;

/// Viewers come one after the other within the first part of the time.
const ARRIVAL: u32 = 10;

pub(crate) fn run(against: &str, viewers: u32, duration: Duration) -> anyhow::Result<()> {
    let playlist = parse_url(against).map_err(|error| Invalid::new("--against", error))?;
    let audience = Audience {
        playlists: vec![playlist],
        viewers: usize::try_from(viewers)?,
        duration,
        arrival: (duration / ARRIVAL).min(Duration::from_secs(5)),
    };
    // A connection each.
    descriptors::raise();
    let connector = Connector::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    say(&format!("{viewers} viewers for {} s", duration.as_secs()));
    let outcome = runtime.block_on(watch(&connector, &audience));
    say(&describe(&outcome, duration));
    if outcome.segments == 0 {
        bail!("nobody saw anything");
    }
    Ok(())
}

async fn watch(connector: &Connector, audience: &Audience) -> Outcome {
    let (began, mut seconds) = (Instant::now(), interval(Duration::from_secs(1)));
    let mut watching = std::pin::pin!(audience.watch(connector));
    loop {
        tokio::select! {
            outcome = &mut watching => {
                progress(None);
                return outcome;
            }
            _ = seconds.tick() => {
                let (passed, all) = (began.elapsed().as_secs(), audience.duration.as_secs());
                progress(Some(&format!("{passed} of {all} s")));
            }
        }
    }
}

fn describe(outcome: &Outcome, duration: Duration) -> String {
    let rate = |count: u64| count as f64 / duration.as_secs_f64();
    let milliseconds = |microseconds: u64| microseconds as f64 / 1e3;
    let delays = |name: &str, histogram: &Delays| {
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        format!("{name:<14}p50 {:.1} ms, p99 {:.1} ms\n", at(0.5), at(0.99))
    };
    let mut text = format!(
        "stalls        {} ({:.2} % of the time after the start)\n",
        outcome.stalls,
        outcome.stall_ratio() * 100.0
    );
    text += &delays("start", &outcome.startup);
    text += &delays("playlist", &outcome.playlist);
    text += &delays("first byte", &outcome.first_byte);
    text += &delays("segment", &outcome.segment);
    text += &format!(
        "segments      {} ({} missed), {:.1} MB/s\nplaylists     {} ({:.1}/s)",
        outcome.segments,
        outcome.missed,
        rate(outcome.bytes) / 1e6,
        outcome.polls,
        rate(outcome.polls),
    );
    for (failure, count) in &outcome.failures {
        text += &format!("\nfailed        {count} x {failure}");
    }
    text
}
