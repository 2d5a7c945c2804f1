//! Latency for viewers of an edge whose Redis replies are late, which should be that of an edge
//! whose Redis is not. Two edges use one Redis, one of them through a [`DelayProxy`], in front of
//! the demo origin.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::deployment::Deployment;
use super::redis::{DelayProxy, RedisServer};
use crate::load::{ExpectedLength, fetch};
use crate::measurement::measure_load;
use crate::peers::{Contender, Workload};
use crate::process::find_free_address;
use crate::record::{Sample, ScenarioRecord, Task};
use crate::scenario::ScenarioOptions;
use crate::scenario::round_robin::RoundRobin;
use crate::testbed::Testbed;

pub(crate) const PROMPT_CONTENDER: &str = "pitwall-redis";
pub(crate) const LATE_CONTENDER: &str = "pitwall-redis-late";

const REDIS_DELAY: Duration = Duration::from_secs(2);

const CONNECTION_COUNT: usize = 16;

const MULTIVARIANT_PATH: &str = "/live/world-feed/index.m3u8";

/// Timeout until the source is extracted and checked, and its stream is at every edge.
const STREAM_READY_TIMEOUT: Duration = Duration::from_secs(30);

/// The task of this scenario.
pub(crate) fn slow_redis_task() -> Task {
    let item = "live, Redis on time and late".to_owned();
    Task { work: Workload::Shared, item, connections: CONNECTION_COUNT, threads: 1 }
}

pub(crate) fn run(
    testbed: &Testbed,
    options: &ScenarioOptions,
) -> anyhow::Result<ScenarioRecord<Sample>> {
    let mut record = ScenarioRecord::new();
    let directory = testbed.create_contender_directory("slow")?;
    let program =
        testbed.pitwall_executables.first().map(|named| named.path.clone()).unwrap_or_default();
    let redis = RedisServer::start(testbed, &directory)?;
    let origin_address = find_free_address()?;
    let settings = format!(
        "[schedule]\nproviders = []\n\
         [[source]]\nname = \"open\"\nkind = \"static\"\nfeed = \"World feed\"\n\
         url = \"http://{origin_address}/open/world-feed/master.m3u8\"\nallow_private = [\"127.0.0.0/8\"]\n"
    );
    let deployment = Deployment::new(program, redis.address, &directory, &settings)?;
    let others = testbed.cores.harness_cores();
    let _origin = deployment.start_demo_origin(testbed, origin_address)?;
    let _control = deployment.start_control_plane(testbed, others)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let delay_proxy = runtime.block_on(DelayProxy::start(redis.address))?;
    let mut contenders = Vec::new();
    for (name, redis) in [(PROMPT_CONTENDER, redis.address), (LATE_CONTENDER, delay_proxy.address)]
    {
        contenders.push(deployment.start_edge(testbed, name, redis)?);
    }
    let path = wait_for_media_path(&contenders)?;
    delay_proxy.set_delay(REDIS_DELAY);
    RoundRobin::new(options, contenders).measure_task(
        &slow_redis_task(),
        &mut record,
        |contender| {
            // Half of the connections request the playlist, half the newest segment.
            let playlist = String::from_utf8(contender.fetch_body(&path)?)?;
            let mut segments =
                playlist.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            let segment = segments.next_back().context("a playlist without segments")?.to_owned();
            contender.fetch_body(&segment)?;
            measure_load(
                contender,
                CONNECTION_COUNT,
                options.duration,
                ExpectedLength::AtLeast(100),
                |viewer, out| {
                    out.push_str(if viewer % 2 == 0 { &path } else { &segment });
                },
            )
        },
    );
    Ok(record)
}

/// Waits until all edges serve the stream; the path of a rendition's media playlist.
fn wait_for_media_path(contenders: &[Contender]) -> anyhow::Result<String> {
    let deadline = Instant::now() + STREAM_READY_TIMEOUT;
    for contender in contenders {
        while fetch(contender.address, MULTIVARIANT_PATH, STREAM_READY_TIMEOUT)?.status != 200 {
            if Instant::now() > deadline {
                bail!(
                    "{} knows no stream after {} s",
                    contender.name,
                    STREAM_READY_TIMEOUT.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let first = contenders.first().context("no edge")?;
    let master = String::from_utf8(first.fetch_body(MULTIVARIANT_PATH)?)?;
    let link = master.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
    let link = link.with_context(|| format!("{MULTIVARIANT_PATH} leads nowhere: {master}"))?;
    let base = url::Url::parse(&format!("http://{}{MULTIVARIANT_PATH}", first.address))?;
    Ok(base.join(link)?.path().to_owned())
}
