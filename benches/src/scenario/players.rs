//! Virtual players in front of one edge: their playback, and the cost per viewer and per stream,
//! which must not grow with their number.
//!
//! - [`crowd`]: a number of viewers, streams, and a segment size.
//! - [`crowd_result`]: the result of one crowd.

mod crowd;
mod crowd_result;

use std::time::Duration;

use anyhow::bail;
use pitwall_benches::players::{Connector, HttpVersion, VariantChoice, ViewerSimulation};
use url::Url;

pub(crate) use self::crowd::Crowd;
pub(crate) use self::crowd_result::CrowdResult;
use self::crowd_result::ResourceUsage;
use super::{ScenarioOptions, start_contenders};
use crate::origin::{DYNAMIC_PREFIX, TARGET_DURATION};
use crate::peers::{Contender, LinkStyle, LinkTarget, SkippedContender, Workload};
use crate::print_text;
use crate::record::ScenarioRecord;
use crate::resource_usage::{CpuTimes, ResidentMemory};
use crate::testbed::Testbed;

pub(crate) fn run(
    testbed: &Testbed,
    options: &ScenarioOptions,
    crowds: &[Crowd],
) -> anyhow::Result<ScenarioRecord<CrowdResult>> {
    let mut record = ScenarioRecord::new();
    let connector = Connector::new(HttpVersion::default())?;
    for crowd in crowds {
        // New processes for each crowd, so that nothing of the last crowd is cached.
        let contenders =
            start_contenders(testbed, options, &[Workload::Shared], 1, &mut record.skipped);
        // Other peers fetch every segment for every viewer, so they are measured only when named.
        let is_wanted = |contender: &&Contender| match options.contender_names.is_empty() {
            true => contender.link_style == LinkStyle::Pitwall,
            false => contender.link_style != LinkStyle::SamePath,
        };
        for contender in contenders.iter().filter(is_wanted) {
            match measure_crowd(testbed, contender, &connector, *crowd, options.duration) {
                Ok(run) => record.results.push(run),
                Err(error) => record.skipped.push(SkippedContender {
                    name: contender.name.clone(),
                    reason: format!("{} viewers: {error:#}", crowd.viewers),
                }),
            }
        }
    }
    Ok(record)
}

fn measure_crowd(
    testbed: &Testbed,
    contender: &Contender,
    connector: &Connector,
    crowd: Crowd,
    duration: Duration,
) -> anyhow::Result<CrowdResult> {
    let playlists = (0..crowd.streams).map(|stream| {
        let path = format!("{DYNAMIC_PREFIX}live/{}-{stream}/index.m3u8", crowd.bytes);
        let path = contender.link_style.link_to(
            testbed.origin.address_for(&path),
            &path,
            LinkTarget::Playlist,
        );
        Url::parse(&format!("http://{}{path}", contender.address))
    });
    let simulation = ViewerSimulation {
        playlists: playlists.collect::<Result<_, _>>()?,
        viewers: crowd.viewers,
        duration,
        arrival_period: TARGET_DURATION,
        variant: VariantChoice::First,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let process = contender.process.id();
    testbed.origin.take_request_counts()?;
    let before = (CpuTimes::of_process_tree(process), CpuTimes::of_process(std::process::id()));
    let statistics = runtime.block_on(simulation.run(connector));
    let after = (CpuTimes::of_process_tree(process), CpuTimes::of_process(std::process::id()));
    let counts = testbed.origin.take_request_counts()?;
    if let Some((failure, count)) = statistics.failures.iter().max_by_key(|(_, count)| **count) {
        print_text(&format!(
            "{}: {} failures, mostly {failure:?} ({count})",
            contender.name,
            statistics.failure_count()
        ));
    }
    if statistics.segments == 0 {
        bail!("no player received a segment");
    }
    let usage = ResourceUsage {
        cpu: after.0.seconds_since(&before.0),
        client_cpu: after.1.seconds_since(&before.1),
        memory_peak: ResidentMemory::of_process_tree(process).peak,
    };
    Ok(CrowdResult::from_statistics(&contender.name, crowd, duration, &statistics, &counts, usage))
}
