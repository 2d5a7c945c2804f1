//! Pitwall's edge: with default settings, without a segment cache, without reuse of playlists, and
//! with TLS.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::bail;

use super::{LinkStyle, Peer, Workload};
use crate::certificate::TestCertificate;
use crate::process::{Process, find_free_address};
use crate::testbed::{NamedExecutable, Testbed};

struct Pitwall {
    name: String,
    executable: NamedExecutable,
    settings: EdgeSettings,
}

#[derive(Clone, Copy)]
enum EdgeSettings {
    Default,
    /// No segment cache: segments are passed through.
    NoSegmentCache,
    /// `max_age = "0s"`: only polls that arrive while an upstream request is in flight share its
    /// response.
    NoPlaylistReuse,
    Tls,
}

impl EdgeSettings {
    const ALL: [(&str, Self); 4] = [
        ("", Self::Default),
        ("-through", Self::NoSegmentCache),
        ("-fresh", Self::NoPlaylistReuse),
        ("-tls", Self::Tls),
    ];

    fn to_toml(self, testbed: &Testbed) -> String {
        match self {
            Self::Default => String::new(),
            Self::NoSegmentCache => "[edge.cache]\nbytes = \"0B\"\n".to_owned(),
            Self::NoPlaylistReuse => "[edge.playlist]\nmax_age = \"0s\"\n".to_owned(),
            Self::Tls => {
                let TestCertificate { cert_path: cert, key_path: key, .. } = &testbed.certificate;
                format!("[edge.tls]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display())
            }
        }
    }
}

pub(super) fn build_peers(executables: &[NamedExecutable]) -> Vec<Box<dyn Peer>> {
    let mut peers: Vec<Box<dyn Peer>> = Vec::new();
    for executable in executables {
        for (suffix, settings) in EdgeSettings::ALL {
            let name = format!("{}{suffix}", executable.name);
            peers.push(Box::new(Pitwall { name, executable: executable.clone(), settings }));
        }
    }
    peers
}

impl Peer for Pitwall {
    fn name(&self) -> &str {
        &self.name
    }

    fn workloads(&self) -> &[Workload] {
        match self.settings {
            EdgeSettings::Default => {
                &[Workload::Stored, Workload::Relayed, Workload::Playlist, Workload::Shared]
            }
            EdgeSettings::NoSegmentCache => &[Workload::Relayed],
            EdgeSettings::NoPlaylistReuse => &[Workload::Fresh],
            EdgeSettings::Tls => &[Workload::Tls, Workload::Http2],
        }
    }

    fn link_style(&self) -> LinkStyle {
        LinkStyle::Pitwall
    }

    fn spawn(
        &self,
        testbed: &Testbed,
        listen: SocketAddr,
        threads: usize,
    ) -> anyhow::Result<Process> {
        let program = &self.executable.path;
        if !program.is_file() {
            bail!("{} is not there: cargo build --release --package pitwall", program.display());
        }
        let directory = testbed.create_contender_directory(&self.name)?;
        let file = directory.join("pitwall.toml");
        let config = format!(
            "[edge]\nlisten = \"{listen}\"\nadmin = \"{}\"\nthreads = {threads}\n{}\
             [upstream]\nallow_hosts = {:?}\nallow_private = [\"127.0.0.0/8\"]\n\
             [state]\ndir = \"{}\"\n[schedule]\nproviders = []\n",
            find_free_address()?,
            self.settings.to_toml(testbed),
            testbed.origin.addresses().map(|address| address.to_string()),
            directory.join("state").display(),
        );
        std::fs::write(&file, config)?;
        let mut command = Command::new(program);
        command.args(["run", "--config"]).arg(&file).env("PITWALL_LOG", "warn");
        testbed.start_measured_process(&mut command, &directory, threads)
    }
}
