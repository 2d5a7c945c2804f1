//! What was published of each rendition, and from which source: what makes one playlist of several
//! sources' ([`pitwall_hls::splice`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use pitwall_hls::{Cut, Splice};
use pitwall_upstream_map::StreamId;

use crate::problem::Problem;

/// Whoever comes back later begins anew.
const REMEMBERED: Duration = Duration::from_secs(3600);
const MOST: u64 = 20_000;

pub struct Tracks(Cache<(StreamId, String), Arc<Track>>);

/// One rendition of a stream.
#[derive(Default)]
pub struct Track(Mutex<State>);

#[derive(Default)]
struct State {
    /// The one that is published.
    source: Option<String>,
    splice: Option<Arc<Splice>>,
    last: Option<Bytes>,
    /// The number that follows the highest that was published.
    next: u64,
}

/// What became of a playlist that was to be published.
pub enum Outcome {
    Published(Bytes),
    /// The source was restarted and counts from the beginning.
    Restarted,
}

impl Default for Tracks {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_idle(REMEMBERED).build())
    }
}

impl Tracks {
    pub fn of(&self, stream: &StreamId, rendition: &str) -> Arc<Track> {
        self.0.get_with((stream.clone(), rendition.to_owned()), Arc::default)
    }
}

impl Track {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The change by which this source is the one that is published, if there was any. Another
    /// source than before begins where `body`, its playlist, goes on from what was published.
    pub fn take(&self, source: &str, body: &[u8]) -> Result<Option<Arc<Splice>>, Problem> {
        let mut state = self.state();
        if state.source.as_deref().is_some_and(|playing| playing != source) {
            state.splice(source, body)?;
        }
        state.source = Some(source.to_owned());
        Ok(state.splice.clone())
    }

    /// To a player a source that was restarted is another one.
    pub fn restart(&self, source: &str, body: &[u8]) -> Result<Option<Arc<Splice>>, Problem> {
        let mut state = self.state();
        state.splice(source, body)?;
        Ok(state.splice.clone())
    }

    /// Whether a poll of this source would be the first since another one played.
    pub fn changes(&self, source: &str) -> bool {
        self.state().source.as_deref().is_some_and(|playing| playing != source)
    }

    /// The change by which the source that plays does.
    pub fn current(&self) -> Option<Arc<Splice>> {
        self.state().splice.clone()
    }

    /// How a source's rewritten playlist is published. `newest`: the source's number of its last
    /// segment.
    pub fn publish(
        &self,
        source: &str,
        splice: Option<&Arc<Splice>>,
        rewritten: &Bytes,
        newest: Option<u64>,
    ) -> Result<Outcome, Problem> {
        let next = newest.map_or(0, |newest| match splice {
            Some(splice) => splice.next(newest + 1).unwrap_or_default(),
            None => newest + 1,
        });
        let mut state = self.state();
        let generation = |splice: Option<&Arc<Splice>>| splice.map(|splice| splice.generation);
        if state.source.as_deref() != Some(source)
            || generation(state.splice.as_ref()) != generation(splice)
        {
            // Another source took over while this one was fetched: its numbers are taken.
            let last = state.last.clone();
            return last
                .map(Outcome::Published)
                .ok_or(Problem::Unavailable("its source has just changed"));
        }
        if next + LAG < state.next {
            return Ok(Outcome::Restarted);
        }
        let text = match splice {
            None => rewritten.clone(),
            Some(splice) => {
                let cut = cut(rewritten)?;
                let printed = splice.print(&cut, cut.ended);
                printed.map_err(|error| Problem::UpstreamInvalid(error.to_string()))?.into()
            }
        };
        state.next = state.next.max(next);
        state.last = Some(text.clone());
        Ok(Outcome::Published(text))
    }
}

impl State {
    fn splice(&mut self, source: &str, body: &[u8]) -> Result<(), Problem> {
        let Some(last) = &self.last else { return Ok(()) };
        let (shown, new) = (cut(last)?, cut(body)?);
        let splice = Splice::after(self.splice.as_deref(), &shown, &new, source.to_owned());
        tracing::info!(
            from = self.source,
            to = source,
            generation = splice.generation,
            published = splice.published,
            upstream = splice.upstream,
            "spliced"
        );
        self.next = splice.published;
        self.splice = Some(Arc::new(splice));
        Ok(())
    }
}

/// By so many segments a source steps back when one of its servers is behind the others.
const LAG: u64 = 3;

fn cut(text: &[u8]) -> Result<Cut, Problem> {
    Cut::of(text).map_err(|error| Problem::UpstreamInvalid(error.to_string()))
}
