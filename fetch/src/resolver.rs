//! Resolution of host names. A name is denied if any of its addresses is: an attacker's name could
//! otherwise resolve to a public and a private address, and wait until the private one is used.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::error::{FetchError, FetchErrorKind};
use crate::policy::AddressPolicy;

pub(crate) struct VettedResolver(pub(crate) Arc<AddressPolicy>);

impl Resolve for VettedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let addresses = resolve_vetted(&policy, name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Returns at least one address, all allowed by the policy.
pub(crate) async fn resolve_vetted(
    policy: &AddressPolicy,
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
    }
    Ok(addresses)
}
