//! Drafts the documents that belong to no stream.

use std::time::Duration;

use jiff::SignedDuration;
use pitwall_upstream_map::Health;
use pitwall_upstream_map::documents::{
    Activity, ExtractorCount, PublicDocument, ScheduleStatus, Session, Status, StreamActivity,
    StreamCount,
};
use tokio::time::Instant;

use super::Engine;
use crate::publish::{self, calendar, iptv_playlist, xmltv_guide};
use crate::schedule::live_window;

/// How often figures that always change are published.
const ACTIVITY_INTERVAL: Duration = Duration::from_secs(30);
/// The same while sources run for the first time.
const STARTUP_ACTIVITY_INTERVAL: Duration = Duration::from_secs(3);
/// Lists of thousands of streams are made less often than maps are published, as making them takes
/// long. Below that, the lists of a map have exactly its streams.
const LISTS_PAUSE_PER_STREAM: Duration = Duration::from_micros(50);
/// The guide covers some time around now.
const GUIDE_MAX_AGE: SignedDuration = SignedDuration::from_hours(1);

impl Engine {
    /// Drafts what time alone changes, once a second.
    pub(super) fn draft_timed_documents(&mut self) {
        let now = self.clock.now();
        let phases = publish::session_phases(&self.schedule.borrow().schedule, now);
        let has_healthy_stream = self.counts.has_healthy();
        self.metrics.set_session_live(self.session_on_air(has_healthy_stream).is_some());
        let publication = &mut self.publication;
        publication.is_schedule_outdated |= publication.session_phases != phases
            || publication.has_healthy_stream != has_healthy_stream;
        publication.session_phases = phases;
        publication.has_healthy_stream = has_healthy_stream;
        self.draft_lists_if_due();
        let interval = match self.persisted.is_starting_up() {
            true => STARTUP_ACTIVITY_INTERVAL,
            false => ACTIVITY_INTERVAL,
        };
        if self.publication.activity_made_at.is_none_or(|at| at.elapsed() >= interval) {
            self.draft_activity();
        }
    }

    /// Drafts what follows from the streams and sources, before they are published.
    pub(super) fn draft_documents(&mut self) {
        self.draft_lists_if_due();
        if std::mem::take(&mut self.publication.is_status_outdated) {
            let status = self.status();
            self.draft_document(&status, |all| &mut all.documents.status);
        }
    }

    fn status(&self) -> Status {
        let schedule = self.schedule.borrow();
        Status {
            started_at: self.started_at,
            schedule: ScheduleStatus {
                source: schedule.schedule.source.clone(),
                fetched_at: schedule.schedule.fetched_at,
                stale_since: schedule.schedule.stale_since,
                error: schedule.error.clone(),
                disagreements: schedule.disagreements,
                providers: schedule.providers.clone(),
            },
            streams: StreamCount {
                total: self.counts.total(),
                healthy: self.counts.count_listed(Health::Healthy),
                down: self.counts.count_listed(Health::Down),
            },
            extractors: ExtractorCount {
                total: self.sources.iter().filter(|state| state.is_configured()).count(),
                failing: self.failing_sources.len(),
            },
        }
    }

    /// Drafts the schedule, and the lists of streams for players. Lists of many streams change often
    /// while sources are found, and take long to make.
    fn draft_lists_if_due(&mut self) {
        let now = self.clock.now();
        let publication = &mut self.publication;
        let is_guide_old =
            publication.guide_made_at.is_some_and(|at| now.duration_since(at) >= GUIDE_MAX_AGE);
        let is_outdated =
            publication.is_schedule_outdated || publication.is_list_outdated || is_guide_old;
        let made_at = Instant::now();
        if !is_outdated || publication.lists_due_at.is_some_and(|due_at| made_at < due_at) {
            return;
        }
        let has_healthy_stream = publication.has_healthy_stream;
        let state = self.schedule.borrow();
        let schedule = live_window::schedule_at(&state.schedule, now, has_healthy_stream);
        drop(state);
        let is_schedule_outdated = std::mem::take(&mut publication.is_schedule_outdated);
        let is_list_outdated = std::mem::take(&mut publication.is_list_outdated);
        publication.guide_made_at = Some(now);
        let streams = publication.draft.streams_in_order();
        let pause = LISTS_PAUSE_PER_STREAM * u32::try_from(streams.len()).unwrap_or(u32::MAX);
        publication.lists_due_at = Some(made_at + pause);
        let guide = xmltv_guide::write_xmltv(&schedule, &streams, now, &self.public_url);
        let playlist = is_list_outdated.then(|| {
            PublicDocument::from_text(iptv_playlist::write_m3u(&streams, &self.public_url))
        });
        publication
            .replace_in_draft(|map| &mut map.documents.guide, PublicDocument::from_text(guide));
        if let Some(playlist) = playlist {
            publication.replace_in_draft(|map| &mut map.documents.playlist, playlist);
        }
        if is_schedule_outdated {
            publication.is_status_outdated = true;
            let calendar =
                PublicDocument::from_text(calendar::write_icalendar(&schedule, &self.public_url));
            publication.replace_in_draft(|map| &mut map.documents.calendar, calendar);
            self.draft_document(&schedule, |map| &mut map.documents.schedule);
            let session = live_window::live_or_next_session(&schedule);
            match PublicDocument::from_value(&session) {
                Ok(session) => self.publication.replace_session_in_draft(session),
                Err(error) => tracing::error!(%error, "the session cannot be written"),
            }
        }
    }

    fn draft_activity(&mut self) {
        self.publication.activity_made_at = Some(Instant::now());
        let checked_at = |stream| {
            let active = self.active_upstreams.get(stream).map(|active| &active.key);
            let active = active.and_then(|key| self.upstreams.get(key));
            let active = active.filter(|upstream| upstream.health() != Health::Down);
            let any = || self.upstreams.of_stream(stream).map(|(_, it)| it.last_passed_at).max();
            active.map(|upstream| upstream.last_passed_at).or_else(any)
        };
        let streams = self.known_streams.iter().filter_map(|(stream, _)| {
            Some((stream.clone(), StreamActivity { checked_at: checked_at(stream)? }))
        });
        let configured = self.sources.iter().filter(|state| state.is_configured());
        let extractors = configured.map(|state| (state.source.name.clone(), state.activity()));
        let activity = Activity {
            generated_at: self.clock.now(),
            streams: streams.collect(),
            extractors: extractors.collect(),
        };
        self.draft_document(&activity, |map| &mut map.documents.activity);
    }

    fn draft_document<T: serde::Serialize>(
        &mut self,
        value: &T,
        select: impl FnOnce(&mut pitwall_upstream_map::UpstreamMap) -> &mut PublicDocument,
    ) {
        match PublicDocument::from_value(value) {
            Ok(document) => self.publication.replace_in_draft(select, document),
            Err(error) => tracing::error!(%error, "a document cannot be written"),
        }
    }

    /// The session that is on the air, of which a stream should be watchable.
    pub(super) fn session_on_air(&self, has_healthy_stream: bool) -> Option<Session> {
        let (now, schedule) = (self.clock.now(), self.schedule.borrow());
        let mut sessions = schedule.schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        sessions.find(|session| live_window::is_on_air(session, now, has_healthy_stream)).cloned()
    }
}
