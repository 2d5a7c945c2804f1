//! mediaflow-proxy (Python), from PyPI.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::bail;

use super::{Link, Peer, Work};
use crate::process::Process;
use crate::stage::Stage;

pub(super) struct MediaflowProxy;

impl Peer for MediaflowProxy {
    fn name(&self) -> &str {
        "mediaflow-proxy"
    }

    fn works(&self) -> &[Work] {
        &[Work::Relayed, Work::Playlist]
    }

    fn link(&self) -> Link {
        Link::Mediaflow
    }

    fn start(&self, stage: &Stage, listen: SocketAddr, threads: usize) -> anyhow::Result<Process> {
        let program = stage.installed.join("python/bin/uvicorn");
        if !program.is_file() {
            bail!("not installed: .ci/setup bench");
        }
        let room = stage.room(self.name())?;
        let mut command = Command::new(program);
        command.args(["mediaflow_proxy.main:app", "--host", &listen.ip().to_string(), "--port"]);
        command.arg(listen.port().to_string()).args(["--workers", &threads.to_string()]);
        command.args(["--no-access-log", "--log-level", "warning"]).current_dir(&room);
        // Its prefetching would only add to what it does for a playlist.
        command.env("LOG_LEVEL", "WARNING").env("ENABLE_HLS_PREBUFFER", "false");
        stage.measured(&mut command, &room, threads)
    }
}
