//! Opens connections to checked addresses only, racing slow ones (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;
use url::{Host, Url};

use crate::error::{FetchError, FetchErrorKind};
use crate::own_listeners::OwnListeners;
use crate::policy::AddressPolicy;
use crate::resolver;

/// How long one connection attempt runs before the next is started too (RFC 8305, section 5).
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Resolves the host and connects, all within `limit`.
pub(super) async fn connect(
    policy: &AddressPolicy,
    own_listeners: &OwnListeners,
    url: &Url,
    limit: Duration,
) -> Result<TcpStream, FetchError> {
    tokio::time::timeout(limit, resolve_and_connect(policy, own_listeners, url))
        .await
        .map_err(|_| FetchError::connect_timeout_error())?
}

async fn resolve_and_connect(
    policy: &AddressPolicy,
    own_listeners: &OwnListeners,
    url: &Url,
) -> Result<TcpStream, FetchError> {
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses = match url.host() {
        None => return Err(FetchErrorKind::BadUrl("a URL without a host").into()),
        Some(Host::Ipv4(v4)) => vec![SocketAddr::from((v4, port))],
        Some(Host::Ipv6(v6)) => vec![SocketAddr::from((v6, port))],
        Some(Host::Domain(name)) => {
            interleave_families(resolver::resolve_vetted(policy, own_listeners, name, port).await?)
        }
    };
    let stream = race_connects(addresses)
        .await
        .map_err(|error| FetchError::of_io(FetchErrorKind::Connect, &error))?;
    // A request is one write, so there is nothing to coalesce.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Returns the first connection that is made. The next address is tried when an attempt fails or
/// exceeds the attempt delay.
async fn race_connects(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut remaining = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        attempts.extend(remaining.next().map(TcpStream::connect));
        tokio::select! {
            attempt = attempts.next() => match attempt {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => failure = error,
                None => return Err(failure),
            },
            () = tokio::time::sleep(CONNECTION_ATTEMPT_DELAY), if remaining.len() > 0 => {}
        }
    }
}

/// Alternates address families, beginning with that of the first address: a family without
/// connectivity then delays the other only once.
fn interleave_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(is_first_v6) = addresses.first().map(SocketAddr::is_ipv6) else { return addresses };
    let count = addresses.len();
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == is_first_v6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut interleaved = Vec::with_capacity(count);
    while interleaved.len() < count {
        interleaved.extend(preferred.next());
        interleaved.extend(other.next());
    }
    interleaved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_families_alternate() {
        for (given, expected) in [
            ("", ""),
            ("1.1.1.1 2.2.2.2", "1.1.1.1 2.2.2.2"),
            ("::1 ::2 ::3 1.1.1.1", "::1 1.1.1.1 ::2 ::3"),
            ("1.1.1.1 ::1 ::2", "1.1.1.1 ::1 ::2"),
        ] {
            let parse = |text: &str| -> Vec<SocketAddr> {
                text.split_whitespace().map(|ip| SocketAddr::new(ip.parse().unwrap(), 80)).collect()
            };
            assert_eq!(interleave_families(parse(given)), parse(expected), "{given}");
        }
    }

    #[tokio::test]
    async fn a_refused_address_is_skipped() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(race_connects(vec![closed, open]).await.unwrap().peer_addr().unwrap(), open);
        let refused = race_connects(vec![closed, closed]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(race_connects(Vec::new()).await.is_err());
    }
}
