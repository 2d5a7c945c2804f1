//! [`OwnListeners`]: where this Pitwall itself is reached. Nothing is fetched from there, whatever a
//! policy allows: a playlist that led back would be fetched in a circle.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use url::Url;

use crate::failure_reason::PolicyDenial;

/// How long the addresses of this machine are remembered. They are read anew after it, as an
/// interface may come up at any time.
const MACHINE_ADDRESSES_LIFETIME: Duration = Duration::from_secs(1);

/// The listeners of this Pitwall.
#[derive(Default)]
pub struct OwnListeners {
    listeners: Vec<SocketAddr>,
    /// Leads to a listener through a proxy or a router, whatever its name resolves to.
    public_url: Option<Url>,
    machine_addresses: Mutex<Option<(Instant, Vec<IpAddr>)>>,
}

impl From<Vec<SocketAddr>> for OwnListeners {
    fn from(listeners: Vec<SocketAddr>) -> Self {
        Self { listeners, ..Self::default() }
    }
}

impl OwnListeners {
    /// `public_url`: where viewers reach this Pitwall.
    #[must_use]
    pub fn with_public_url(self, public_url: Option<Url>) -> Self {
        Self { public_url, ..self }
    }

    /// Checks all about a URL that can be checked before its name is resolved.
    ///
    /// # Errors
    /// The URL leads to this Pitwall.
    pub fn check_url(&self, url: &Url) -> Result<(), PolicyDenial> {
        let port = url.port_or_known_default();
        if let Some(public_url) = &self.public_url
            && public_url.host() == url.host()
            && public_url.port_or_known_default() == port
        {
            return Err(PolicyDenial::OwnListener);
        }
        let address: IpAddr = match url.host() {
            Some(url::Host::Ipv4(v4)) => v4.into(),
            Some(url::Host::Ipv6(v6)) => v6.into(),
            Some(url::Host::Domain(_)) | None => return Ok(()),
        };
        self.check_address((address, port.unwrap_or(0)).into())
    }

    /// # Errors
    /// A listener of this Pitwall is reached at this address.
    pub(crate) fn check_address(&self, address: SocketAddr) -> Result<(), PolicyDenial> {
        match self.contains(address) {
            true => Err(PolicyDenial::OwnListener),
            false => Ok(()),
        }
    }

    fn contains(&self, address: SocketAddr) -> bool {
        let (target, port) = (address.ip().to_canonical(), address.port());
        let mut listeners = self.listeners.iter().filter(|listener| listener.port() == port);
        listeners.any(|listener| {
            let listener = listener.ip().to_canonical();
            listener == target
                // A connection to an unspecified address goes to loopback.
                || (target.is_unspecified() && listener.is_loopback())
                || (listener.is_unspecified() && self.is_of_this_machine(target))
        })
    }

    fn is_of_this_machine(&self, address: IpAddr) -> bool {
        address.is_unspecified() || address.is_loopback() || self.is_of_an_interface(address)
    }

    fn is_of_an_interface(&self, address: IpAddr) -> bool {
        let mut known = self.machine_addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let read_at = Instant::now();
        match &mut *known {
            Some((at, addresses)) if read_at.duration_since(*at) < MACHINE_ADDRESSES_LIFETIME => {
                addresses.contains(&address)
            }
            known => {
                let (_, addresses) = known.insert((read_at, read_machine_addresses()));
                addresses.contains(&address)
            }
        }
    }
}

/// The addresses of all interfaces; none where the system does not tell them.
fn read_machine_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_recognised_by_every_address_that_leads_to_it() {
        let interface = "10.1.2.3".parse().unwrap();
        let v6_interface = "2001:db8::7".parse().unwrap();
        let check = |listener: &str, target: &str| {
            let own = OwnListeners {
                machine_addresses: Mutex::new(Some((
                    Instant::now() + Duration::from_hours(1),
                    vec![interface, v6_interface],
                ))),
                ..OwnListeners::from(vec![listener.parse().unwrap()])
            };
            own.check_url(&Url::parse(target).unwrap()).is_err()
        };
        for (listener, target, expected) in [
            ("127.0.0.1:80", "http://127.0.0.1/", true),
            ("127.0.0.1:80", "http://2130706433/", true),
            ("127.0.0.1:80", "http://[::ffff:127.0.0.1]/", true),
            ("127.0.0.1:80", "http://0.0.0.0/", true),
            ("127.0.0.1:80", "http://127.0.0.2/", false),
            ("127.0.0.1:80", "http://10.1.2.3/", false),
            ("127.0.0.1:80", "http://127.0.0.1:81/", false),
            ("127.0.0.1:443", "https://127.0.0.1/", true),
            ("[::1]:80", "http://[::]/", true),
            ("10.1.2.3:80", "http://10.1.2.3/", true),
            ("[::ffff:10.1.2.3]:80", "http://10.1.2.3/", true),
            ("10.1.2.3:80", "http://10.1.2.4/", false),
            ("0.0.0.0:80", "http://127.9.9.9/", true),
            ("0.0.0.0:80", "http://0.0.0.0/", true),
            ("0.0.0.0:80", "http://10.1.2.3/", true),
            ("0.0.0.0:80", "http://[::ffff:10.1.2.3]/", true),
            ("0.0.0.0:80", "http://10.1.2.3:81/", false),
            ("0.0.0.0:80", "http://10.1.2.4/", false),
            ("[::]:80", "http://10.1.2.3/", true),
            ("[::]:80", "http://[2001:db8::7]/", true),
            ("[::]:80", "http://[2001:db8::8]/", false),
        ] {
            assert_eq!(check(listener, target), expected, "{listener} as {target}");
        }
    }

    /// The name of a router's or a reverse proxy's address, which no interface here has.
    #[test]
    fn the_public_url_leads_here_whatever_it_resolves_to() {
        let public_url = Url::parse("https://tv.example/").unwrap();
        let own = OwnListeners::default().with_public_url(Some(public_url));
        for (target, expected) in [
            ("https://tv.example/live/w/index.m3u8", true),
            ("https://TV.example:443/", true),
            ("http://tv.example:443/", true),
            ("http://tv.example/", false),
            ("https://tv.example:8443/", false),
            ("https://cdn.tv.example/", false),
        ] {
            let is_own = own.check_url(&Url::parse(target).unwrap()).is_err();
            assert_eq!(is_own, expected, "{target}");
        }
    }

    #[test]
    fn the_addresses_of_interfaces_are_read_and_read_again() {
        let own = OwnListeners::from(vec!["0.0.0.0:80".parse().unwrap()]);
        assert!(read_machine_addresses().iter().any(IpAddr::is_loopback));
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        let old = Instant::now().checked_sub(MACHINE_ADDRESSES_LIFETIME).unwrap();
        *own.machine_addresses.lock().unwrap() = Some((old, vec![address]));
        assert!(!own.contains((address, 80).into()), "an address that has gone");
        assert!(!own.machine_addresses.lock().unwrap().as_ref().unwrap().1.contains(&address));
    }
}
