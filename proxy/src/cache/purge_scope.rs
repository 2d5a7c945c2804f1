//! [`PurgeScope`]: which objects a purge removes.

use std::sync::Arc;

use super::object_key::ObjectKey;

/// Which objects a purge removes.
pub enum PurgeScope {
    Stream(String),
    /// What is stored of these URLs, whole objects and ranges of them, by [`ObjectKey::purge_key_of`].
    Urls(Vec<ObjectKey>),
}

impl PurgeScope {
    pub(super) fn matches(&self, url_key: &ObjectKey, stream: Option<&Arc<str>>) -> bool {
        match self {
            Self::Stream(id) => stream.is_some_and(|stream| **stream == **id),
            Self::Urls(keys) => keys.contains(url_key),
        }
    }
}
