//! What the branches of a run came to.

use crate::extract::{Candidate, ExtractError, Found};

/// Each with its place: they end in any order.
#[derive(Default)]
pub(in crate::extract::recipe) struct Finds {
    pub(super) candidates: Vec<(Vec<usize>, Candidate)>,
    pub(super) failures: Vec<(Vec<usize>, ExtractError)>,
    pub(super) dropped: usize,
}

impl Finds {
    pub(in crate::extract::recipe) fn in_order(mut self) -> Found {
        self.candidates.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.failures.sort_by(|(a, _), (b, _)| a.cmp(b));
        Found {
            candidates: self.candidates.into_iter().map(|(_, candidate)| candidate).collect(),
            failures: self.failures.into_iter().map(|(_, failure)| failure).collect(),
            dropped: self.dropped,
            ..Found::default()
        }
    }
}
