//! `/proxy`: any playlist or document that a link names, with nothing known but the link.

use std::sync::Arc;

use bytes::Bytes;
use pitwall_fetch::parse_url;
use pitwall_hls::analysis::Playlist as Analysed;
use pitwall_hls::{
    Container, Limits, Variables, analyse, container_hint, is_masked, rewrite_document,
};

use crate::links::{ProxyLinks, container_extension};
use crate::live::CONTENT_TYPE;
use crate::playlists::version::{Terms, Version};
use crate::playlists::{self, Fetched, Playlist, Playlists, UpstreamAnswer, with_directives};
use crate::problem::Problem;
use crate::rooms::Rooms;
use crate::seal::{self, Purpose};
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
        let playlist = format!(
            "proxy {:?} {:?} {} {} {}",
            target.purpose,
            target.expires,
            target.profile,
            target.url,
            request.variables.as_deref().unwrap_or_default(),
        );
        let key = with_directives(&playlist, request.directives.as_deref());
        let blocking = request.directives.is_some();
        let (rooms, playlists) = (self.rooms.clone(), self.playlists.clone());
        let poll = || rooms.poll(request, playlist, playlists);
        self.playlists.poll(key, blocking, poll).await
    }
}

impl Rooms {
    async fn poll(self, request: Request, name: String, playlists: Arc<Playlists>) -> Fetched {
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
        if is_masked(&answer.body)
            && let Some(seen) = self.unmask(&answer, &imported, &target).await
        {
            links.extension = container_extension(seen);
        }
        let terms = Terms {
            base: answer.base.clone(),
            seal_period: seal::period(now),
            expires: target.expires,
            extension: links.extension,
            generation: 0,
            splice: None,
        };
        let last = playlists.versions.last(&name);
        let version =
            Version::make(last.as_deref(), answer, terms, &imported, CONTENT_TYPE, &mut links)?;
        // Fetched whether or not anybody waits for it.
        drop(self.follow(&version, &target));
        Ok(playlists.keep(name, version))
    }

    /// What segments are made of whose names say nothing: the newest one tells, which the
    /// player will ask for next anyway.
    async fn unmask(
        &self,
        answer: &UpstreamAnswer,
        imported: &Variables,
        playlist: &Target,
    ) -> Option<Container> {
        let analysed = analyse(&answer.body, &answer.base, imported, &Limits::default());
        let Ok(Analysed::Media(media)) = analysed else { return None };
        let segment = media.segments.last()?;
        if segment.map.is_some() || segment.key.is_some() || segment.byte_range.is_some() {
            return None;
        }
        let url = parse_url(&segment.url).ok()?;
        let map = self.store.current();
        let target = self.targets.of_profile(url, &playlist.profile, &map).ok()?;
        let first: Bytes = self.storage.open(target, Asked::default()).await.ok()?.first().await?;
        Some(Container::sniff(&first)).filter(|seen| *seen != Container::Unknown)
    }
}
