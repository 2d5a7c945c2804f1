//! What viewers notice of a Redis whose every answer comes late: nothing, it is hoped. Two edges on
//! one Redis, one of them by a detour, in front of the demo's origin.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::redis::{Detour, Redis};
use crate::load::{Expect, fetch};
use crate::measure::measure;
use crate::peers::{Contender, Link, Work};
use crate::process::{Process, free_address};
use crate::record::{Record, Sample, Task};
use crate::scenario::Terms;
use crate::scenario::round::Round;
use crate::stage::Stage;

pub(crate) const PROMPT: &str = "pitwall-redis";
pub(crate) const LATE: &str = "pitwall-redis-late";

const LATENESS: Duration = Duration::from_secs(2);

const CONNECTIONS: usize = 16;

const MASTER: &str = "/live/world-feed/index.m3u8";

/// Until a source is found and checked, and what was found is at every edge.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is measured here.
pub(crate) fn task() -> Task {
    let item = "live, Redis on time and late".to_owned();
    Task { work: Work::Shared, item, connections: CONNECTIONS, threads: 1 }
}

pub(crate) fn run(stage: &Stage, terms: &Terms) -> anyhow::Result<Record<Sample>> {
    let mut record = Record::new();
    let room = stage.room("slow")?;
    let program = stage.pitwalls.first().map(|named| named.path.clone()).unwrap_or_default();
    let redis = Redis::start(stage, &room)?;
    let installation = Installation::new(program, redis.address, &room)?;
    let _origin = installation.origin(stage)?;
    let _control = installation.control(stage)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let detour = runtime.block_on(Detour::to(redis.address))?;
    let mut contenders = Vec::new();
    for (name, redis) in [(PROMPT, redis.address), (LATE, detour.address)] {
        contenders.push(installation.edge(stage, name, redis)?);
    }
    let path = media(&contenders)?;
    detour.delay(LATENESS);
    Round::new(terms, contenders).measure(&task(), &mut record, |contender| {
        // Half of the viewers poll, half take the newest segment.
        let playlist = String::from_utf8(contender.first(&path)?)?;
        let mut segments =
            playlist.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let segment = segments.next_back().context("a playlist without segments")?.to_owned();
        contender.first(&segment)?;
        measure(contender, CONNECTIONS, terms.duration, Expect::AtLeast(100), |viewer, out| {
            out.push_str(if viewer % 2 == 0 { &path } else { &segment });
        })
    });
    Ok(record)
}

/// The path of a rendition's playlist, once all of them know the stream.
fn media(contenders: &[Contender]) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    for contender in contenders {
        while fetch(contender.address, MASTER, PATIENCE)?.status != 200 {
            if Instant::now() > deadline {
                bail!("{} knows no stream after {} s", contender.name, PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let first = contenders.first().context("no edge")?;
    let master = String::from_utf8(first.first(MASTER)?)?;
    let link = master.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
    let link = link.with_context(|| format!("{MASTER} leads nowhere: {master}"))?;
    let base = url::Url::parse(&format!("http://{}{MASTER}", first.address))?;
    Ok(base.join(link)?.path().to_owned())
}

/// One configuration for all of its processes.
struct Installation {
    program: PathBuf,
    config: PathBuf,
    origin: SocketAddr,
    control: SocketAddr,
    room: PathBuf,
}

impl Installation {
    fn new(program: PathBuf, redis: SocketAddr, room: &Path) -> anyhow::Result<Self> {
        let (origin, control) = (free_address()?, free_address()?);
        let (config, key) = (room.join("pitwall.toml"), room.join("seal.key"));
        std::fs::write(&key, "k".repeat(40))?;
        let text = format!(
            "[schedule]\nproviders = []\n[access]\nseal_key_file = {key:?}\n\
             [edge]\nthreads = 1\ncontrol = \"{control}\"\n\
             [control]\nlisten = \"{control}\"\nadmin = \"{}\"\n\
             [store]\nkind = \"redis\"\nurl = \"redis://{redis}\"\n\
             [[source]]\nname = \"open\"\nkind = \"static\"\nfeed = \"World feed\"\n\
             url = \"http://{origin}/open/world-feed/master.m3u8\"\nallow_private = [\"127.0.0.0/8\"]\n",
            free_address()?,
        );
        std::fs::write(&config, text)?;
        Ok(Self { program, config, origin, control, room: room.to_owned() })
    }

    fn origin(&self, stage: &Stage) -> anyhow::Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(["origin", "--listen", &self.origin.to_string()]);
        self.beside(stage, "origin", command, self.origin)
    }

    fn control(&self, stage: &Stage) -> anyhow::Result<Process> {
        let mut command = self.command("control-plane", "control");
        // Nobody's, but not somebody else's either.
        command.env("PITWALL_EDGE__LISTEN", free_address()?.to_string());
        self.beside(stage, "control", command, self.control)
    }

    fn edge(&self, stage: &Stage, name: &str, redis: SocketAddr) -> anyhow::Result<Contender> {
        let address = free_address()?;
        let mut command = self.command("proxy", name);
        command
            .env("PITWALL_EDGE__LISTEN", address.to_string())
            .env("PITWALL_EDGE__ADMIN", free_address()?.to_string())
            .env("PITWALL_STORE__URL", format!("redis://{redis}"));
        let mut process = stage.measured(&mut command, &stage.room(name)?, 1)?;
        process.wait_for(address).with_context(|| stage.log_of(name))?;
        let name = name.to_owned();
        let works = vec![Work::Shared];
        Ok(Contender {
            name,
            works,
            address,
            link: Link::Path,
            reaches_both_origins: false,
            process,
        })
    }

    fn command(&self, role: &str, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        let state = self.room.join(format!("{name}-state"));
        command.args([role, "--config"]).arg(&self.config);
        command.env("PITWALL_STATE__DIR", state).env("PITWALL_LOG", "warn");
        command
    }

    /// On the cores of what is not measured.
    fn beside(
        &self,
        stage: &Stage,
        name: &str,
        mut command: Command,
        address: SocketAddr,
    ) -> anyhow::Result<Process> {
        let (log, others) = (self.room.join(format!("{name}.log")), stage.cores.others());
        let mut process = Process::start(&mut command, &log, others, others)?;
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        process.wait_for(address).with_context(|| format!("{name}: {}", said()))?;
        Ok(process)
    }
}
