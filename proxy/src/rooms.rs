//! What answering needs of the edge, in one place that is cheap to clone: a fetch under way may
//! outlive the request that began it.

use std::sync::Arc;

use pitwall_fetch::Fetcher;
use pitwall_upstream_map::Store;

use crate::audience::Audience;
use crate::metrics::Metrics;
use crate::seal::Sealer;
use crate::storage::Storage;
use crate::target::Targets;

#[derive(Clone)]
pub struct Rooms {
    pub store: Arc<dyn Store>,
    pub fetcher: Arc<Fetcher>,
    pub sealer: Arc<Sealer>,
    pub targets: Arc<Targets>,
    pub storage: Arc<Storage>,
    pub audience: Arc<Audience>,
    pub metrics: Metrics,
}
