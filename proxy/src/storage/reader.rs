//! One viewer's way through an object that is stored or being filled.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::fill::{Fill, Head, Piece, Refusal};
use super::pieces::Pieces;
use super::shelf::Object;
use crate::problem::Problem;
use pitwall_fetch::Response;

/// How much is handed to the connection at once, as a view of what is stored: most segments are
/// one write. The edge gives a slice time for its length, and to a viewer who stops reading too.
const SLICE: u64 = 4 * 1024 * 1024;

/// How much the first readers of a new object get before all of them have got something: the
/// first byte of the last in a herd waits for this many of everybody's, not for whole slices.
const FIRST: u64 = 64 * 1024;

/// Reads a fill from its start, at its own pace.
pub struct Reader {
    fill: Arc<Fill>,
    id: u64,
    progress: watch::Receiver<()>,
    position: u64,
    end: u64,
    turn: Turn,
}

/// Whether a reader has had its first bytes, and has let others have theirs.
#[derive(PartialEq)]
enum Turn {
    First,
    Others,
    Any,
}

impl Reader {
    pub(super) fn follow(fill: Arc<Fill>) -> Self {
        let progress = fill.progress();
        let id = fill.enter();
        Self { fill, id, progress, position: 0, end: u64::MAX, turn: Turn::First }
    }

    pub(super) async fn head(&mut self) -> Result<Arc<Head>, Refusal> {
        loop {
            self.progress.mark_unchanged();
            if let Some(head) = self.fill.head() {
                return head;
            }
            self.wait().await.map_err(Refusal::Problem)?;
        }
    }

    /// The upstream's answer, when it was refused for its size and nobody else took it.
    pub(super) fn take_answer(&self) -> Option<Box<Response>> {
        self.fill.take_answer()
    }

    /// The head of a fill that was opened.
    pub fn opened_head(&self) -> Arc<Head> {
        self.fill.head().and_then(Result::ok).unwrap_or_default()
    }

    pub fn seek(&mut self, start: u64, end: Option<u64>) {
        self.position = start;
        self.end = end.unwrap_or(u64::MAX);
    }

    /// The next slice; `None` at the end. A fill that failed is an error, never an end.
    pub async fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.turn == Turn::Others {
            self.turn = Turn::Any;
            tokio::task::yield_now().await;
        }
        loop {
            let most = if self.turn == Turn::First { FIRST } else { SLICE };
            let limit = most.min(self.end.saturating_sub(self.position));
            if limit == 0 {
                return Ok(None);
            }
            self.progress.mark_unchanged();
            match self.fill.read(self.id, self.position, limit) {
                Piece::Bytes(bytes) => {
                    self.position += bytes.len() as u64;
                    if self.turn == Turn::First {
                        self.turn = Turn::Others;
                    }
                    return Ok(Some(bytes));
                }
                Piece::End => return Ok(None),
                Piece::Failed(problem) => return Err(problem),
                Piece::Pending => self.wait().await?,
            }
        }
    }

    /// For somebody who has not come yet: the fill has a reader until then, or until it is too
    /// large to be kept.
    pub(super) async fn drain(mut self, most: u64) -> Result<(), Problem> {
        match self.head().await {
            Ok(_) => while self.position <= most && self.read().await?.is_some() {},
            Err(Refusal::Problem(problem)) => return Err(problem),
            Err(Refusal::PassThrough | Refusal::Whole) => {}
        }
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), Problem> {
        // The sender lives in the fill we hold.
        self.progress
            .changed()
            .await
            .map_err(|_| Problem::UpstreamInvalid("its fill ended".to_owned()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.fill.leave(self.id);
    }
}

/// Reads a stored object.
pub struct StoredReader {
    body: Arc<Pieces>,
    position: u64,
    end: u64,
}

impl StoredReader {
    pub fn new(object: &Object) -> Self {
        let body = object.body();
        let end = body.end();
        Self { body, position: 0, end }
    }

    pub fn seek(&mut self, start: u64, end: Option<u64>) {
        let length = self.body.end();
        self.position = start.min(length);
        self.end = end.map_or(length, |end| end.min(length)).max(self.position);
    }

    pub fn read(&mut self) -> Option<Bytes> {
        let limit = SLICE.min(self.end - self.position);
        if limit == 0 {
            return None;
        }
        let slice = self.body.at(self.position, limit)?;
        self.position += slice.len() as u64;
        Some(slice)
    }
}
