//! [`ListeningService`]: a service of Pingora on a socket that this process has bound, or taken
//! over from another one. Pingora would bind the socket itself, and panic where it cannot.

use std::net::TcpListener;
use std::os::fd::IntoRawFd as _;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::ServerApp;
use pingora::listeners::{ConnectionFilter, L4BufferSettings, ListenerConfig};
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::Service;
use pingora::services::listening::Service as PingoraService;
use tokio::sync::Semaphore;

/// Under which name Pingora looks the socket up; it would bind this address if there were none.
const SOCKET_NAME: &str = "127.0.0.1:0";

/// What has to be done before connections are accepted.
pub type BeforeListening = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct ListeningService<A> {
    inner: PingoraService<A>,
    /// `None` once the service has started.
    socket: Option<TcpListener>,
    /// Behind a mutex because a service is shared, and a future is not.
    before_listening: Mutex<Option<BeforeListening>>,
}

impl<A> ListeningService<A> {
    pub(super) fn new(
        mut inner: PingoraService<A>,
        socket: TcpListener,
        buffers: L4BufferSettings,
    ) -> Self {
        inner.add_listener(ListenerConfig::tcp(SOCKET_NAME).l4_buffer(buffers));
        Self { inner, socket: Some(socket), before_listening: Mutex::new(None) }
    }

    pub(super) fn before_listening(self, future: BeforeListening) -> Self {
        Self { before_listening: Mutex::new(Some(future)), ..self }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> Service for ListeningService<A> {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        if let Some(before_listening) = self.before_listening.get_mut().take() {
            before_listening.await;
        }
        let Some(socket) = self.socket.take() else { return };
        let mut sockets = Fds::new();
        sockets.add(SOCKET_NAME.to_owned(), socket.into_raw_fd());
        let sockets = Some(Arc::new(Mutex::new(sockets)));
        Service::start_service(&mut self.inner, sockets, shutdown, listeners_per_fd).await;
    }

    fn name(&self) -> &str {
        Service::name(&self.inner)
    }

    fn threads(&self) -> Option<usize> {
        Service::threads(&self.inner)
    }
}

/// Lets each connection acquire its permit before the next is accepted. Pingora spawns a task for
/// each and accepts on: in a burst it would hold more connections than there are open files, and
/// would then accept none for a second.
///
/// The pause is also where Pingora would drop a connection that it has accepted, if the listener
/// were closed meanwhile. So [`close`](Self::close) waits for the pauses, and permits no more.
#[derive(Clone, Debug)]
pub(super) struct SequentialAcceptFilter(Arc<Semaphore>);

/// More pauses than there can be: one for each socket.
const PAUSES_MAX: u32 = 64;

impl SequentialAcceptFilter {
    /// Returns when no connection is between its acceptance and its task. The listener can then be
    /// closed without a connection being lost.
    pub(super) async fn close(&self) {
        // Acquiring fails only when the semaphore is closed, which happens here.
        let pauses = self.0.acquire_many(PAUSES_MAX).await;
        self.0.close();
        drop(pauses);
    }
}

impl Default for SequentialAcceptFilter {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PAUSES_MAX as usize)))
    }
}

#[async_trait]
impl ConnectionFilter for SequentialAcceptFilter {
    async fn should_accept(&self, _: Option<&std::net::SocketAddr>) -> bool {
        if let Ok(_pause) = self.0.try_acquire() {
            tokio::task::yield_now().await;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_listener_is_closed_only_between_two_connections() {
        let filter = SequentialAcceptFilter::default();
        let mut pause = filter.should_accept(None);
        assert!(poll!(&mut pause).is_pending());
        let mut close = Box::pin(filter.close());
        assert!(poll!(&mut close).is_pending(), "a connection is not with its task yet");
        assert!(pause.await);
        close.await;
        assert_eq!(poll!(filter.should_accept(None)), Poll::Ready(true), "without a pause");
    }
}
