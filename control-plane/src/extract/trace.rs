//! [`Trace`]: what each step of a run did, for the author of the source's configuration. Values are
//! masked before they are stored: a trace is shown on terminals and to holders of the admin token,
//! neither of which may learn an upstream's tokens from it.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::error::StepFailure;
use super::mask;
use super::shape;

/// One step of a run, as it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TracedStep {
    /// The branch of the run that the step belongs to.
    pub track: RunBranch,
    pub step: String,
    #[serde(rename = "took_ms", with = "milliseconds")]
    #[schema(value_type = u64)]
    pub took: Duration,
    /// The HTTP status of the response, where the step got one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The number of matches that the step found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<usize>,
    /// The output of the step, with secrets masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yielded: Option<String>,
    /// The shape of the step's output, without its values; drift is a change of this shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A branch of a run: a row of a recipe, and below it an item that `foreach` found. `path` holds
/// the indices from the row down; `name` is the row's name in the configuration, with `#N` for
/// each item.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
pub struct RunBranch {
    pub path: Vec<usize>,
    pub name: String,
}

impl RunBranch {
    pub(crate) fn for_row(index: usize, name: Option<&str>) -> Self {
        Self { path: vec![index], name: name.unwrap_or_default().to_owned() }
    }

    pub(crate) fn child_branch(&self, index: usize) -> Self {
        let mut path = self.path.clone();
        path.push(index);
        Self { path, name: format!("{}#{}", self.name, index + 1) }
    }
}

/// Collects the steps of a run as they end, so that a run that misses its deadline has a trace too.
#[derive(Default)]
pub(crate) struct Trace(Mutex<Vec<TracedStep>>);

/// A step in progress. A span that is dropped without [`finish`](Self::finish) is recorded with the
/// error "not finished".
pub(crate) struct StepSpan<'a> {
    trace: &'a Trace,
    started_at: Instant,
    step: TracedStep,
}

impl Trace {
    pub(crate) fn start_step(&self, branch: &RunBranch, step: impl Into<String>) -> StepSpan<'_> {
        let step = TracedStep {
            track: branch.clone(),
            step: step.into(),
            took: Duration::ZERO,
            status: None,
            matched: None,
            yielded: None,
            shape: None,
            error: Some("not finished".to_owned()),
        };
        StepSpan { trace: self, started_at: Instant::now(), step }
    }

    /// The steps branch by branch, in the order of the configuration.
    pub(crate) fn steps(&self) -> Vec<TracedStep> {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        steps.sort_by(|a, b| a.track.path.cmp(&b.track.path));
        steps
    }
}

impl StepSpan<'_> {
    pub(crate) fn set_status(&mut self, status: u16) {
        self.step.status = Some(status);
    }

    pub(crate) fn set_match_count(&mut self, count: usize) {
        self.step.matched = Some(count);
    }

    pub(crate) fn set_output(&mut self, name: &str, text: &str) {
        self.step.yielded = Some(mask::mask_value(name, text));
        self.step.shape = Some(shape::describe_shape(text));
    }

    /// Records several named values as the step's output.
    pub(crate) fn set_output_pairs(&mut self, pairs: &[(String, String)]) {
        let join = |show: fn(&str, &str) -> String| {
            let shown = pairs.iter().map(|(name, text)| format!("{name} = {}", show(name, text)));
            shown.collect::<Vec<_>>().join(", ")
        };
        self.step.yielded = Some(join(mask::mask_value));
        self.step.shape = Some(join(|_, text| shape::describe_shape(text)));
    }

    /// Records text that is not a value, so that it needs no mask and has no shape.
    pub(crate) fn set_note(&mut self, text: impl Into<String>) {
        self.step.yielded = Some(text.into());
    }

    pub(crate) fn finish<T>(mut self, result: Result<T, StepFailure>) -> Result<T, StepFailure> {
        self.step.error = match &result {
            Ok(_) => None,
            Err(failure) => Some(failure.detail.as_ref().unwrap_or(&failure.message).clone()),
        };
        result
    }
}

impl Drop for StepSpan<'_> {
    fn drop(&mut self) {
        self.step.took = self.started_at.elapsed();
        let mut steps = self.trace.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push(self.step.clone());
    }
}

/// One line, such as `step 2 (select "input")     3 ms  200  2 matches  -> abcd…[32]`.
impl fmt::Display for TracedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<44} {:>6} ms", self.step, self.took.as_millis())?;
        if let Some(status) = self.status {
            write!(f, "  {status}")?;
        }
        match self.matched {
            Some(1) => write!(f, "  1 match")?,
            Some(matched) => write!(f, "  {matched} matches")?,
            None => {}
        }
        if let Some(yielded) = &self.yielded {
            write!(f, "  -> {yielded}")?;
        }
        match &self.error {
            Some(error) => write!(f, "  FAILED: {error}"),
            None => Ok(()),
        }
    }
}

/// Durations as whole milliseconds, as in the public documents.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
