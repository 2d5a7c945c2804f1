//! Which addresses are public. An IPv6 address that carries an IPv4 one is judged by both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::reason::Denial;

/// Never reachable, whatever an operator opts in: cloud metadata.
const METADATA: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// May `address` be dialled, given the private ranges that were opted in?
///
/// # Errors
/// With the rule that forbids it.
pub fn judge(address: IpAddr, allow_private: &[IpNet]) -> Result<(), Denial> {
    let mut forms = vec![address];
    if let IpAddr::V6(v6) = address {
        forms.extend(embedded_v4(v6).map(IpAddr::V4));
    }
    if forms.iter().any(|form| METADATA.contains(form)) {
        return Err(Denial::Metadata(address));
    }
    // The opt-in may name either spelling: 127.0.0.0/8 covers ::ffff:127.0.0.1 too.
    let opted_in = |form: &IpAddr| allow_private.iter().any(|range| range.contains(form));
    if forms.iter().all(|form| public(*form)) || forms.iter().any(opted_in) {
        return Ok(());
    }
    Err(Denial::Private(address))
}

/// Is it neither public nor of a network at home: a multicast, documentation or other address
/// that is set aside?
pub(crate) fn is_reserved(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = matches!(v4.octets(), [100, 64..=127, ..]);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared)
        }
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()),
    }
}

fn public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => public_v4(v4),
        IpAddr::V6(v6) => public_v6(v6),
    }
}

fn public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Nothing outside 2000::/3 is routed between networks.
    let global = a & 0xe000 == 0x2000;
    let documentation = (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000);
    // Addresses that only exist to carry an IPv4 one are a way around a filter, not a place.
    global && !documentation && embedded_v4(address).is_none()
}

/// The IPv4 address inside an IPv4-mapped, IPv4-compatible, 6to4, Teredo or NAT64 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let low = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff, h, l] => Some(low(h, l)),
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, h, l] => Some(low(h, l)),
        [0x2002, h, l, ..] => Some(low(h, l)),
        [0x2001, 0, .., h, l] => Some(low(!h, !l)),
        [0x64, 0xff9b, .., h, l] => Some(low(h, l)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, allow: &[&str], expected: bool) {
        let allow: Vec<IpNet> = allow.iter().map(|range| range.parse().unwrap()).collect();
        let judged = judge(address.parse().unwrap(), &allow);
        assert_eq!(judged.is_ok(), expected, "{address} with {allow:?}");
    }

    #[test]
    fn public_addresses() {
        for address in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111"]
        {
            check(address, &[], true);
        }
    }

    #[test]
    fn denied_by_default() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "2002:7f00:1::",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "::ffff:8.8.8.8",
            "::ffff:0:7f00:1",
            "100::1",
            "5f00::1",
        ] {
            check(address, &[], false);
        }
    }

    #[test]
    fn opted_in() {
        check("127.0.0.1", &["127.0.0.0/8"], true);
        check("::ffff:127.0.0.1", &["127.0.0.0/8"], true);
        check("10.1.2.3", &["127.0.0.0/8", "10.0.0.0/8"], true);
        check("10.1.2.3", &["10.2.0.0/16"], false);
        check("fd00::5", &["fd00::/8"], true);
    }

    #[test]
    fn metadata_is_never_reachable() {
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "168.63.129.16",
            "169.254.170.2",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
        ] {
            check(address, &["0.0.0.0/0", "::/0"], false);
        }
    }
}
