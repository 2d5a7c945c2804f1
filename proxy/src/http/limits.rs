//! [`ClientLimiter`]: limits of connections and requests, per client and in all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;

use crate::http::problem::Problem;
use crate::shards::Shards;

/// `[edge.limits]`. A limit that is `None` does not apply.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Concurrent connections of all clients.
    pub connections: NonZeroUsize,
    /// Concurrent connections of one client.
    pub connections_per_client: Option<NonZeroUsize>,
    /// Requests in flight of all clients.
    pub requests: Option<NonZeroUsize>,
    /// Requests per second of one client. A burst may have twice as many.
    pub requests_per_client: Option<NonZeroU32>,
    /// How long a request's header may take from its first byte on: 1 s to 1 min.
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

/// Enforces [`LimitsConfig`].
pub struct ClientLimiter {
    config: LimitsConfig,
    connections: Mutex<ConnectionCounts>,
    token_buckets: Shards<TokenBuckets>,
}

#[derive(Default)]
struct ConnectionCounts {
    total: usize,
    by_client: HashMap<ClientNetwork, usize>,
}

#[derive(Default)]
struct TokenBuckets {
    by_client: HashMap<ClientNetwork, TokenBucket>,
    /// When full buckets were last dropped.
    last_sweep: Option<Instant>,
}

/// A client's token bucket: how many requests it may send at once, as of `updated_at`.
#[derive(Clone, Copy)]
struct TokenBucket {
    tokens: f64,
    updated_at: Instant,
}

/// The network that counts as one client: an IPv4 address, or an IPv6 /64, as one customer has 2^64
/// IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl From<IpAddr> for ClientNetwork {
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

/// A connection's permit, which is released when it is dropped.
pub struct ConnectionPermit {
    limiter: Arc<ClientLimiter>,
    client: Option<ClientNetwork>,
}

/// Capacity of a token bucket, in seconds of its rate.
const BURST_SECONDS: f64 = 2.0;
/// How often full buckets are dropped, so that clients who left take no memory.
const BUCKET_SWEEP_INTERVAL: Duration = Duration::from_secs(10);

impl ClientLimiter {
    pub fn new(config: LimitsConfig) -> Arc<Self> {
        Arc::new(Self { config, connections: Mutex::default(), token_buckets: Shards::default() })
    }

    pub fn header_timeout(&self) -> Duration {
        self.config.header
    }

    /// A permit for a connection of this client; `None` when a limit is reached. `client` is `None`
    /// for a trusted proxy, which carries many clients and has no limit per client.
    pub fn acquire_connection(
        self: &Arc<Self>,
        client: Option<ClientNetwork>,
    ) -> Option<ConnectionPermit> {
        let client = client.filter(|_| self.config.connections_per_client.is_some());
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if connections.total >= self.config.connections.get() {
            return None;
        }
        if let (Some(client), Some(limit)) = (client, self.config.connections_per_client) {
            let count = connections.by_client.get(&client).copied().unwrap_or(0);
            if count >= limit.get() {
                return None;
            }
            connections.by_client.insert(client, count + 1);
        }
        connections.total += 1;
        Some(ConnectionPermit { limiter: self.clone(), client })
    }

    /// Admits a request of this client while `in_flight` requests, this one included, are in
    /// flight.
    ///
    /// # Errors
    /// [`Problem::Busy`] beyond the limit of all clients, [`Problem::TooManyRequests`] beyond the
    /// rate of this one.
    pub fn admit_request(&self, client: ClientNetwork, in_flight: i64) -> Result<(), Problem> {
        if self
            .config
            .requests
            .is_some_and(|limit| usize::try_from(in_flight).is_ok_and(|now| now > limit.get()))
        {
            return Err(Problem::Busy("more requests than this edge answers at once"));
        }
        let Some(rate) = self.config.requests_per_client else { return Ok(()) };
        let (rate, now) = (f64::from(rate.get()), Instant::now());
        let capacity = rate * BURST_SECONDS;
        let mut buckets = self.token_buckets.of_key(client);
        buckets.remove_full(rate, capacity, now);
        let full = TokenBucket { tokens: capacity, updated_at: now };
        let bucket = buckets.by_client.entry(client).or_insert(full);
        *bucket = TokenBucket { tokens: bucket.tokens_at(rate, capacity, now), updated_at: now };
        if bucket.tokens < 1.0 {
            return Err(Problem::TooManyRequests);
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

impl TokenBuckets {
    /// Drops full buckets, which say no more than no bucket, every [`BUCKET_SWEEP_INTERVAL`].
    fn remove_full(&mut self, rate: f64, capacity: f64, now: Instant) {
        if self.last_sweep.is_none_or(|swept| now.duration_since(swept) >= BUCKET_SWEEP_INTERVAL) {
            self.last_sweep = Some(now);
            self.by_client.retain(|_, bucket| bucket.tokens_at(rate, capacity, now) < capacity);
        }
    }
}

impl TokenBucket {
    fn tokens_at(&self, rate: f64, capacity: f64, now: Instant) -> f64 {
        (self.tokens + rate * now.duration_since(self.updated_at).as_secs_f64()).min(capacity)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let connections = &self.limiter.connections;
        let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.total -= 1;
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

    fn client(text: &str) -> ClientNetwork {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn connections_are_limited_per_client_and_in_all() {
        let limiter = ClientLimiter::new(LimitsConfig {
            connections: NonZeroUsize::new(4).unwrap(),
            connections_per_client: NonZeroUsize::new(2),
            ..LimitsConfig::default()
        });
        let one = Some(client("192.0.2.1"));
        let first = limiter.acquire_connection(one);
        let second = limiter.acquire_connection(one);
        assert!(first.is_some() && second.is_some());
        assert!(limiter.acquire_connection(one).is_none(), "of one client");
        let same = limiter.acquire_connection(Some(client("::ffff:192.0.2.1")));
        assert!(same.is_none(), "however it is written");
        let proxy = (limiter.acquire_connection(None), limiter.acquire_connection(None));
        assert!(proxy.0.is_some() && proxy.1.is_some());
        assert!(limiter.acquire_connection(Some(client("192.0.2.2"))).is_none(), "in all");
        drop((first, second));
        assert!(limiter.acquire_connection(one).is_some(), "permits are released");
        drop(proxy);
        let left = limiter.connections.lock().unwrap();
        assert_eq!((left.total, left.by_client.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_limited_per_client_and_in_all() {
        let limiter = ClientLimiter::new(LimitsConfig {
            requests: NonZeroUsize::new(100),
            requests_per_client: NonZeroU32::new(10),
            ..LimitsConfig::default()
        });
        let one = client("2001:db8::1");
        let taken =
            |client| (0..100).take_while(|_| limiter.admit_request(client, 1).is_ok()).count();
        assert_eq!(taken(one), 20, "two seconds together");
        assert_eq!(
            limiter.admit_request(client("2001:db8::ffff"), 1),
            Err(Problem::TooManyRequests)
        );
        assert_eq!(taken(client("2001:db8:0:1::1")), 20, "another client");
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(taken(one), 5);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(limiter.admit_request(one, 1), Ok(()));
        assert_eq!(limiter.token_buckets.of_key(one).by_client.len(), 1, "full ones are dropped");
        assert!(matches!(limiter.admit_request(one, 101), Err(Problem::Busy(_))));
        let open = ClientLimiter::new(LimitsConfig::default());
        assert!((0..1000).all(|_| open.admit_request(one, 100_000).is_ok()), "no limit by default");
    }
}
