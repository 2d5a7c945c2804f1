//! A source's playlist with links of ours, for the numbers under which it is published.

use pitwall_hls::{Container, Splice, Variables, container_hint};
use pitwall_upstream_map::Upstream;

use super::{MediaPoll, Turn};
use crate::links::{LiveLinks, ProxyLinks, container_extension};
use crate::live::CONTENT_TYPE;
use crate::playlists::UpstreamAnswer;
use crate::playlists::version::{Terms, Version};
use crate::problem::Problem;
use crate::seal;

impl MediaPoll {
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
            splice: Some(splice.from),
        };
        let mut links = LiveLinks {
            proxy: ProxyLinks {
                sealer: &self.rooms.sealer,
                profile: &target.profile,
                extension,
                now: self.now,
                expires: None,
            },
            stream: self.publisher.stream.as_str(),
            rendition: &self.publisher.rendition,
            upstream,
            token_parameters: &target.token_parameters,
            splice: Some(splice),
        };
        let last = self.playlists.versions.last(&turn.name);
        let last = last.as_deref();
        let version = Version::make(last, answer, terms, &imported, CONTENT_TYPE, &mut links)?;
        if version.is_multivariant() {
            let what = "a multivariant playlist where a media playlist was";
            return Err(Problem::UpstreamInvalid(what.to_owned()));
        }
        Ok(version)
    }

    /// What names say, and where they say nothing what the check saw in a segment.
    fn extension(&self, upstream: &Upstream, body: &[u8]) -> &'static str {
        match (container_hint(body), upstream.rendition(&self.publisher.rendition)) {
            (Container::MpegTs, Some(checked)) => checked.container.extension(),
            (known, _) => container_extension(known),
        }
    }
}
