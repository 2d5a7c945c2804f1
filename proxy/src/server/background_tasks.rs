//! [`BackgroundTasks`]: what runs beside the edge, and when it ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::watch;

/// How long the tasks beside the edge may take to save what they know when the process stops.
const TASKS_END_TIMEOUT: Duration = Duration::from_secs(3);

/// Resolves when the task has to end.
pub type StopFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type BackgroundTask =
    Box<dyn FnOnce(StopFuture) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// When a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskEnd {
    /// When a successor has taken over, or the process stops: only one process does this.
    HandOver,
    /// When the last viewer has left: those who are still served need it.
    LastViewer,
}

/// The tasks that run beside the edge. Pingora ends the process without waiting for them.
#[derive(Clone, Default)]
pub(super) struct BackgroundTasks {
    /// The tasks that have to end: those of this kind and of the kinds before.
    ended: Arc<watch::Sender<Option<TaskEnd>>>,
    running: Arc<watch::Sender<usize>>,
}

impl BackgroundTasks {
    /// The service that runs `task`, which counts as running from now on.
    pub(super) fn service<F, T>(&self, end: TaskEnd, task: F) -> BackgroundTaskService
    where
        F: FnOnce(StopFuture) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let start: BackgroundTask = Box::new(|stop| Box::pin(task(stop)));
        self.running.send_modify(|running| *running += 1);
        BackgroundTaskService { start: Mutex::new(Some(start)), end, tasks: self.clone() }
    }

    /// Has tasks end without waiting for them.
    pub(super) fn end(&self, until: TaskEnd) {
        self.ended.send_modify(|ended| *ended = (*ended).max(Some(until)));
    }

    /// Ends all tasks and waits until they have saved what they know.
    pub(super) async fn stop(&self) {
        self.end(TaskEnd::LastViewer);
        let mut running = self.running.subscribe();
        // Waiting fails only when the sender is dropped, and `self` holds it.
        let ended = tokio::time::timeout(TASKS_END_TIMEOUT, running.wait_for(|count| *count == 0));
        if ended.await.is_err() {
            let seconds = TASKS_END_TIMEOUT.as_secs();
            tracing::warn!(seconds, "not all has been saved: something has not ended in time");
        }
    }
}

pub(super) struct BackgroundTaskService {
    start: Mutex<Option<BackgroundTask>>,
    end: TaskEnd,
    tasks: BackgroundTasks,
}

#[async_trait]
impl BackgroundService for BackgroundTaskService {
    async fn start(&self, _: ShutdownWatch) {
        let start = self.start.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(start) = start else { return };
        let (mut ended, end) = (self.tasks.ended.subscribe(), self.end);
        let stop = Box::pin(async move {
            // Waiting fails when the server is dropped, which is a stop as well.
            let _ = ended.wait_for(|ended| *ended >= Some(end)).await;
        });
        start(stop).await;
        self.tasks.running.send_modify(|running| *running -= 1);
    }
}
