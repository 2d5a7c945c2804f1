//! [`Testbed`]: the cores, directories and origin with which every contender is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use tempfile::TempDir;

use crate::certificate::TestCertificate;
use crate::cores::Cores;
use crate::origin::Origin;
use crate::process::Process;

/// A tmpfs: files below this path are in memory.
pub(crate) const TMPFS_PATH: &str = "/dev/shm";

pub(crate) struct Testbed {
    pub(crate) cores: Cores,
    pub(crate) origin: Origin,
    pub(crate) certificate: TestCertificate,
    pub(crate) pitwall_executables: Vec<NamedExecutable>,
    /// The directory in which the peers from package registries are installed.
    pub(crate) peers_directory: PathBuf,
    directory: TempDir,
}

/// A Pitwall executable and its contender name, so that two builds can be compared.
#[derive(Clone, Debug)]
pub(crate) struct NamedExecutable {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl Testbed {
    /// Pins this program to its cores, makes a directory, and starts the origin.
    pub(crate) fn prepare(
        pitwall_executables: Vec<NamedExecutable>,
        peers_directory: PathBuf,
    ) -> anyhow::Result<Self> {
        let cores = Cores::of_this_process()?;
        crate::cores::pin_thread(cores.harness_cores())?;
        crate::process::raise_open_file_limit();
        let tmpfs = Some(Path::new(TMPFS_PATH)).filter(|path| path.is_dir());
        let mut builder = tempfile::Builder::new();
        builder.prefix("pitwall-benches-");
        let directory = match tmpfs {
            Some(tmpfs) => builder.tempdir_in(tmpfs),
            None => builder.tempdir(),
        }
        .context("no directory to work in")?;
        // Workers of nginx and Varnish run as other users, who must be able to read the directory.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), mode)?;
        // Absolute, since contenders may have other working directories.
        let peers_directory = std::path::absolute(&peers_directory)?;
        let origin = Origin::start(&cores, &directory.path().join("origin"))?;
        let certificate = TestCertificate::generate(directory.path())?;
        Ok(Self { cores, origin, certificate, pitwall_executables, peers_directory, directory })
    }

    /// An empty directory for the files of one contender; an existing one is deleted first.
    pub(crate) fn create_contender_directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let directory = self.directory.path().join(name);
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// Starts a contender on the measured cores; its output goes to `output.log` in `directory`.
    pub(crate) fn start_measured_process(
        &self,
        command: &mut Command,
        directory: &Path,
        threads: usize,
    ) -> anyhow::Result<Process> {
        let log = directory.join("output.log");
        Process::start(
            command,
            &log,
            self.cores.contender_cores(threads),
            self.cores.harness_cores(),
        )
    }

    /// The output of a contender so far.
    pub(crate) fn read_contender_log(&self, name: &str) -> String {
        let log = self.directory.path().join(name).join("output.log");
        std::fs::read_to_string(log).unwrap_or_default()
    }
}
