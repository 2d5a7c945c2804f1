//! What is measured, one scenario to a file.

pub(crate) mod herd;
pub(crate) mod memory;
pub(crate) mod players;
pub(crate) mod playlists;
mod round;
pub(crate) mod secure;
pub(crate) mod segments;
pub(crate) mod store;

use std::time::Duration;

use crate::peers::{self, Contender, Peer, Skipped, Work};
use crate::stage::Stage;

/// What all scenarios are told.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Names of contenders; all when it is empty.
    pub(crate) only: Vec<String>,
    pub(crate) duration: Duration,
    pub(crate) repetitions: usize,
}

impl Terms {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// Whoever is wanted for one of these works.
fn wanted(stage: &Stage, terms: &Terms, works: &[Work]) -> Vec<Box<dyn Peer>> {
    let mut peers = peers::all(stage);
    peers.retain(|peer| {
        terms.wants(peer.name()) && peer.works().iter().any(|work| works.contains(work))
    });
    peers
}

/// Starts whoever is wanted for one of these works.
fn start(
    stage: &Stage,
    terms: &Terms,
    works: &[Work],
    threads: usize,
    skipped: &mut Vec<Skipped>,
) -> Vec<Contender> {
    let mut contenders = Vec::new();
    for peer in wanted(stage, terms, works) {
        match peers::start(peer.as_ref(), stage, threads) {
            Ok(contender) => contenders.push(contender),
            Err(reason) => skipped.push(reason),
        }
    }
    contenders
}

/// Starts one, has it measured, and ends it.
fn alone<T>(
    peer: &dyn Peer,
    stage: &Stage,
    skipped: &mut Vec<Skipped>,
    measure: impl FnOnce(&Contender) -> anyhow::Result<T>,
) -> Option<T> {
    let measured = peers::start(peer, stage, 1).and_then(|contender| {
        measure(&contender)
            .map_err(|error| Skipped { name: contender.name.clone(), reason: format!("{error:#}") })
    });
    measured.map_err(|reason| skipped.push(reason)).ok()
}
