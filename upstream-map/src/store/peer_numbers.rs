//! [`PeerNextNumbers`]: how far other edges have published, as each of them tells with every number.
//!
//! Players poll through a load balancer: an edge whose playlist is still fresh would step back for a
//! player that has just read a newer one from another edge.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::splice_proposal::SpliceProposal;
use crate::stream::StreamId;

/// The next number of a rendition that another edge has published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerNextNumber {
    pub next_number: u64,
    pub heard_at: Instant,
}

/// What the other edges have published last, by stream and rendition.
pub(super) struct PeerNextNumbers {
    numbers: RwLock<HashMap<StreamId, HashMap<String, PeerNextNumber>>>,
    swept_at: Mutex<Instant>,
}

/// A number that is older has been published by every edge that anybody polls.
const PEER_NUMBER_LIFETIME: Duration = Duration::from_mins(10);
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);
/// So much of a process's id tells its own notices from those of others.
const SENDER_LENGTH: usize = 8;

impl Default for PeerNextNumbers {
    fn default() -> Self {
        Self { numbers: RwLock::default(), swept_at: Mutex::new(Instant::now()) }
    }
}

impl PeerNextNumbers {
    pub(super) fn get(&self, stream: &str, rendition: &str) -> Option<PeerNextNumber> {
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        numbers.get(stream)?.get(rendition).copied()
    }

    /// Records a notice, unless it is this process's own or cannot be read.
    pub(super) fn record_notice(&self, notice: &[u8], process_id: &str) {
        let Some((sender, stream, rendition, next_number)) = parse_notice(notice) else { return };
        if process_id.starts_with(sender) {
            return;
        }
        let now = Instant::now();
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        let of_stream = numbers.entry(stream).or_default();
        of_stream.insert(rendition.to_owned(), PeerNextNumber { next_number, heard_at: now });
        let mut swept_at = self.swept_at.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(*swept_at) >= SWEEP_INTERVAL {
            *swept_at = now;
            numbers.retain(|_, of_stream| {
                of_stream.retain(|_, one| now - one.heard_at < PEER_NUMBER_LIFETIME);
                !of_stream.is_empty()
            });
        }
    }
}

/// What `agree.lua` publishes in front of the number: the beginning of the sender's id, the stream
/// and the rendition.
pub(super) fn notice_text(process_id: &str, proposal: &SpliceProposal) -> String {
    let sender: String = process_id.chars().take(SENDER_LENGTH).collect();
    format!("{sender} {} {}", proposal.stream, proposal.rendition)
}

fn parse_notice(notice: &[u8]) -> Option<(&str, StreamId, &str, u64)> {
    let (names, next_number) = std::str::from_utf8(notice).ok()?.rsplit_once(' ')?;
    let (sender, names) = names.split_once(' ')?;
    let (stream, rendition) = names.split_once(' ')?;
    if sender.len() != SENDER_LENGTH {
        return None;
    }
    let stream = StreamId::try_from(stream.to_owned()).ok()?;
    Some((sender, stream, rendition, next_number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_others_publish_is_known_for_a_while() {
        let numbers = PeerNextNumbers::default();
        let next = |rendition| numbers.get("world-feed", rendition).map(|one| one.next_number);
        for (notice, expected) in [
            ("aaaaaaaa world-feed v 107", Some(107)),
            ("aaaaaaaa world-feed v 108", Some(108)),
            ("ownownow world-feed v 109", Some(108)),
            (" world-feed v 109", Some(108)),
            ("aaaaaaaa world-feed v x", Some(108)),
            ("aaaaaaaa v 109", Some(108)),
            ("", Some(108)),
            ("aaaaaaaa onboard-7 v 200", Some(108)),
        ] {
            numbers.record_notice(notice.as_bytes(), "ownownownown");
            assert_eq!((next("v"), next("a")), (expected, None), "{notice}");
        }
        tokio::time::advance(PEER_NUMBER_LIFETIME).await;
        numbers.record_notice(b"aaaaaaaa onboard-7 v 201", "ownownownown");
        assert_eq!(next("v"), None, "it is forgotten");
    }
}
