//! The control plane with many streams of two sources each, for each Pitwall executable: what it
//! costs while nothing changes, what it then publishes, and how long a change takes to an edge.
//!
//! - [`steady_state`]: processor time, memory and checks.
//! - [`quiet_period`]: documents that did not change, and bytes written to Redis.
//! - [`change_delay`]: the time until a failure or recovery of a source is at an edge.
//! - [`edge_client`]: an HTTP client with conditional requests.
//! - [`metric_samples`]: figures of the control plane's metrics.
//! - [`results`]: what is recorded.

mod change_delay;
mod edge_client;
mod metric_samples;
mod quiet_period;
mod results;
mod steady_state;

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use jiff::{Timestamp, ToSpan};
use pitwall_benches::players::{Connector, HttpVersion, VariantChoice, ViewerSimulation};
use tokio::time::Instant;

use self::edge_client::EdgeClient;
pub(crate) use self::results::{
    ChangeDelays, ControlPlaneFigures, ControlPlaneResult, QuietPeriodFigures, SteadyStateFigures,
};
use super::deployment::Deployment;
use super::redis::RedisServer;
use crate::origin::{DYNAMIC_PREFIX, TARGET_DURATION};
use crate::peers::SkippedContender;
use crate::record::ScenarioRecord;
use crate::scenario::ScenarioOptions;
use crate::testbed::{NamedExecutable, Testbed};

/// Streams that have a viewer each, and whose own documents are requested.
const WATCHED_STREAMS: usize = 20;

/// Cores of the control plane, which has two threads.
const CONTROL_PLANE_CORES: usize = 2;

/// Timeout until an edge serves all watched streams.
const EDGE_READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Time for viewers to arrive, and for the control plane to know of them.
const ARRIVAL_DURATION: Duration = Duration::from_secs(10);

/// What is measured of a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ControlPlaneWork {
    /// Processor time, memory and checks, without viewers.
    Steady,
    /// SharedDocuments that did not change, and bytes written to Redis, with 20 viewers.
    Quiet,
    /// The time until a failure or recovery of a source is at an edge.
    Change,
}

/// What the scenario measures.
pub(crate) struct ControlPlaneScenario {
    /// Numbers of streams.
    pub(crate) streams: Vec<usize>,
    pub(crate) work: Vec<ControlPlaneWork>,
}

impl ControlPlaneScenario {
    pub(crate) fn run(
        &self,
        testbed: &Testbed,
        options: &ScenarioOptions,
    ) -> anyhow::Result<ScenarioRecord<ControlPlaneResult>> {
        let mut record = ScenarioRecord::new();
        let executables = testbed.pitwall_executables.iter();
        let executables: Vec<_> =
            executables.filter(|executable| options.is_wanted(&executable.name)).collect();
        for streams in &self.streams {
            for executable in &executables {
                let mut add = |figures| {
                    let contender = executable.name.clone();
                    record.results.push(ControlPlaneResult {
                        contender,
                        streams: *streams,
                        figures,
                    });
                };
                if let Err(error) = self.measure(testbed, options, executable, *streams, &mut add) {
                    record.skipped.push(SkippedContender {
                        name: executable.name.clone(),
                        reason: format!("{streams} streams: {error:#}"),
                    });
                }
            }
        }
        Ok(record)
    }

    /// Starts Redis and a control plane, does the work, and hands every result to `add`.
    fn measure(
        &self,
        testbed: &Testbed,
        options: &ScenarioOptions,
        executable: &NamedExecutable,
        streams: usize,
        add: &mut impl FnMut(ControlPlaneFigures),
    ) -> anyhow::Result<()> {
        let directory = testbed.create_contender_directory("control-plane")?;
        let redis = RedisServer::start(testbed, &directory)?;
        let settings =
            prepare_calendar_and_settings(&directory, testbed.origin.dynamic_address, streams)?;
        let deployment =
            Deployment::new(executable.path.clone(), redis.address, &directory, &settings)?;
        let cores = testbed.cores.contender_cores(CONTROL_PLANE_CORES);
        let control_plane = deployment.start_control_plane(testbed, cores)?;
        let has = |work| self.work.contains(&work);
        let warm_up = steady_state::wait_until_warm(&deployment, streams)?;
        if has(ControlPlaneWork::Steady) {
            add(ControlPlaneFigures::Steady(steady_state::measure(
                &deployment,
                &control_plane,
                &redis,
                warm_up,
                options.duration,
            )?));
        }
        if !has(ControlPlaneWork::Quiet) && !has(ControlPlaneWork::Change) {
            return Ok(());
        }
        let edge = deployment.start_edge(testbed, "edge", redis.address)?;
        let watched = WATCHED_STREAMS.min(streams);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = EdgeClient::new(edge.address);
            wait_until_ready(&client, watched).await?;
            let work = async {
                tokio::time::sleep(ARRIVAL_DURATION).await;
                if has(ControlPlaneWork::Quiet) {
                    let processes = (&control_plane, &redis);
                    let quiet =
                        quiet_period::measure(&client, processes, watched, options.duration);
                    add(ControlPlaneFigures::Quiet(quiet.await?));
                }
                if has(ControlPlaneWork::Change) {
                    let origin = testbed.origin.dynamic_address;
                    let rounds = options.repetitions;
                    let delays = change_delay::measure(&client, origin, watched, rounds).await?;
                    add(ControlPlaneFigures::Change(delays));
                }
                anyhow::Ok(())
            };
            tokio::select! {
                done = work => done,
                done = watch_streams(edge.address, watched) => done,
            }
        })
    }
}

/// Writes a calendar with a session that is live; the configuration of the schedule and of streams
/// with two sources each.
fn prepare_calendar_and_settings(
    directory: &Path,
    origin: SocketAddr,
    streams: usize,
) -> anyhow::Result<String> {
    let calendar = directory.join("calendar.ics");
    let time = |hours: i64| Timestamp::now() + hours.hours();
    std::fs::write(&calendar, render_calendar(time(-1), time(1)))?;
    let mut text = format!("[schedule]\nproviders = [\"ics\"]\nics_file = {calendar:?}\n");
    for source in 0..streams * 2 {
        let _ = write!(
            text,
            "[[source]]\nname = \"source-{source}\"\nkind = \"static\"\nfeed = \"Feed {}\"\n\
             url = \"http://{origin}{}\"\nallow_private = [\"127.0.0.0/8\"]\n",
            source / 2,
            source_path(source, "index.m3u8"),
        );
    }
    Ok(text)
}

fn render_calendar(start: Timestamp, end: Timestamp) -> String {
    let date = |time: Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//pitwall-benches//EN\r\nBEGIN:VEVENT\r\n\
         UID:race@pitwall-benches\r\nDTSTAMP:{start}\r\nDTSTART:{start}\r\nDTEND:{end}\r\n\
         SUMMARY:Club race\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        start = date(start),
        end = date(end),
    )
}

/// The id of the stream of `Feed {number}`.
fn stream_id(number: usize) -> String {
    format!("feed-{number}")
}

/// The origin's path of a file, or of a command, of a source.
fn source_path(source: usize, file: &str) -> String {
    format!("{DYNAMIC_PREFIX}source/{source}/{file}")
}

async fn wait_until_ready(client: &EdgeClient, watched: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + EDGE_READY_TIMEOUT;
    for number in 0..watched {
        let path = format!("/live/{}/index.m3u8", stream_id(number));
        while !client.get(&path, None).await.is_ok_and(|response| response.status == 200) {
            if Instant::now() > deadline {
                bail!("the edge does not serve {path} after {} s", EDGE_READY_TIMEOUT.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

/// One viewer for each watched stream, without end.
async fn watch_streams(edge: SocketAddr, watched: usize) -> anyhow::Result<()> {
    let playlists = (0..watched).map(|number| {
        url::Url::parse(&format!("http://{edge}/live/{}/index.m3u8", stream_id(number)))
    });
    let simulation = ViewerSimulation {
        playlists: playlists.collect::<Result<_, _>>()?,
        viewers: watched,
        duration: Duration::from_hours(1),
        arrival_period: TARGET_DURATION,
        variant: VariantChoice::First,
    };
    simulation.run(&Connector::new(HttpVersion::default())?).await;
    bail!("the measurement took longer than {} s", simulation.duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_two_sources() {
        let directory = tempfile::tempdir().unwrap();
        let origin = "127.0.0.1:9".parse().unwrap();
        let text = prepare_calendar_and_settings(directory.path(), origin, 2).unwrap();
        assert_eq!(text.matches("[[source]]").count(), 4);
        for expected in [
            "name = \"source-2\"\nkind = \"static\"\nfeed = \"Feed 1\"\n",
            "url = \"http://127.0.0.1:9/made/source/3/index.m3u8\"",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }

    #[test]
    fn the_calendar_has_times_in_utc() {
        let text = render_calendar(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + 2.hours());
        for line in ["DTSTART:19700101T000000Z\r\n", "DTEND:19700101T020000Z\r\n"] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
