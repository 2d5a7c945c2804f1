//! Alerts: as JSON for programs and as text for people, without URLs and tokens.

use jiff::Timestamp;
use pitwall_upstream_map::StreamId;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Alert {
    /// Identifies the alert; the same for every attempt, so that a receiver can ignore repetitions.
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    #[serde(flatten)]
    pub(crate) what: AlertEvent,
    /// The event as text for people.
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum AlertEvent {
    /// All upstreams of a source are down.
    SourceDead { source: String, streams: Vec<StreamId>, reason: Option<String> },
    /// Runs of a source fail while its streams still play.
    SourceFailing {
        source: String,
        streams: Vec<StreamId>,
        reason: String,
        /// When the first token of what plays ends.
        token_ends_at: Option<Timestamp>,
    },
    /// A source that was reported dead or failing is neither any more.
    SourceBack { source: String, streams: Vec<StreamId> },
    /// Viewers were moved, because the active upstream was no longer healthy.
    Failover { stream: StreamId, from: String, to: String, reason: Option<String> },
    /// A stream has been on a source other than its primary one for a while.
    OnBackup { stream: StreamId, source: String, instead_of: String },
    /// All upstreams of a stream are down, whether a session is live or not.
    StreamDark { stream: StreamId, name: String, since: Timestamp, reason: String },
    /// A stream that was reported dark plays again; `source` if known.
    StreamBack { stream: StreamId, name: String, source: Option<String>, since: Timestamp },
    /// No stream is healthy while a session is live.
    NoHealthyStream { session: String, name: String },
    /// An operator tries the webhook. Sent whatever `events` selects.
    Test { webhook: String },
}

/// An event that `[[webhook]] events` can select.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventName {
    SourceDead,
    SourceFailing,
    SourceBack,
    Failover,
    OnBackup,
    StreamDark,
    StreamBack,
    NoHealthyStream,
    /// Not to be selected: a test goes to every webhook.
    #[serde(skip_deserializing)]
    Test,
}

impl Alert {
    pub(crate) fn new(what: AlertEvent, at: Timestamp) -> Self {
        let id: [u8; 16] = rand::random();
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = what.text();
        Self { id, at, what, text }
    }
}

impl AlertEvent {
    pub(crate) fn event_name(&self) -> EventName {
        match self {
            Self::SourceDead { .. } => EventName::SourceDead,
            Self::SourceFailing { .. } => EventName::SourceFailing,
            Self::SourceBack { .. } => EventName::SourceBack,
            Self::Failover { .. } => EventName::Failover,
            Self::OnBackup { .. } => EventName::OnBackup,
            Self::StreamDark { .. } => EventName::StreamDark,
            Self::StreamBack { .. } => EventName::StreamBack,
            Self::NoHealthyStream { .. } => EventName::NoHealthyStream,
            Self::Test { .. } => EventName::Test,
        }
    }

    fn text(&self) -> String {
        let because =
            |reason: &Option<String>| reason.as_ref().map_or(String::new(), |it| format!(": {it}"));
        match self {
            Self::SourceDead { source, streams, reason } => {
                format!("Source {source} is dead ({}){}", join_ids(streams), because(reason))
            }
            Self::SourceFailing { source, streams, reason, token_ends_at } => {
                let until = token_ends_at.map_or(String::new(), |at| {
                    format!(", and its token ends at {}", format_utc(at))
                });
                let streams = join_ids(streams);
                format!(
                    "Source {source} still plays ({streams}), but its runs fail: {reason}{until}"
                )
            }
            Self::SourceBack { source, streams } => {
                format!("Source {source} plays again ({})", join_ids(streams))
            }
            Self::Failover { stream, from, to, reason } => {
                format!("{stream} moved from {from} to {to}{}", because(reason))
            }
            Self::OnBackup { stream, source, instead_of } => {
                format!("{stream} runs on its backup {source} instead of {instead_of}")
            }
            Self::StreamDark { name, since, reason, .. } => {
                format!(
                    "{name} is dark, nothing of it plays since {}: {reason}",
                    format_utc(*since)
                )
            }
            Self::StreamBack { name, source, since, .. } => {
                let from = source.as_ref().map_or(String::new(), |it| format!(" from {it}"));
                format!("{name} plays again{from}; it was dark since {}", format_utc(*since))
            }
            Self::NoHealthyStream { name, .. } => {
                format!("{name} is live and no stream is healthy")
            }
            Self::Test { webhook } => format!("A test: the webhook {webhook} works"),
        }
    }
}

fn join_ids(streams: &[StreamId]) -> String {
    streams.iter().map(StreamId::as_str).collect::<Vec<_>>().join(", ")
}

fn format_utc(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%d %H:%M:%S UTC")
}

impl EventName {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::SourceDead => "source-dead",
            Self::SourceFailing => "source-failing",
            Self::SourceBack => "source-back",
            Self::Failover => "failover",
            Self::OnBackup => "on-backup",
            Self::StreamDark => "stream-dark",
            Self::StreamBack => "stream-back",
            Self::NoHealthyStream => "no-healthy-stream",
            Self::Test => "test",
        }
    }

    /// The ntfy priority, 1 to 5.
    pub(crate) fn priority(self) -> &'static str {
        match self {
            Self::NoHealthyStream | Self::StreamDark => "5",
            Self::SourceDead | Self::SourceFailing => "4",
            Self::SourceBack | Self::Failover | Self::OnBackup | Self::StreamBack | Self::Test => {
                "3"
            }
        }
    }
}
