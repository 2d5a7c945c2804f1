//! [`OpenedObject`]: an object whose header fields are known.

use bytes::Bytes;

use super::bypass::Bypass;
use super::object_store::ReadGuard;
use super::reader::{InflightReader, StoredReader};

/// An opened object, and where it comes from.
pub enum OpenedObject {
    Hit(ReadGuard),
    Inflight { reader: InflightReader, coalesced: bool },
    Bypass(Bypass),
}

impl OpenedObject {
    /// The first bytes of the body; `None` if the body is empty or cannot be read.
    pub async fn read_first_chunk(self) -> Option<Bytes> {
        match self {
            Self::Hit(object) => StoredReader::new(object).read().ok()?,
            Self::Inflight { mut reader, .. } => reader.read().await.ok()?,
            Self::Bypass(mut bypass) => bypass.read().await.ok()?,
        }
    }
}
