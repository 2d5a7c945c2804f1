//! Names to addresses, refusing a name when any of its addresses is refused: an attacker's
//! name could otherwise answer with one public and one private address and wait.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::error::{FetchError, Kind};
use crate::policy::Policy;

pub(crate) struct VettedResolver(pub(crate) Arc<Policy>);

impl Resolve for VettedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let addresses = vetted(&policy, name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// At least one address, all of them allowed.
pub(crate) async fn vetted(
    policy: &Policy,
    name: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, FetchError> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name, port))
        .await
        .map_err(|error| FetchError::with(Kind::Resolve, error))?
        .collect();
    if addresses.is_empty() {
        return Err(Kind::Resolve.into());
    }
    for address in &addresses {
        policy.check_address(address.ip())?;
    }
    Ok(addresses)
}
