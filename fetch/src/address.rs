//! Which addresses are public. An IPv6 address that embeds an IPv4 address is checked as both, and
//! one that reaches an IPv4 host from a network without IPv4 (NAT64) as that host alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::failure_reason::PolicyDenial;

/// Cloud metadata services, which are never reachable, whatever an operator opts in.
const METADATA_ADDRESSES: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Checks whether `address` may be connected to, given the private ranges that were opted in.
///
/// # Errors
/// The rule that denies the address.
pub fn check_address(address: IpAddr, allow_private: &[IpNet]) -> Result<(), PolicyDenial> {
    let mut forms = vec![address];
    if let IpAddr::V6(v6) = address {
        forms.extend(embedded_v4(v6).map(IpAddr::V4));
    }
    if forms.iter().any(|form| METADATA_ADDRESSES.contains(form)) {
        return Err(PolicyDenial::MetadataAddress(address));
    }
    // The opt-in may name either form: 127.0.0.0/8 also covers ::ffff:127.0.0.1.
    let opted_in = |form: &IpAddr| allow_private.iter().any(|range| range.contains(form));
    if forms.iter().all(|form| is_public(*form)) || forms.iter().any(opted_in) {
        return Ok(());
    }
    Err(PolicyDenial::PrivateAddress(address))
}

/// Whether the address is routed on the public Internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
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

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Only 2000::/3 is routed between networks.
    let global = a & 0xe000 == 0x2000;
    let documentation = (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000);
    // An address that embeds an IPv4 address could be used to bypass a filter.
    (global && !documentation && embedded_v4(address).is_none()) || is_nat64(address)
}

/// Whether the address is of the well-known prefix 64:ff9b::/96: where a resolver makes such
/// addresses (DNS64), every IPv4 host is reached by one. The embedded address decides (RFC 6052,
/// 5.1); networks choose what is below 64:ff9b:1::/48 (RFC 8215).
fn is_nat64(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0x64, 0xff9b, 0, 0, 0, 0, _, _])
}

/// The IPv4 address embedded in an IPv4-mapped, IPv4-compatible, 6to4, Teredo or NAT64 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let to_v4 = |high: u16, to_v4: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(to_v4));
    match s {
        [0, 0, 0, 0, 0, 0xffff, h, l] => Some(to_v4(h, l)),
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, h, l] => Some(to_v4(h, l)),
        [0x2002, h, l, ..] => Some(to_v4(h, l)),
        [0x2001, 0, .., h, l] => Some(to_v4(!h, !l)),
        [0x64, 0xff9b, .., h, l] => Some(to_v4(h, l)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, allow: &[&str], expected: bool) {
        let allow: Vec<IpNet> = allow.iter().map(|range| range.parse().unwrap()).collect();
        let result = check_address(address.parse().unwrap(), &allow);
        assert_eq!(result.is_ok(), expected, "{address} with {allow:?}");
    }

    #[test]
    fn public_addresses() {
        for address in [
            "1.1.1.1",
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::93.184.216.34",
        ] {
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
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::224.0.0.1",
            "64:ff9b::1:8.8.8.8",
            "64:ff9b:1::1",
            "64:ff9b:1::8.8.8.8",
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
        check("64:ff9b::10.1.2.3", &["10.0.0.0/8"], true);
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
