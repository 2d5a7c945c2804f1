//! Publishes the draft of the next map when it differs from the last one, at most a few times per
//! second. The store is written to beside the queue: one that hangs delays neither checks nor
//! commands.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{PublicDocument, SessionStatus};
use pitwall_upstream_map::{
    MapReach, RequestProfile, RequestProfileId, StoreError, Stream, StreamId, UpstreamMap,
};
use tokio::time::Instant;

use super::Engine;
use super::command_handling::{SwitchInPublication, WaitingSwitch};
use super::jobs::EngineEvent;
use crate::model::UpstreamKey;
use crate::model::command::CommandError;

/// Changes within this time are published together.
pub(super) const PUBLISH_MIN_INTERVAL: Duration = Duration::from_millis(200);
/// How long a store that hangs is waited for.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);

/// The next map, and what is being published.
#[derive(Default)]
pub(crate) struct PublicationState {
    /// The map as it is to be; its version is that of the map that it began with.
    pub(super) draft: UpstreamMap,
    /// The draft has not been published.
    pub(super) is_due: bool,
    /// Streams came, went, moved or have another name.
    pub(super) is_list_outdated: bool,
    pub(super) is_schedule_outdated: bool,
    pub(super) is_status_outdated: bool,
    /// The document of a stream or the session has changed since the last map.
    is_version_outdated: bool,
    /// What the drafted schedule goes by.
    pub(super) session_phases: Vec<(SessionStatus, bool)>,
    pub(super) has_healthy_stream: bool,
    pub(super) guide_made_at: Option<Timestamp>,
    /// When lists may be made again.
    pub(super) lists_due_at: Option<Instant>,
    pub(super) activity_made_at: Option<Instant>,
    pub(super) figures_renewed_at: Option<Instant>,
    /// The active upstreams of the streams that were ranked since the last publication.
    pub(super) choices: BTreeMap<StreamId, ChosenUpstream>,
    pub(super) last_version: u64,
    last_began_at: Option<Instant>,
    /// Why the last map was not published, as logged.
    last_error: Option<String>,
    /// Why the store does not take maps, while it does not.
    pub(super) store_failure: Option<String>,
    in_flight: Option<InFlightMap>,
    pub(super) waiting_switches: VecDeque<WaitingSwitch>,
}

/// The upstream that ranking chose for a stream.
#[derive(Clone)]
pub(crate) struct ChosenUpstream {
    pub(super) key: UpstreamKey,
    pub(super) pinned: bool,
}

/// A map on its way to the store.
struct InFlightMap {
    version: u64,
    choices: BTreeMap<StreamId, ChosenUpstream>,
    switch: Option<SwitchInPublication>,
}

impl PublicationState {
    /// Begins with the map of the previous leader, of which only the `profiles` of sources stay.
    pub(super) fn inherit_map(
        &mut self,
        map: &UpstreamMap,
        profiles: BTreeMap<RequestProfileId, Arc<RequestProfile>>,
    ) {
        *self = Self {
            draft: UpstreamMap { profiles, ..map.clone() },
            is_due: true,
            is_list_outdated: true,
            is_schedule_outdated: true,
            is_status_outdated: true,
            is_version_outdated: true,
            last_version: self.last_version,
            waiting_switches: std::mem::take(&mut self.waiting_switches),
            ..Self::default()
        };
        self.draft.documents.extractors.clear();
    }

    /// Drafts a stream and the request profiles that only its upstreams have.
    pub(super) fn replace_stream_in_draft(
        &mut self,
        stream: Stream,
        profiles: BTreeMap<RequestProfileId, RequestProfile>,
    ) {
        let before = self.draft.streams.get(&stream.id);
        if before.is_some_and(|before| **before == stream)
            && profiles
                .iter()
                .all(|(id, it)| self.draft.profiles.get(id).map(|it| &**it) == Some(it))
        {
            return;
        }
        self.is_due = true;
        self.is_version_outdated |= before.is_none_or(|before| before.public != stream.public);
        self.is_list_outdated |= before
            .is_none_or(|before| before.feed != stream.feed || before.position != stream.position);
        self.remove_own_profiles(&stream.id);
        for (id, profile) in profiles {
            self.draft.profiles.insert(id, Arc::new(profile));
        }
        self.draft.streams.insert(stream.id.clone(), Arc::new(stream));
    }

    pub(super) fn remove_stream(&mut self, stream: &StreamId) {
        self.remove_own_profiles(stream);
        if self.draft.streams.remove(stream).is_some() {
            (self.is_due, self.is_list_outdated, self.is_status_outdated) = (true, true, true);
            self.is_version_outdated = true;
        }
    }

    fn remove_own_profiles(&mut self, stream: &StreamId) {
        let Some(before) = self.draft.streams.get(stream) else { return };
        for upstream in &before.upstreams {
            if upstream.profile.0 != upstream.source {
                self.draft.profiles.remove(&upstream.profile);
            }
        }
    }

    /// Replaces a document of the draft if its text differs.
    pub(super) fn replace_in_draft(
        &mut self,
        select: impl FnOnce(&mut UpstreamMap) -> &mut PublicDocument,
        document: PublicDocument,
    ) {
        let drafted = select(&mut self.draft);
        if *drafted != document {
            *drafted = document;
            self.is_due = true;
        }
    }

    /// Drafts the request profile of a source, which all its upstreams have that need no other.
    pub(super) fn replace_profile_in_draft(
        &mut self,
        id: RequestProfileId,
        profile: RequestProfile,
    ) {
        if self.draft.profiles.get(&id).map(|it| &**it) != Some(&profile) {
            self.draft.profiles.insert(id, Arc::new(profile));
            self.is_due = true;
        }
    }

    pub(super) fn remove_source(&mut self, name: &str) {
        self.draft.profiles.remove(&RequestProfileId(name.to_owned()));
        self.draft.documents.extractors.remove(name);
        (self.is_due, self.is_status_outdated) = (true, true);
    }

    pub(super) fn replace_session_in_draft(&mut self, session: PublicDocument) {
        self.is_version_outdated |= self.draft.documents.session != session;
        self.replace_in_draft(|map| &mut map.documents.session, session);
    }

    /// When a map that is on its way to the store is taken for one that hangs there.
    pub(super) fn hang_deadline(&self) -> Option<Instant> {
        self.last_began_at.filter(|_| self.in_flight.is_some()).map(|at| at + PUBLISH_MIN_INTERVAL)
    }

    /// When the draft may be published, or a switch that waits is refused.
    pub(super) fn next_due_at(&self) -> Option<Instant> {
        if let Some(hangs_at) = self.hang_deadline() {
            let time_left = self.waiting_switches.front()?.time_left();
            let is_known_to_hang = self.store_failure.is_some();
            let wait = if is_known_to_hang { Duration::ZERO } else { time_left };
            return Some(hangs_at.max(Instant::now() + wait));
        }
        self.last_began_at.filter(|_| self.is_due).map(|last| last + PUBLISH_MIN_INTERVAL)
    }
}

impl Engine {
    /// Begins to publish an operator's switch that waits, or else the draft if it is due.
    pub(super) fn publish_if_due(&mut self) {
        if self.publication.in_flight.is_some() || self.inherited_upstreams.is_some() {
            return;
        }
        while let Some(waiting) = self.publication.waiting_switches.pop_front() {
            if self.begin_switch(waiting) {
                return;
            }
        }
        let last = self.publication.last_began_at;
        if self.publication.is_due && last.is_none_or(|at| at.elapsed() >= PUBLISH_MIN_INTERVAL) {
            let map = self.next_map();
            self.begin_publication(map, None);
        }
    }

    /// The draft with all its documents, under the version after the last one.
    pub(super) fn next_map(&mut self) -> UpstreamMap {
        self.draft_documents();
        let last = self.publication.last_version.max(self.store.map().version);
        let version = match self.store.holds_lease() {
            true => UpstreamMap::next_version(last, self.clock.now()),
            false => last + 1,
        };
        if std::mem::take(&mut self.publication.is_version_outdated) {
            self.publication.draft.documents.version =
                PublicDocument::from_text(version.to_string());
        }
        UpstreamMap { version, ..self.publication.draft.clone() }
    }

    /// Hands a map to the store. A switch takes effect when a map that carries it is published:
    /// nothing is changed before, so that a switch that the store did not accept is forgotten.
    pub(super) fn begin_publication(
        &mut self,
        map: UpstreamMap,
        switch: Option<SwitchInPublication>,
    ) {
        let (version, limit) = (map.version, switch.as_ref().map(|it| it.waiting.time_left()));
        let publication = &mut self.publication;
        publication.last_began_at = Some(Instant::now());
        publication.is_due = false;
        let choices = std::mem::take(&mut publication.choices);
        publication.in_flight = Some(InFlightMap { version, choices, switch });
        let (store, events) = (self.store.clone(), self.event_channel.0.clone());
        self.jobs.spawn(async move {
            let published = match limit {
                // A map without a switch may arrive late, as its content stays valid.
                None => tokio::time::timeout(PUBLISH_TIMEOUT, store.publish(map)).await,
                Some(limit) => Ok(store.publish_within(map, limit).await),
            };
            let result = published.unwrap_or_else(|_| {
                let limit = PUBLISH_TIMEOUT.as_secs();
                Err(StoreError::Unreachable(format!("no answer within {limit} s")))
            });
            let _ = events.send(EngineEvent::PublicationEnded { version, result }).await;
        });
    }

    pub(super) fn on_publication_ended(
        &mut self,
        version: u64,
        result: Result<MapReach, StoreError>,
    ) {
        // A publication that began before the last change of leadership is of no interest.
        let Some(InFlightMap { choices, switch, .. }) =
            self.publication.in_flight.take_if(|it| it.version == version)
        else {
            return;
        };
        self.publication.store_failure = match &result {
            Err(StoreError::Unreachable(why)) => Some(why.clone()),
            _ => None,
        };
        match &result {
            Ok(_) => {
                self.publication.last_version = version;
                self.metrics.set_map_version(version);
                for (stream, choice) in choices {
                    self.record_active_upstream(stream, choice);
                }
                if self.publication.last_error.take().is_some() {
                    tracing::info!(version, "maps are published again");
                }
            }
            Err(error) => {
                // The next map is published without the switch, and supersedes a map that may
                // still reach the store.
                self.publication.is_due = true;
                for (stream, choice) in choices {
                    self.publication.choices.entry(stream).or_insert(choice);
                }
                match error {
                    // The next attempt uses a version above the store's.
                    StoreError::Outdated { current, .. } => {
                        self.publication.last_version = *current;
                    }
                    // The fence is about to report that another control plane leads.
                    StoreError::NotLeading => {}
                    error if switch.is_none() => self.log_publish_failure(error.to_string()),
                    _ => {}
                }
            }
        }
        if let Some(switch) = switch {
            self.conclude_switch(switch, result);
        }
    }

    /// The lease was lost and is held again: a switch that was on its way is published anew.
    pub(super) fn requeue_switch_in_flight(&mut self) {
        let in_flight = self.publication.in_flight.take().and_then(|it| it.switch);
        if let Some(pending) = in_flight {
            self.publication.waiting_switches.push_front(pending.waiting);
        }
    }

    /// Another control plane leads: what waits here is not published any more.
    pub(super) fn refuse_switches(&mut self) {
        let in_flight = self.publication.in_flight.take().and_then(|it| it.switch);
        let waiting = self.publication.waiting_switches.drain(..);
        for switch in in_flight.map(|pending| pending.waiting).into_iter().chain(waiting) {
            switch.refuse(CommandError::NotLeading);
        }
    }

    /// Publishing is retried several times per second; each different error is logged once.
    fn log_publish_failure(&mut self, error: String) {
        if self.publication.last_error.as_ref() != Some(&error) {
            tracing::warn!(
                error,
                "map not published; publishing is retried until it succeeds, check the store"
            );
            self.publication.last_error = Some(error);
        }
    }
}
