//! The control plane: finds the streams, checks them, ranks them, keeps their tokens fresh,
//! and publishes what it knows. Nothing here runs on a viewer's request.
//!
//! In the order in which a stream travels through it:
//!
//! - [`source`]: a configured [`Source`]; [`settings`] judges its values where they stand.
//! - [`extract`]: a source in, [`Candidate`]s out; one file per kind.
//! - [`expiry`]: when a candidate's token ends.
//! - [`check`]: master, renditions and newest segment, as a player would see them.
//! - [`playable`]: the same for a terminal.
//! - [`engine`]: the one queue of extractions, checks and retries; [`refresh`] says when.
//! - [`breaker`]: when an upstream that fails is left alone, and tried again.
//! - [`rank`]: which upstream of a stream plays, and why.
//! - [`history`]: what was learned; [`state_file`], how that and the schedule outlive a restart.
//! - [`publish`]: the [`UpstreamMap`](pitwall_upstream_map::UpstreamMap) and its documents.
//! - [`schedule`]: the sessions, beside all this.
//! - [`commands`]: what an operator may do; [`webhooks`]: what an operator is told.
//! - [`control`]: [`ControlPlane`], all of it wired together.
//! - [`metrics`], [`clock`]: what is counted, and what time it is.

mod breaker;
mod check;
mod clock;
mod commands;
mod control;
mod engine;
mod expiry;
mod extract;
mod history;
mod metrics;
mod playable;
mod publish;
mod rank;
mod refresh;
mod schedule;
pub mod settings;
mod source;
mod state_file;
mod webhooks;

pub use check::CheckRules;
pub use commands::{AdminToken, Commands, ControlConfig, TokenTooShort, openapi, serve_admin};
pub use control::{Config, ControlPlane, SetupError};
pub use extract::{
    BrowserConfig, Candidate, Drift, ExtractConfig, ExtractError, Extraction, Recording,
    RecordingError, Runner, TracedStep, Track, first_drift, script_worker,
};
pub use playable::playable;
pub use publish::Site;
pub use rank::RankConfig;
pub use schedule::{IcsPlace, OverrideError, ProviderName, ScheduleConfig, check_overrides};
pub use source::Source;
pub use webhooks::{WebhookConfig, WebhookError};
