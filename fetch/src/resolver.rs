//! Resolution of host names. A name is denied if any of its addresses is: an attacker's name could
//! otherwise resolve to a public and a private address, and wait until the private one is used.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::error::{FetchError, FetchErrorKind};
use crate::own_listeners::OwnListeners;
use crate::policy::AddressPolicy;

/// Resolves for connections to one port.
pub(crate) struct VettedResolver {
    pub(crate) policy: Arc<AddressPolicy>,
    pub(crate) own_listeners: Arc<OwnListeners>,
    pub(crate) port: u16,
}

impl Resolve for VettedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, own_listeners) = (self.policy.clone(), self.own_listeners.clone());
        let port = self.port;
        Box::pin(async move {
            let addresses = resolve_vetted(&policy, &own_listeners, name.as_str(), port).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Returns at least one address, all allowed by the policy and none an own listener.
pub(crate) async fn resolve_vetted(
    policy: &AddressPolicy,
    own_listeners: &OwnListeners,
    name: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, FetchError> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name, port))
        .await
        .map_err(|error| FetchError::with_detail(FetchErrorKind::Resolve, error))?
        .collect();
    if addresses.is_empty() {
        return Err(FetchErrorKind::Resolve.into());
    }
    for address in &addresses {
        policy.check_address(address.ip())?;
        own_listeners.check_address(*address)?;
    }
    Ok(addresses)
}
