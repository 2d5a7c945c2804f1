//! Handling of SIGHUP, which ends a process that does not handle it. Service managers send it for a
//! reload, and terminals when they are closed.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Installs the handler; each SIGHUP is received. Once the receiver is dropped, a SIGHUP is logged
/// and changes nothing.
///
/// # Errors
/// The handler cannot be installed, or its thread cannot be started.
pub(crate) fn watch() -> anyhow::Result<mpsc::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("SIGHUP cannot be watched")?;
    let mut signals = {
        let _guard = runtime.enter();
        signal(SignalKind::hangup()).context("SIGHUP cannot be watched")?
    };
    let (hangups, received) = mpsc::channel(1);
    let forward = move || {
        runtime.block_on(async {
            while signals.recv().await.is_some() {
                // A full channel holds a SIGHUP whose reload has not begun, which serves this one
                // too.
                if let Err(mpsc::error::TrySendError::Closed(())) = hangups.try_send(()) {
                    tracing::warn!("SIGHUP: this process has no configuration to reload");
                }
            }
        });
    };
    std::thread::Builder::new().name("hangup".to_owned()).spawn(forward).context("no thread")?;
    Ok(received)
}
