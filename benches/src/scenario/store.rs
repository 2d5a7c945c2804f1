//! Edges and control planes as separate processes on one Redis.
//!
//! - [`publication`]: the time until a change of the upstream map reaches the edges.
//! - [`slow_redis`]: latency for viewers while Redis is slow.
//! - [`redis`]: a redis-server, and a proxy that delays its replies.

pub(crate) mod publication;
mod redis;
pub(crate) mod slow_redis;
