//! Pitwall's edge: as it is by default, with nothing stored, with no playlist reused, and with TLS.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::bail;

use super::{Link, Peer, Work};
use crate::certificate::Certificate;
use crate::process::{Process, free_address};
use crate::stage::{NamedPath, Stage};

struct Pitwall {
    name: String,
    executable: NamedPath,
    settings: Settings,
}

#[derive(Clone, Copy)]
enum Settings {
    Default,
    /// Segments pass through.
    Through,
    /// Polls share an upstream's answer only while it is under way.
    Fresh,
    Tls,
}

impl Settings {
    const ALL: [(&str, Self); 4] = [
        ("", Self::Default),
        ("-through", Self::Through),
        ("-fresh", Self::Fresh),
        ("-tls", Self::Tls),
    ];

    fn toml(self, stage: &Stage) -> String {
        match self {
            Self::Default => String::new(),
            Self::Through => "[edge.cache]\nbytes = \"0B\"\n".to_owned(),
            Self::Fresh => "[edge.playlist]\nmax_age = \"0s\"\n".to_owned(),
            Self::Tls => {
                let Certificate { cert, key, .. } = &stage.certificate;
                format!("[edge.tls]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display())
            }
        }
    }
}

pub(super) fn all(executables: &[NamedPath]) -> Vec<Box<dyn Peer>> {
    let mut peers: Vec<Box<dyn Peer>> = Vec::new();
    for executable in executables {
        for (suffix, settings) in Settings::ALL {
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

    fn works(&self) -> &[Work] {
        match self.settings {
            Settings::Default => &[Work::Stored, Work::Relayed, Work::Playlist, Work::Shared],
            Settings::Through => &[Work::Relayed],
            Settings::Fresh => &[Work::Fresh],
            Settings::Tls => &[Work::Tls, Work::Http2],
        }
    }

    fn link(&self) -> Link {
        Link::Pitwall
    }

    fn start(&self, stage: &Stage, listen: SocketAddr, threads: usize) -> anyhow::Result<Process> {
        let program = &self.executable.path;
        if !program.is_file() {
            bail!("{} is not there: cargo build --release --package pitwall", program.display());
        }
        let room = stage.room(&self.name)?;
        let file = room.join("pitwall.toml");
        let config = format!(
            "[edge]\nlisten = \"{listen}\"\nadmin = \"{}\"\nthreads = {threads}\n{}\
             [upstream]\nallow_hosts = {:?}\nallow_private = [\"127.0.0.0/8\"]\n\
             [state]\ndir = \"{}\"\n[schedule]\nproviders = []\n",
            free_address()?,
            self.settings.toml(stage),
            stage.origin.addresses().map(|address| address.to_string()),
            room.join("state").display(),
        );
        std::fs::write(&file, config)?;
        let mut command = Command::new(program);
        command.args(["run", "--config"]).arg(&file).env("PITWALL_LOG", "warn");
        stage.measured(&mut command, &room, threads)
    }
}
