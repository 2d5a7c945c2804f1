//! HAProxy, with and without splice(2).

use std::net::SocketAddr;
use std::process::Command;

use super::{Peer, Workload};
use crate::origin::DYNAMIC_PREFIX;
use crate::process::Process;
use crate::testbed::Testbed;

struct Haproxy {
    name: &'static str,
    splice_option: &'static str,
}

pub(super) fn build_peers() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(Haproxy { name: "haproxy", splice_option: "" }),
        Box::new(Haproxy { name: "haproxy-splice", splice_option: "option splice-response" }),
    ]
}

impl Peer for Haproxy {
    fn name(&self) -> &str {
        self.name
    }

    fn workloads(&self) -> &[Workload] {
        &[Workload::Relayed]
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
        let directory = testbed.create_contender_directory(self.name)?;
        let file = directory.join("haproxy.cfg");
        let config = format!(
            "global\n nbthread {threads}\n maxconn 4000\n\
             defaults\n mode http\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n \
             http-reuse always\n {}\n\
             frontend edge\n bind {listen}\n use_backend made if {{ path_beg {DYNAMIC_PREFIX} }}\n \
             default_backend files\n\
             backend files\n server files {}\n\
             backend made\n server made {}\n",
            self.splice_option, testbed.origin.files_address, testbed.origin.dynamic_address,
        );
        std::fs::write(&file, config)?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file);
        testbed.start_measured_process(&mut command, &directory, threads)
    }
}
