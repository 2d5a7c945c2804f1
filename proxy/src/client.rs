//! [`Clients`]: whose request it is. The address at the other end of the connection, unless a
//! proxy that the operator trusts is there: then the one that it forwards.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use pitwall_fetch::PrivateRange;

const FORWARDED: &str = "x-forwarded-for";

pub struct Clients {
    trusted: Vec<PrivateRange>,
}

impl Clients {
    pub fn behind(trusted: &[PrivateRange]) -> Self {
        Self { trusted: trusted.to_vec() }
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|range| range.0.contains(&address))
    }

    /// Each proxy adds whom it heard at the end. What stands before the last one that is not
    /// trusted was written by somebody who may write anything.
    pub fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines = headers.get_all(FORWARDED).iter().filter_map(|line| line.to_str().ok());
        let told: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
        for text in told.into_iter().rev() {
            if !self.trusts(client) {
                break;
            }
            // Who writes what is no address tells nothing of those before either.
            let Some(address) = address(text.trim()) else { break };
            client = address;
        }
        client
    }
}

/// Some proxies add a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok();
    let address = address.or_else(|| text.parse().ok().map(|with: SocketAddr| with.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn whose_request_it_is() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|range| range.parse().unwrap());
        let clients = Clients::behind(&trusted);
        for (name, peer, forwarded, expected) in [
            ("nobody in between", "192.0.2.1", &[][..], "192.0.2.1"),
            ("who says so is not trusted", "192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            ("one proxy", "10.1.1.1", &["198.51.100.7"], "198.51.100.7"),
            ("a proxy that says nothing", "10.1.1.1", &[], "10.1.1.1"),
            ("two proxies", "10.1.1.1", &["198.51.100.7, 10.2.2.2"], "198.51.100.7"),
            ("on two lines", "10.1.1.1", &["198.51.100.7", "10.2.2.2"], "198.51.100.7"),
            ("made up before", "10.1.1.1", &["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            ("made up by somebody near", "10.1.1.1", &["x, 10.2.2.2"], "10.2.2.2"),
            ("with a port", "10.1.1.1", &["198.51.100.7:5060"], "198.51.100.7"),
            ("IPv6", "2001:db8::1", &["2606:4700::1"], "2606:4700::1"),
            ("IPv6 with a port", "2001:db8::1", &["[2606:4700::1]:443"], "2606:4700::1"),
            ("IPv6 in brackets", "2001:db8::1", &["[2606:4700::1]"], "2606:4700::1"),
            ("IPv4 in disguise", "::ffff:10.1.1.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("no address", "10.1.1.1", &["unknown"], "10.1.1.1"),
            ("empty", "10.1.1.1", &[""], "10.1.1.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append(FORWARDED, HeaderValue::from_static(line));
            }
            let expected: IpAddr = expected.parse().unwrap();
            assert_eq!(clients.address(peer.parse().unwrap(), &headers), expected, "{name}");
        }
    }
}
