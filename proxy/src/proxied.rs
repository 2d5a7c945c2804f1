//! `/proxy`: any playlist or document that a link names, with nothing known but the link.

use std::sync::Arc;

use bytes::Bytes;
use pitwall_fetch::parse_url;
use pitwall_hls::analysis::{Media, Playlist as Analysed};
use pitwall_hls::{
    Container, Limits, Variables, analyse, container_hint, rewrite, rewrite_document,
};

use crate::links::{ProxyLinks, container_extension};
use crate::live::CONTENT_TYPE;
use crate::playlists::{self, Fetched, Pace, Playlist, Playlists};
use crate::problem::Problem;
use crate::rooms::Rooms;
use crate::seal::Purpose;
use crate::storage::Asked;
use crate::target::Target;

pub struct Proxied {
    pub playlists: Arc<Playlists>,
    pub rooms: Rooms,
}

/// What was asked for.
pub struct Request {
    pub target: Target,
    /// Of the master that led here, encoded.
    pub variables: Option<String>,
    pub directives: Option<String>,
    pub now: u64,
}

impl Proxied {
    pub async fn get(&self, request: Request) -> Fetched {
        let target = &request.target;
        let key = format!(
            "proxy {:?} {:?} {} {} {} {}",
            target.purpose,
            target.expires,
            target.profile,
            target.url,
            request.variables.as_deref().unwrap_or_default(),
            request.directives.as_deref().unwrap_or_default(),
        );
        let blocking = request.directives.is_some();
        self.playlists.poll(key, blocking, self.rooms.clone().poll(request)).await
    }
}

impl Rooms {
    async fn poll(self, request: Request) -> Fetched {
        let Request { target, variables, directives, now } = request;
        let limits = Limits::default();
        let answer =
            playlists::fetch(&self.fetcher, &target, directives.as_deref(), limits.bytes).await?;
        let mut links = ProxyLinks {
            sealer: &self.sealer,
            profile: &target.profile,
            extension: container_extension(container_hint(&answer.body)),
            now,
            expires: target.expires,
        };
        if target.purpose == Some(Purpose::Document) {
            let bytes = rewrite_document(&answer.body, &answer.base, &mut links)
                .map_err(|invalid| Problem::UpstreamInvalid(invalid.to_string()))?;
            return Ok(Arc::new(Playlist::new(bytes, "application/json", None, answer.took)));
        }
        let imported = match variables {
            Some(encoded) => Variables::decode(&encoded)
                .map_err(|_| Problem::BadUrl("v= is not what a playlist here said"))?,
            None => Variables::default(),
        };
        let analysed = analyse(&answer.body, &answer.base, &imported, &limits)
            .map_err(|invalid| Problem::UpstreamInvalid(invalid.to_string()))?;
        let pace = match &analysed {
            Analysed::Media(media) => {
                if let Some(seen) = self.unmask(media, &target).await {
                    links.extension = container_extension(seen);
                }
                Some(Pace::of(media))
            }
            Analysed::Master(_) => None,
        };
        let rewritten = rewrite(&answer.body, &answer.base, &imported, &limits, &mut links)
            .map_err(|invalid| Problem::UpstreamInvalid(invalid.to_string()))?;
        Ok(Arc::new(Playlist::new(rewritten.bytes, CONTENT_TYPE, pace, answer.took)))
    }

    /// What segments are made of whose names say nothing: the newest one tells, which the
    /// player will ask for next anyway.
    async fn unmask(&self, media: &Media, playlist: &Target) -> Option<Container> {
        let segment = media.segments.last()?;
        let masked = segment.map.is_none()
            && segment.key.is_none()
            && segment.byte_range.is_none()
            && Container::from_url(segment.url.as_bytes()) == Container::Unknown;
        if !masked {
            return None;
        }
        let url = parse_url(&segment.url).ok()?;
        let map = self.store.current();
        let target = self.targets.of_profile(url, &playlist.profile, &map).ok()?;
        let first: Bytes = self.storage.open(target, Asked::default()).await.ok()?.first().await?;
        Some(Container::sniff(&first)).filter(|seen| *seen != Container::Unknown)
    }
}
