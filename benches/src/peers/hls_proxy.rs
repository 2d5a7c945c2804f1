//! HLS-Proxy (Node), from npm.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::bail;

use super::{Link, Peer, Work};
use crate::process::Process;
use crate::stage::Stage;

pub(super) struct HlsProxy;

impl Peer for HlsProxy {
    fn name(&self) -> &str {
        "hls-proxy"
    }

    fn works(&self) -> &[Work] {
        &[Work::Relayed, Work::Playlist, Work::Shared, Work::Fresh]
    }

    fn link(&self) -> Link {
        Link::HlsProxy
    }

    fn start(&self, stage: &Stage, listen: SocketAddr, _threads: usize) -> anyhow::Result<Process> {
        let script = "node_modules/@warren-bank/hls-proxy/hls-proxy/bin/hlsd.js";
        let script = stage.installed.join(script);
        if !script.is_file() {
            bail!("not installed: .ci/setup bench");
        }
        let mut command = Command::new("node");
        command.arg(script).args(["--port", &listen.port().to_string(), "--host"]);
        command.arg(listen.to_string());
        stage.measured(&mut command, &stage.room(self.name())?, 1)
    }
}
