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
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(|error| FetchError::with(Kind::Resolve, error))?
                .collect();
            if addresses.is_empty() {
                return Err(FetchError::from(Kind::Resolve).into());
            }
            for address in &addresses {
                policy.check_address(address.ip())?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
