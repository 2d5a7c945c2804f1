//! Handling of SIGHUP, which ends a process that does not handle it. Service managers send it for a
//! reload, and terminals when they are closed.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// Installs a handler that logs SIGHUP and changes nothing.
///
/// # Errors
/// The handler cannot be installed, or its thread cannot be started.
pub(crate) fn log_and_ignore_sighup() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("SIGHUP cannot be watched")?;
    let mut hangups = {
        let _guard = runtime.enter();
        signal(SignalKind::hangup()).context("SIGHUP cannot be watched")?
    };
    let watch = move || {
        runtime.block_on(async {
            while hangups.recv().await.is_some() {
                tracing::warn!("SIGHUP: a reload is not supported yet: restart to apply changes");
            }
        });
    };
    std::thread::Builder::new().name("hangup".to_owned()).spawn(watch).context("no thread")?;
    Ok(())
}
