//! The results of a control plane: [`SteadyStateFigures`], [`QuietPeriodFigures`], [`ChangeDelays`].

use std::mem::discriminant;

use serde::{Deserialize, Serialize};

use crate::record::RecordEntry;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ControlPlaneResult {
    pub(crate) contender: String,
    pub(crate) streams: usize,
    pub(crate) figures: ControlPlaneFigures,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ControlPlaneFigures {
    Steady(SteadyStateFigures),
    Quiet(QuietPeriodFigures),
    Change(ChangeDelays),
}

/// The control plane without viewers, while nothing changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SteadyStateFigures {
    /// From the control plane's start until all streams were healthy, or the warm-up timed out.
    pub(crate) warm_up_seconds: f64,
    /// Healthy streams at the end.
    pub(crate) healthy_streams: usize,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// In which threads were ready to run and waited for a core, summed over threads.
    pub(crate) run_delay_seconds: f64,
    /// Checks of upstreams that were done.
    pub(crate) checks: u64,
    /// Checks that were due and waited, at the end.
    pub(crate) checks_waiting: u64,
    /// Since the control plane's start, in bytes.
    pub(crate) memory_peak: u64,
    /// Bytes that Redis received.
    pub(crate) redis_bytes: u64,
}

/// Watched streams on which nothing happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct QuietPeriodFigures {
    pub(crate) seconds: f64,
    /// Processor seconds of the control plane.
    pub(crate) cpu_seconds: f64,
    /// Bytes that Redis received, of the control plane and of the edge.
    pub(crate) redis_bytes: u64,
    pub(crate) documents: Vec<DocumentResponseCounts>,
}

/// The responses to conditional requests for one document, or for one of each watched stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DocumentResponseCounts {
    pub(crate) document: String,
    pub(crate) requests: u64,
    /// Responses with status 304.
    pub(crate) not_modified: u64,
    /// Requests without a response, and responses with a status other than 200 and 304.
    pub(crate) failures: u64,
    /// Bytes of content.
    pub(crate) bytes: u64,
}

impl DocumentResponseCounts {
    pub(crate) fn not_modified_ratio(&self) -> f64 {
        self.not_modified as f64 / self.requests as f64
    }
}

impl QuietPeriodFigures {
    /// The responses of all documents together.
    pub(crate) fn all_documents(&self) -> DocumentResponseCounts {
        let all = DocumentResponseCounts {
            document: "all".to_owned(),
            ..DocumentResponseCounts::default()
        };
        self.documents.iter().fold(all, |sum, one| DocumentResponseCounts {
            document: sum.document,
            requests: sum.requests + one.requests,
            not_modified: sum.not_modified + one.not_modified,
            failures: sum.failures + one.failures,
            bytes: sum.bytes + one.bytes,
        })
    }
}

/// Seconds from a change of a source until an edge's document of the stream says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChangeDelays {
    /// Of the active source of a stream failing.
    pub(crate) outages: Vec<f64>,
    /// Of that source being restored.
    pub(crate) recoveries: Vec<f64>,
    /// Changes that were not at the edge in time.
    pub(crate) missed: usize,
}

impl RecordEntry for ControlPlaneResult {
    fn supersedes(&self, older: &Self) -> bool {
        (&self.contender, self.streams) == (&older.contender, older.streams)
            && discriminant(&self.figures) == discriminant(&older.figures)
    }

    fn contender(&self) -> &str {
        &self.contender
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_all_documents_weighs_them_by_requests() {
        let one = |requests, not_modified| DocumentResponseCounts {
            requests,
            not_modified,
            bytes: 10,
            ..DocumentResponseCounts::default()
        };
        let quiet = QuietPeriodFigures {
            seconds: 60.0,
            cpu_seconds: 1.0,
            redis_bytes: 0,
            documents: vec![one(10, 10), one(30, 0)],
        };
        let all = quiet.all_documents();
        assert_eq!((all.requests, all.bytes), (40, 20));
        assert!((all.not_modified_ratio() - 0.25).abs() < 1e-9);
    }
}
