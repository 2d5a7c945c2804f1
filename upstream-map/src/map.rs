//! [`UpstreamMap`] and its parts, most important first.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::documents::Documents;
use crate::slug::{is_slug, slug};

/// The whole picture at one moment. Never changed, only replaced by one with a higher version.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct UpstreamMap {
    pub version: u64,
    /// Shared with the map before, as far as it is the same: a map is copied for each change.
    pub streams: BTreeMap<StreamId, Arc<Stream>>,
    /// How to talk to upstreams. Links name a profile, not its headers, so that a link
    /// outlives a change of headers.
    pub profiles: BTreeMap<ProfileId, Arc<Profile>>,
    pub documents: Documents,
}

impl UpstreamMap {
    /// Drops what comes of other sources, for a start with another configuration than this was
    /// made with.
    pub fn retain_sources(&mut self, is_source: impl Fn(&str) -> bool) {
        let is_of = |profile: &str| is_source(profile.split('/').next().unwrap_or_default());
        self.profiles.retain(|id, _| is_of(&id.0));
        // One that no source has found yet has no upstream to lose.
        self.streams.retain(|_, stream| {
            if stream.upstreams.iter().any(|one| !is_source(&one.source)) {
                Arc::make_mut(stream).upstreams.retain(|one| is_source(&one.source));
                return !stream.upstreams.is_empty();
            }
            true
        });
    }

    /// Follows the clock, so that versions go on growing after a store lost its memory, but
    /// never steps back with it.
    pub fn next_version(last: u64, now: Timestamp) -> u64 {
        (last + 1).max(u64::try_from(now.as_millisecond()).unwrap_or(0))
    }
}

/// What a viewer picks: one or more upstreams of the same picture.
#[derive(Clone, Serialize, Deserialize)]
pub struct Stream {
    pub id: StreamId,
    /// The name people know it by, such as "World feed".
    pub feed: String,
    /// The first version with which an operator moved viewers to the one that plays; 0: nobody did.
    #[serde(default)]
    pub switched: u64,
    /// What an operator wants to play, until it is down. It is in the map so that whoever leads next
    /// goes by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Best first. The first one that is not down is the one that plays. A stream that is known
    /// by its source's configuration alone has none.
    pub upstreams: Vec<Upstream>,
    /// Nothing of it plays, or did so until a moment ago.
    #[serde(default)]
    pub outage: Option<Outage>,
}

/// Outlives the leader that saw it begin, so that its successor neither tells it again nor
/// leaves it untold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    pub since: Timestamp,
    /// The operator was told.
    pub told: bool,
}

impl Stream {
    /// The upstream that plays now, if any can.
    pub fn active(&self) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.health != Health::Down)
    }
}

/// The source that an operator wants for a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    pub source: String,
    /// The first version of the map that says so.
    pub version: u64,
}

/// One checked place where a stream can be had.
#[derive(Clone, Serialize, Deserialize)]
pub struct Upstream {
    /// Name of the configured source that found it.
    pub source: String,
    pub profile: ProfileId,
    /// Grows with every re-extraction, so that a failure report about an old URL cannot
    /// blame its successor.
    pub generation: u64,
    pub playlist: Url,
    pub expires_at: Option<Timestamp>,
    pub health: Health,
    /// 0 to 1; only comparable within a stream.
    pub score: f64,
    /// What its master defines for the playlists of its renditions, encoded as in links.
    #[serde(default)]
    pub variables: String,
    pub renditions: Vec<Rendition>,
}

impl Upstream {
    pub fn rendition(&self, id: &str) -> Option<&Rendition> {
        self.renditions.iter().find(|rendition| rendition.id.0 == id)
    }
}

/// One playable media playlist of an upstream.
#[derive(Clone, Serialize, Deserialize)]
pub struct Rendition {
    pub id: RenditionId,
    pub role: Role,
    pub playlist: Url,
    pub container: Container,
    /// The sound of a video is in renditions of its own: its segments have none.
    #[serde(default)]
    pub demuxed: bool,
    /// For people: "720p", "English".
    pub label: String,
    /// In seconds, as its playlist said when it was checked.
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
    /// For video: the groups it plays with. For audio and subtitles: the group it is in.
    #[serde(default)]
    pub groups: Vec<Group>,
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
}

/// A group of alternates that a video rendition refers to, with what it groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
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

/// What segments are made of. Links end in its extension whatever the upstream calls them,
/// because ffmpeg and VLC judge a segment by it.
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
    /// Its last check passed.
    Healthy,
    /// Its last check failed but it may still play: kept until something better is there.
    Degraded,
    Down,
}

/// How to talk to an upstream: what to send, and where it may lead.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Sent with every request; dropped when a redirect leaves the origin.
    pub headers: Vec<(String, String)>,
    /// Private ranges that the operator opted in for this source.
    pub allow_private: Vec<IpNet>,
    /// Ports beside 80 and 443.
    pub ports: Vec<u16>,
    /// Query parameters that are only a token: the same object is stored once whatever they say.
    pub token_parameters: Vec<String>,
    /// How many requests it may be sent at once; as many as there are, if it does not say.
    #[serde(default)]
    pub connections: Option<u32>,
}

/// `source` or `source/stream-id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProfileId(pub String);

/// A rendition's name within its stream: stable across re-extraction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct RenditionId(pub String);

/// The id of a feed's name, see [`slug`]: `[a-z0-9-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct StreamId(String);

impl StreamId {
    /// `None` for a name that is made of nothing but separators.
    pub fn of_feed(feed: &str) -> Option<Self> {
        slug(feed).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for StreamId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        if is_slug(&id) {
            Ok(Self(id))
        } else {
            Err(format!("{id:?} is not a stream id: use [a-z0-9-], at most 64 characters"))
        }
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> String {
        id.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_the_clock_but_never_step_back_with_it() {
        let now = Timestamp::from_millisecond(1_000).unwrap();
        for (last, expected) in [(0, 1_000), (999, 1_000), (1_000, 1_001), (5_000, 5_001)] {
            assert_eq!(UpstreamMap::next_version(last, now), expected, "after {last}");
        }
    }
}
