//! [`Stream`] and its parts, most important first: its upstreams, their renditions, and how requests
//! to an upstream are made.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::document::PublicDocument;
use crate::slug::{is_slug, slugify};

/// What a viewer picks: one or more upstreams with the same content. With its documents, so that a
/// stream is published as a whole.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    pub id: StreamId,
    /// Display name, such as "World feed".
    pub feed: String,
    /// Version of the map in which an operator switched viewers to the active upstream; 0 if none
    /// did.
    #[serde(default)]
    pub switched: u64,
    /// Source that an operator pinned until it is down; in the map, so that the next leader
    /// respects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<SourcePin>,
    /// Upstreams by rank, best first; the first one that is not down is active. Empty for a stream
    /// that is known only from its source's configuration.
    pub upstreams: Vec<Upstream>,
    /// Set while no upstream of the stream plays, and until shortly afterwards.
    #[serde(default)]
    pub outage: Option<Outage>,
    /// Place in lists: the first source that has the stream, and its place there.
    #[serde(default)]
    pub position: (usize, usize),
    /// The [`PublicStream`](crate::documents::PublicStream).
    #[serde(default)]
    pub public: PublicDocument,
    /// The [`Explanation`](crate::documents::Explanation).
    #[serde(default)]
    pub explanation: PublicDocument,
}

/// An outage of a stream. It is in the map so that the next leader neither repeats nor omits the
/// alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    pub since: Timestamp,
    /// Whether the operator was alerted.
    pub told: bool,
}

impl Stream {
    /// The active upstream: the best one that is not down.
    pub fn active_upstream(&self) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.health != Health::Down)
    }
}

/// Source that an operator pinned for a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePin {
    pub source: String,
    /// Version of the map in which the pin was set.
    pub version: u64,
}

/// A checked source of a stream.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Upstream {
    /// Name of the configured source that found the upstream.
    pub source: String,
    pub profile: RequestProfileId,
    /// Grows with every re-extraction, so that a failure report about an old URL does not blame its
    /// successor.
    pub generation: u64,
    /// URL of the multivariant playlist, or of the only media playlist.
    pub playlist: Url,
    pub expires_at: Option<Timestamp>,
    pub health: Health,
    /// 0 to 1; only comparable within a stream. As of the last change that mattered.
    pub score: f64,
    /// Variables of the multivariant playlist that renditions import, encoded as in links.
    #[serde(default)]
    pub variables: String,
    pub renditions: Vec<Rendition>,
    /// What else the multivariant playlist says.
    #[serde(default)]
    pub multivariant: MultivariantTags,
}

impl Upstream {
    pub fn find_rendition(&self, id: &str) -> Option<&Rendition> {
        self.renditions.iter().find(|rendition| rendition.id.0 == id)
    }

    pub fn find_i_frame_playlist(&self, id: &str) -> Option<&IFramePlaylist> {
        self.multivariant.i_frame_playlists.iter().find(|playlist| playlist.id.0 == id)
    }

    /// Each media playlist that players may be sent to.
    pub fn playlist_urls(&self) -> impl Iterator<Item = &Url> {
        let renditions = self.renditions.iter().map(|rendition| &rendition.playlist);
        renditions.chain(self.multivariant.i_frame_playlists.iter().map(|one| &one.playlist))
    }
}

/// One playable media playlist of an upstream.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Rendition {
    pub id: RenditionId,
    pub role: Role,
    pub playlist: Url,
    pub container: Container,
    /// Segments of this video rendition have no audio, which is in renditions of its own.
    #[serde(default)]
    pub demuxed: bool,
    /// Display name, such as "720p" or "English".
    pub label: String,
    /// Target duration in seconds, as of the last check.
    #[serde(default)]
    pub target_duration: Option<u64>,
    #[serde(default)]
    pub bandwidth: Option<u64>,
    #[serde(default)]
    pub average_bandwidth: Option<u64>,
    #[serde(default)]
    pub resolution: Option<(u32, u32)>,
    #[serde(default)]
    pub frame_rate: Option<f64>,
    #[serde(default)]
    pub codecs: Option<String>,
    /// Family of the audio's codec by the tables of the segments, such as "aac" or "eac3".
    #[serde(default)]
    pub audio_codec: Option<String>,
    /// For video: the rendition groups that it refers to; for audio and subtitles: the group it
    /// belongs to.
    #[serde(default)]
    pub groups: Vec<RenditionGroup>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub language: Option<String>,
    #[serde(default)]
    pub channels: Option<String>,
    #[serde(default)]
    pub default: bool,
    #[serde(default)]
    pub autoselect: bool,
    #[serde(default)]
    pub forced: bool,
    /// Further attributes of its EXT-X-STREAM-INF or EXT-X-MEDIA.
    #[serde(default)]
    pub attributes: AttributeList,
}

/// Attributes of a tag in their order: names, and values as text, with quotes where they have them.
pub type AttributeList = Vec<(String, String)>;

/// Tags of an upstream's multivariant playlist, beside those of its renditions.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MultivariantTags {
    /// Whether each segment of each rendition can be decoded alone (EXT-X-INDEPENDENT-SEGMENTS).
    pub has_independent_segments: bool,
    /// Each EXT-X-MEDIA without a URI: captions and audio inside the segments of the video.
    pub in_band_media: Vec<AttributeList>,
    pub i_frame_playlists: Vec<IFramePlaylist>,
    pub session_data: Vec<SessionTag>,
    pub session_keys: Vec<SessionTag>,
    /// EXT-X-START; empty without one.
    pub start: AttributeList,
}

/// An EXT-X-I-FRAME-STREAM-INF. Its playlist is not spliced, because its segments are not those of
/// the renditions.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct IFramePlaylist {
    pub id: RenditionId,
    pub playlist: Url,
    pub attributes: AttributeList,
}

/// An EXT-X-SESSION-DATA or EXT-X-SESSION-KEY.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionTag {
    /// Absolute URL at the upstream, or a URI of a scheme that is never fetched.
    #[serde(default)]
    pub uri: Option<String>,
    pub attributes: AttributeList,
}

/// A rendition group (GROUP-ID of EXT-X-MEDIA) and the role of its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionGroup {
    pub role: Role,
    pub id: String,
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Video,
    Audio,
    Subtitles,
}

/// Container format of segments. Links end in its extension whatever the upstream calls them,
/// because ffmpeg and VLC judge a segment by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Container {
    MpegTs,
    Fmp4,
    /// AAC in ADTS frames.
    PackedAudio,
    Mp3,
    Ac3,
    Eac3,
    WebVtt,
}

impl Container {
    /// File extension of the container, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::MpegTs => "ts",
            Self::Fmp4 => "m4s",
            Self::PackedAudio => "aac",
            Self::Mp3 => "mp3",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
            Self::WebVtt => "vtt",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// The last check passed.
    Healthy,
    /// The last check failed but the upstream may still play, so it stays until a better one is
    /// there.
    Degraded,
    Down,
}

/// How requests to an upstream are made: request fields, and which addresses are allowed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestProfile {
    /// Request fields of every request. When a redirect leaves the origin (scheme, host and port),
    /// those with credentials are dropped.
    pub headers: Vec<(String, String)>,
    /// Private address ranges that the operator opted in for this source.
    pub allow_private: Vec<IpNet>,
    /// Allowed ports beside 80 and 443.
    pub ports: Vec<u16>,
    /// Names of query parameters that are only a token, so that the cache key of an object excludes
    /// them.
    pub token_parameters: Vec<String>,
    /// Limit on concurrent requests; `None` means unlimited.
    #[serde(default)]
    pub connections: Option<u32>,
    /// Cookies that the upstream set when it was checked: the URL of the response, and its
    /// `Set-Cookie` field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<(Url, String)>,
}

/// `source` or `source/stream-id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestProfileId(pub String);

impl std::borrow::Borrow<str> for RequestProfileId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A rendition's id within its stream, stable across re-extraction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct RenditionId(pub String);

/// The id of a feed's name, see [`slugify`]: `[a-z0-9-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// The id of a feed's name; `None` for a name of nothing but separators.
    pub fn of_feed(feed: &str) -> Option<Self> {
        slugify(feed).map(|id| Self(id.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for StreamId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        if is_slug(&id) {
            Ok(Self(id.into()))
        } else {
            Err(format!("{id:?} is not a stream id: use [a-z0-9-], at most 64 characters"))
        }
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> String {
        id.as_str().to_owned()
    }
}

impl std::borrow::Borrow<str> for StreamId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
