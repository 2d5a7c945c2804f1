//! Connections: to the addresses that were vetted and no others, the slow ones raced.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;
use url::{Host, Url};

use crate::dial::no_connection;
use crate::error::{FetchError, Kind};
use crate::policy::Policy;
use crate::resolve;

/// How long one address is tried alone (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Resolves and connects, all within `limit`.
pub(super) async fn connect(
    policy: &Policy,
    url: &Url,
    limit: Duration,
) -> Result<TcpStream, FetchError> {
    tokio::time::timeout(limit, dial(policy, url)).await.map_err(|_| no_connection())?
}

async fn dial(policy: &Policy, url: &Url) -> Result<TcpStream, FetchError> {
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses = match url.host() {
        None => return Err(Kind::BadUrl("a URL without a host").into()),
        Some(Host::Ipv4(v4)) => vec![SocketAddr::from((v4, port))],
        Some(Host::Ipv6(v6)) => vec![SocketAddr::from((v6, port))],
        Some(Host::Domain(name)) => alternated(resolve::vetted(policy, name, port).await?),
    };
    let stream = race(addresses).await.map_err(|error| FetchError::of_io(Kind::Connect, &error))?;
    // A request is one write: there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The first to connect. The next address joins when one fails or is given time in vain.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        attempts.extend(waiting.next().map(TcpStream::connect));
        tokio::select! {
            attempt = attempts.next() => match attempt {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => failure = error,
                None => return Err(failure),
            },
            () = tokio::time::sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

/// The families in turns, beginning with the resolver's favourite: one that leads nowhere holds
/// up the other only once.
fn alternated(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else { return addresses };
    let count = addresses.len();
    let (favourite, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut favourite, mut other) = (favourite.into_iter(), other.into_iter());
    let mut turns = Vec::with_capacity(count);
    while turns.len() < count {
        turns.extend(favourite.next());
        turns.extend(other.next());
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        for (given, expected) in [
            ("", ""),
            ("1.1.1.1 2.2.2.2", "1.1.1.1 2.2.2.2"),
            ("::1 ::2 ::3 1.1.1.1", "::1 1.1.1.1 ::2 ::3"),
            ("1.1.1.1 ::1 ::2", "1.1.1.1 ::1 ::2"),
        ] {
            let parse = |text: &str| -> Vec<SocketAddr> {
                text.split_whitespace().map(|ip| SocketAddr::new(ip.parse().unwrap(), 80)).collect()
            };
            assert_eq!(alternated(parse(given)), parse(expected), "{given}");
        }
    }

    #[tokio::test]
    async fn a_refused_address_is_passed_over() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(race(vec![closed, open]).await.unwrap().peer_addr().unwrap(), open);
        let refused = race(vec![closed, closed]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(race(Vec::new()).await.is_err());
    }
}
