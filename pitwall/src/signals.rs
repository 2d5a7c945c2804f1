//! Handling of SIGHUP and SIGUSR2, which end a process that does not handle them. Service managers
//! send SIGHUP for a reload, and terminals when they are closed; an operator sends SIGUSR2 for an
//! upgrade.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// The signals that a process has received. A full channel holds one that was not attended to yet,
/// which stands for those after it.
pub(crate) struct Signals {
    /// SIGHUP.
    pub(crate) hangups: mpsc::Receiver<()>,
    /// SIGUSR2.
    pub(crate) upgrades: mpsc::Receiver<()>,
}

/// Installs the handlers. Once a receiver is dropped, its signal is logged and changes nothing.
///
/// # Errors
/// A handler cannot be installed, or its thread cannot be started.
pub(crate) fn watch() -> anyhow::Result<Signals> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("signals cannot be watched")?;
    let watch = |kind| {
        let _guard = runtime.enter();
        signal(kind).context("signals cannot be watched")
    };
    let (hangup, upgrade) = (watch(SignalKind::hangup())?, watch(SignalKind::user_defined2())?);
    let (hangup_sender, hangups) = mpsc::channel(1);
    let (upgrade_sender, upgrades) = mpsc::channel(1);
    let forward_all = move || {
        runtime.block_on(async {
            tokio::join!(
                forward(
                    hangup,
                    hangup_sender,
                    "SIGHUP: this process has no configuration to reload"
                ),
                forward(upgrade, upgrade_sender, "SIGUSR2: this process hands nothing over"),
            )
        });
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(forward_all).context("no thread")?;
    Ok(Signals { hangups, upgrades })
}

async fn forward(mut signals: Signal, sender: mpsc::Sender<()>, unattended: &str) {
    while signals.recv().await.is_some() {
        if let Err(mpsc::error::TrySendError::Closed(())) = sender.try_send(()) {
            tracing::warn!("{unattended}");
        }
    }
}
