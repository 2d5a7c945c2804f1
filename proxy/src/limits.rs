//! [`Limits`]: how much of the edge one client, or all of them, may take.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;

use crate::problem::Problem;

/// `[edge.limits]`. What is not said has no limit.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// At once, in all.
    pub connections: NonZeroUsize,
    pub connections_per_client: Option<NonZeroUsize>,
    /// Being answered at once, in all.
    pub requests: Option<NonZeroUsize>,
    /// A second. Twice as many may come together.
    pub requests_per_client: Option<NonZeroU32>,
    /// For a request's header, from its first byte on.
    #[serde(deserialize_with = "header")]
    pub header: Duration,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections: NonZeroUsize::MIN.saturating_add(49_999),
            connections_per_client: None,
            requests: None,
            requests_per_client: None,
            header: Duration::from_secs(10),
        }
    }
}

fn header<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let header: Duration = humantime_serde::deserialize(deserializer)?;
    match header.as_secs() {
        1..=60 => Ok(header),
        _ => Err(D::Error::custom("between 1s and 1m")),
    }
}

pub struct Limits {
    config: LimitsConfig,
    connections: Mutex<Connections>,
    rates: Mutex<Rates>,
}

#[derive(Default)]
struct Connections {
    all: usize,
    by_client: HashMap<Client, usize>,
}

#[derive(Default)]
struct Rates {
    by_client: HashMap<Client, Rate>,
    /// When those that are full again were last dropped.
    swept: Option<Instant>,
}

/// Requests that may still come at once.
#[derive(Clone, Copy)]
struct Rate {
    left: f64,
    at: Instant,
}

/// One customer of a network: of IPv6 everybody has 2^64 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            v4 => v4,
        })
    }
}

/// A connection's place, while it lasts.
pub struct Place {
    limits: Arc<Limits>,
    client: Option<Client>,
}

/// What may come together, in seconds of what may come in all.
const BURST: f64 = 2.0;
const SWEEP: Duration = Duration::from_secs(10);

impl Limits {
    pub fn new(config: LimitsConfig) -> Arc<Self> {
        Arc::new(Self { config, connections: Mutex::default(), rates: Mutex::default() })
    }

    pub fn header(&self) -> Duration {
        self.config.header
    }

    /// A place for a connection of this client; `None` when there is none. Somebody who brings
    /// many clients, as a proxy does, is none of them.
    pub fn connect(self: &Arc<Self>, client: Option<Client>) -> Option<Place> {
        let client = client.filter(|_| self.config.connections_per_client.is_some());
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if connections.all >= self.config.connections.get() {
            return None;
        }
        if let (Some(client), Some(most)) = (client, self.config.connections_per_client) {
            let count = connections.by_client.get(&client).copied().unwrap_or(0);
            if count >= most.get() {
                return None;
            }
            connections.by_client.insert(client, count + 1);
        }
        connections.all += 1;
        Some(Place { limits: self.clone(), client })
    }

    /// May this client be answered, while so many are?
    pub fn request(&self, client: Client, in_flight: i64) -> Result<(), Problem> {
        if self
            .config
            .requests
            .is_some_and(|most| usize::try_from(in_flight).is_ok_and(|now| now > most.get()))
        {
            return Err(Problem::Busy("more requests than this edge answers at once"));
        }
        let Some(rate) = self.config.requests_per_client else { return Ok(()) };
        let (rate, now) = (f64::from(rate.get()), Instant::now());
        let full = rate * BURST;
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.sweep(rate, full, now);
        let known = rates.by_client.entry(client).or_insert(Rate { left: full, at: now });
        *known = Rate { left: known.by(rate, full, now), at: now };
        if known.left < 1.0 {
            return Err(Problem::TooManyRequests);
        }
        known.left -= 1.0;
        Ok(())
    }
}

impl Rates {
    fn sweep(&mut self, rate: f64, full: f64, now: Instant) {
        if self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            self.by_client.retain(|_, known| known.by(rate, full, now) < full);
        }
    }
}

impl Rate {
    fn by(&self, rate: f64, full: f64, now: Instant) -> f64 {
        (self.left + rate * now.duration_since(self.at).as_secs_f64()).min(full)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let connections = &self.limits.connections;
        let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.all -= 1;
        let Some(client) = self.client else { return };
        if let Some(count) = connections.by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                connections.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Client {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn connections_have_places() {
        let limits = Limits::new(LimitsConfig {
            connections: NonZeroUsize::new(4).unwrap(),
            connections_per_client: NonZeroUsize::new(2),
            ..LimitsConfig::default()
        });
        let one = Some(client("192.0.2.1"));
        let first = limits.connect(one);
        let held = limits.connect(one);
        assert!(first.is_some() && held.is_some());
        assert!(limits.connect(one).is_none(), "of one client");
        let same = limits.connect(Some(client("::ffff:192.0.2.1")));
        assert!(same.is_none(), "however it is written");
        let proxy = (limits.connect(None), limits.connect(None));
        assert!(proxy.0.is_some() && proxy.1.is_some());
        assert!(limits.connect(Some(client("192.0.2.2"))).is_none(), "in all");
        drop((first, held));
        assert!(limits.connect(one).is_some(), "places are given back");
        drop(proxy);
        let left = limits.connections.lock().unwrap();
        assert_eq!((left.all, left.by_client.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn clients_have_a_rate() {
        let limits = Limits::new(LimitsConfig {
            requests: NonZeroUsize::new(100),
            requests_per_client: NonZeroU32::new(10),
            ..LimitsConfig::default()
        });
        let one = client("2001:db8::1");
        let taken = |client| (0..100).take_while(|_| limits.request(client, 1).is_ok()).count();
        assert_eq!(taken(one), 20, "two seconds together");
        assert_eq!(limits.request(client("2001:db8::ffff"), 1), Err(Problem::TooManyRequests));
        assert_eq!(taken(client("2001:db8:0:1::1")), 20, "somebody else");
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(taken(one), 5);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(limits.request(one, 1), Ok(()));
        assert_eq!(
            limits.rates.lock().unwrap().by_client.len(),
            1,
            "nobody is remembered for ever"
        );
        assert!(matches!(limits.request(one, 101), Err(Problem::Busy(_))));
        let open = Limits::new(LimitsConfig::default());
        assert!((0..1000).all(|_| open.request(one, 100_000).is_ok()), "no limit by default");
    }
}
