//! [`ClientAddresses`]: the address of the client that sent a request. It is the peer of the
//! connection, or, where that is a trusted proxy, the address that the proxy forwards in
//! `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use pitwall_fetch::PrivateRange;

const FORWARDED_FOR_HEADER: &str = "x-forwarded-for";

/// Determines client addresses behind the proxies of `[edge] trusted_proxies`.
pub struct ClientAddresses {
    trusted_proxies: Vec<PrivateRange>,
}

impl ClientAddresses {
    pub fn new(trusted: &[PrivateRange]) -> Self {
        Self { trusted_proxies: trusted.to_vec() }
    }

    pub fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|range| range.0.contains(&address))
    }

    /// The address of the client behind `peer`. Each proxy appends its own peer to
    /// `X-Forwarded-For`, so the field is read from its end, up to the first address that is no
    /// trusted proxy: whatever stands before was written by that client, who can forge it.
    pub fn determine_client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let values = headers.get_all(FORWARDED_FOR_HEADER).iter().rev();
        let values = values.filter_map(|value| value.to_str().ok());
        for text in values.flat_map(|value| value.rsplit(',')) {
            if !self.is_trusted_proxy(client) {
                break;
            }
            // A proxy that forwards something else than an address says nothing of those before it
            // either.
            let Some(address) = parse_forwarded_address(text.trim()) else { break };
            client = address;
        }
        client
    }
}

/// An address as proxies write it: IPv6 also in brackets, and both also with a port.
fn parse_forwarded_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok();
    let address = address.or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_client_is_the_last_forwarded_address_that_is_no_trusted_proxy() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|range| range.parse().unwrap());
        let client_addresses = ClientAddresses::new(&trusted);
        for (name, peer, forwarded, expected) in [
            ("no proxy", "192.0.2.1", &[][..], "192.0.2.1"),
            ("a peer that is not trusted", "192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            ("one proxy", "10.1.1.1", &["198.51.100.7"], "198.51.100.7"),
            ("a proxy that forwards nothing", "10.1.1.1", &[], "10.1.1.1"),
            ("two proxies", "10.1.1.1", &["198.51.100.7, 10.2.2.2"], "198.51.100.7"),
            ("on two lines", "10.1.1.1", &["198.51.100.7", "10.2.2.2"], "198.51.100.7"),
            ("a forged address first", "10.1.1.1", &["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            ("a forged value that is no address", "10.1.1.1", &["x, 10.2.2.2"], "10.2.2.2"),
            ("with a port", "10.1.1.1", &["198.51.100.7:5060"], "198.51.100.7"),
            ("IPv6", "2001:db8::1", &["2606:4700::1"], "2606:4700::1"),
            ("IPv6 with a port", "2001:db8::1", &["[2606:4700::1]:443"], "2606:4700::1"),
            ("IPv6 in brackets", "2001:db8::1", &["[2606:4700::1]"], "2606:4700::1"),
            ("IPv4 in disguise", "::ffff:10.1.1.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("no address", "10.1.1.1", &["unknown"], "10.1.1.1"),
            ("empty", "10.1.1.1", &[""], "10.1.1.1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR_HEADER, HeaderValue::from_static(value));
            }
            let expected: IpAddr = expected.parse().unwrap();
            assert_eq!(
                client_addresses.determine_client_address(peer.parse().unwrap(), &headers),
                expected,
                "{name}"
            );
        }
    }
}
