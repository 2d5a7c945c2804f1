//! Publication of a rendition: by its splice in the stream's current source switch, and only
//! numbers that all edges have agreed on.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pitwall_hls::splice::{
    NumberMapping, ParseError, PlaylistWindow, Segment, has_discontinuity,
    has_discontinuity_sequence, override_playlist_tags, required_target_duration,
};
use pitwall_hls::{SegmentedPlaylist, Splice, offer_delta_updates};
use pitwall_upstream_map::StreamId;
use pitwall_upstream_map::store::{self, SpliceDecision, SpliceProposal, Store};
use prometheus::IntCounterVec;

use super::rendition_state::{PlaylistContinuity, PublishedTail, RenditionSplice, RenditionState};
use super::source_switch::{
    CurrentGeneration, SourceSwitch, SplicePlan, SwitchReason, TAIL_SEGMENTS_MAX, TailSegments,
};
use super::stream_state::StreamState;
use crate::http::problem::Problem;
use crate::playlist::rewrite_cache::RewrittenPlaylist;

/// Publishes one rendition of one stream.
pub(super) struct Publisher {
    pub store: Arc<dyn Store>,
    pub switch_counter: IntCounterVec,
    pub stream_state: Arc<StreamState>,
    pub rendition_state: Arc<RenditionState>,
    pub stream: StreamId,
    pub rendition: String,
    /// Maximum duration of the published playlist.
    pub window: Duration,
}

/// A source that is to be published, with what a proposal for it needs.
pub(super) struct SpliceCandidate<'a> {
    pub source: &'a str,
    /// The source that the map ranks first, and the version of that map.
    pub preferred_source: &'a str,
    pub map_version: u64,
    /// Largest target duration of all sources of the stream, in seconds; 0 if none is known.
    pub max_target_duration: u64,
    /// Why the active source is left, should this candidate replace it.
    pub switch_reason: SwitchReason,
    pub playlist: &'a [u8],
}

/// Outcome of an attempt to publish.
pub(super) enum PublishOutcome {
    Playlist(Bytes),
    /// Higher numbers are already published.
    Behind,
    /// The edges have agreed on another splice, or on none of these numbers: the poll has to start
    /// over.
    Superseded,
}

/// How long published segments tell how many discontinuities there were.
const PUBLISHED_MAX_AGE: Duration = Duration::from_hours(1);
/// From which duration on a playlist offers delta updates: to send all of it with each reload would
/// be megabits per second for each player.
const DELTA_UPDATES_MIN_DURATION: Duration = Duration::from_secs(330);
/// How many proposals are sent while other edges keep taking the numbers first.
const PROPOSAL_ATTEMPTS_MAX: usize = 5;

impl Publisher {
    /// The splice by which the rendition is published now. `None` before the first one, after a
    /// source switch and while this edge's publication has diverged.
    pub(super) fn current_splice(&self) -> Option<RenditionSplice> {
        let rendition_splice = self.rendition_state.splice().filter(|rendition_splice| {
            rendition_splice.is_current(&self.stream_state.current_generation())
        })?;
        (!self.rendition_state.has_diverged()).then_some(rendition_splice)
    }

    /// Whether a playlist can be published without a larger target duration than players have.
    pub(super) fn is_within_target_duration(&self, playlist: &[u8]) -> bool {
        let Some(source_switch) = self.stream_state.current_generation().source_switch else {
            return true;
        };
        parse_playlist(playlist)
            .map_or(true, |parsed| source_switch.is_within_target_duration(&parsed))
    }

    /// Whether players are answered with 404 for now, so that each loads the multivariant playlist
    /// again with a new target duration.
    pub(super) fn is_player_reload_required(&self) -> bool {
        !self.stream_state.current_generation().remaining_reload_time().is_zero()
    }

    /// The source that the edges have agreed on: this rendition's, else the stream's.
    pub(super) fn active_source(&self) -> Option<String> {
        let current_generation = self.stream_state.current_generation();
        let rendition_splice = self
            .rendition_state
            .splice()
            .filter(|rendition_splice| rendition_splice.is_current(&current_generation));
        let source =
            rendition_splice.map(|rendition_splice| rendition_splice.splice.source.clone());
        source
            .or(current_generation.source_switch.map(|source_switch| source_switch.source.clone()))
    }

    /// The rendition's splice in the source switch by which the candidate plays, agreed on with all
    /// edges. `restarts`: the candidate plays already, and its sequence numbers start again.
    /// `None`: the edges have decided on something else.
    ///
    /// # Errors
    /// [`Problem::UpstreamInvalid`] if the candidate's playlist cannot be parsed,
    /// [`Problem::Unavailable`] if a record cannot be written or read, or no proposal is accepted.
    pub(super) async fn propose_splice(
        &self,
        candidate: &SpliceCandidate<'_>,
        restarts: bool,
    ) -> Result<Option<RenditionSplice>, Problem> {
        let current_generation = self.stream_state.current_generation();
        let own_splice = self.rendition_state.splice();
        let current = own_splice
            .as_ref()
            .filter(|rendition_splice| rendition_splice.is_current(&current_generation));
        let diverged = current.is_some() && self.rendition_state.has_diverged();
        let restarts = restarts || diverged;
        if let Some(rendition_splice) = current.filter(|rendition_splice| {
            rendition_splice.splice.source == candidate.source && !restarts
        }) {
            return Ok(Some(rendition_splice.clone()));
        }
        let mut begins_switch =
            restarts || self.active_source().is_none_or(|source| source != candidate.source);
        let parsed = if current_generation.source_switch.is_none() {
            parse_playlist(candidate.playlist).ok()
        } else {
            Some(parse_playlist(candidate.playlist)?)
        };
        let generation = current_generation.generation.saturating_add(u64::from(begins_switch));
        let mut source_switch =
            current_generation.source_switch.as_deref().cloned().unwrap_or_default();
        if begins_switch {
            // The first rendition's splice point goes into the source switch: the other renditions
            // are aligned to it.
            source_switch = self.plan_switch(candidate, &current_generation, parsed.as_ref());
            source_switch.reason = match (diverged, restarts) {
                (true, _) => SwitchReason::Split,
                (_, true) => SwitchReason::Restarted,
                _ => candidate.switch_reason,
            };
            // A diverged edge fills its gap with the segments that other edges have published, and
            // needs one more discontinuity between its own and theirs.
            let discontinuity = &mut source_switch.from.discontinuity;
            *discontinuity = discontinuity.saturating_add(u64::from(diverged));
        }
        for _ in 0..PROPOSAL_ATTEMPTS_MAX {
            let target = Duration::from_secs(source_switch.target_duration.max(1));
            let PublishedTail { first_free_number, segments, at } =
                self.rendition_state.published_tail();
            let is_recent = at.is_some_and(|at| at.elapsed() <= 4 * target);
            let tail = if is_recent { segments } else { TailSegments::default() };
            let plan = SplicePlan {
                generation,
                source_switch: &source_switch,
                begins_switch,
                diverged,
                previous_splice: own_splice
                    .as_ref()
                    .map(|rendition_splice| &*rendition_splice.splice),
                last_published: self
                    .rendition_state
                    .last_published(target)
                    .and_then(|text| parse_playlist(&text).ok()),
                peer_tail: tail,
                first_free_number,
                published_ago: self.rendition_state.published_ago(),
            };
            let splice = plan.into_splice(&parsed.clone().unwrap_or_default());
            if std::mem::take(&mut begins_switch) {
                source_switch.from = splice.from;
            }
            let published = splice.from.published;
            let start = Some(store::RenditionStart { published, record: to_json(&splice)? });
            let begins = generation > current_generation.generation;
            let proposal = SpliceProposal {
                switch_record: to_json(&source_switch)?,
                start,
                generation_age: if begins {
                    Some(Duration::ZERO)
                } else {
                    current_generation.age()
                },
                ..self.new_proposal(generation)
            };
            let decision = self.send_proposal(&proposal).await;
            if decision.generation != generation || decision.switch_record != proposal.switch_record
            {
                return Ok(None);
            }
            if let Some(record) = &decision.splice_record {
                let unreadable_record =
                    || Problem::Unavailable("the record of a splice cannot be read");
                let source_switch = Arc::new(source_switch);
                let rendition_splice = self
                    .rendition_state
                    .adopt_splice(record, &source_switch)
                    .ok_or_else(unreadable_record)?;
                let diverged = self.rendition_state.has_diverged();
                tracing::info!(
                    stream = %self.stream, rendition = self.rendition, source = rendition_splice.splice.source,
                    generation, from = ?rendition_splice.splice.from, shared = decision.is_shared, torn = diverged,
                    "the rendition continues behind a splice point"
                );
                return Ok((rendition_splice.splice.source == candidate.source && !diverged)
                    .then_some(rendition_splice));
            }
        }
        Err(Problem::Unavailable("no proposal of a splice is accepted"))
    }

    /// The source switch to the candidate.
    fn plan_switch(
        &self,
        candidate: &SpliceCandidate<'_>,
        current_generation: &CurrentGeneration,
        parsed: Option<&SegmentedPlaylist>,
    ) -> SourceSwitch {
        let previous = current_generation.source_switch.as_deref();
        let own_target_duration = required_target_duration(candidate.playlist);
        let max_target_duration = candidate.max_target_duration.max(own_target_duration);
        let unchanged = previous.filter(|previous| {
            parsed.is_none_or(|parsed| previous.is_within_target_duration(parsed))
        });
        let pause = match (previous, unchanged) {
            // Each player reloads once in a target duration, so one and a half of them reach all
            // players.
            (Some(previous), None) => Duration::from_secs(previous.target_duration) * 3 / 2,
            _ => current_generation.remaining_reload_time(),
        };
        // The discontinuity sequence number is above that of every rendition, as published here or
        // as reported by other edges.
        let discontinuity = previous.map_or(0, |previous| {
            let peer_discontinuity = self
                .rendition_state
                .published_tail()
                .segments
                .discontinuity_sequence()
                .max(previous.from.discontinuity);
            self.stream_state
                .next_discontinuity_sequence()
                .max(peer_discontinuity.saturating_add(1))
        });
        SourceSwitch {
            source: candidate.source.to_owned(),
            picked: candidate.preferred_source.to_owned(),
            map: candidate.map_version,
            reason: candidate.switch_reason,
            from: NumberMapping { discontinuity, ..NumberMapping::default() },
            target_duration: match unchanged.map_or(0, |previous| previous.target_duration) {
                0 => max_target_duration,
                target_duration => target_duration,
            },
            pause_ms: u64::try_from(pause.as_millis()).unwrap_or_default(),
        }
    }

    /// How the rewritten playlist continues the published one, and which published numbers it has:
    /// `None` if it ends before the splice point, as the playlist of a restarted source does.
    pub(super) fn check_continuity(
        &self,
        rendition_splice: &RenditionSplice,
        rewritten: &RewrittenPlaylist,
    ) -> (PlaylistContinuity, Option<Range<u64>>) {
        let numbers = published_numbers(rewritten, &rendition_splice.splice);
        let continuity = numbers.as_ref().map_or(PlaylistContinuity::Restarted, |numbers| {
            self.rendition_state.check_continuity(
                rendition_splice,
                numbers,
                rewritten.target_duration(),
            )
        });
        (continuity, numbers)
    }

    /// The playlist text to publish, after all edges have agreed on its new numbers. `has_ended`:
    /// no source of the stream continues.
    ///
    /// # Errors
    /// [`Problem::UpstreamInvalid`] if the playlist cannot be rendered behind the splice.
    pub(super) async fn publish(
        &self,
        rendition_splice: &RenditionSplice,
        rewritten: &RewrittenPlaylist,
        has_ended: bool,
    ) -> Result<PublishOutcome, Problem> {
        let next =
            published_numbers(rewritten, &rendition_splice.splice).map_or(0, |numbers| numbers.end);
        let mut text = self.render_playlist(&rendition_splice.splice, rewritten, has_ended)?;
        if let Some(offering) = offer_delta_updates(&text, DELTA_UPDATES_MIN_DURATION) {
            text = offering.into();
        }
        let is_beyond_agreed = self.rendition_state.is_beyond_agreed(next);
        let parsed = (is_beyond_agreed || self.rendition_state.is_first_publication())
            .then(|| SegmentedPlaylist::parse_newest(&text, TAIL_SEGMENTS_MAX).unwrap_or_default());
        if let Some(parsed) = parsed.as_ref().filter(|_| is_beyond_agreed)
            && !self.propose_publication(rendition_splice, next, parsed).await
        {
            return Ok(PublishOutcome::Superseded);
        }
        Ok(
            match self.rendition_state.record_publication(
                rendition_splice,
                text.clone(),
                next,
                parsed.as_ref(),
            ) {
                PlaylistContinuity::Continuous => PublishOutcome::Playlist(text),
                PlaylistContinuity::Behind => PublishOutcome::Behind,
                PlaylistContinuity::Superseded | PlaylistContinuity::Restarted => {
                    PublishOutcome::Superseded
                }
            },
        )
    }

    /// The text to publish. Its target duration holds for all sources and for all segments that
    /// players have of it, so that it never decreases.
    fn render_playlist(
        &self,
        splice: &Splice,
        rewritten: &RewrittenPlaylist,
        has_ended: bool,
    ) -> Result<Bytes, Problem> {
        let text = self.render_segments(splice, rewritten, has_ended)?;
        let last_published = self.rendition_state.last_published(PUBLISHED_MAX_AGE);
        let target_duration = required_target_duration(&text)
            .max(last_published.map_or(0, |text| required_target_duration(&text)))
            .max(if splice.is_initial() { splice.target_duration } else { 0 });
        let overridden = override_playlist_tags(&text, target_duration, has_ended);
        Ok(overridden.map_or(text, Bytes::from))
    }

    fn render_segments(
        &self,
        splice: &Splice,
        rewritten: &RewrittenPlaylist,
        has_ended: bool,
    ) -> Result<Bytes, Problem> {
        let bytes = &rewritten.playlist.bytes;
        if splice.is_initial() {
            let first = published_numbers(rewritten, splice).map_or(0, |numbers| numbers.start);
            let window = self.select_window(has_ended, first);
            let may_be_uncounted = self.may_have_uncounted_discontinuities(bytes);
            let published =
                if may_be_uncounted { self.last_published_segments() } else { Vec::new() };
            let holds_all = || {
                window.can_hold(&rewritten.timing) || window.holds_listed(bytes, &rewritten.timing)
            };
            if (may_be_uncounted || !holds_all())
                && let Some(rendered) = splice.render_initial(bytes, &published, window, has_ended)
            {
                return Ok(rendered.into());
            }
            return Ok(bytes.clone());
        }
        // Of what the source lists before the splice point nothing is published; it may be hours.
        let first = match has_discontinuity_sequence(bytes) {
            Some(false) => 0,
            Some(true) | None => splice.from.upstream,
        };
        let mut playlist =
            SegmentedPlaylist::parse_from_number(bytes, first).map_err(parse_problem)?;
        if self.may_have_uncounted_discontinuities(bytes) {
            splice.renumber_discontinuities(&mut playlist, &self.last_published_segments());
        }
        let rendered = splice.render(&playlist, self.select_window(has_ended, 0), has_ended);
        Ok(rendered.map_err(|error| Problem::UpstreamInvalid(error.to_string()))?.into())
    }

    /// Whether the playlist has or had discontinuities, which its source may count wrongly.
    fn may_have_uncounted_discontinuities(&self, playlist: &[u8]) -> bool {
        self.rendition_state.discontinuity_sequence() > 0 || has_discontinuity(playlist)
    }

    /// The last segments that this edge has published, and those that others have.
    fn last_published_segments(&self) -> Vec<Segment> {
        let own = self.rendition_state.last_published(PUBLISHED_MAX_AGE);
        let own = own.and_then(|text| parse_playlist(&text).ok()).unwrap_or_default().segments;
        let others = self.rendition_state.published_tail().segments.segments;
        // Of a number that both have, the own one counts: players of this edge have it.
        others.into_iter().chain(own).collect()
    }

    /// The published window. A playlist that has ended is published whole, except for segments that
    /// have already left the published playlist. `first`: the number of the first segment that there
    /// is.
    fn select_window(&self, has_ended: bool, first: u64) -> PlaylistWindow {
        // A source that lists more than before does not bring back what has left the playlist: media
        // sequence numbers never decrease (RFC 8216bis, 6.2.2).
        let available_from = self
            .rendition_state
            .available_from()
            .max(self.rendition_state.first_published_number().unwrap_or(0));
        match has_ended {
            false if first < available_from => {
                PlaylistWindow::MaxDurationFrom(self.window, available_from)
            }
            false => PlaylistWindow::MaxDuration(self.window),
            true if available_from > 0 => PlaylistWindow::FromNumber(available_from),
            true => PlaylistWindow::Unlimited,
        }
    }

    /// Proposes to publish all numbers below `next`, before any edge does. `false`: the edges have
    /// not agreed to it.
    async fn propose_publication(
        &self,
        rendition_splice: &RenditionSplice,
        next: u64,
        parsed: &SegmentedPlaylist,
    ) -> bool {
        let current_generation = self.stream_state.current_generation();
        let Some(source_switch) = current_generation
            .source_switch
            .clone()
            .filter(|_| rendition_splice.is_current(&current_generation))
        else {
            return false;
        };
        let (Ok(switch_record), Ok(tail)) =
            (to_json(&*source_switch), to_json(&TailSegments::of(parsed)))
        else {
            return false;
        };
        let generation = current_generation.generation;
        let proposal = SpliceProposal {
            next_number: next,
            tail_record: tail,
            switch_record,
            generation_age: current_generation.age(),
            ..self.new_proposal(generation)
        };
        let is_same_switch = |decision: &SpliceDecision| {
            decision.generation == generation && decision.switch_record == proposal.switch_record
        };
        let mut decision = self.send_proposal(&proposal).await;
        if is_same_switch(&decision) && decision.splice_record.is_none() {
            // The registry has lost the rendition's splice, so it is restored from this edge's
            // record.
            let (published, record) =
                (rendition_splice.splice.from.published, rendition_splice.record.to_vec());
            let start = Some(store::RenditionStart { published, record });
            self.send_proposal(&SpliceProposal { start, is_restored: true, ..proposal.clone() })
                .await;
            decision = self.send_proposal(&proposal).await;
        }
        if !is_same_switch(&decision) {
            return false;
        }
        match &decision.splice_record {
            Some(record) if **record == *rendition_splice.record => {
                self.rendition_state.record_agreed_number(next);
                return true;
            }
            Some(record) => drop(self.rendition_state.adopt_splice(record, &source_switch)),
            // Other edges have published higher numbers by another splice.
            None => self.rendition_state.mark_diverged(),
        }
        false
    }

    async fn send_proposal(&self, proposal: &SpliceProposal) -> SpliceDecision {
        let decision = self.store.propose_splice(proposal).await;
        if let Some(reason) = self.stream_state.apply_decision(&decision) {
            self.switch_counter.with_label_values(&[reason.label()]).inc();
        }
        self.rendition_state.adopt_peer_tail(&decision);
        decision
    }

    fn new_proposal(&self, generation: u64) -> SpliceProposal {
        SpliceProposal::query(self.stream.clone(), self.rendition.clone(), generation)
    }
}

pub(super) fn parse_playlist(text: &[u8]) -> Result<SegmentedPlaylist, Problem> {
    SegmentedPlaylist::parse(text).map_err(parse_problem)
}

fn parse_problem(error: ParseError) -> Problem {
    Problem::UpstreamInvalid(error.to_string())
}

/// The published numbers of a rewritten playlist's segments.
fn published_numbers(rewritten: &RewrittenPlaylist, splice: &Splice) -> Option<Range<u64>> {
    let next = rewritten.last_sequence_number().map_or(0, |last| last.saturating_add(1));
    let next = splice.next_published_number(next)?;
    Some(next.saturating_sub(rewritten.timing.segment_count)..next)
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|_| Problem::Unavailable("a splice cannot be written"))
}

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
#[cfg(test)]
mod tests;
