//! Viewers of the model.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::seeded::Seeded;
use super::{OBJECTS, PIECE_BYTES, WAIT_MAX, World, byte_at};
use crate::cache::inflight_fetch::NotCacheable;
use crate::cache::object_store::ReadGuard;
use crate::cache::reader::{InflightReader, StoredReader};
use crate::cache::segment_cache::shared_fetch::JoinOutcome;
use crate::http::problem::Problem;

/// How often somebody stands still: nobody is to wait for longer than a schedule may take.
const PAUSES_MAX: usize = 3;

/// Somebody who reads one object.
pub(super) struct Viewer {
    arrives_after: Duration,
    object: usize,
    /// Leaves once so many bytes are read.
    leaves_at: usize,
    /// Stands still for so long before a read, in one of so many cases.
    pause: Duration,
    pauses_in: usize,
    /// Hears that it is cut off only from its next read.
    is_deaf: bool,
}

/// An object as a viewer reads it.
enum Source {
    Inflight(InflightReader),
    Stored(StoredReader),
}

/// How reading ended.
#[derive(Debug, PartialEq)]
enum Ending {
    End,
    Left,
    Failed(Problem),
}

impl Viewer {
    pub(super) fn random(seeded: &Seeded) -> Self {
        Self {
            arrives_after: Duration::from_millis(
                [0, 1, 400, 700, 1500, 3000, 6000][seeded.below(7)],
            ),
            object: seeded.below(OBJECTS),
            leaves_at: match seeded.chance(4) {
                true => seeded.below(12) * PIECE_BYTES,
                false => usize::MAX,
            },
            pause: Duration::from_millis([0, 0, 0, 30, 900, 4000, 20_000][seeded.below(7)]),
            pauses_in: 1 + seeded.below(6),
            is_deaf: seeded.chance(3),
        }
    }

    /// Watches, and checks what is read and how it ends.
    pub(super) async fn watch(self, world: Arc<World>) {
        sleep(self.arrives_after).await;
        let (script, started) = (&world.scripts[self.object], Instant::now());
        let mut held = None;
        let source = match world.open(self.object) {
            JoinOutcome::Hit(guard) => {
                held = Some(guard.clone());
                Source::Stored(StoredReader::new(guard))
            }
            JoinOutcome::NotCacheable(reason) => {
                assert!(script.is_refused, "{reason:?}");
                return;
            }
            JoinOutcome::Inflight(mut reader, _) => match reader.wait_for_metadata().await {
                Ok(_) => Source::Inflight(reader),
                Err(NotCacheable::Problem(Problem::Busy(_))) => return,
                Err(reason) => {
                    assert!(script.is_refused, "{reason:?}");
                    return;
                }
            },
        };
        let (position, ending) = self.read(source, held, &world).await;
        match ending {
            Ending::Left => assert!(position >= self.leaves_at),
            Ending::End => {
                assert_eq!(position, script.length(), "it ends cleanly, and is not whole");
                assert_eq!(script.breaks_before, None, "it ends cleanly, and was cut short");
            }
            Ending::Failed(Problem::Busy(_)) => {}
            Ending::Failed(problem) => {
                assert!(script.breaks_before.is_some(), "{problem} of a whole body");
            }
        }
        // Pauses are the viewer's own time.
        if self.pause < Duration::from_millis(100) {
            let waited = started.elapsed();
            let upstream = script.delay * u32::try_from(script.pieces + 2).unwrap_or(u32::MAX);
            let waited = waited.saturating_sub(upstream);
            assert!(waited <= Duration::from_secs(10), "{waited:?} behind the upstream");
        }
    }

    /// `held`: the object, if it is stored.
    async fn read(
        &self,
        mut source: Source,
        held: Option<ReadGuard>,
        world: &World,
    ) -> (usize, Ending) {
        let (mut position, mut pauses) = (0, 0);
        loop {
            if let Some(held) = &held {
                world.check_counted(self.object, held);
            }
            if position >= self.leaves_at {
                return (position, Ending::Left);
            }
            if !self.pause.is_zero() && pauses < PAUSES_MAX && world.seeded.chance(self.pauses_in) {
                pauses += 1;
                // A connection that takes nothing is aborted as soon as its reader is cut off.
                tokio::select! {
                    biased;
                    problem = source.wait_until_cut_off(), if !self.is_deaf => {
                        return (position, Ending::Failed(problem));
                    }
                    () = sleep(self.pause) => {}
                }
                let is_cut_off = source.wait_until_cut_off().now_or_never().is_some();
                assert!(self.is_deaf || !is_cut_off, "cut off, and not told");
            }
            let read = timeout(WAIT_MAX, source.read()).await;
            match read.expect("a viewer waits for bytes that do not come") {
                Ok(Some(bytes)) => {
                    self.check_bytes(position, &bytes);
                    position += bytes.len();
                }
                Ok(None) => return (position, Ending::End),
                Err(problem) => return (position, Ending::Failed(problem)),
            }
        }
    }

    fn check_bytes(&self, position: usize, bytes: &Bytes) {
        assert!(!bytes.is_empty(), "no bytes, and no end");
        for (at, byte) in bytes.iter().enumerate().step_by(PIECE_BYTES / 2) {
            assert_eq!(*byte, byte_at(self.object, position + at), "at {}", position + at);
        }
    }
}

impl Source {
    async fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        match self {
            Self::Inflight(reader) => reader.read().await,
            Self::Stored(reader) => reader.read(),
        }
    }

    async fn wait_until_cut_off(&self) -> Problem {
        match self {
            Self::Inflight(reader) => reader.wait_until_cut_off().await,
            Self::Stored(reader) => reader.wait_until_cut_off().await,
        }
    }
}
