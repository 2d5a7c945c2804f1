//! [`MediaHandler`]: segments of `/live` and media of `/relay`, opened in the segment cache.

use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use http::Version;
use pingora::http::RequestHeader;

use crate::cache::{OpenedObject, RangeRequest};
use crate::edge_settings::EdgeSettings;
use crate::edge_state::EdgeState;
use crate::feedback::viewers::has_cmcd_fields;
use crate::http::problem::Problem;
use crate::http::query::Link;
use crate::live::LiveHandler;
use crate::media_response::{MediaResponse, media_cache_control};
use crate::upstream::resolved_map::ResolvedMap;
use crate::upstream::seal::Purpose;
use crate::upstream::target::UpstreamTarget;

/// A link that was resolved by these settings; a `new_link` is not remembered yet.
struct ResolvedLink<'a> {
    target: UpstreamTarget,
    new_link: Option<&'a Link<'a>>,
    settings: Arc<EdgeSettings>,
}

/// Opens the objects that media requests are for.
pub struct MediaHandler {
    pub state: EdgeState,
    pub live: Arc<LiveHandler>,
}

impl MediaHandler {
    /// Opens a segment of `/live`. A link that the upstream refuses is looked up again in the
    /// playlist that named it, once: its token may have expired since, or the source may have
    /// moved.
    ///
    /// # Errors
    /// The problem of the link, or of the upstream.
    pub async fn open_segment(
        &self,
        request: &RequestHeader,
        stream: &str,
        link: &Link<'_>,
        now: u64,
    ) -> Result<MediaResponse, Problem> {
        let opened = self.try_open_segment(request, stream, link, now).await;
        let (Err(problem), Link::Sealed { seal, path }) = (&opened, link) else { return opened };
        let renewed = match problem.is_link_expired() {
            true => self.live.find_renewed_link(path, seal, problem, now).boxed().await,
            false => None,
        };
        let opened = match renewed {
            Some(renewed) => self.try_open_segment(request, stream, &renewed, now).await,
            None => opened,
        };
        if let Err(problem) = &opened {
            self.live.withdraw_segment(path, problem);
        }
        opened
    }

    async fn try_open_segment(
        &self,
        request: &RequestHeader,
        stream: &str,
        link: &Link<'_>,
        now: u64,
    ) -> Result<MediaResponse, Problem> {
        let map = self.state.maps.current();
        let resolved = self.resolve_link(link, &map, now)?;
        let profile = resolved.target.profile.clone();
        let opened = self.open_media(request, resolved, Some(stream), now).await;
        if opened.is_err() || has_cmcd_fields(&request.headers) {
            let problem = opened.as_ref().err();
            self.record_feedback(&map, stream, &profile.id, request, problem);
        }
        opened
    }

    /// Opens media of `/relay`, which belong to no stream.
    ///
    /// # Errors
    /// The problem of the link, or of the upstream.
    pub async fn open_relayed(
        &self,
        request: &RequestHeader,
        link: &Link<'_>,
        now: u64,
    ) -> Result<MediaResponse, Problem> {
        let resolved = self.resolve_link(link, &self.state.maps.current(), now)?;
        self.open_media(request, resolved, None, now).await
    }

    fn resolve_link<'a>(
        &self,
        link: &'a Link<'a>,
        map: &ResolvedMap,
        now: u64,
    ) -> Result<ResolvedLink<'a>, Problem> {
        let settings = self.state.settings.get();
        let targets = &settings.targets;
        let (target, new_link) = match targets.links.find(link, map, now) {
            Some(target) => (target, None),
            None => {
                let target = targets.resolve_link(link, None, &self.state.sealer, map, now)?;
                (target, Some(link))
            }
        };
        Ok(ResolvedLink { target, new_link, settings })
    }

    async fn open_media(
        &self,
        request: &RequestHeader,
        resolved: ResolvedLink<'_>,
        stream: Option<&str>,
        now: u64,
    ) -> Result<MediaResponse, Problem> {
        let ResolvedLink { target, new_link, settings } = resolved;
        if target.purpose.is_some_and(|purpose| purpose != Purpose::Media) {
            return Err(Problem::SealInvalid);
        }
        let started = Instant::now();
        let profile = target.profile.clone();
        let cache_control = media_cache_control(settings.access.is_open(), target.expires, now);
        let mut lookup = match self.state.cache.find_stored(&target) {
            Some(stored) => {
                if let Some(link) = new_link {
                    settings.targets.links.insert(link, target, now);
                }
                stored
            }
            None => {
                let range = RangeRequest::of(&request.method, &request.headers);
                let target = UpstreamTarget { stream: stream.map(Arc::from), ..target };
                self.state.cache.open_object(target, range).boxed().await?
            }
        };
        if request.version < Version::HTTP_11
            && let OpenedObject::Inflight { reader, .. } = &mut lookup
        {
            // HTTP/1.0 has no chunks: a body of unknown length would end there as one that breaks
            // off does.
            reader.wait_for_length().boxed().await?;
        }
        let media = MediaResponse::new(lookup, request.uri.path(), cache_control, started, profile);
        self.state.metrics.cache_requests.of(media.cache_result()).inc();
        Ok(media)
    }

    /// Records what a request for a segment tells of the upstream that the segment is of.
    fn record_feedback(
        &self,
        map: &ResolvedMap,
        stream: &str,
        profile: &str,
        request: &RequestHeader,
        problem: Option<&Problem>,
    ) {
        let Some(stream) = map.streams.get(stream) else { return };
        let mut upstreams = stream.upstreams.iter();
        let Some(upstream) = upstreams.find(|one| one.profile.0 == profile) else { return };
        let playback_reports = &self.state.viewers.playback_reports;
        playback_reports.record_cmcd_headers(stream, upstream, &request.headers);
        if let Some(problem) = problem {
            playback_reports.report_failure(&stream.id, upstream, problem);
        }
    }
}
