//! Runs each command: its scenarios, their records, and the report.

use clap::ValueEnum;

use crate::cli::{Cli, Command, Options, ServeCommand};
use crate::peers::Workload;
use crate::record::{RecordEntry, ScenarioRecord, record_file_path};
use crate::report::AllRecords;
use crate::scenario::players::Crowd;
use crate::scenario::playlists::PlaylistScenario;
use crate::scenario::segments::{SegmentScenario, SegmentSize};
use crate::scenario::store::control_plane::{ControlPlaneScenario, ControlPlaneWork};
use crate::scenario::store::{publication, slow_redis};
use crate::scenario::{herd, memory, players, secure};
use crate::testbed::Testbed;
use crate::{network_namespace, print_text, report, serve};

/// Default duration of one measurement of one contender, in seconds.
const TURN_SECONDS: f64 = 2.0;

/// Default duration for virtual players, in seconds: ten segments of a live stream.
const WATCH_SECONDS: f64 = 20.0;

/// Default duration of one measurement of a control plane, in seconds: six times its checks.
const CONTROL_PLANE_SECONDS: f64 = 60.0;

impl Cli {
    pub(crate) fn execute(self) -> anyhow::Result<()> {
        let Self { command, options } = self;
        match command {
            Command::Serve(ServeCommand::Ceiling { listen, directory }) => {
                return serve::ceiling::run(listen, &directory);
            }
            Command::Serve(ServeCommand::Copy { listen, upstream }) => {
                return serve::copy::run(listen, upstream);
            }
            Command::Serve(ServeCommand::Origin { listen }) => return serve::origin::run(listen),
            Command::Report => return print_report(&options),
            _ => network_namespace::rerun_in_namespace()?,
        }
        crate::process::exit_on_signals()?;
        let executables = options.pitwall_executables()?;
        let stage = Testbed::prepare(executables, options.peers.clone())?;
        let run = BenchRun { stage, options };
        match command {
            Command::All => run.run_all(),
            Command::Segments { sizes, connections, threads, work } => {
                let workloads = work.into_iter().map(Into::into).collect();
                run.run_segments(&SegmentScenario { workloads, sizes, connections, threads })
            }
            Command::Secure { sizes } => run.run_secure(&sizes),
            Command::Playlists { items, threads } => {
                run.run_playlists(&PlaylistScenario { items, threads })
            }
            Command::Players { crowds } => run.run_players(&crowds),
            Command::Herd => run.run_herd(),
            Command::Memory => run.run_memory(),
            Command::Publish => run.run_publish(),
            Command::ControlPlane { streams, work } => {
                run.run_control_plane(&ControlPlaneScenario { streams, work })
            }
            Command::SlowStore => run.run_slow_store(),
            Command::FirstByte => run.run_first_byte(),
            Command::Report | Command::Serve(_) => Ok(()),
        }
    }
}

struct BenchRun {
    stage: Testbed,
    options: Options,
}

impl BenchRun {
    fn run_all(&self) -> anyhow::Result<()> {
        let quick = self.options.quick;
        let sizes = if quick { &[SegmentSize::ONE_MEGABYTE][..] } else { &SegmentSize::ALL };
        let sizes: Vec<SegmentSize> = sizes.iter().filter_map(|size| size.parse().ok()).collect();
        let workloads = vec![Workload::Stored, Workload::Relayed];
        let connections = if quick { vec![16] } else { vec![16, 64] };
        self.run_secure(&sizes)?;
        self.run_segments(&SegmentScenario {
            workloads: workloads.clone(),
            sizes,
            connections,
            threads: vec![1],
        })?;
        let cores = self.stage.cores.count();
        if cores > 1 && !quick {
            let sizes = SegmentSize::ONE_MEGABYTE.parse().into_iter().collect();
            let threads = vec![cores];
            self.run_segments(&SegmentScenario {
                workloads,
                sizes,
                connections: vec![64],
                threads,
            })?;
        }
        self.run_first_byte()?;
        self.run_playlists(&PlaylistScenario { items: Vec::new(), threads: vec![1] })?;
        self.run_herd()?;
        let crowds = Crowd::ALL.iter().filter_map(|crowd| crowd.parse().ok());
        let crowds = crowds.filter(|crowd: &Crowd| !quick || crowd.viewers <= 100);
        self.run_players(&crowds.collect::<Vec<_>>())?;
        self.run_memory()?;
        self.run_publish()?;
        self.run_control_plane(&ControlPlaneScenario {
            streams: vec![if quick { 20 } else { 1_000 }],
            work: ControlPlaneWork::value_variants().to_vec(),
        })?;
        self.run_slow_store()?;
        print_report(&self.options)
    }

    fn run_segments(&self, segments: &SegmentScenario) -> anyhow::Result<()> {
        self.save_record(
            "segments",
            segments.run(&self.stage, &self.options.scenario_options(TURN_SECONDS))?,
        )
    }

    fn run_secure(&self, sizes: &[SegmentSize]) -> anyhow::Result<()> {
        self.save_record(
            "secure",
            secure::run(&self.stage, &self.options.scenario_options(TURN_SECONDS), sizes)?,
        )
    }

    fn run_first_byte(&self) -> anyhow::Result<()> {
        let record = SegmentScenario::for_first_byte()
            .run(&self.stage, &self.options.scenario_options(TURN_SECONDS))?;
        self.save_record("first-byte", record)
    }

    fn run_playlists(&self, playlists: &PlaylistScenario) -> anyhow::Result<()> {
        self.save_record(
            "playlists",
            playlists.run(&self.stage, &self.options.scenario_options(TURN_SECONDS))?,
        )
    }

    fn run_players(&self, crowds: &[Crowd]) -> anyhow::Result<()> {
        let record =
            players::run(&self.stage, &self.options.scenario_options(WATCH_SECONDS), crowds)?;
        print_text(&report::render_players(&record));
        self.save_record("players", record)
    }

    fn run_herd(&self) -> anyhow::Result<()> {
        let record = herd::run(&self.stage, &self.options.scenario_options(TURN_SECONDS))?;
        print_text(&report::render_herd(&record));
        self.save_record("herd", record)
    }

    fn run_memory(&self) -> anyhow::Result<()> {
        let record = memory::run(&self.stage, &self.options.scenario_options(TURN_SECONDS))?;
        print_text(&report::render_memory(&record));
        self.save_record("memory", record)
    }

    fn run_publish(&self) -> anyhow::Result<()> {
        let record = publication::run(&self.stage, &self.options.scenario_options(TURN_SECONDS))?;
        print_text(&report::render_publications(&record));
        self.save_record("publish", record)
    }

    fn run_control_plane(&self, control_plane: &ControlPlaneScenario) -> anyhow::Result<()> {
        let options = self.options.scenario_options(CONTROL_PLANE_SECONDS);
        let record = control_plane.run(&self.stage, &options)?;
        print_text(&report::render_control_planes(&record));
        self.save_record("control-plane", record)
    }

    fn run_slow_store(&self) -> anyhow::Result<()> {
        self.save_record(
            "slow-store",
            slow_redis::run(&self.stage, &self.options.scenario_options(TURN_SECONDS))?,
        )
    }

    /// Prints the skipped contenders, and merges `record` into the record file of that name.
    fn save_record<T: RecordEntry>(
        &self,
        name: &str,
        record: ScenarioRecord<T>,
    ) -> anyhow::Result<()> {
        print_text(&report::render_skipped(&record.skipped));
        let path = record_file_path(&self.options.output, name);
        let older = ScenarioRecord::read(&path).unwrap_or_else(|error| {
            print_text(&format!("{error:#}: replaced"));
            ScenarioRecord::new()
        });
        record.merge_older(older).write(&path)
    }
}

fn print_report(options: &Options) -> anyhow::Result<()> {
    let results = AllRecords::read(&options.output)?;
    let executables = options.pitwall_executables()?;
    let pitwall = executables.first().map_or("pitwall", |first| first.name.as_str());
    print_text(&report::render_report(&results, pitwall));
    let chart = options.chart.clone().unwrap_or_else(|| options.output.join("results.svg"));
    report::write_chart(&results, pitwall, &chart)
}
