//! The addresses that a process listens on: each of its listeners needs its own.

use std::net::SocketAddr;

use super::{Config, Invalid, StoreConfig};

type Listener = (&'static str, SocketAddr);

impl Config {
    /// For an edge and a control plane in one process.
    pub(crate) fn separate_all(&self) -> Result<(), Invalid> {
        self.separate(self.edge_listeners().chain(self.control_listeners()))
    }

    pub(crate) fn separate_edge(&self) -> Result<(), Invalid> {
        self.separate(self.edge_listeners())
    }

    pub(crate) fn separate_control(&self) -> Result<(), Invalid> {
        self.separate(self.control_listeners())
    }

    /// As far as it can be said before it is known which process it is for: with a shared store one
    /// file may be for edges and control planes on machines of their own.
    pub(crate) fn separate_any(&self) -> Result<(), Invalid> {
        match self.store {
            StoreConfig::Memory => self.separate_all(),
            StoreConfig::Redis { .. } => {
                self.separate_edge()?;
                self.separate_control()
            }
        }
    }

    fn edge_listeners(&self) -> impl Iterator<Item = Listener> {
        [("edge.listen", self.edge.listen), ("edge.admin", self.edge.admin)].into_iter()
    }

    fn control_listeners(&self) -> impl Iterator<Item = Listener> {
        let listen = self.control.listen.map(|address| ("control.listen", address));
        let admin = self.control.admin.map(|address| ("control.admin", address));
        listen.into_iter().chain(admin)
    }

    fn separate(&self, listeners: impl Iterator<Item = Listener>) -> Result<(), Invalid> {
        let mut seen: Vec<Listener> = Vec::new();
        for (key, address) in listeners {
            if let Some((other, taken)) = seen.iter().find(|(_, taken)| collide(*taken, address)) {
                let why = format!("{address} is taken by {other}, which is {taken}");
                return Err(self.origins.invalid(key, why));
            }
            seen.push((key, address));
        }
        Ok(())
    }
}

/// Whoever listens on all addresses of a machine listens on each of them.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
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
            match (config.separate_any().map_err(|error| error.to_string()), expected) {
                (Ok(()), None) => {}
                (Err(said), Some(expected)) => assert!(said.contains(expected), "{said}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }
}
