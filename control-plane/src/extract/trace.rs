//! [`Trace`]: what each step of a run did, for whoever wrote it. Kept masked: a trace is shown
//! on terminals and to holders of the admin token, and is worth nothing to either as a key.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::error::Failure;
use super::mask;
use super::shape;

/// One step as it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TracedStep {
    /// Which of the runs that a recipe branches into; its name is what the operator called it.
    pub track: Track,
    pub step: String,
    #[serde(rename = "took_ms", with = "milliseconds")]
    #[schema(value_type = u64)]
    pub took: Duration,
    /// Of the answer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<usize>,
    /// Masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yielded: Option<String>,
    /// What drift is judged by: the form of what it yielded, which holds no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A run within a run: the rows of a recipe, and below them what `foreach` found.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
pub struct Track {
    pub path: Vec<usize>,
    pub name: String,
}

impl Track {
    pub(crate) fn row(index: usize, name: Option<&str>) -> Self {
        Self { path: vec![index], name: name.unwrap_or_default().to_owned() }
    }

    pub(crate) fn branch(&self, index: usize) -> Self {
        let mut path = self.path.clone();
        path.push(index);
        Self { path, name: format!("{}#{}", self.name, index + 1) }
    }
}

/// Collects steps while they happen, also those of a run that is cut short.
#[derive(Default)]
pub(crate) struct Trace(Mutex<Vec<TracedStep>>);

/// A step that is going on; one that is dropped did not get to its end.
pub(crate) struct Tracing<'a> {
    trace: &'a Trace,
    began: Instant,
    step: TracedStep,
}

impl Trace {
    pub(crate) fn begin(&self, track: &Track, step: impl Into<String>) -> Tracing<'_> {
        let step = TracedStep {
            track: track.clone(),
            step: step.into(),
            took: Duration::ZERO,
            status: None,
            matched: None,
            yielded: None,
            shape: None,
            error: Some("not finished".to_owned()),
        };
        Tracing { trace: self, began: Instant::now(), step }
    }

    /// Track by track, in the order of the configuration.
    pub(crate) fn steps(&self) -> Vec<TracedStep> {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        steps.sort_by(|a, b| a.track.path.cmp(&b.track.path));
        steps
    }
}

impl Tracing<'_> {
    pub(crate) fn status(&mut self, status: u16) {
        self.step.status = Some(status);
    }

    pub(crate) fn matched(&mut self, count: usize) {
        self.step.matched = Some(count);
    }

    pub(crate) fn yielded(&mut self, name: &str, text: &str) {
        self.step.yielded = Some(mask::value(name, text));
        self.step.shape = Some(shape::of(text));
    }

    /// Several values by their names.
    pub(crate) fn yielded_pairs(&mut self, pairs: &[(String, String)]) {
        let join = |show: fn(&str, &str) -> String| {
            let shown = pairs.iter().map(|(name, text)| format!("{name} = {}", show(name, text)));
            shown.collect::<Vec<_>>().join(", ")
        };
        self.step.yielded = Some(join(mask::value));
        self.step.shape = Some(join(|_, text| shape::of(text)));
    }

    /// Something to say that is no value.
    pub(crate) fn says(&mut self, text: impl Into<String>) {
        self.step.yielded = Some(text.into());
    }

    pub(crate) fn end<T>(mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.step.error = match &result {
            Ok(_) => None,
            Err(failure) => Some(failure.detail.as_ref().unwrap_or(&failure.message).clone()),
        };
        result
    }
}

impl Drop for Tracing<'_> {
    fn drop(&mut self) {
        self.step.took = self.began.elapsed();
        let mut steps = self.trace.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push(self.step.clone());
    }
}

/// `step 2 (select "input")     3 ms  200  2 matches  -> abcd…[32]`
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

/// Durations as the public documents have them.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(took: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
