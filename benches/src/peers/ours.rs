//! The two measures of our own: what the machine can do, and what a relay must do.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Context;

use super::{Peer, Work};
use crate::process::Process;
use crate::stage::Stage;

pub(super) struct Ceiling;

impl Peer for Ceiling {
    fn name(&self) -> &str {
        "ceiling"
    }

    fn works(&self) -> &[Work] {
        &[Work::Stored, Work::Relayed]
    }

    fn start(&self, stage: &Stage, listen: SocketAddr, _threads: usize) -> anyhow::Result<Process> {
        let mut command = this_program()?;
        command.args(["serve", "ceiling", &listen.to_string()]).arg(stage.origin.folder());
        stage.measured(&mut command, &stage.room(self.name())?, 1)
    }
}

pub(super) struct Copy;

impl Peer for Copy {
    fn name(&self) -> &str {
        "copy"
    }

    fn works(&self) -> &[Work] {
        &[Work::Relayed]
    }

    fn start(&self, stage: &Stage, listen: SocketAddr, _threads: usize) -> anyhow::Result<Process> {
        let mut command = this_program()?;
        command.args(["serve", "copy", &listen.to_string(), &stage.origin.files.to_string()]);
        stage.measured(&mut command, &stage.room(self.name())?, 1)
    }
}

pub(crate) fn this_program() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("where is this program?")?))
}
