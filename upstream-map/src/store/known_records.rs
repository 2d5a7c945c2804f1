//! [`KnownRecords`]: splice records as Redis has them. A record holds the segments of earlier sources
//! that are still shown, which may be hours; Redis sends it once to each edge, and not with the
//! decision of each new segment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry_cipher::SYNTHETIC_IV_LENGTH;
use crate::stream::StreamId;

type RecordsByRendition = HashMap<(StreamId, String), KnownRecord>;

/// The last splice record that was read of each rendition.
#[derive(Default)]
pub(super) struct KnownRecords(Mutex<RecordsByRendition>);

/// A splice record that was read from Redis.
#[derive(Clone, Default)]
pub(super) struct KnownRecord {
    /// The first bytes of the sealed record, which authenticate the whole of it; empty if none is
    /// known.
    pub(super) sealed_prefix: Vec<u8>,
    pub(super) record: Arc<Vec<u8>>,
}

impl KnownRecords {
    pub(super) fn get(&self, stream: &StreamId, rendition: &str) -> KnownRecord {
        let key = (stream.clone(), rendition.to_owned());
        self.lock().get(&key).cloned().unwrap_or_default()
    }

    /// Remembers the record that Redis has; `None`: it has none.
    pub(super) fn set(&self, stream: &StreamId, rendition: &str, known: Option<KnownRecord>) {
        let key = (stream.clone(), rendition.to_owned());
        match known {
            Some(known) => drop(self.lock().insert(key, known)),
            None => drop(self.lock().remove(&key)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RecordsByRendition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownRecord {
    pub(super) fn new(sealed: &[u8], record: Vec<u8>) -> Self {
        let sealed_prefix = sealed.get(..SYNTHETIC_IV_LENGTH).unwrap_or_default().to_vec();
        Self { sealed_prefix, record: Arc::new(record) }
    }
}
