//! [`CapturedRequest`]: what a page requested, as the browser tells it.

use serde::{Deserialize, Serialize};

/// A request that looked like one for a playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CapturedRequest {
    /// The requested URL, before redirects.
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) status: u16,
    pub(super) mime: String,
    pub(super) body: String,
    /// Whether a service worker of the page answered.
    #[serde(skip)]
    pub(super) is_from_service_worker: bool,
}
