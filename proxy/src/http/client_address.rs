//! [`ClientAddresses`]: the address of the client that sent a request. It is the peer of the
//! connection, or, where that is a trusted proxy, the address that the proxy forwards in
//! `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Once;

use http::HeaderMap;
use pitwall_fetch::PrivateRange;
use pitwall_fetch::address::is_public;

const FORWARDED_FOR_HEADER: &str = "x-forwarded-for";

/// Determines client addresses behind the proxies of `[edge] trusted_proxies`.
pub struct ClientAddresses {
    trusted_proxies: Vec<PrivateRange>,
    untrusted_proxy_warning: Once,
}

/// The client that sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// The address that limits count by.
    pub address: IpAddr,
    /// The address that the client, on a private network and no trusted proxy, says that it
    /// forwards. The client can write anything there, so it tells viewers apart in counts, and
    /// decides nothing.
    pub claimed_viewer: Option<IpAddr>,
}

impl ClientAddresses {
    pub fn new(trusted: &[PrivateRange]) -> Self {
        Self { trusted_proxies: trusted.to_vec(), untrusted_proxy_warning: Once::new() }
    }

    pub fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|range| range.0.contains(&address))
    }

    /// The address of the client behind `peer`. Each proxy appends its own peer to
    /// `X-Forwarded-For`, so the field is read from its end, up to the first address that is no
    /// trusted proxy: whatever stands before was written by that client, who can forge it.
    pub fn determine_client_address(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let mut client = peer.to_canonical();
        let values = headers.get_all(FORWARDED_FOR_HEADER).iter().rev();
        let values = values.filter_map(|value| value.to_str().ok());
        for text in values.flat_map(|value| value.rsplit(',')) {
            let forwarded = parse_forwarded_address(text.trim());
            if !self.is_trusted_proxy(client) {
                let claimed_viewer = forwarded.filter(|_| !is_public(client));
                if claimed_viewer.is_some() {
                    self.warn_of_untrusted_proxy(client);
                }
                return ClientAddress { address: client, claimed_viewer };
            }
            // A proxy that forwards something else than an address says nothing of those before it
            // either.
            let Some(address) = forwarded else { break };
            client = address;
        }
        ClientAddress { address: client, claimed_viewer: None }
    }

    fn warn_of_untrusted_proxy(&self, address: IpAddr) {
        self.untrusted_proxy_warning.call_once(|| {
            tracing::warn!(
                %address,
                "requests from a private address carry X-Forwarded-For, which is not believed: \
                 [edge.limits] counts all viewers behind it as one client. If it is a reverse \
                 proxy of yours, name it in [edge] trusted_proxies"
            );
        });
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
        for (name, peer, forwarded, expected, claimed_viewer) in [
            ("no proxy", "192.0.2.1", &[][..], "192.0.2.1", ""),
            ("a peer that is not trusted", "9.9.9.9", &["198.51.100.7"], "9.9.9.9", ""),
            ("a private one", "192.168.1.1", &["x, 198.51.100.7"], "192.168.1.1", "198.51.100.7"),
            ("loopback", "::1", &["198.51.100.7", "198.51.100.8"], "::1", "198.51.100.8"),
            ("a private one that forwards nothing", "192.168.1.1", &["x"], "192.168.1.1", ""),
            (
                "a private one behind a trusted proxy",
                "10.1.1.1",
                &["198.51.100.7, 192.168.1.1"],
                "192.168.1.1",
                "198.51.100.7",
            ),
            ("one proxy", "10.1.1.1", &["198.51.100.7"], "198.51.100.7", ""),
            ("a proxy that forwards nothing", "10.1.1.1", &[], "10.1.1.1", ""),
            ("two proxies", "10.1.1.1", &["198.51.100.7, 10.2.2.2"], "198.51.100.7", ""),
            ("on two lines", "10.1.1.1", &["198.51.100.7", "10.2.2.2"], "198.51.100.7", ""),
            ("a forged address first", "10.1.1.1", &["1.1.1.1, 9.9.9.9"], "9.9.9.9", ""),
            ("a forged value that is no address", "10.1.1.1", &["x, 10.2.2.2"], "10.2.2.2", ""),
            ("with a port", "10.1.1.1", &["198.51.100.7:5060"], "198.51.100.7", ""),
            ("IPv6", "2001:db8::1", &["2606:4700::1"], "2606:4700::1", ""),
            ("IPv6 with a port", "2001:db8::1", &["[2606:4700::1]:443"], "2606:4700::1", ""),
            ("IPv6 in brackets", "2001:db8::1", &["[2606:4700::1]"], "2606:4700::1", ""),
            ("IPv4 in disguise", "::ffff:10.1.1.1", &["::ffff:198.51.100.7"], "198.51.100.7", ""),
            ("no address", "10.1.1.1", &["unknown"], "10.1.1.1", ""),
            ("empty", "10.1.1.1", &[""], "10.1.1.1", ""),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR_HEADER, HeaderValue::from_static(value));
            }
            let expected = ClientAddress {
                address: expected.parse().unwrap(),
                claimed_viewer: claimed_viewer.parse().ok(),
            };
            assert_eq!(
                client_addresses.determine_client_address(peer.parse().unwrap(), &headers),
                expected,
                "{name}"
            );
        }
    }
}
