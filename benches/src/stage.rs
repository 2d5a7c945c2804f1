//! What every contender is started on: cores, directories, and the origin.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::cores::Cores;
use crate::origin::Origin;
use crate::process::Process;

/// Files here are in memory.
pub(crate) const TMPFS: &str = "/dev/shm";

pub(crate) struct Stage {
    pub(crate) cores: Cores,
    pub(crate) origin: Origin,
    pub(crate) certificate: Certificate,
    pub(crate) pitwalls: Vec<NamedPath>,
    /// Where the peers from package registries are installed.
    pub(crate) installed: PathBuf,
    directory: TempDir,
}

/// An executable under a name of its own, so that two builds can be compared.
#[derive(Clone, Debug)]
pub(crate) struct NamedPath {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl Stage {
    pub(crate) fn set(pitwalls: Vec<NamedPath>, installed: PathBuf) -> anyhow::Result<Self> {
        let cores = Cores::of_this_process()?;
        crate::cores::pin(cores.others())?;
        crate::process::raise_file_limit();
        let tmpfs = Some(Path::new(TMPFS)).filter(|path| path.is_dir());
        let mut builder = tempfile::Builder::new();
        builder.prefix("pitwall-benches-");
        let directory = match tmpfs {
            Some(tmpfs) => builder.tempdir_in(tmpfs),
            None => builder.tempdir(),
        }
        .context("no directory to work in")?;
        // nginx's workers and varnish's are other users.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), mode)?;
        // Contenders may work in directories of their own.
        let installed = std::path::absolute(&installed)?;
        let origin = Origin::start(&cores, &directory.path().join("origin"))?;
        let certificate = Certificate::make(directory.path())?;
        Ok(Self { cores, origin, certificate, pitwalls, installed, directory })
    }

    /// A new directory for the files of one contender.
    pub(crate) fn room(&self, name: &str) -> anyhow::Result<PathBuf> {
        let room = self.directory.path().join(name);
        if room.exists() {
            std::fs::remove_dir_all(&room)?;
        }
        std::fs::create_dir_all(&room)?;
        Ok(room)
    }

    /// Starts a contender on the measured cores.
    pub(crate) fn measured(
        &self,
        command: &mut Command,
        room: &Path,
        threads: usize,
    ) -> anyhow::Result<Process> {
        let log = room.join("output.log");
        Process::start(command, &log, self.cores.measured(threads), self.cores.others())
    }

    /// What a contender wrote to its output.
    pub(crate) fn log_of(&self, name: &str) -> String {
        let log = self.directory.path().join(name).join("output.log");
        std::fs::read_to_string(log).unwrap_or_default()
    }
}
