//! [`EdgeSettings`]: the part of the configuration that may change while an edge runs. It is one
//! immutable value: a request takes it once and is answered by it, so that no request sees half of
//! a change.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::Config;
use crate::http::access::AccessControl;
use crate::http::admin_token::AdminToken;
use crate::http::client_address::ClientAddresses;
use crate::http::limits::LimitsConfig;
use crate::upstream::denials::DenialLog;
use crate::upstream::target_resolver::TargetResolver;

pub struct EdgeSettings {
    pub access: AccessControl,
    /// For PURGE and a reload; `None`: every one is refused.
    pub admin_token: Option<AdminToken>,
    pub client_addresses: ClientAddresses,
    pub limits: LimitsConfig,
    pub targets: Arc<TargetResolver>,
}

impl EdgeSettings {
    pub fn new(
        config: &Config,
        access: AccessControl,
        admin_token: Option<AdminToken>,
        denials: DenialLog,
    ) -> Self {
        Self {
            access,
            admin_token,
            client_addresses: ClientAddresses::new(&config.edge.trusted_proxies),
            limits: config.edge.limits,
            targets: Arc::new(TargetResolver::new(&config.upstream, denials)),
        }
    }
}

/// The settings in force; a clone shares them.
#[derive(Clone)]
pub struct CurrentSettings(Arc<ArcSwap<EdgeSettings>>);

impl CurrentSettings {
    pub fn new(settings: EdgeSettings) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(settings)))
    }

    pub fn get(&self) -> Arc<EdgeSettings> {
        self.0.load_full()
    }

    pub fn replace(&self, settings: EdgeSettings) {
        self.0.store(Arc::new(settings));
    }
}
