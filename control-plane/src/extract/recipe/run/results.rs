//! [`RecipeResults`]: the candidates and failures of all branches of a run.

use crate::extract::{Candidate, ExtractError, ExtractorOutput};

/// Each candidate and failure has the path of its branch, as branches end in any order.
#[derive(Default)]
pub(in crate::extract::recipe) struct RecipeResults {
    pub(super) candidates: Vec<(Vec<usize>, Candidate)>,
    pub(super) failures: Vec<(Vec<usize>, ExtractError)>,
    /// The number of matches beyond the branches that one `foreach` may have.
    pub(super) dropped: usize,
}

impl RecipeResults {
    pub(in crate::extract::recipe) fn into_ordered_output(mut self) -> ExtractorOutput {
        self.candidates.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.failures.sort_by(|(a, _), (b, _)| a.cmp(b));
        ExtractorOutput {
            candidates: self.candidates.into_iter().map(|(_, candidate)| candidate).collect(),
            failures: self.failures.into_iter().map(|(_, failure)| failure).collect(),
            dropped: self.dropped,
            ..ExtractorOutput::default()
        }
    }
}
