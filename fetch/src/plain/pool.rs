//! Idle connections. Swept when used: no task of its own waits for them to grow old.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;

const MAX_IDLE: Duration = Duration::from_secs(60);
const MAX_PER_ORIGIN: usize = 256;
const SWEEP: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Pool(Mutex<Shelves>);

#[derive(Default)]
struct Shelves {
    /// The longest idle first.
    idle: HashMap<Arc<str>, Vec<(Instant, Connection)>>,
    swept: Option<Instant>,
}

impl Pool {
    /// The connection that was used last: the others may grow old.
    pub(super) fn take(&self, origin: &str) -> Option<Connection> {
        self.shelves().take(origin, Instant::now())
    }

    pub(super) fn put(&self, mut connection: Connection) {
        connection.shrink();
        self.shelves().put(connection, Instant::now());
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn take(&mut self, origin: &str, now: Instant) -> Option<Connection> {
        let shelf = self.idle.get_mut(origin)?;
        while let Some((since, connection)) = shelf.pop() {
            if now - since < MAX_IDLE && connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    fn put(&mut self, connection: Connection, now: Instant) {
        self.sweep(now);
        match self.idle.get_mut(connection.origin()) {
            Some(shelf) if shelf.len() >= MAX_PER_ORIGIN => {}
            Some(shelf) => shelf.push((now, connection)),
            None => {
                self.idle.insert(connection.origin().clone(), vec![(now, connection)]);
            }
        }
    }

    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now - swept < SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.idle.retain(|_, shelf| {
            shelf.retain(|(since, connection)| now - *since < MAX_IDLE && connection.is_quiet());
            !shelf.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn what_is_idle_for_long_goes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connection = async |origin: &str| {
            let stream = TcpStream::connect(address).await.unwrap();
            Connection::new(stream, origin).ok().unwrap()
        };
        let mut shelves = Shelves::default();
        let count = |shelves: &Shelves| shelves.idle.values().map(Vec::len).sum::<usize>();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        shelves.put(connection("a").await, at(0));
        shelves.put(connection("b").await, at(0));
        assert!(shelves.take("c", at(59)).is_none());
        assert!(shelves.take("b", at(59)).is_some());
        shelves.put(connection("c").await, at(61));
        assert_eq!(count(&shelves), 1, "the putting swept a's");
        assert!(shelves.take("c", at(121)).is_none());
        let mut peers = Vec::new();
        for _ in 0..=MAX_PER_ORIGIN {
            shelves.put(connection("d").await, at(122));
            peers.push(listener.accept().await.unwrap());
        }
        assert_eq!(count(&shelves), MAX_PER_ORIGIN);
    }
}
