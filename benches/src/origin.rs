//! The origin of all contenders: nginx over files in memory, and beside it this program's own
//! server ([`crate::serve::origin`]) for generated playlists and counted segments.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::cores::Cores;
use crate::load::fetch;
use crate::nginx_config::{file_server_block, nginx_command};
use crate::process::{Process, find_free_address, own_program_command};

/// Path prefix of generated responses; all other paths are files.
pub(crate) const DYNAMIC_PREFIX: &str = "/made/";

/// The file that every segment URI of the playlists in files names, whatever its query.
pub(crate) const SEGMENT_FILE: &str = "segment.ts";
/// Size of [`SEGMENT_FILE`], and of the segments of generated windows.
pub(crate) const SEGMENT_BYTES: usize = 100_000;

/// Duration of a segment of a generated live stream.
pub(crate) const TARGET_DURATION: Duration = Duration::from_secs(2);

pub(crate) struct Origin {
    pub(crate) files_address: SocketAddr,
    pub(crate) dynamic_address: SocketAddr,
    files_directory: PathBuf,
    /// Both servers, which run until the origin is dropped.
    _processes: [Process; 2],
}

impl Origin {
    /// Starts both servers on the cores that are not measured, their files in `directory`.
    pub(crate) fn start(cores: &Cores, directory: &Path) -> anyhow::Result<Self> {
        let files_directory = directory.join("files");
        std::fs::create_dir_all(&files_directory)?;
        let start = |name: &str, command: &mut std::process::Command, address| {
            let log = directory.join(format!("{name}.log"));
            let mut process =
                Process::start(command, &log, cores.harness_cores(), cores.harness_cores())?;
            process.wait_until_listening(address).with_context(|| {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                format!("the origin ({name}): {log}")
            })?;
            anyhow::Ok(process)
        };
        let files_address = find_free_address()?;
        let mut nginx =
            nginx_command(directory, 1, &file_server_block(files_address, &files_directory))?;
        let nginx = start("nginx", &mut nginx, files_address)?;
        let dynamic_address = find_free_address()?;
        let mut dynamic = own_program_command()?;
        dynamic.args(["serve", "origin", &dynamic_address.to_string()]);
        let dynamic = start("made", &mut dynamic, dynamic_address)?;
        Ok(Self { files_address, dynamic_address, files_directory, _processes: [nginx, dynamic] })
    }

    /// Both addresses from which a contender may have to fetch.
    pub(crate) fn addresses(&self) -> [SocketAddr; 2] {
        [self.files_address, self.dynamic_address]
    }

    /// The address of the server that has this path.
    pub(crate) fn address_for(&self, path: &str) -> SocketAddr {
        if path.starts_with(DYNAMIC_PREFIX) { self.dynamic_address } else { self.files_address }
    }

    /// Requests per counted path since the last call.
    pub(crate) fn take_request_counts(&self) -> anyhow::Result<HashMap<String, u64>> {
        let counts = fetch(
            self.dynamic_address,
            &format!("{DYNAMIC_PREFIX}counts"),
            Duration::from_secs(5),
        )?;
        Ok(serde_json::from_slice(&counts.body)?)
    }

    /// The directory of the files that nginx serves.
    pub(crate) fn files_directory(&self) -> &Path {
        &self.files_directory
    }

    /// Makes nginx serve `bytes` as `/{name}`.
    pub(crate) fn write_file(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        std::fs::write(self.files_directory.join(name), bytes)
            .with_context(|| format!("writing {name}"))
    }
}

/// Incompressible bytes, the same for the same `length`.
pub(crate) fn incompressible_bytes(length: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes());
    let mut bytes = vec![0; length];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}
