//! Every stream's upstreams, best first, and which one is active.

use std::time::Duration;

use pitwall_upstream_map::{Health, SourcePin};
use tokio::time::Instant;

use super::UpstreamKey;
use super::continuity::Continuity;
use super::tracked_upstream::TrackedUpstream;
use crate::source::Source;

/// The active upstream of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ActiveUpstream {
    pub(crate) key: UpstreamKey,
    pub(crate) active_since: Instant,
    /// When all sources of a stream that appeared have had time to be extracted: until then the
    /// incumbent is not protected. An upstream that was active before a restart is already settled.
    pub(crate) settled_at: Instant,
    /// Pinned by an operator, until the upstream is down.
    pub(crate) pinned: bool,
    /// For a switch by an operator: the first version of the map that carries the switch; 0 if
    /// ranking chose the upstream.
    pub(crate) switch_version: u64,
}

/// The ranked upstreams of one stream.
pub(crate) struct Ranking<'a> {
    /// Best first; the first one is active unless it is down.
    pub(crate) upstreams: Vec<RankedUpstream<'a>>,
    pub(crate) reason: SelectionReason,
    pub(crate) pinned: bool,
    /// [`ActiveUpstream::switch_version`] of the first upstream.
    pub(crate) switch_version: u64,
    /// The source that an operator pinned, also while all upstreams are down or the pinned one is
    /// waited for.
    pub(crate) pin: Option<SourcePin>,
}

/// An upstream with its place in the ranking.
#[derive(Clone)]
pub(crate) struct RankedUpstream<'a> {
    pub(crate) key: &'a UpstreamKey,
    pub(crate) upstream: &'a TrackedUpstream,
    pub(crate) source: &'a Source,
    /// The place of its source in the configuration.
    pub(crate) config_position: usize,
    pub(crate) health: Health,
    /// Passed a check recently enough to be listed.
    pub(crate) is_listed: bool,
}

impl RankedUpstream<'_> {
    /// What players of this upstream make of a splice to the other one.
    pub(crate) fn continuity_to(&self, other: &RankedUpstream<'_>) -> Continuity {
        Continuity::between(&self.upstream.findings, &other.upstream.findings)
    }
}

impl<'a> Ranking<'a> {
    pub(crate) fn active(&self) -> Option<&RankedUpstream<'a>> {
        self.upstreams.first().filter(|upstream| upstream.health != Health::Down)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SelectionReason {
    Best,
    /// Chosen by an operator.
    Pinned,
    /// The active upstream's only failure is not confirmed.
    UnconfirmedFailure,
    /// Another upstream scores more, by less than the margin.
    WithinMargin,
    /// Another upstream scores more by the margin, but viewers were moved less than `hold` ago.
    HoldDown {
        left: Duration,
    },
    /// An upstream of higher priority is healthy again, but for less than `fail_back`.
    FailBackPending {
        left: Duration,
    },
}
