//! [`Streams`]: the streams that can be played.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stream::{Container, Health, Rendition, RenditionId, Role, StreamId};

/// `GET /api/streams`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Streams {
    /// The version of the map in which a stream or the session last changed: Unix milliseconds.
    pub version: u64,
    pub streams: Vec<PublicStream>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublicStream {
    pub id: StreamId,
    pub feed: String,
    /// Path of the stream's multivariant playlist, as viewers request it: below the path of
    /// `[edge] public_url`.
    pub playlist: String,
    pub health: Health,
    /// Time since which no upstream plays; only while `health` is `down`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_since: Option<Timestamp>,
    /// Why no upstream plays, in a sentence; only while `health` is `down`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Sources that play or could, best first; while the stream is down, all configured for it.
    pub sources: Vec<PublicSource>,
    /// Renditions of the active upstream, or of the last active one.
    pub renditions: Vec<PublicRendition>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublicSource {
    pub name: String,
    pub label: Option<String>,
    pub note: Option<String>,
    pub kind: String,
    pub active: bool,
    pub health: Health,
    /// As of the last change that mattered, like `latency_ms`.
    pub score: f64,
    pub latency_ms: Option<u64>,
    pub expires_at: Option<Timestamp>,
    pub error: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublicRendition {
    pub id: RenditionId,
    pub role: Role,
    pub label: String,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub bandwidth: Option<u64>,
    pub frame_rate: Option<f64>,
    pub codecs: Option<String>,
    pub language: Option<String>,
    pub name: Option<String>,
    pub container: Container,
}

impl From<&Rendition> for PublicRendition {
    fn from(rendition: &Rendition) -> Self {
        Self {
            id: rendition.id.clone(),
            role: rendition.role,
            label: rendition.label.clone(),
            width: rendition.resolution.map(|(width, _)| width),
            height: rendition.resolution.map(|(_, height)| height),
            bandwidth: rendition.bandwidth,
            frame_rate: rendition.frame_rate,
            codecs: rendition.codecs.clone(),
            language: rendition.language.clone(),
            name: rendition.name.clone(),
            container: rendition.container,
        }
    }
}
