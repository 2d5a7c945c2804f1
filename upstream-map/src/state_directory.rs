//! [`StateDirectory`]: where a process keeps what outlives it, and whether it may still write there.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// A state directory, which belongs to one process at a time.
///
/// A process that hands its work over to a successor releases the directory: from then on nothing
/// is written, so that the files of the successor are neither replaced by older ones nor mixed with
/// them. All clones are released together.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// Held for reading during each write, so that a release waits for the writes in progress.
    is_released: Arc<RwLock<bool>>,
}

impl StateDirectory {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Performs a write, unless the directory is released: then nothing is written.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn write<E>(&self, write: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let is_released = self.is_released.read().unwrap_or_else(PoisonError::into_inner);
        if *is_released { Ok(()) } else { write() }
    }

    /// Ends the writing. Blocks until the writes in progress are done.
    pub fn release(&self) {
        *self.is_released.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Permits writing again, as the successor has failed.
    pub fn reclaim(&self) {
        *self.is_released.write().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

impl From<PathBuf> for StateDirectory {
    fn from(path: PathBuf) -> Self {
        Self { path, is_released: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_to_a_released_directory() {
        let directory = StateDirectory::from(PathBuf::from("/state"));
        let clone = directory.clone();
        for (change, expected) in [
            ((|_| {}) as fn(&StateDirectory), 1),
            (StateDirectory::release, 0),
            (StateDirectory::reclaim, 1),
        ] {
            change(&directory);
            let mut written = 0;
            let outcome: Result<(), ()> = clone.write(|| {
                written += 1;
                Ok(())
            });
            assert_eq!((outcome, written), (Ok(()), expected));
        }
    }
}
