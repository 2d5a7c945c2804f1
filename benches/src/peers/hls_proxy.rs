//! HLS-Proxy, a Node program from npm.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::bail;

use super::{LinkStyle, Peer, Workload};
use crate::process::Process;
use crate::testbed::Testbed;

pub(super) struct HlsProxy;

impl Peer for HlsProxy {
    fn name(&self) -> &str {
        "hls-proxy"
    }

    fn workloads(&self) -> &[Workload] {
        &[Workload::Relayed, Workload::Playlist, Workload::Shared, Workload::Fresh]
    }

    fn link_style(&self) -> LinkStyle {
        LinkStyle::HlsProxy
    }

    fn spawn(
        &self,
        testbed: &Testbed,
        listen: SocketAddr,
        _threads: usize,
    ) -> anyhow::Result<Process> {
        let script = "node_modules/@warren-bank/hls-proxy/hls-proxy/bin/hlsd.js";
        let script = testbed.peers_directory.join(script);
        if !script.is_file() {
            bail!("not installed: .ci/setup bench");
        }
        let mut command = Command::new("node");
        command.arg(script).args(["--port", &listen.port().to_string(), "--host"]);
        command.arg(listen.to_string());
        testbed.start_measured_process(
            &mut command,
            &testbed.create_contender_directory(self.name())?,
            1,
        )
    }
}
