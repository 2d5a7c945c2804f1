//! A rendition's playlist as it is published: links, numbers, and how much of it.

use std::ops::Range;

use bytes::Bytes;
use pitwall_hls::splice::{Window, tailored};
use pitwall_hls::{Container, Splice, Tempo, Variables, container_hint};
use pitwall_upstream_map::Upstream;

use super::{MediaPoll, Turn, cut_of};
use crate::links::{LiveLinks, ProxyLinks, container_extension};
use crate::live::CONTENT_TYPE;
use crate::playlists::UpstreamAnswer;
use crate::playlists::version::{Terms, Version};
use crate::problem::Problem;
use crate::seal;

impl MediaPoll {
    pub(super) fn text(
        &self,
        splice: &Splice,
        version: &Version,
        over: bool,
    ) -> Result<Bytes, Problem> {
        let rewritten = &version.playlist.bytes;
        let window = self.window(&version.tempo);
        if splice.is_plain() {
            if !window.holds(&version.tempo)
                && let Some(shortened) = splice.shortened(rewritten, window, over)
            {
                return Ok(shortened.into());
            }
            return Ok(tailored(rewritten, splice.target_duration, over)
                .map_or_else(|| rewritten.clone(), Bytes::from));
        }
        let printed = splice.print(&cut_of(rewritten)?, window, over);
        Ok(printed.map_err(|error| Problem::UpstreamInvalid(error.to_string()))?.into())
    }

    /// What has ended is left as it is, but for what players have seen leave.
    fn window(&self, tempo: &Tempo) -> Window {
        match tempo.end_list {
            false => Window::Newest(self.window),
            true => self.track.first().map_or(Window::Whole, Window::From),
        }
    }

    pub(super) fn rewrite(
        &self,
        turn: &Turn<'_>,
        answer: UpstreamAnswer,
        splice: &Splice,
    ) -> Result<Version, Problem> {
        let Turn { upstream, target, .. } = turn;
        // Defined by its master, and asked for by whoever imports them.
        let imported = Variables::decode(&upstream.variables)
            .map_err(|_| Problem::UpstreamInvalid("its variables cannot be read".to_owned()))?;
        let extension = self.extension(upstream, &answer.body);
        let terms = Terms {
            base: answer.base.clone(),
            seal_period: seal::period(self.now),
            expires: None,
            extension,
            generation: upstream.generation,
            splice: Some(splice.generation),
        };
        let mut links = LiveLinks {
            proxy: ProxyLinks {
                sealer: &self.rooms.sealer,
                profile: &target.profile,
                extension,
                now: self.now,
                expires: None,
            },
            stream: self.stream.as_str(),
            rendition: &self.rendition,
            upstream,
            token_parameters: &target.token_parameters,
            splice: Some(splice),
        };
        let last = self.playlists.versions.last(&turn.name);
        Version::make(last.as_deref(), answer, terms, &imported, CONTENT_TYPE, &mut links)
    }

    /// What names say, and where they say nothing what the check saw in a segment.
    fn extension(&self, upstream: &Upstream, body: &[u8]) -> &'static str {
        match (container_hint(body), upstream.rendition(&self.rendition)) {
            (Container::MpegTs, Some(checked)) => checked.container.extension(),
            (known, _) => container_extension(known),
        }
    }
}

/// Those of its segments, as they are published.
pub(super) fn numbers(version: &Version, splice: &Splice) -> Option<Range<u64>> {
    let next = version.newest().map_or(0, |newest| newest.saturating_add(1));
    let next = splice.next(next)?;
    Some(next.saturating_sub(version.tempo.segments)..next)
}
