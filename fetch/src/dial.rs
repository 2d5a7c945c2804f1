//! A vetted connection, for protocols that are spoken by somebody else: a browser or a program
//! behind our loopback proxy.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use url::{Host, Url};

use crate::error::{FetchError, Kind};
use crate::fetcher::Fetcher;
use crate::policy::Policy;
use crate::reason::{ConnectionFault, Denial, Reason};

impl Fetcher {
    /// Resolves where `url` leads and judges it, without connecting.
    ///
    /// # Errors
    /// What the policy forbids, and a name that does not resolve.
    pub async fn vet(&self, policy: &Policy, url: &Url) -> Result<(), FetchError> {
        policy.check(url)?;
        let deadline = self.timeouts().connect;
        let vetting = tokio::time::timeout(deadline, vetted(policy, url)).await;
        vetting.map_err(|_| FetchError::from(Kind::Resolve))?.map(|_| ())
    }

    /// Connects to where `url` says, if the policy allows it, and to an address that was judged:
    /// whoever speaks over the connection cannot resolve the name again.
    pub async fn dial(&self, policy: &Policy, url: &Url) -> Result<TcpStream, FetchError> {
        policy.check(url)?;
        let connecting = async {
            let mut last = FetchError::from(Kind::Resolve);
            for address in vetted(policy, url).await? {
                if self.own().contains(address.ip(), Some(address.port())) {
                    return Err(Denial::OwnListener.into());
                }
                match TcpStream::connect(address).await {
                    Ok(stream) => return self.connected(policy, stream),
                    Err(error) => last = FetchError::of_io(Kind::Connect, &error),
                }
            }
            Err(last)
        };
        let deadline = self.timeouts().connect;
        tokio::time::timeout(deadline, connecting).await.map_err(|_| no_connection())?
    }

    fn connected(&self, policy: &Policy, stream: TcpStream) -> Result<TcpStream, FetchError> {
        let failed = |error| FetchError::of_io(Kind::Connect, &error);
        let peer = stream.peer_addr().map_err(failed)?;
        policy.check_address(peer.ip())?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }
}

/// Nothing connected within the time that a connection may take.
pub(crate) fn no_connection() -> FetchError {
    FetchError::of_reason(Kind::Timeout, Reason::Connection(ConnectionFault::TimedOut))
}

/// Every address of the URL's host, or none when one of them is refused.
async fn vetted(policy: &Policy, url: &Url) -> Result<Vec<SocketAddr>, FetchError> {
    let port = url.port_or_known_default().ok_or(Kind::BadUrl("a URL without a port"))?;
    let addresses = match url.host() {
        None => return Err(Kind::BadUrl("a URL without a host").into()),
        Some(Host::Ipv4(v4)) => vec![(v4, port).into()],
        Some(Host::Ipv6(v6)) => vec![(v6, port).into()],
        Some(Host::Domain(name)) => {
            let resolved = tokio::net::lookup_host((name, port)).await;
            resolved.map_err(|error| FetchError::with(Kind::Resolve, error))?.collect()
        }
    };
    addresses.iter().try_for_each(|address| policy.check_address(address.ip()))?;
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetcher::Timeouts;

    #[tokio::test]
    async fn only_where_policy_allows() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = own.local_addr().unwrap();
        let fetcher = Fetcher::new(Timeouts::default(), vec![own]);
        let lan = Policy {
            allow_private: vec!["127.0.0.0/8".parse().unwrap()],
            ports: vec![port, own.port(), 1],
        };
        let narrow = Policy { allow_private: Vec::new(), ..lan.clone() };
        let unlisted = Policy { ports: Vec::new(), ..lan.clone() };
        for (policy, url, expected) in [
            (&lan, format!("http://127.0.0.1:{port}/"), None),
            (&lan, format!("https://localhost:{port}/"), None),
            (&narrow, format!("http://127.0.0.1:{port}/"), Some(Kind::Denied)),
            (&narrow, format!("http://localhost:{port}/"), Some(Kind::Denied)),
            (&unlisted, format!("http://127.0.0.1:{port}/"), Some(Kind::Denied)),
            (&lan, format!("http://{own}/"), Some(Kind::Denied)),
            (&lan, "http://169.254.169.254/".to_owned(), Some(Kind::Denied)),
            (&lan, "http://127.0.0.1:1/".to_owned(), Some(Kind::Connect)),
        ] {
            let dialled = fetcher.dial(policy, &Url::parse(&url).unwrap()).await;
            assert_eq!(dialled.err().map(|error| error.kind), expected, "{url}");
        }
    }
}
