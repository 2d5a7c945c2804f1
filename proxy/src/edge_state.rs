//! [`EdgeState`]: what all phases and handlers of the edge share. It is cheap to clone, because a
//! fetch in flight may outlive the request that began it.

use std::sync::Arc;

use pitwall_upstream_map::Store;

use crate::cache::SegmentCache;
use crate::edge_settings::CurrentSettings;
use crate::feedback::viewers::ViewerTracker;
use crate::http::public_path::PublicPath;
use crate::metrics::Metrics;
use crate::upstream::client::UpstreamClient;
use crate::upstream::resolved_map::MapResolver;
use crate::upstream::seal::Sealer;
use crate::upstream::target_resolver::TargetResolver;

/// The shared services of an edge; a clone shares them.
#[derive(Clone)]
pub struct EdgeState {
    pub store: Arc<dyn Store>,
    pub maps: Arc<MapResolver>,
    pub upstreams: Arc<UpstreamClient>,
    pub sealer: Arc<Sealer>,
    pub settings: CurrentSettings,
    pub cache: Arc<SegmentCache>,
    pub viewers: Arc<ViewerTracker>,
    pub metrics: Metrics,
    pub public_path: PublicPath,
}

impl EdgeState {
    pub fn target_resolver(&self) -> Arc<TargetResolver> {
        self.settings.get().targets.clone()
    }
}
