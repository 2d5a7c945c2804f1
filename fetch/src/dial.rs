//! Vetted TCP connections for protocols that others speak: a browser or a program behind our
//! loopback proxy.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use url::{Host, Url};

use crate::error::{FetchError, FetchErrorKind};
use crate::fetcher::Fetcher;
use crate::policy::AddressPolicy;
use crate::resolver::resolve_vetted;

impl Fetcher {
    /// Resolves the host of `url` and checks its addresses, without connecting.
    ///
    /// # Errors
    /// [`FetchErrorKind::Denied`] if the policy denies the target or it is an own listener, [`FetchErrorKind::Resolve`] if
    /// the name does not resolve.
    pub async fn check_target(&self, policy: &AddressPolicy, url: &Url) -> Result<(), FetchError> {
        policy.check_url(url)?;
        self.own_listeners().check_url(url)?;
        let deadline = self.timeouts().connect;
        let vetting = tokio::time::timeout(deadline, self.resolve(policy, url)).await;
        vetting.map_err(|_| FetchError::from(FetchErrorKind::Resolve))?.map(|_| ())
    }

    /// Connects to the host of `url` if the policy allows it. The connection goes to an address
    /// that was checked, so that its user cannot resolve the name again to another one.
    ///
    /// # Errors
    /// [`FetchError`] if the target is denied, is an own listener, does not resolve or does not
    /// accept the connection in time.
    pub async fn dial(&self, policy: &AddressPolicy, url: &Url) -> Result<TcpStream, FetchError> {
        policy.check_url(url)?;
        self.own_listeners().check_url(url)?;
        let connecting = async {
            let mut last_error = FetchError::from(FetchErrorKind::Resolve);
            for address in self.resolve(policy, url).await? {
                match TcpStream::connect(address).await {
                    Ok(stream) => return self.vet_connection(policy, stream),
                    Err(error) => last_error = FetchError::of_io(FetchErrorKind::Connect, &error),
                }
            }
            Err(last_error)
        };
        let deadline = self.timeouts().connect;
        tokio::time::timeout(deadline, connecting)
            .await
            .map_err(|_| FetchError::connect_timeout_error())?
    }

    fn vet_connection(
        &self,
        policy: &AddressPolicy,
        stream: TcpStream,
    ) -> Result<TcpStream, FetchError> {
        let failed = |error| FetchError::of_io(FetchErrorKind::Connect, &error);
        let peer = stream.peer_addr().map_err(failed)?;
        policy.check_address(peer.ip())?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }

    /// Resolves all addresses of the URL's host; an error if one of them is denied.
    async fn resolve(
        &self,
        policy: &AddressPolicy,
        url: &Url,
    ) -> Result<Vec<SocketAddr>, FetchError> {
        let port =
            url.port_or_known_default().ok_or(FetchErrorKind::BadUrl("a URL without a port"))?;
        match url.host() {
            None => Err(FetchErrorKind::BadUrl("a URL without a host").into()),
            Some(Host::Ipv4(v4)) => Ok(vec![(v4, port).into()]),
            Some(Host::Ipv6(v6)) => Ok(vec![(v6, port).into()]),
            Some(Host::Domain(name)) => {
                resolve_vetted(policy, self.own_listeners(), name, port).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetcher::Timeouts;

    #[tokio::test]
    async fn dials_only_what_the_policy_allows() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let own_listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own_listener = own_listener.local_addr().unwrap();
        let fetcher = Fetcher::new(Timeouts::default(), vec![own_listener]);
        let lan_policy = AddressPolicy {
            allow_private: vec!["127.0.0.0/8".parse().unwrap()],
            ports: vec![port, own_listener.port(), 1],
        };
        let public_policy = AddressPolicy { allow_private: Vec::new(), ..lan_policy.clone() };
        let portless_policy = AddressPolicy { ports: Vec::new(), ..lan_policy.clone() };
        for (policy, url, expected) in [
            (&lan_policy, format!("http://127.0.0.1:{port}/"), None),
            (&lan_policy, format!("https://localhost:{port}/"), None),
            (&public_policy, format!("http://127.0.0.1:{port}/"), Some(FetchErrorKind::Denied)),
            (&public_policy, format!("http://localhost:{port}/"), Some(FetchErrorKind::Denied)),
            (&portless_policy, format!("http://127.0.0.1:{port}/"), Some(FetchErrorKind::Denied)),
            (&lan_policy, format!("http://{own_listener}/"), Some(FetchErrorKind::Denied)),
            (&lan_policy, "http://169.254.169.254/".to_owned(), Some(FetchErrorKind::Denied)),
            (&lan_policy, "http://127.0.0.1:1/".to_owned(), Some(FetchErrorKind::Connect)),
        ] {
            let result = fetcher.dial(policy, &Url::parse(&url).unwrap()).await;
            assert_eq!(result.err().map(|error| error.kind), expected, "{url}");
        }
    }
}
