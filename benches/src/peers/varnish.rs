//! Varnish, with its objects in malloc storage.

use std::net::SocketAddr;
use std::process::Command;

use super::{Peer, Workload};
use crate::origin::DYNAMIC_PREFIX;
use crate::process::Process;
use crate::testbed::Testbed;

pub(super) struct Varnish;

impl Peer for Varnish {
    fn name(&self) -> &str {
        "varnish"
    }

    fn workloads(&self) -> &[Workload] {
        &[Workload::Stored]
    }

    fn can_reach_both_origins(&self) -> bool {
        true
    }

    fn spawn(
        &self,
        testbed: &Testbed,
        listen: SocketAddr,
        threads: usize,
    ) -> anyhow::Result<Process> {
        let directory = testbed.create_contender_directory(self.name())?;
        let file = directory.join("default.vcl");
        let backend = |name: &str, origin: SocketAddr| {
            let (host, port) = (origin.ip(), origin.port());
            format!("backend {name} {{ .host = \"{host}\"; .port = \"{port}\"; }}")
        };
        let configuration = format!(
            "vcl 4.1; {} {}\n\
             sub vcl_recv {{ if (req.url ~ \"^{DYNAMIC_PREFIX}\") {{ set req.backend_hint = made; }} }}\n\
             sub vcl_backend_response {{ set beresp.ttl = 1h; }}\n",
            backend("default", testbed.origin.files_address),
            backend("made", testbed.origin.dynamic_address),
        );
        std::fs::write(&file, configuration)?;
        let mut command = Command::new("varnishd");
        command.args(["-F", "-j", "none", "-a", &listen.to_string(), "-s", "malloc,2G"]);
        command.arg("-n").arg(directory.join("work")).arg("-f").arg(&file);
        command.args(["-p", "thread_pools=1", "-p", "thread_pool_min=100"]);
        command.args(["-p", "thread_queue_limit=20000", "-p", "timeout_idle=3600"]);
        testbed.start_measured_process(&mut command, &directory, threads)
    }
}
