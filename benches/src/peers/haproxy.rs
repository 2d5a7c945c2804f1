//! HAProxy, with and without splice.

use std::net::SocketAddr;
use std::process::Command;

use super::{Peer, Work};
use crate::origin::MADE;
use crate::process::Process;
use crate::stage::Stage;

struct Haproxy {
    name: &'static str,
    splice: &'static str,
}

pub(super) fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(Haproxy { name: "haproxy", splice: "" }),
        Box::new(Haproxy { name: "haproxy-splice", splice: "option splice-response" }),
    ]
}

impl Peer for Haproxy {
    fn name(&self) -> &str {
        self.name
    }

    fn works(&self) -> &[Work] {
        &[Work::Relayed]
    }

    fn reaches_both_origins(&self) -> bool {
        true
    }

    fn start(&self, stage: &Stage, listen: SocketAddr, threads: usize) -> anyhow::Result<Process> {
        let room = stage.room(self.name)?;
        let file = room.join("haproxy.cfg");
        let config = format!(
            "global\n nbthread {threads}\n maxconn 4000\n\
             defaults\n mode http\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n \
             http-reuse always\n {}\n\
             frontend edge\n bind {listen}\n use_backend made if {{ path_beg {MADE} }}\n \
             default_backend files\n\
             backend files\n server files {}\n\
             backend made\n server made {}\n",
            self.splice, stage.origin.files, stage.origin.made,
        );
        std::fs::write(&file, config)?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file);
        stage.measured(&mut command, &room, threads)
    }
}
