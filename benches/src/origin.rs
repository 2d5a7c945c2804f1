//! The origin that everybody fetches from: nginx over files in memory, and beside it a server of
//! our own for playlists that move.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::cores::Cores;
use crate::load::fetch;
use crate::peers::{nginx, ours};
use crate::process::{Process, free_address};

/// Paths below this are made as they are asked for, all others are files.
pub(crate) const MADE: &str = "/made/";

pub(crate) struct Origin {
    pub(crate) files: SocketAddr,
    pub(crate) made: SocketAddr,
    folder: PathBuf,
    /// Run until the stage is cleared.
    _processes: [Process; 2],
}

impl Origin {
    pub(crate) fn start(cores: &Cores, room: &Path) -> anyhow::Result<Self> {
        let folder = room.join("files");
        std::fs::create_dir_all(&folder)?;
        let start = |name: &str, command: &mut std::process::Command, address| {
            let log = room.join(format!("{name}.log"));
            let mut process = Process::start(command, &log, cores.others(), cores.others())?;
            process.wait_for(address).with_context(|| {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                format!("the origin ({name}): {log}")
            })?;
            anyhow::Ok(process)
        };
        let files = free_address()?;
        let mut nginx = nginx::command(room, 1, &nginx::server_of_files(files, &folder))?;
        let nginx = start("nginx", &mut nginx, files)?;
        let made = free_address()?;
        let mut maker = ours::this_program()?;
        maker.args(["serve", "origin", &made.to_string()]);
        let maker = start("made", &mut maker, made)?;
        Ok(Self { files, made, folder, _processes: [nginx, maker] })
    }

    /// All that a contender may be asked to fetch from.
    pub(crate) fn addresses(&self) -> [SocketAddr; 2] {
        [self.files, self.made]
    }

    /// Who has this path.
    pub(crate) fn of(&self, path: &str) -> SocketAddr {
        if path.starts_with(MADE) { self.made } else { self.files }
    }

    /// How often each path was asked for that is counted, since the last time.
    pub(crate) fn counts(&self) -> anyhow::Result<HashMap<String, u64>> {
        let counts = fetch(self.made, &format!("{MADE}counts"), Duration::from_secs(5))?;
        Ok(serde_json::from_slice(&counts.body)?)
    }

    /// Where the files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Serves these bytes under this name.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        std::fs::write(self.folder.join(name), bytes).with_context(|| format!("writing {name}"))
    }
}

/// Bytes that nothing can compress, the same every time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes());
    let mut bytes = vec![0; length];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}
