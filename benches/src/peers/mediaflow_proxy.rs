//! mediaflow-proxy, a Python program from PyPI.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::bail;

use super::{LinkStyle, Peer, Workload};
use crate::process::Process;
use crate::testbed::Testbed;

pub(super) struct MediaflowProxy;

impl Peer for MediaflowProxy {
    fn name(&self) -> &str {
        "mediaflow-proxy"
    }

    fn workloads(&self) -> &[Workload] {
        &[Workload::Relayed, Workload::Playlist]
    }

    fn link_style(&self) -> LinkStyle {
        LinkStyle::Mediaflow
    }

    fn spawn(
        &self,
        testbed: &Testbed,
        listen: SocketAddr,
        threads: usize,
    ) -> anyhow::Result<Process> {
        let program = testbed.peers_directory.join("python/bin/uvicorn");
        if !program.is_file() {
            bail!("not installed: .ci/setup bench");
        }
        let directory = testbed.create_contender_directory(self.name())?;
        let mut command = Command::new(program);
        command.args(["mediaflow_proxy.main:app", "--host", &listen.ip().to_string(), "--port"]);
        command.arg(listen.port().to_string()).args(["--workers", &threads.to_string()]);
        command.args(["--no-access-log", "--log-level", "warning"]).current_dir(&directory);
        // The prefetching is off, since it would add to the cost of each playlist.
        command.env("LOG_LEVEL", "WARNING").env("ENABLE_HLS_PREBUFFER", "false");
        testbed.start_measured_process(&mut command, &directory, threads)
    }
}
