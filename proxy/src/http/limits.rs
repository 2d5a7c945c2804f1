//! [`ClientLimiter`]: limits of connections and requests, per client and in all, so that none is
//! refused because of another.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pitwall_fetch::address::is_public;
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
    /// Concurrent connections of one client; a browser has up to 6 to an edge, or one over TLS.
    /// Without it [`PUBLIC_CLIENT_CONNECTIONS`], of a client with a public address: a private one
    /// may be that of a proxy, with any number of viewers.
    pub connections_per_client: Option<NonZeroUsize>,
    /// Requests in flight of all clients.
    pub requests: Option<NonZeroUsize>,
    /// Requests per second of one client. A burst may have twice as many.
    pub requests_per_client: Option<NonZeroU32>,
    /// Concurrent event streams of all clients.
    pub event_streams: NonZeroUsize,
    /// Concurrent event streams of one client.
    pub event_streams_per_client: NonZeroUsize,
    /// Playlist requests of one client that wait for a new segment or partial segment.
    pub blocked_reloads_per_client: NonZeroUsize,
    /// How long a request's header may take from its first byte on: 1 s to 1 min.
    #[serde(deserialize_with = "deserialize_header_timeout")]
    pub header: Duration,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections: at_least_one(50_000),
            connections_per_client: None,
            requests: None,
            requests_per_client: None,
            event_streams: at_least_one(1000),
            event_streams_per_client: at_least_one(100),
            blocked_reloads_per_client: at_least_one(200),
            header: Duration::from_secs(10),
        }
    }
}

const fn at_least_one(limit: usize) -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(limit - 1)
}

fn deserialize_header_timeout<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let header: Duration = humantime_serde::deserialize(deserializer)?;
    match header.as_secs() {
        1..=60 => Ok(header),
        _ => Err(D::Error::custom("between 1s and 1m")),
    }
}

/// Enforces [`LimitsConfig`]. It holds what is counted, and is given the limits, which may change.
#[derive(Default)]
pub struct ClientLimiter {
    connections: Arc<ConcurrencyCounter>,
    event_streams: Arc<ConcurrencyCounter>,
    blocked_reloads: Arc<ConcurrencyCounter>,
    token_buckets: Shards<TokenBuckets>,
}

/// How many of a kind are open, in all and by client.
#[derive(Default)]
struct ConcurrencyCounter {
    counts: Mutex<ConcurrencyCounts>,
}

#[derive(Default)]
struct ConcurrencyCounts {
    total: usize,
    by_client: HashMap<ClientNetwork, usize>,
}

/// Which limit is reached.
enum LimitReached {
    OfAllClients,
    OfThisClient,
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

/// The permit of a connection or of a request that is held open; it is released when it is dropped.
pub struct ConcurrencyPermit {
    limit: Arc<ConcurrencyCounter>,
    client: Option<ClientNetwork>,
}

/// How many connections a client with a public address may have unless configured: enough for a
/// household behind it, a dozen devices with several players each.
const PUBLIC_CLIENT_CONNECTIONS: NonZeroUsize = at_least_one(256);
/// Capacity of a token bucket, in seconds of its rate.
const BURST_SECONDS: f64 = 2.0;
/// How often full buckets are dropped, so that clients who left take no memory.
const BUCKET_SWEEP_INTERVAL: Duration = Duration::from_secs(10);

impl ClientLimiter {
    /// A permit for a connection of this client; `None` when a limit is reached. `client` is `None`
    /// for a trusted proxy, which carries many clients and has no limit per client.
    pub fn acquire_connection(
        &self,
        limits: &LimitsConfig,
        client: Option<ClientNetwork>,
    ) -> Option<ConcurrencyPermit> {
        let is_configured = limits.connections_per_client.is_some();
        let max_per_client = limits.connections_per_client.unwrap_or(PUBLIC_CLIENT_CONNECTIONS);
        let client = client.filter(|client| is_configured || is_public(client.0));
        self.connections.acquire(limits.connections.get(), max_per_client, client).ok()
    }

    /// How many connections are open.
    pub fn connection_count(&self) -> usize {
        self.connections.counts.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// # Errors
    /// [`Problem::Busy`] beyond the limit of all clients, [`Problem::TooManyRequests`] beyond that of
    /// this one.
    pub fn acquire_event_stream(
        &self,
        limits: &LimitsConfig,
        client: Option<ClientNetwork>,
    ) -> Result<ConcurrencyPermit, Problem> {
        let (max, max_per_client) = (limits.event_streams.get(), limits.event_streams_per_client);
        self.event_streams.acquire(max, max_per_client, client).map_err(|reached| match reached {
            LimitReached::OfAllClients => Problem::Busy("too many listen to events"),
            LimitReached::OfThisClient => {
                Problem::TooManyRequests("More event streams at once than one client may have.")
            }
        })
    }

    /// # Errors
    /// [`Problem::TooManyRequests`] beyond the limit of this client.
    pub fn acquire_blocked_reload(
        &self,
        limits: &LimitsConfig,
        client: Option<ClientNetwork>,
    ) -> Result<ConcurrencyPermit, Problem> {
        let why = "More playlist requests wait at once than one client may have.";
        let max_per_client = limits.blocked_reloads_per_client;
        self.blocked_reloads
            .acquire(usize::MAX, max_per_client, client)
            .map_err(|_| Problem::TooManyRequests(why))
    }

    /// Admits a request of this client while `in_flight` requests, this one included, are in
    /// flight.
    ///
    /// # Errors
    /// [`Problem::Busy`] beyond the limit of all clients, [`Problem::TooManyRequests`] beyond the
    /// rate of this one.
    pub fn admit_request(
        &self,
        limits: &LimitsConfig,
        client: ClientNetwork,
        in_flight: i64,
    ) -> Result<(), Problem> {
        if limits
            .requests
            .is_some_and(|limit| usize::try_from(in_flight).is_ok_and(|now| now > limit.get()))
        {
            return Err(Problem::Busy("more requests than this edge answers at once"));
        }
        let Some(rate) = limits.requests_per_client else { return Ok(()) };
        let (rate, now) = (f64::from(rate.get()), Instant::now());
        let capacity = rate * BURST_SECONDS;
        let mut buckets = self.token_buckets.lock_shard_of_key(client);
        buckets.sweep_full(rate, capacity, now);
        let full = TokenBucket { tokens: capacity, updated_at: now };
        let bucket = buckets.by_client.entry(client).or_insert(full);
        *bucket = TokenBucket { tokens: bucket.tokens_at(rate, capacity, now), updated_at: now };
        if bucket.tokens < 1.0 {
            let why = "More requests a second than one client may send.";
            return Err(Problem::TooManyRequests(why));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

impl TokenBuckets {
    /// Drops full buckets, which say no more than no bucket, every [`BUCKET_SWEEP_INTERVAL`].
    fn sweep_full(&mut self, rate: f64, capacity: f64, now: Instant) {
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

impl ConcurrencyCounter {
    fn lock_counts(&self) -> MutexGuard<'_, ConcurrencyCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acquire(
        self: &Arc<Self>,
        max: usize,
        max_per_client: NonZeroUsize,
        client: Option<ClientNetwork>,
    ) -> Result<ConcurrencyPermit, LimitReached> {
        let mut counts = self.lock_counts();
        if let Some(client) = client {
            let count = counts.by_client.get(&client).copied().unwrap_or(0);
            if count >= max_per_client.get() {
                return Err(LimitReached::OfThisClient);
            }
        }
        if counts.total >= max {
            return Err(LimitReached::OfAllClients);
        }
        counts.total += 1;
        if let Some(client) = client {
            *counts.by_client.entry(client).or_default() += 1;
        }
        Ok(ConcurrencyPermit { limit: self.clone(), client })
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        let mut counts = self.limit.lock_counts();
        counts.total -= 1;
        let Some(client) = self.client else { return };
        if let Some(count) = counts.by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                counts.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests;
