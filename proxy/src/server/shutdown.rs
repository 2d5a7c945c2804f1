//! How an edge ends.
//!
//! - SIGTERM drains: the edge is unready first, but serves; then its listeners close, and the
//!   process ends with its last request in flight.
//! - SIGINT comes from a terminal and stops the process at once.
//! - After a hand-over the listeners close at once, as a successor accepts from the same sockets.
//!   The process ends with its last connection: one that is idle may be about to carry a request,
//!   whose client would see a reset.
//!
//! In every case the tasks beside the edge end first, as they save what they know.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::background_tasks::{BackgroundTasks, TaskEnd};
use super::listening::SequentialAcceptFilter;
use crate::drain::{DrainReason, DrainSignal};
use crate::http::limits::ClientLimiter;
use crate::metrics::Metrics;

/// How long an unready edge accepts connections before its listeners close.
const UNREADY_GRACE_PERIOD: Duration = Duration::from_secs(2);

/// How often a draining process looks whether it may end.
const IDLE_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What begins and ends a drain.
#[derive(Clone)]
pub(super) struct Drain {
    pub(super) signal: DrainSignal,
    pub(super) metrics: Metrics,
    pub(super) limiter: Arc<ClientLimiter>,
    pub(super) tasks: BackgroundTasks,
    pub(super) accept_filter: SequentialAcceptFilter,
    /// How long requests in flight may take after SIGTERM.
    pub(super) stop_timeout: Duration,
    /// How long connections may last after a hand-over.
    pub(super) hand_over_timeout: Duration,
}

/// Begins the end of the process.
pub(super) struct ShutdownSignals(pub(super) Drain);

#[async_trait]
impl ShutdownSignalWatch for ShutdownSignals {
    async fn recv(&self) -> ShutdownSignal {
        let Some((interrupt, terminate)) = watch_signals() else {
            tracing::error!("signals cannot be watched; only SIGKILL stops this process");
            return std::future::pending().await;
        };
        let shutdown = self.0.wait_for_end(interrupt, terminate).await;
        match shutdown {
            ShutdownSignal::FastShutdown => self.0.tasks.stop().await,
            _ => self.0.accept_filter.close().await,
        }
        shutdown
    }
}

fn watch_signals() -> Option<(Signal, Signal)> {
    Some((signal(SignalKind::interrupt()).ok()?, signal(SignalKind::terminate()).ok()?))
}

impl Drain {
    async fn wait_for_end(&self, mut interrupt: Signal, mut terminate: Signal) -> ShutdownSignal {
        tokio::select! {
            _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
            _ = self.signal.wait_until_draining() => {
                self.tasks.end(TaskEnd::HandOver);
                return ShutdownSignal::GracefulTerminate;
            }
            _ = terminate.recv() => {}
        }
        tracing::info!(running = self.metrics.requests_in_flight.get(), "draining");
        self.signal.start_drain(DrainReason::Stop);
        if self.stop_timeout < Duration::from_secs(1) {
            return ShutdownSignal::FastShutdown;
        }
        tokio::select! {
            // A load balancer probes /readyz every few seconds and must see it fail before the
            // listeners close.
            () = tokio::time::sleep(UNREADY_GRACE_PERIOD.min(self.stop_timeout / 4)) => {
                self.tasks.end(TaskEnd::LastViewer);
                ShutdownSignal::GracefulTerminate
            }
            _ = interrupt.recv() => ShutdownSignal::FastShutdown,
        }
    }

    /// Idle is two ticks in a row without one, as a request may be between the listener and its
    /// first phase, in which it is counted.
    async fn wait_until_idle(&self, is_idle: impl Fn() -> bool) {
        let mut ticks = tokio::time::interval(IDLE_POLL_INTERVAL);
        let mut idle_ticks = 0;
        while idle_ticks < 2 {
            ticks.tick().await;
            idle_ticks = if is_idle() { idle_ticks + 1 } else { 0 };
        }
    }

    async fn wait_until_no_request(&self) {
        let idle = self.wait_until_idle(|| self.metrics.requests_in_flight.get() <= 0);
        if tokio::time::timeout(self.stop_timeout, idle).await.is_err() {
            tracing::warn!(
                running = self.metrics.requests_in_flight.get(),
                "requests are cut off: they have taken longer than [edge] drain"
            );
        }
    }

    async fn wait_until_no_connection(&self) {
        let connections = || self.limiter.connection_count();
        tracing::info!(
            connections = connections(),
            at_most = ?self.hand_over_timeout,
            "the successor accepts connections; this process serves those that it has"
        );
        let idle = self.wait_until_idle(|| connections() == 0);
        let Some((mut interrupt, mut terminate)) = watch_signals() else { return idle.await };
        tokio::select! {
            () = idle => tracing::info!("the last connection from before the upgrade has ended"),
            () = tokio::time::sleep(self.hand_over_timeout) => tracing::warn!(
                connections = connections(),
                "connections from before the upgrade are cut off: they have lasted longer than [edge] upgrade_drain"
            ),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => self.wait_until_no_request().await,
        }
    }
}

/// Ends a draining process: Pingora sleeps through its whole grace period even when there is nothing
/// to wait for.
pub(super) struct DrainWaiter(pub(super) Drain);

#[async_trait]
impl BackgroundService for DrainWaiter {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        // Waiting fails when the server is dropped, which is a stop as well.
        let _ = shutdown.wait_for(|stopping| *stopping).await;
        match self.0.signal.reason() {
            Some(DrainReason::HandOver) => self.0.wait_until_no_connection().await,
            _ => self.0.wait_until_no_request().await,
        }
        self.0.tasks.stop().await;
        std::process::exit(0);
    }
}
