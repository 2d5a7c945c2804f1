//! The listeners of a configuration: that no two of a process have the same address, and that
//! nothing is fetched from them.

use std::net::SocketAddr;

use pitwall_fetch::OwnListeners;

use super::{Config, ConfigError, StoreConfig};

/// A listener's configuration key and address.
type KeyedListenAddress = (&'static str, SocketAddr);

impl Config {
    /// Checks the listeners of an edge and a control plane in one process.
    ///
    /// # Errors
    /// Two of them collide.
    pub(crate) fn reject_listener_collisions(&self) -> Result<(), ConfigError> {
        self.reject_collisions(self.edge_listeners().chain(self.control_listeners()))
    }

    pub(crate) fn reject_edge_listener_collisions(&self) -> Result<(), ConfigError> {
        self.reject_collisions(self.edge_listeners())
    }

    pub(crate) fn reject_control_listener_collisions(&self) -> Result<(), ConfigError> {
        self.reject_collisions(self.control_listeners())
    }

    /// Checks the listeners before it is known which process the file is for: with a Redis store it
    /// may be for edges and control planes on different machines, whose listeners do not collide.
    ///
    /// # Errors
    /// Two listeners collide in any case.
    pub(crate) fn reject_definite_listener_collisions(&self) -> Result<(), ConfigError> {
        match self.store {
            StoreConfig::Memory => self.reject_listener_collisions(),
            StoreConfig::Redis { .. } => {
                self.reject_edge_listener_collisions()?;
                self.reject_control_listener_collisions()
            }
        }
    }

    /// Where edge and control planes are reached.
    pub(crate) fn own_listeners(&self) -> OwnListeners {
        // In one process `edge.control` is ignored: something else may listen there.
        let is_shared = matches!(self.store, StoreConfig::Redis { .. });
        let control_planes = self.edge.control.iter().copied().filter(|_| is_shared);
        let listeners = self.edge_listeners().chain(self.control_listeners());
        let listeners = listeners.map(|(_, address)| address).chain(control_planes);
        OwnListeners::from(listeners.collect::<Vec<_>>())
            .with_public_url(self.edge.public_url.clone())
    }

    fn edge_listeners(&self) -> impl Iterator<Item = KeyedListenAddress> {
        [("edge.listen", self.edge.listen), ("edge.admin", self.edge.admin)].into_iter()
    }

    fn control_listeners(&self) -> impl Iterator<Item = KeyedListenAddress> {
        let listen = self.control.listen.map(|address| ("control.listen", address));
        let admin = self.control.admin.map(|address| ("control.admin", address));
        listen.into_iter().chain(admin)
    }

    fn reject_collisions(
        &self,
        listeners: impl Iterator<Item = KeyedListenAddress>,
    ) -> Result<(), ConfigError> {
        let mut seen: Vec<KeyedListenAddress> = Vec::new();
        for (key, address) in listeners {
            if let Some((other, taken)) =
                seen.iter().find(|(_, taken)| is_address_conflict(*taken, address))
            {
                let why = format!("{address} is taken by {other}, which is {taken}");
                return Err(self.key_locations.error_for_key(key, why));
            }
            seen.push((key, address));
        }
        Ok(())
    }
}

/// Whether two listeners cannot exist at once. An unspecified address includes all addresses; port
/// 0 is any free port.
fn is_address_conflict(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    let overlap = a == b || a.is_unspecified() || b.is_unspecified();
    one.port() != 0 && one.port() == other.port() && overlap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_listeners_share_an_address() {
        const SHARED: &str = "[store]\nkind = \"redis\"\nurl = \"redis://a\"\n\
                              [access]\nseal_key_file = \"k\"\n";
        for (more, edge, control, expected) in [
            ("", ["127.0.0.1:1", "127.0.0.1:2"], "127.0.0.1:3", None),
            ("", ["127.0.0.1:0", "127.0.0.1:0"], "127.0.0.1:0", None),
            ("", ["127.0.0.1:1", "127.0.0.1:1"], "127.0.0.1:3", Some("t.toml:3: edge.admin: ")),
            ("", ["0.0.0.0:1", "127.0.0.1:1"], "127.0.0.1:3", Some("t.toml:3: edge.admin: ")),
            ("", ["[::1]:1", "127.0.0.1:1"], "127.0.0.1:3", None),
            ("", ["127.0.0.1:1", "127.0.0.1:2"], "127.0.0.1:1", Some("t.toml:5: control.listen")),
            (SHARED, ["127.0.0.1:1", "127.0.0.1:2"], "127.0.0.1:1", None),
            (SHARED, ["127.0.0.1:1", "127.0.0.1:1"], "127.0.0.1:2", Some("edge.admin: ")),
        ] {
            let [listen, admin] = edge;
            let text = format!(
                "[edge]\nlisten = \"{listen}\"\nadmin = \"{admin}\"\n[control]\n\
                 listen = \"{control}\"\n{more}"
            );
            let config = Config::parse("t.toml", &text, []).unwrap();
            match (
                config.reject_definite_listener_collisions().map_err(|error| error.to_string()),
                expected,
            ) {
                (Ok(()), None) => {}
                (Err(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }
}
