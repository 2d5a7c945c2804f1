//! Rewrites a source's playlist with links of this edge, under the numbers by which it is
//! published.

use pitwall_hls::{Container, Splice, Variables, guess_container};
use pitwall_upstream_map::Upstream;

use super::{MediaPoll, PollAttempt};
use crate::http::problem::Problem;
use crate::live::PLAYLIST_CONTENT_TYPE;
use crate::metrics::PollStage;
use crate::playlist::UpstreamPlaylist;
use crate::playlist::rewrite_cache::{RewriteKey, RewrittenPlaylist};
use crate::playlist::uri_mappers::{LiveUriMapper, ProxyUriMapper, container_extension};
use crate::upstream::seal;

impl MediaPoll {
    pub(super) fn rewrite_playlist(
        &self,
        attempt: &PollAttempt<'_>,
        upstream_playlist: UpstreamPlaylist,
        splice: &Splice,
    ) -> Result<RewrittenPlaylist, Problem> {
        let _timer = self.state.metrics.poll_stage_duration.of(PollStage::Rewrite).start_timer();
        let PollAttempt { upstream, target, .. } = attempt;
        // `EXT-X-DEFINE` variables of the upstream's multivariant playlist, for media playlists
        // that import them (RFC 8216bis, 4.4.2.3).
        let imported = Variables::decode(&upstream.variables)
            .map_err(|_| Problem::UpstreamInvalid("its variables cannot be read".to_owned()))?;
        let extension = self.segment_extension(upstream, &upstream_playlist.body);
        let rewrite_key = RewriteKey {
            base_url: upstream_playlist.base_url.clone(),
            seal_period: seal::seal_period(self.now),
            expires: None,
            extension,
            upstream_generation: upstream.generation,
            splice: Some(splice.from),
        };
        let mut redactor =
            self.state.target_resolver().redactor_for(target, &upstream_playlist.base_url);
        let playlists = std::iter::once(&upstream.playlist).chain(upstream.playlist_urls());
        playlists.for_each(|url| redactor.add_url(url));
        let mut uri_mapper = LiveUriMapper {
            proxy_mapper: ProxyUriMapper {
                sealer: &self.state.sealer,
                profile: &target.profile.id,
                public_path: self.state.public_path.as_str(),
                container_extension: extension,
                now: self.now,
                expires: None,
                redactor: Some(redactor),
            },
            stream: self.publisher.stream.as_str(),
            rendition: &self.publisher.rendition,
            upstream,
            token_parameters: target.profile.token_parameters(),
            splice: Some(splice),
        };
        let previous = self.playlist_poller.rewrite_cache.get(&attempt.rewrite_cache_key);
        let previous = previous.as_deref();
        let rewritten = RewrittenPlaylist::rewrite(
            previous,
            upstream_playlist,
            rewrite_key,
            &imported,
            PLAYLIST_CONTENT_TYPE,
            &mut uri_mapper,
        )?;
        if rewritten.is_multivariant() {
            let reason = "a multivariant playlist where a media playlist was";
            return Err(Problem::UpstreamInvalid(reason.to_owned()));
        }
        Ok(rewritten)
    }

    /// The extension of segment links: by the segments' names, and where these suggest MPEG-TS or
    /// nothing, by the container that the check found in a segment.
    fn segment_extension(&self, upstream: &Upstream, body: &[u8]) -> &'static str {
        match (guess_container(body), upstream.find_rendition(&self.publisher.rendition)) {
            (Container::MpegTs, Some(checked)) => checked.container.extension(),
            (guessed, _) => container_extension(guessed),
        }
    }
}
