//! What is told, to machines and to people. No URL, no token.

use jiff::Timestamp;
use pitwall_upstream_map::StreamId;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Notice {
    /// The same however often it is sent: whoever gets it twice may ignore the second.
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    #[serde(flatten)]
    pub(crate) what: What,
    /// The same for people.
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum What {
    /// Nothing of a source plays any more.
    SourceDead { source: String, streams: Vec<StreamId>, reason: Option<String> },
    /// Viewers were moved, because who played does not any more.
    Failover { stream: StreamId, from: String, to: String, reason: Option<String> },
    /// It has been so for a while.
    OnBackup { stream: StreamId, source: String, instead_of: String },
    /// Nothing of a stream plays, whatever is on.
    StreamDark { stream: StreamId, name: String, since: Timestamp, reason: String },
    /// One of which that was told plays again, if it is known from where.
    StreamBack { stream: StreamId, name: String, source: Option<String>, since: Timestamp },
    /// While a session's live window is open.
    NoHealthyStream { session: String, name: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventName {
    SourceDead,
    Failover,
    OnBackup,
    StreamDark,
    StreamBack,
    NoHealthyStream,
}

impl Notice {
    pub(crate) fn new(what: What, at: Timestamp) -> Self {
        let id: [u8; 16] = rand::random();
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = what.text();
        Self { id, at, what, text }
    }
}

impl What {
    pub(crate) fn name(&self) -> EventName {
        match self {
            Self::SourceDead { .. } => EventName::SourceDead,
            Self::Failover { .. } => EventName::Failover,
            Self::OnBackup { .. } => EventName::OnBackup,
            Self::StreamDark { .. } => EventName::StreamDark,
            Self::StreamBack { .. } => EventName::StreamBack,
            Self::NoHealthyStream { .. } => EventName::NoHealthyStream,
        }
    }

    fn text(&self) -> String {
        let because =
            |reason: &Option<String>| reason.as_ref().map_or(String::new(), |it| format!(": {it}"));
        match self {
            Self::SourceDead { source, streams, reason } => {
                let streams: Vec<_> = streams.iter().map(StreamId::as_str).collect();
                let because = because(reason);
                format!("Source {source} is dead ({}){because}", streams.join(", "))
            }
            Self::Failover { stream, from, to, reason } => {
                format!("{stream} moved from {from} to {to}{}", because(reason))
            }
            Self::OnBackup { stream, source, instead_of } => {
                format!("{stream} runs on its backup {source} instead of {instead_of}")
            }
            Self::StreamDark { name, since, reason, .. } => {
                format!("{name} is dark, nothing of it plays since {}: {reason}", moment(*since))
            }
            Self::StreamBack { name, source, since, .. } => {
                let from = source.as_ref().map_or(String::new(), |it| format!(" from {it}"));
                format!("{name} plays again{from}; it was dark since {}", moment(*since))
            }
            Self::NoHealthyStream { name, .. } => {
                format!("{name} is live and no stream is healthy")
            }
        }
    }
}

fn moment(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%d %H:%M:%S UTC")
}

impl EventName {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::SourceDead => "source-dead",
            Self::Failover => "failover",
            Self::OnBackup => "on-backup",
            Self::StreamDark => "stream-dark",
            Self::StreamBack => "stream-back",
            Self::NoHealthyStream => "no-healthy-stream",
        }
    }

    /// ntfy's, 1 to 5.
    pub(super) fn priority(self) -> &'static str {
        match self {
            Self::NoHealthyStream | Self::StreamDark => "5",
            Self::SourceDead => "4",
            Self::Failover | Self::OnBackup | Self::StreamBack => "3",
        }
    }
}
