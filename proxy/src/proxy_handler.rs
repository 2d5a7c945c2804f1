//! `/proxy`: any playlist or document that a link names, stateless: all that is known is in the
//! link.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use pitwall_fetch::parse_url;
use pitwall_hls::analysis::Playlist as Analysed;
use pitwall_hls::{
    Container, PlaylistLimits, Redactor, Variables, guess_container, has_unknown_extension,
    parse_playlist, rewrite_json_document,
};

use crate::cache::RangeRequest;
use crate::edge_state::EdgeState;
use crate::http::problem::Problem;
use crate::http::query::{DeliveryDirectives, Link};
use crate::live::PLAYLIST_CONTENT_TYPE;
use crate::playlist::delivery::poll_until_satisfied;
use crate::playlist::rewrite_cache::{RewriteKey, RewrittenPlaylist};
use crate::playlist::uri_mappers::{ProxyUriMapper, container_extension};
use crate::playlist::{self, PlaylistPoller, PlaylistResult, ServedPlaylist, UpstreamPlaylist};
use crate::upstream::seal::{self, Purpose};
use crate::upstream::target::UpstreamTarget;

/// Playlists of a list have the same token: it is looked for in so many of them.
const UPSTREAMS_MAX: usize = 16;

/// Handler of `/proxy`.
pub struct ProxyHandler {
    pub playlist_poller: Arc<PlaylistPoller>,
    pub state: EdgeState,
}

/// A parsed request for `/proxy`.
#[derive(Clone)]
pub struct ProxyRequest {
    pub target: UpstreamTarget,
    /// Encoded `EXT-X-DEFINE` variables of the multivariant playlist that led here.
    pub variables: Option<String>,
    pub directives: Option<DeliveryDirectives>,
    pub now: u64,
}

impl ProxyRequest {
    /// What requests have in common that share a fetch.
    fn poll_key(&self) -> String {
        let UpstreamTarget { purpose, expires, profile, url, .. } = &self.target;
        let purpose = match purpose {
            None => "plain",
            Some(Purpose::Playlist) => "playlist",
            Some(Purpose::Document) => "document",
            Some(Purpose::Media) => "media",
        };
        let expires = expires.map(|expires| expires.to_string()).unwrap_or_default();
        let variables = self.variables.as_deref().unwrap_or_default();
        ["proxy", purpose, &expires, &profile.id, url.as_str(), variables].join(" ")
    }
}

impl ProxyHandler {
    /// The target of a link to a playlist or document. `source`: the source in its path.
    ///
    /// # Errors
    /// [`Problem::SealInvalid`] for a link to media, or the problem of the link.
    pub fn resolve_link(
        &self,
        link: &Link<'_>,
        source: Option<&str>,
        now: u64,
    ) -> Result<UpstreamTarget, Problem> {
        let EdgeState { sealer, maps, .. } = &self.state;
        let target = self.state.target_resolver().resolve_link(
            link,
            source,
            sealer,
            &maps.current(),
            now,
        )?;
        let is_media = target.purpose == Some(Purpose::Media);
        if is_media { Err(Problem::SealInvalid) } else { Ok(target) }
    }

    /// Fetches and rewrites a playlist or document. Concurrent requests for the same one share a
    /// fetch.
    ///
    /// # Errors
    /// The problem of the fetch, [`Problem::UpstreamInvalid`] if the response cannot be rewritten,
    /// or [`Problem::BadUrl`] if the variables cannot be decoded.
    pub async fn fetch_playlist(&self, request: ProxyRequest) -> PlaylistResult {
        let target = &request.target;
        let playlist = request.poll_key();
        let poll = |directives: Option<String>| {
            // What a fetch takes is cloned for it, and not for a result that is still fresh.
            let fetch = |directives| {
                let (state, playlist_poller) = (self.state.clone(), self.playlist_poller.clone());
                let (request, cache_key) = (request.clone(), playlist.clone());
                state.fetch_and_rewrite(request, directives, cache_key, playlist_poller)
            };
            self.playlist_poller.poll(playlist.clone(), directives, None, fetch)
        };
        match &request.directives {
            None => poll(None).await.result,
            Some(directives) if target.purpose == Some(Purpose::Document) => {
                poll(directives.of_documents.clone()).await.result
            }
            Some(directives) => {
                let last = self.playlist_poller.rewrite_cache.get(&playlist);
                let poll = |directives| poll(directives).boxed();
                poll_until_satisfied(directives, last.map(|last| last.playlist.clone()), poll).await
            }
        }
    }
}

impl EdgeState {
    async fn fetch_and_rewrite(
        self,
        request: ProxyRequest,
        directives: Option<String>,
        cache_key: String,
        playlist_poller: Arc<PlaylistPoller>,
    ) -> PlaylistResult {
        let ProxyRequest { target, variables, now, .. } = request;
        let limits = PlaylistLimits::default();
        let upstream_playlist = playlist::fetch_playlist(
            &self.upstreams,
            &target,
            directives.as_deref(),
            limits.max_bytes,
        )
        .await?;
        let mut uri_mapper = ProxyUriMapper {
            sealer: &self.sealer,
            profile: &target.profile.id,
            public_path: self.public_path.as_str(),
            container_extension: container_extension(guess_container(&upstream_playlist.body)),
            now,
            expires: target.expires,
            redactor: Some(self.redactor_for(&target, &upstream_playlist)),
        };
        if target.purpose == Some(Purpose::Document) {
            let bytes = rewrite_json_document(
                &upstream_playlist.body,
                &upstream_playlist.base_url,
                &mut uri_mapper,
            )
            .map_err(|invalid| Problem::UpstreamInvalid(invalid.to_string()))?;
            return Ok(Arc::new(ServedPlaylist::new(
                bytes,
                "application/json",
                None,
                upstream_playlist.fetch_duration,
            )));
        }
        let imported = match variables {
            Some(encoded) => Variables::decode(&encoded)
                .map_err(|_| Problem::BadUrl("v= is not what a playlist here said"))?,
            None => Variables::default(),
        };
        if has_unknown_extension(&upstream_playlist.body)
            && let Some(sniffed) =
                self.sniff_container(&upstream_playlist, &imported, &target).await
        {
            uri_mapper.container_extension = container_extension(sniffed);
        }
        let rewrite_key = RewriteKey {
            base_url: upstream_playlist.base_url.clone(),
            seal_period: seal::seal_period(now),
            expires: target.expires,
            extension: uri_mapper.container_extension,
            upstream_generation: 0,
            splice: None,
        };
        let previous = playlist_poller.rewrite_cache.get(&cache_key);
        let rewritten = RewrittenPlaylist::rewrite(
            previous.as_deref(),
            upstream_playlist,
            rewrite_key,
            &imported,
            PLAYLIST_CONTENT_TYPE,
            &mut uri_mapper,
        )?;
        // The handles are dropped: the prefetches run on without a waiter.
        drop(self.prefetch_new_segments(&rewritten, &target));
        Ok(playlist_poller.store_rewritten(cache_key, rewritten))
    }

    /// What may be published of a response from `target`.
    fn redactor_for(&self, target: &UpstreamTarget, response: &UpstreamPlaylist) -> Redactor {
        let mut redactor = self.target_resolver().redactor_for(target, &response.base_url);
        // What belongs to a stream may have the token of its playlist.
        let map = self.maps.current();
        let upstreams = map.streams.values().flat_map(|stream| &stream.upstreams);
        let of_profile = upstreams.filter(|upstream| upstream.profile.0 == *target.profile.id);
        of_profile.take(UPSTREAMS_MAX).for_each(|upstream| redactor.add_url(&upstream.playlist));
        redactor
    }

    /// Detects the container of segments whose names do not tell it, by the bytes of the newest
    /// segment, which the player will request next anyway.
    async fn sniff_container(
        &self,
        upstream_playlist: &UpstreamPlaylist,
        imported: &Variables,
        playlist: &UpstreamTarget,
    ) -> Option<Container> {
        let analysis = parse_playlist(
            &upstream_playlist.body,
            &upstream_playlist.base_url,
            imported,
            &PlaylistLimits::default(),
        );
        let Ok(Analysed::Media(media)) = analysis else { return None };
        let segment = media.segments.last()?;
        if segment.map.is_some() || segment.key.is_some() || segment.byte_range.is_some() {
            return None;
        }
        let url = parse_url(&segment.url).ok()?;
        let target = self.target_resolver().resolve_from_playlist(url, playlist);
        let first_chunk: Bytes = self
            .cache
            .open_object(target, RangeRequest::default())
            .await
            .ok()?
            .read_first_chunk()
            .await?;
        Some(Container::sniff(&first_chunk)).filter(|sniffed| *sniffed != Container::Unknown)
    }
}
