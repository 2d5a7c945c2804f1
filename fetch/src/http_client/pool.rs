//! Pool of idle connections. Expired ones are removed when the pool is used, so that no task is
//! needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;

const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const IDLE_PER_ORIGIN_MAX: usize = 256;
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct ConnectionPool(Mutex<IdleConnections>);

#[derive(Default)]
struct IdleConnections {
    /// Connections by origin, the longest idle first.
    by_origin: HashMap<Arc<str>, Vec<(Instant, Connection)>>,
    last_sweep: Option<Instant>,
}

impl ConnectionPool {
    /// Takes the connection that was used last, so that the others can expire.
    pub(super) fn take(&self, origin: &str) -> Option<Connection> {
        self.lock_idle().take(origin, Instant::now())
    }

    pub(super) fn put(&self, mut connection: Connection) {
        connection.shrink();
        self.lock_idle().put(connection, Instant::now());
    }

    fn lock_idle(&self) -> MutexGuard<'_, IdleConnections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IdleConnections {
    fn take(&mut self, origin: &str, now: Instant) -> Option<Connection> {
        let connections = self.by_origin.get_mut(origin)?;
        while let Some((since, connection)) = connections.pop() {
            if now - since < IDLE_TIMEOUT && connection.is_reusable() {
                return Some(connection);
            }
        }
        None
    }

    fn put(&mut self, connection: Connection, now: Instant) {
        self.sweep(now);
        match self.by_origin.get_mut(connection.origin()) {
            Some(connections) if connections.len() >= IDLE_PER_ORIGIN_MAX => {}
            Some(connections) => connections.push((now, connection)),
            None => {
                self.by_origin.insert(connection.origin().clone(), vec![(now, connection)]);
            }
        }
    }

    fn sweep(&mut self, now: Instant) {
        if self.last_sweep.is_some_and(|swept| now - swept < SWEEP_INTERVAL) {
            return;
        }
        self.last_sweep = Some(now);
        self.by_origin.retain(|_, connections| {
            connections.retain(|(since, connection)| {
                now - *since < IDLE_TIMEOUT && connection.is_reusable()
            });
            !connections.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn connections_idle_for_long_are_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connection = async |origin: &str| {
            let stream = TcpStream::connect(address).await.unwrap();
            Connection::new(stream, origin).ok().unwrap()
        };
        let mut idle = IdleConnections::default();
        let count = |idle: &IdleConnections| idle.by_origin.values().map(Vec::len).sum::<usize>();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        idle.put(connection("a").await, at(0));
        idle.put(connection("b").await, at(0));
        assert!(idle.take("c", at(59)).is_none());
        assert!(idle.take("b", at(59)).is_some());
        idle.put(connection("c").await, at(61));
        assert_eq!(count(&idle), 1, "the put removed the connection to a");
        assert!(idle.take("c", at(121)).is_none());
        let mut peers = Vec::new();
        for _ in 0..=IDLE_PER_ORIGIN_MAX {
            idle.put(connection("d").await, at(122));
            peers.push(listener.accept().await.unwrap());
        }
        assert_eq!(count(&idle), IDLE_PER_ORIGIN_MAX);
    }
}
