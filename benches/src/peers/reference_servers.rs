//! The program's own reference servers: the ceiling is what the machine can do, the raw copy loop
//! the least that a relay must do.

use std::net::SocketAddr;

use super::{Peer, Workload};
use crate::process::{Process, own_program_command};
use crate::testbed::Testbed;

pub(super) struct CeilingServer;

impl Peer for CeilingServer {
    fn name(&self) -> &str {
        "ceiling"
    }

    fn workloads(&self) -> &[Workload] {
        &[Workload::Stored, Workload::Relayed]
    }

    fn spawn(
        &self,
        testbed: &Testbed,
        listen: SocketAddr,
        _threads: usize,
    ) -> anyhow::Result<Process> {
        let mut command = own_program_command()?;
        command
            .args(["serve", "ceiling", &listen.to_string()])
            .arg(testbed.origin.files_directory());
        testbed.start_measured_process(
            &mut command,
            &testbed.create_contender_directory(self.name())?,
            1,
        )
    }
}

pub(super) struct RawCopyLoop;

impl Peer for RawCopyLoop {
    fn name(&self) -> &str {
        "copy"
    }

    fn workloads(&self) -> &[Workload] {
        &[Workload::Relayed]
    }

    fn spawn(
        &self,
        testbed: &Testbed,
        listen: SocketAddr,
        _threads: usize,
    ) -> anyhow::Result<Process> {
        let mut command = own_program_command()?;
        command.args([
            "serve",
            "copy",
            &listen.to_string(),
            &testbed.origin.files_address.to_string(),
        ]);
        testbed.start_measured_process(
            &mut command,
            &testbed.create_contender_directory(self.name())?,
            1,
        )
    }
}
