//! Edges and control planes as separate processes on one Redis.
//!
//! - [`control_plane`]: what a control plane costs and publishes, and the delay of its changes.
//! - [`publication`]: the time until a change of the upstream map reaches the edges.
//! - [`slow_redis`]: latency for viewers while Redis is slow.
//! - [`deployment`]: control plane and edges of one executable.
//! - [`redis`]: a redis-server, and a proxy that delays its replies.

pub(crate) mod control_plane;
mod deployment;
pub(crate) mod publication;
mod redis;
pub(crate) mod slow_redis;
