//! Which attributes of each tag hold URIs.

use crate::tag::{MultivariantTag as M, PlaylistTag as P, SegmentTag as S, TagKind as Kind};
use crate::uri_mapper::UriRole;

/// Names and roles of the attributes that hold URIs. A `URI` attribute of a tag that is defined
/// without one is a URI, too ([`UriRole::UnknownTag`]).
pub(super) fn uri_attributes(kind: &Kind<'_>) -> &'static [(&'static [u8], UriRole)] {
    match kind {
        Kind::Segment(S::Key) => &[(b"URI", UriRole::Key)],
        Kind::Segment(S::Map(_)) => &[(b"URI", UriRole::Map)],
        Kind::Segment(S::Part) => &[(b"URI", UriRole::Part)],
        Kind::Segment(S::PreloadHint) => &[(b"URI", UriRole::PreloadHint)],
        // Titles are data, even if they look like URIs.
        Kind::Segment(S::Inf(_) | S::ProgramDateTime(_) | S::ByteRange(_) | S::Prefetch) => &[],
        Kind::Segment(S::Discontinuity | S::Gap | S::Bitrate | S::Tiles | S::Cue) => OTHER,
        Kind::Multivariant(M::StreamInf) => OTHER,
        Kind::Multivariant(M::Media) => &[(b"URI", UriRole::Rendition)],
        Kind::Multivariant(M::IFrameStreamInf) => &[(b"URI", UriRole::IFrameVariant)],
        Kind::Multivariant(M::ImageStreamInf) => &[(b"URI", UriRole::ImageVariant)],
        Kind::Multivariant(M::SessionData) => &[(b"URI", UriRole::SessionData)],
        Kind::Multivariant(M::SessionKey) => &[(b"URI", UriRole::SessionKey)],
        Kind::Multivariant(M::ContentSteering) => {
            &[(b"SERVER-URI", UriRole::Steering), (b"URI", UriRole::UnknownTag)]
        }
        Kind::Playlist(P::RenditionReport) => &[(b"URI", UriRole::RenditionReport)],
        Kind::Playlist(P::DateRange) => &[
            (b"X-ASSET-URI", UriRole::Asset),
            (b"X-ASSET-LIST", UriRole::AssetList),
            (b"URI", UriRole::UnknownTag),
        ],
        Kind::Playlist(P::Define | P::Skip(_)) => &[],
        Kind::Playlist(P::Header | P::Version(_) | P::TargetDuration(_) | P::PartInf(_)) => OTHER,
        Kind::Playlist(P::MediaSequence(_) | P::DiscontinuitySequence(_)) => OTHER,
        Kind::Playlist(P::PlaylistType(_) | P::EndList | P::IFramesOnly) => OTHER,
        Kind::Playlist(P::IndependentSegments | P::Start | P::ServerControl) => OTHER,
        Kind::Unknown => OTHER,
    }
}

const OTHER: &[(&[u8], UriRole)] = &[(b"URI", UriRole::UnknownTag)];
