//! [`Deployment`]: control plane and edges of one executable on one Redis.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::peers::{Contender, LinkStyle, Workload};
use crate::process::{Process, find_free_address};
use crate::testbed::Testbed;

/// Control plane and edges that share one configuration file.
pub(super) struct Deployment {
    program: PathBuf,
    config_file: PathBuf,
    control_address: SocketAddr,
    /// The control plane's admin listener, with its metrics.
    pub(super) control_admin_address: SocketAddr,
    directory: PathBuf,
}

impl Deployment {
    /// Writes the configuration; `settings` are its `[schedule]` and sources.
    pub(super) fn new(
        program: PathBuf,
        redis: SocketAddr,
        directory: &Path,
        settings: &str,
    ) -> anyhow::Result<Self> {
        let (control_address, control_admin_address) = (find_free_address()?, find_free_address()?);
        let (config_file, key) = (directory.join("pitwall.toml"), directory.join("seal.key"));
        std::fs::write(&key, "k".repeat(40))?;
        let text = format!(
            "[access]\nseal_key_file = {key:?}\n\
             [edge]\nthreads = 1\ncontrol = \"{control_address}\"\n\
             [control]\nlisten = \"{control_address}\"\nadmin = \"{control_admin_address}\"\n\
             [store]\nkind = \"redis\"\nurl = \"redis://{redis}\"\n{settings}"
        );
        std::fs::write(&config_file, text)?;
        Ok(Self {
            program,
            config_file,
            control_address,
            control_admin_address,
            directory: directory.to_owned(),
        })
    }

    /// Starts the demo's origin on the cores that are not measured.
    pub(super) fn start_demo_origin(
        &self,
        testbed: &Testbed,
        listen: SocketAddr,
    ) -> anyhow::Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(["origin", "--listen", &listen.to_string()]);
        let cores = testbed.cores.harness_cores();
        self.start_process(testbed, cores, "origin", command, listen)
    }

    pub(super) fn start_control_plane(
        &self,
        testbed: &Testbed,
        cores: &[usize],
    ) -> anyhow::Result<Process> {
        let mut command = self.pitwall_command("control-plane", "control");
        // A free address: the control plane does not listen on the edge's, but its default may be
        // in use.
        command.env("PITWALL_EDGE__LISTEN", find_free_address()?.to_string());
        self.start_process(testbed, cores, "control", command, self.control_address)
    }

    pub(super) fn start_edge(
        &self,
        testbed: &Testbed,
        name: &str,
        redis: SocketAddr,
    ) -> anyhow::Result<Contender> {
        let address = find_free_address()?;
        let mut command = self.pitwall_command("proxy", name);
        command
            .env("PITWALL_EDGE__LISTEN", address.to_string())
            .env("PITWALL_EDGE__ADMIN", find_free_address()?.to_string())
            .env("PITWALL_STORE__URL", format!("redis://{redis}"));
        let mut process = testbed.start_measured_process(
            &mut command,
            &testbed.create_contender_directory(name)?,
            1,
        )?;
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

    fn start_process(
        &self,
        testbed: &Testbed,
        cores: &[usize],
        name: &str,
        mut command: Command,
        address: SocketAddr,
    ) -> anyhow::Result<Process> {
        let log = self.directory.join(format!("{name}.log"));
        let mut process = Process::start(&mut command, &log, cores, testbed.cores.harness_cores())?;
        let output = || std::fs::read_to_string(&log).unwrap_or_default();
        process.wait_until_listening(address).with_context(|| format!("{name}: {}", output()))?;
        Ok(process)
    }
}
