//! The scenarios.
//!
//! - [`segments`]: segments, cache hits and misses.
//! - [`secure`]: segments over TLS.
//! - [`playlists`]: polls of playlists.
//! - [`players`]: virtual players.
//! - [`herd`]: many clients on one new segment.
//! - [`memory`]: memory of slow readers and idle connections.
//! - [`store`]: edges on one Redis.
//! - [`round_robin`]: measures running contenders in turns.

pub(crate) mod herd;
pub(crate) mod memory;
pub(crate) mod players;
pub(crate) mod playlists;
mod round_robin;
pub(crate) mod secure;
pub(crate) mod segments;
pub(crate) mod store;

use std::time::Duration;

use crate::peers::{self, Contender, Peer, SkippedContender, Workload};
use crate::testbed::Testbed;

/// Options of all scenarios.
#[derive(Clone, Debug)]
pub(crate) struct ScenarioOptions {
    /// Names of the contenders to measure; empty means all.
    pub(crate) contender_names: Vec<String>,
    /// Duration of one measurement.
    pub(crate) duration: Duration,
    pub(crate) repetitions: usize,
}

impl ScenarioOptions {
    fn is_wanted(&self, name: &str) -> bool {
        self.contender_names.is_empty()
            || self.contender_names.iter().any(|selected| selected == name)
    }
}

/// The selected peers that can do one of these workloads.
fn wanted_peers(
    testbed: &Testbed,
    options: &ScenarioOptions,
    workloads: &[Workload],
) -> Vec<Box<dyn Peer>> {
    let mut peers = peers::build_peers(testbed);
    peers.retain(|peer| {
        options.is_wanted(peer.name())
            && peer.workloads().iter().any(|workload| workloads.contains(workload))
    });
    peers
}

/// Starts the selected peers that can do one of these workloads; those that fail are added to
/// `skipped`.
fn start_contenders(
    testbed: &Testbed,
    options: &ScenarioOptions,
    workloads: &[Workload],
    threads: usize,
    skipped: &mut Vec<SkippedContender>,
) -> Vec<Contender> {
    let mut contenders = Vec::new();
    for peer in wanted_peers(testbed, options, workloads) {
        match peers::start_contender(peer.as_ref(), testbed, threads) {
            Ok(contender) => contenders.push(contender),
            Err(reason) => skipped.push(reason),
        }
    }
    contenders
}

/// Starts a peer, measures it and ends it; a failure is added to `skipped`.
fn measure_alone<T>(
    peer: &dyn Peer,
    testbed: &Testbed,
    skipped: &mut Vec<SkippedContender>,
    measure: impl FnOnce(&Contender) -> anyhow::Result<T>,
) -> Option<T> {
    let measured = peers::start_contender(peer, testbed, 1).and_then(|contender| {
        measure(&contender).map_err(|error| SkippedContender {
            name: contender.name.clone(),
            reason: format!("{error:#}"),
        })
    });
    measured.map_err(|reason| skipped.push(reason)).ok()
}
