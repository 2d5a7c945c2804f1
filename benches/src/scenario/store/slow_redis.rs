//! Latency for viewers of an edge whose Redis replies are late, which should be that of an edge
//! whose Redis is not. Two edges use one Redis, one of them through a [`DelayProxy`], in front of
//! the demo origin.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::redis::{DelayProxy, RedisServer};
use crate::load::{ExpectedLength, fetch};
use crate::measurement::measure_load;
use crate::peers::{Contender, LinkStyle, Workload};
use crate::process::{Process, free_address};
use crate::record::{Record, Sample, Task};
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

pub(crate) fn run(testbed: &Testbed, options: &ScenarioOptions) -> anyhow::Result<Record<Sample>> {
    let mut record = Record::new();
    let directory = testbed.create_contender_directory("slow")?;
    let program =
        testbed.pitwall_executables.first().map(|named| named.path.clone()).unwrap_or_default();
    let redis = RedisServer::start(testbed, &directory)?;
    let deployment = Deployment::new(program, redis.address, &directory)?;
    let _origin = deployment.start_origin(testbed)?;
    let _control = deployment.start_control_plane(testbed)?;
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

/// An origin, control plane and edges that share one configuration file.
struct Deployment {
    program: PathBuf,
    config_file: PathBuf,
    origin_address: SocketAddr,
    control_address: SocketAddr,
    directory: PathBuf,
}

impl Deployment {
    fn new(program: PathBuf, redis: SocketAddr, directory: &Path) -> anyhow::Result<Self> {
        let (origin_address, control_address) = (free_address()?, free_address()?);
        let (config_file, key) = (directory.join("pitwall.toml"), directory.join("seal.key"));
        std::fs::write(&key, "k".repeat(40))?;
        let text = format!(
            "[schedule]\nproviders = []\n[access]\nseal_key_file = {key:?}\n\
             [edge]\nthreads = 1\ncontrol = \"{control_address}\"\n\
             [control]\nlisten = \"{control_address}\"\nadmin = \"{}\"\n\
             [store]\nkind = \"redis\"\nurl = \"redis://{redis}\"\n\
             [[source]]\nname = \"open\"\nkind = \"static\"\nfeed = \"World feed\"\n\
             url = \"http://{origin_address}/open/world-feed/master.m3u8\"\nallow_private = [\"127.0.0.0/8\"]\n",
            free_address()?,
        );
        std::fs::write(&config_file, text)?;
        Ok(Self {
            program,
            config_file,
            origin_address,
            control_address,
            directory: directory.to_owned(),
        })
    }

    fn start_origin(&self, testbed: &Testbed) -> anyhow::Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(["origin", "--listen", &self.origin_address.to_string()]);
        self.start_unmeasured(testbed, "origin", command, self.origin_address)
    }

    fn start_control_plane(&self, testbed: &Testbed) -> anyhow::Result<Process> {
        let mut command = self.pitwall_command("control-plane", "control");
        // A free address: the control plane does not listen on the edge's, but its default may be
        // in use.
        command.env("PITWALL_EDGE__LISTEN", free_address()?.to_string());
        self.start_unmeasured(testbed, "control", command, self.control_address)
    }

    fn start_edge(
        &self,
        testbed: &Testbed,
        name: &str,
        redis: SocketAddr,
    ) -> anyhow::Result<Contender> {
        let address = free_address()?;
        let mut command = self.pitwall_command("proxy", name);
        command
            .env("PITWALL_EDGE__LISTEN", address.to_string())
            .env("PITWALL_EDGE__ADMIN", free_address()?.to_string())
            .env("PITWALL_STORE__URL", format!("redis://{redis}"));
        let mut process =
            testbed.start_measured(&mut command, &testbed.create_contender_directory(name)?, 1)?;
        process.wait_until_listening(address).with_context(|| testbed.read_contender_log(name))?;
        let name = name.to_owned();
        Ok(Contender {
            name,
            workloads: vec![Workload::Shared],
            address,
            link_style: LinkStyle::SamePath,
            can_reach_both_origins: false,
            process,
        })
    }

    fn pitwall_command(&self, role: &str, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        let state = self.directory.join(format!("{name}-state"));
        command.args([role, "--config"]).arg(&self.config_file);
        command.env("PITWALL_STATE__DIR", state).env("PITWALL_LOG", "warn");
        command
    }

    /// Starts a process on the cores that are not measured.
    fn start_unmeasured(
        &self,
        testbed: &Testbed,
        name: &str,
        mut command: Command,
        address: SocketAddr,
    ) -> anyhow::Result<Process> {
        let (log, cores) =
            (self.directory.join(format!("{name}.log")), testbed.cores.harness_cores());
        let mut process = Process::start(&mut command, &log, cores, cores)?;
        let output = || std::fs::read_to_string(&log).unwrap_or_default();
        process.wait_until_listening(address).with_context(|| format!("{name}: {}", output()))?;
        Ok(process)
    }
}
