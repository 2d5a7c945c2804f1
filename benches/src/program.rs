//! Each command: scenarios, their records, the report.

use std::path::{Path, PathBuf};

use crate::cli::{Cli, Command, Options, Serve};
use crate::peers::Work;
use crate::record::{Entry, Record};
use crate::report::Results;
use crate::scenario::players::Crowd;
use crate::scenario::playlists::Playlists;
use crate::scenario::segments::{Segments, Size};
use crate::scenario::store::{publish, slow};
use crate::scenario::{herd, memory, players, secure};
use crate::stage::Stage;
use crate::{namespace, report, say, serve};

/// Of one contender's turn at segments and playlists.
const TURN: f64 = 2.0;

/// Ten segments of a live stream.
const WATCHING: f64 = 20.0;

impl Cli {
    pub(crate) fn execute(self) -> anyhow::Result<()> {
        let Self { command, options } = self;
        match command {
            Command::Serve(Serve::Ceiling { listen, directory }) => {
                return serve::ceiling::run(listen, &directory);
            }
            Command::Serve(Serve::Copy { listen, upstream }) => {
                return serve::copy::run(listen, upstream);
            }
            Command::Serve(Serve::Origin { listen }) => return serve::origin::run(listen),
            Command::Report => return tell(&options),
            _ => namespace::enter()?,
        }
        crate::process::end_on_signals()?;
        let pitwalls = options.pitwalls()?;
        let stage = Stage::set(pitwalls, options.peers.clone())?;
        let program = Program { stage, options };
        match command {
            Command::All => program.all(),
            Command::Segments { sizes, connections, threads, work } => {
                let works = work.into_iter().map(Into::into).collect();
                program.segments(&Segments { works, sizes, connections, threads })
            }
            Command::Secure { sizes } => program.secure(&sizes),
            Command::Playlists { items, threads } => {
                program.playlists(&Playlists { items, threads })
            }
            Command::Players { crowds } => program.players(&crowds),
            Command::Herd => program.herd(),
            Command::Memory => program.memory(),
            Command::Publish => program.publish(),
            Command::SlowStore => program.slow_store(),
            Command::FirstByte => program.first_byte(),
            Command::Report | Command::Serve(_) => Ok(()),
        }
    }
}

struct Program {
    stage: Stage,
    options: Options,
}

impl Program {
    fn all(&self) -> anyhow::Result<()> {
        let quick = self.options.quick;
        let sizes = if quick { &[Size::MB][..] } else { &Size::ALL };
        let sizes: Vec<Size> = sizes.iter().filter_map(|size| size.parse().ok()).collect();
        let works = vec![Work::Stored, Work::Relayed];
        let connections = if quick { vec![16] } else { vec![16, 64] };
        self.secure(&sizes)?;
        self.segments(&Segments { works: works.clone(), sizes, connections, threads: vec![1] })?;
        let cores = self.stage.cores.count();
        if cores > 1 && !quick {
            let sizes = Size::MB.parse().into_iter().collect();
            let threads = vec![cores];
            self.segments(&Segments { works, sizes, connections: vec![64], threads })?;
        }
        self.first_byte()?;
        self.playlists(&Playlists { items: Vec::new(), threads: vec![1] })?;
        self.herd()?;
        let crowds = Crowd::ALL.iter().filter_map(|crowd| crowd.parse().ok());
        let crowds = crowds.filter(|crowd: &Crowd| !quick || crowd.viewers <= 100);
        self.players(&crowds.collect::<Vec<_>>())?;
        self.memory()?;
        self.publish()?;
        self.slow_store()?;
        tell(&self.options)
    }

    fn segments(&self, segments: &Segments) -> anyhow::Result<()> {
        self.keep("segments", segments.run(&self.stage, &self.options.terms(TURN))?)
    }

    fn secure(&self, sizes: &[Size]) -> anyhow::Result<()> {
        self.keep("secure", secure::run(&self.stage, &self.options.terms(TURN), sizes)?)
    }

    fn first_byte(&self) -> anyhow::Result<()> {
        let record = Segments::first_byte().run(&self.stage, &self.options.terms(TURN))?;
        self.keep("first-byte", record)
    }

    fn playlists(&self, playlists: &Playlists) -> anyhow::Result<()> {
        self.keep("playlists", playlists.run(&self.stage, &self.options.terms(TURN))?)
    }

    fn players(&self, crowds: &[Crowd]) -> anyhow::Result<()> {
        let record = players::run(&self.stage, &self.options.terms(WATCHING), crowds)?;
        say(&report::players(&record));
        self.keep("players", record)
    }

    fn herd(&self) -> anyhow::Result<()> {
        let record = herd::run(&self.stage, &self.options.terms(TURN))?;
        say(&report::herd(&record));
        self.keep("herd", record)
    }

    fn memory(&self) -> anyhow::Result<()> {
        let record = memory::run(&self.stage, &self.options.terms(TURN))?;
        say(&report::memory(&record));
        self.keep("memory", record)
    }

    fn publish(&self) -> anyhow::Result<()> {
        let record = publish::run(&self.stage, &self.options.terms(TURN))?;
        say(&report::publish(&record));
        self.keep("publish", record)
    }

    fn slow_store(&self) -> anyhow::Result<()> {
        self.keep("slow-store", slow::run(&self.stage, &self.options.terms(TURN))?)
    }

    /// Names who is missing, and writes the rest to the record of that name.
    fn keep<T: Entry>(&self, name: &str, record: Record<T>) -> anyhow::Result<()> {
        say(&report::skipped(&record.skipped));
        let path = path(&self.options.output, name);
        let older = Record::read(&path).unwrap_or_else(|error| {
            say(&format!("{error:#}: replaced"));
            Record::new()
        });
        record.over(older).write(&path)
    }
}

pub(crate) fn path(output: &Path, name: &str) -> PathBuf {
    output.join(format!("{name}.json"))
}

fn tell(options: &Options) -> anyhow::Result<()> {
    let results = Results::read(&options.output)?;
    let pitwalls = options.pitwalls()?;
    let pitwall = pitwalls.first().map_or("pitwall", |first| first.name.as_str());
    say(&report::all(&results, pitwall));
    let chart = options.chart.clone().unwrap_or_else(|| options.output.join("results.svg"));
    report::draw(&results, pitwall, &chart)
}
