//! SIGHUP, which ends a process unless it is handled: it is what many services send for a reload,
//! and what a closed terminal sends.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// From now on SIGHUP is logged and changes nothing.
pub(crate) fn survive() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("SIGHUP cannot be watched")?;
    let mut hangups = {
        let _here = runtime.enter();
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
