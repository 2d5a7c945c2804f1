//! Writes the body of a fetch in flight for its readers: whole where the fetch budget has room for
//! it, else through a window that slides with them.

use std::time::Duration;

use bytes::Bytes;

use super::inflight_fetch::InflightFetch;
use crate::http::problem::Problem;

/// How long an object waits for room in the fetch budget before only a window of it is held.
const ROOM_TIMEOUT: Duration = Duration::from_millis(250);

/// Writes the body of one fetch.
pub struct InflightWriter<'a> {
    fetch: &'a InflightFetch,
    max_object_bytes: u64,
    /// The length of the body has been reserved as a whole.
    is_reserved: bool,
    is_windowed: bool,
}

impl<'a> InflightWriter<'a> {
    /// Reserves a body of `length` bytes. One of unknown length is asked about again for each
    /// chunk.
    ///
    /// # Errors
    /// [`Problem::Busy`] where the budget has room neither for the body nor for a window.
    pub async fn open(
        fetch: &'a InflightFetch,
        max_object_bytes: u64,
        length: Option<u64>,
    ) -> Result<Self, Problem> {
        let mut writer = Self { fetch, max_object_bytes, is_reserved: false, is_windowed: false };
        if let Some(length) = length {
            writer.is_reserved =
                length <= max_object_bytes && fetch.budget_share().grow(length, ROOM_TIMEOUT).await;
            if !writer.is_reserved {
                writer.start_window().await?;
            }
        }
        Ok(writer)
    }

    /// Hands a chunk to the readers, once there is room for it.
    ///
    /// # Errors
    /// The fetch has no readers left, the budget has no room, or has taken its share back.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), Problem> {
        let size = chunk.len() as u64;
        if !self.is_windowed && !self.is_reserved && !self.try_reserve(size).await {
            // An object of unknown length turns out to be too large only on the way.
            self.start_window().await?;
        }
        if self.is_windowed {
            self.fetch.make_room(size).await?;
        }
        self.fetch.push_chunk(chunk);
        match self.fetch.is_abandoned() {
            true => Err(Problem::Unavailable("the fetch has no readers left")),
            false => Ok(()),
        }
    }

    async fn start_window(&mut self) -> Result<(), Problem> {
        self.fetch.start_window().await?;
        self.is_windowed = true;
        Ok(())
    }

    /// Whether `bytes` more of an object of unknown length may be held.
    async fn try_reserve(&self, bytes: u64) -> bool {
        self.fetch.received_bytes() + bytes <= self.max_object_bytes
            && self.fetch.budget_share().grow(bytes, ROOM_TIMEOUT).await
    }
}
