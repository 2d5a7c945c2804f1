//! [`Startup`]: what a process has before it listens.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pitwall_upstream_map::{StateDirectory, Store};
use sd_notify::NotifyState;

use super::predecessor::{Inheritance, Predecessor};
use super::process_file::ProcessFile;
use crate::config::{ConfigError, ConfigKeyLocations};
use crate::secret::StartMode;
use crate::version::VERSION;

/// How long a new process waits for a map as new as that of the old one. Redis sends it within
/// milliseconds, and the disk has it in any case, unless it is full.
const MAP_TIMEOUT: Duration = Duration::from_secs(10);

/// The sockets and the state directory of a process that starts, some of which it may have from a
/// predecessor.
pub(crate) struct Startup {
    mode: StartMode,
    predecessor: Option<Predecessor>,
    /// Sockets of the predecessor that this process has not asked for yet, by configuration key.
    inherited_listeners: HashMap<String, TcpListener>,
    inherited_process_file: Option<File>,
    /// The sockets of this process, by configuration key, for a successor.
    pub(super) listeners: Vec<(String, TcpListener)>,
    pub(super) process_file: Option<ProcessFile>,
    /// The version of the map that the predecessor serves.
    predecessor_version: u64,
}

impl Startup {
    /// Finds the predecessor, if there is one.
    ///
    /// # Errors
    /// It hands nothing over.
    pub(crate) fn begin() -> anyhow::Result<Self> {
        let (predecessor, inheritance) = Predecessor::find()?.unzip();
        let Inheritance { listeners, process_file } = inheritance.unwrap_or_default();
        Ok(Self {
            mode: StartMode::Start,
            predecessor,
            inherited_listeners: listeners,
            inherited_process_file: process_file,
            listeners: Vec::new(),
            process_file: None,
            predecessor_version: 0,
        })
    }

    /// For a check, which changes nothing and disturbs no process that runs.
    pub(crate) fn of_check() -> Self {
        Self {
            mode: StartMode::Check,
            predecessor: None,
            inherited_listeners: HashMap::new(),
            inherited_process_file: None,
            listeners: Vec::new(),
            process_file: None,
            predecessor_version: 0,
        }
    }

    /// Makes the state directory this process's own. A predecessor saves its state first, so nothing
    /// may be read of the directory before; configuration and secrets should be read before, as they
    /// may be wrong.
    ///
    /// # Errors
    /// Another process owns the directory, or the predecessor does not release it.
    pub(crate) fn claim_state(
        &mut self,
        directory: &Path,
        key_locations: &ConfigKeyLocations,
    ) -> anyhow::Result<StateDirectory> {
        let inherited = self.inherited_process_file.take();
        self.process_file = ProcessFile::claim(directory, inherited, key_locations)?;
        if let Some(predecessor) = &self.predecessor {
            self.predecessor_version = predecessor.claim_state()?;
        }
        Ok(StateDirectory::from(directory.to_owned()))
    }

    /// Listens on `address`, which `key` configures: on the predecessor's socket where it has one, else
    /// on a new one. A check listens on another port where the address is in use, most likely by a
    /// running Pitwall.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub(crate) fn listen(
        &mut self,
        key: &str,
        address: SocketAddr,
        key_locations: &ConfigKeyLocations,
    ) -> Result<TcpListener, ConfigError> {
        let is_configured = |listener: &TcpListener| {
            listener.local_addr().is_ok_and(|bound| {
                bound.ip() == address.ip() && [bound.port(), 0].contains(&address.port())
            })
        };
        let inherited = self.inherited_listeners.remove(key).filter(is_configured);
        let listener = match inherited.map_or_else(|| TcpListener::bind(address), Ok) {
            Err(error) if self.mode == StartMode::Check && error.kind() == ErrorKind::AddrInUse => {
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            }
            listener => listener,
        };
        listener
            .and_then(|listener| {
                self.listeners.push((key.to_owned(), listener.try_clone()?));
                Ok(listener)
            })
            .map_err(|error| {
                key_locations.error_for_key(key, format!("cannot listen on {address}: {error}"))
            })
    }

    /// What is to be said once this process can accept connections.
    pub(crate) fn announcement(&mut self, store: Arc<dyn Store>) -> Announcement {
        let address = |(key, listener): &(String, TcpListener)| {
            Some((key.clone(), listener.local_addr().ok()?))
        };
        Announcement {
            listeners: self.listeners.iter().filter_map(address).collect(),
            process_file: self.process_file.as_ref().and_then(ProcessFile::try_clone),
            predecessor: self.predecessor.take(),
            predecessor_version: self.predecessor_version,
            store,
        }
    }
}

/// Tells the log, a predecessor and the service manager that this process listens.
pub(crate) struct Announcement {
    listeners: Vec<(String, SocketAddr)>,
    process_file: Option<ProcessFile>,
    predecessor: Option<Predecessor>,
    predecessor_version: u64,
    store: Arc<dyn Store>,
}

impl Announcement {
    /// Waits for a map that is as new as the predecessor's, and says then that this process listens.
    /// The process ends where it has no map and the predecessor has one, which then goes on.
    pub(crate) async fn announce(self) {
        if self.predecessor.is_some() && !self.wait_for_map().await {
            tracing::error!("there is no map to begin with: the old process goes on");
            std::process::exit(1);
        }
        for (key, address) in &self.listeners {
            tracing::info!(%address, "{key}: connections are accepted");
        }
        if let Some(process_file) = &self.process_file {
            process_file.write(0, "");
        }
        let pid = std::process::id();
        match &self.predecessor {
            Some(predecessor) => {
                tracing::info!(pid, version = VERSION, "this process has taken over");
                // The predecessor tells the service manager, which does not listen to this process
                // yet.
                predecessor.tell_listening();
            }
            None => notify_service_manager(&[NotifyState::Ready]),
        }
    }

    async fn wait_for_map(&self) -> bool {
        let mut versions = self.store.subscribe_versions();
        let newest = versions.wait_for(|version| *version >= self.predecessor_version);
        if tokio::time::timeout(MAP_TIMEOUT, newest).await.is_ok() {
            return true;
        }
        let version = self.store.map().version;
        tracing::warn!(
            version,
            newest = self.predecessor_version,
            "the map is older than that of the old process"
        );
        version > 0
    }
}

/// Tells systemd, if it started this process.
pub(super) fn notify_service_manager(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
