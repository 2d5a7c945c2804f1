//! The other sources of a rendition: is one there, has all ended, does one go on where this stands?

use std::time::Duration;

use pitwall_hls::{Cut, Limits, Splice};
use pitwall_upstream_map::{Health, Upstream};

use super::{MediaPoll, Turn};
use crate::live::change::Reason;
use crate::live::publisher::cut_of;
use crate::playlists;
use crate::problem::Problem;

/// In target durations without anything new: when others are looked at, …
const SUSPECT: f64 = 1.5;
/// … and when one will do that does not tell whether it is any further.
const FROZEN: f64 = 2.0;

impl MediaPoll {
    fn others<'a>(&self, turn: &Turn<'a>) -> impl Iterator<Item = &'a Upstream> {
        let source = turn.upstream.source.clone();
        let offers = |one: &&Upstream| one.rendition(&self.publisher.rendition).is_some();
        let others = turn.stream.upstreams.iter().filter(move |one| one.source != source);
        others.filter(offers)
    }

    pub(super) fn is_another_there(&self, turn: &Turn<'_>) -> bool {
        let up =
            |one: &&Upstream| one.health != Health::Down && !self.publisher.line.is_useless(one);
        self.others(turn).any(|one| up(&one))
    }

    /// Has everything ended? What cannot be asked has not.
    pub(super) async fn is_over(&self, turn: &Turn<'_>) -> bool {
        self.publisher.line.ended(turn.upstream);
        for other in self.others(turn) {
            if self.publisher.line.has_ended(other) {
                continue;
            }
            match self.look(turn, other).await {
                Ok(cut) if cut.ended => self.publisher.line.ended(other),
                _ => return false,
            }
        }
        true
    }

    async fn look(&self, turn: &Turn<'_>, other: &Upstream) -> Result<Cut, Problem> {
        let rendition = other.rendition(&self.publisher.rendition).ok_or(Problem::NotFound)?;
        let (url, profile) = (rendition.playlist.clone(), &other.profile.0);
        let target = self.rooms.targets.of_profile(url, profile, turn.map)?;
        let limit = Limits::default().bytes;
        let answer = playlists::fetch(&self.rooms.fetcher, &target, None, limit).await?;
        cut_of(&answer.body)
    }

    /// A playlist that stands still is never noticed by a player. When it should have moved, the
    /// others are looked at: the first that has what comes next plays.
    pub(super) async fn is_frozen(
        &self,
        turn: &Turn<'_>,
        stands: Duration,
        target: Duration,
    ) -> bool {
        if stands < target.mul_f64(SUSPECT) {
            return false;
        }
        let problem = Problem::UpstreamInvalid("it stands still".to_owned());
        self.rooms.audience.complaints.failed(&self.publisher.stream, turn.upstream, &problem);
        let Some(shown) = self.publisher.track.shown(target * 4) else { return false };
        let Ok(shown) = cut_of(&shown) else { return false };
        let up =
            |one: &&Upstream| one.health != Health::Down && !self.publisher.line.is_useless(one);
        for other in self.others(turn).filter(up) {
            let Ok(cut) = self.look(turn, other).await else { continue };
            let joined = Splice::after(None, &shown, &cut, other.source.clone());
            let dated =
                [&shown, &cut].iter().all(|cut| cut.segments.iter().all(|one| one.date.is_some()));
            let further = joined.from.upstream < cut.next();
            if !cut.ended && further && (dated || stands >= target.mul_f64(FROZEN)) {
                tracing::warn!(stream = %self.publisher.stream, source = turn.upstream.source, ?stands, "it stands still");
                self.publisher.line.avoid(turn.upstream, Reason::Frozen);
                return true;
            }
        }
        false
    }
}
