//! The control plane: finds streams, checks, ranks and publishes them and renews their tokens. No
//! code of this crate runs on a viewer's request.
//!
//! Modules, in the order in which a stream passes through them:
//!
//! - [`source`]: a [`Source`], the settings that all kinds share; [`settings`]: values that are validated while the
//!   configuration is deserialized.
//! - [`extract`]: a [`ConfiguredSource`] in, [`Candidate`]s out; one file per source kind.
//! - [`expiry`]: when a candidate's token expires.
//! - [`check`]: fetches a candidate's multivariant playlist, renditions and newest segment as a
//!   player would.
//! - [`playability`]: one such check for the command line.
//! - [`engine`]: the one queue of extractions, checks and retries; [`refresh`]: its delays.
//! - [`breaker`]: the circuit breaker of one upstream.
//! - [`rank`]: which upstream of a stream is active, and why.
//! - [`history`]: persisted statistics; [`state_file`]: the files that carry them and the
//!   schedule across a restart.
//! - [`publish`]: the [`UpstreamMap`](pitwall_upstream_map::UpstreamMap) and its documents.
//! - [`schedule`]: the sessions, polled independently of the streams.
//! - [`config_files`]: the files that an operator edits while Pitwall runs.
//! - [`trial`]: dry runs of a source that is not saved yet.
//! - [`commands`]: an operator's commands; [`webhooks`]: alerts to the operator.
//! - [`control`]: [`ControlPlane`], which wires the modules together.
//! - [`metrics`]: Prometheus metrics; [`clock`]: the wall clock.
//! - `fuzzing`: properties that hold for any input; only for tests and the fuzz targets.

mod breaker;
mod charset;
mod check;
mod clock;
mod commands;
mod compressed;
mod config_files;
mod control;
mod engine;
mod expiry;
mod extract;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod metrics;
mod model;
mod playability;
mod publish;
#[cfg(test)]
mod python_environment;
mod rank;
mod refresh;
mod schedule;
pub mod settings;
mod source;
mod state_file;
mod trial;
mod webhooks;

pub use commands::{
    AdminEndpointState, AdminToken, COMMAND_LOG_TARGET, CommandServer, ControlConfig, LogFilter,
    ReloadRequestSender, TokenTooShort, openapi, serve_admin,
};
pub use config_files::{ReadOnlySource, SourceFileLocations};
pub use control::{
    ControlPlane, ControlPlaneConfig, ControlPlaneSettings, SettingsHandle, SetupError,
};
pub use extract::{
    BrowserConfig, Candidate, ConfiguredSource, Drift, ExtractConfig, ExtractError, Extraction,
    ExtractionRunner, Recording, RecordingError, RunBranch, TracedStep, find_first_drift,
    run_script_worker,
};
pub use playability::check_playability;
pub use publish::PublicUrl;
pub use rank::RankConfig;
pub use schedule::{IcsLocation, OverrideError, ProviderName, ScheduleConfig, check_overrides};
pub use source::{CheckRules, Source};
pub use webhooks::{
    Webhook, WebhookConfig, WebhookSecretError, WebhookTestResult, WebhookTestResults,
    test_webhooks,
};
