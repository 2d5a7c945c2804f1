//! Varnish, objects in malloc.

use std::net::SocketAddr;
use std::process::Command;

use super::{Peer, Work};
use crate::origin::MADE;
use crate::process::Process;
use crate::stage::Stage;

pub(super) struct Varnish;

impl Peer for Varnish {
    fn name(&self) -> &str {
        "varnish"
    }

    fn works(&self) -> &[Work] {
        &[Work::Stored]
    }

    fn reaches_both_origins(&self) -> bool {
        true
    }

    fn start(&self, stage: &Stage, listen: SocketAddr, threads: usize) -> anyhow::Result<Process> {
        let room = stage.room(self.name())?;
        let file = room.join("default.vcl");
        let backend = |name: &str, origin: SocketAddr| {
            let (host, port) = (origin.ip(), origin.port());
            format!("backend {name} {{ .host = \"{host}\"; .port = \"{port}\"; }}")
        };
        let configuration = format!(
            "vcl 4.1; {} {}\n\
             sub vcl_recv {{ if (req.url ~ \"^{MADE}\") {{ set req.backend_hint = made; }} }}\n\
             sub vcl_backend_response {{ set beresp.ttl = 1h; }}\n",
            backend("default", stage.origin.files),
            backend("made", stage.origin.made),
        );
        std::fs::write(&file, configuration)?;
        let mut command = Command::new("varnishd");
        command.args(["-F", "-j", "none", "-a", &listen.to_string(), "-s", "malloc,2G"]);
        command.arg("-n").arg(room.join("work")).arg("-f").arg(&file);
        command.args(["-p", "thread_pools=1", "-p", "thread_pool_min=100"]);
        command.args(["-p", "thread_queue_limit=20000", "-p", "timeout_idle=3600"]);
        stage.measured(&mut command, &room, threads)
    }
}
