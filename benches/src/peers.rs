//! Who is compared. A new one is a new file and one line in [`all`].

mod haproxy;
mod hls_proxy;
mod link;
mod mediaflow_proxy;
pub(crate) mod nginx;
pub(crate) mod ours;
mod pitwall;
mod varnish;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};

pub(crate) use link::{Kind, Link};

use crate::load::fetch;
use crate::process::{Process, free_address};
use crate::stage::Stage;

/// Work that a peer can do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// A segment that was asked for before.
    Stored,
    /// A segment that nobody asked for yet.
    Relayed,
    /// A playlist under a URL that nobody asked for yet.
    Playlist,
    /// A playlist that everybody asks for under one URL, reused as the peer's settings have it.
    Shared,
    /// A playlist that each asks for under a URL of their own again and again, never reused.
    Fresh,
    /// A stored segment over TLS, HTTP/1.1.
    Tls,
    /// A stored segment over TLS, HTTP/2, a few at once on each connection.
    Http2,
}

impl Work {
    pub(crate) fn is_segment(self) -> bool {
        matches!(self, Self::Stored | Self::Relayed | Self::Tls | Self::Http2)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Relayed => "relayed",
            Self::Playlist => "playlist",
            Self::Shared => "shared playlist",
            Self::Fresh => "fresh playlist",
            Self::Tls => "stored, TLS",
            Self::Http2 => "stored, HTTP/2",
        }
    }
}

pub(crate) trait Peer {
    fn name(&self) -> &str;
    fn works(&self) -> &[Work];
    fn link(&self) -> Link {
        Link::Path
    }
    /// Whether it asks the origin's other half for what is made, too.
    fn reaches_both_origins(&self) -> bool {
        self.link() != Link::Path
    }
    /// Starts it on `listen`, in front of the stage's origin.
    fn start(&self, stage: &Stage, listen: SocketAddr, threads: usize) -> anyhow::Result<Process>;
}

/// A peer that runs.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) works: Vec<Work>,
    pub(crate) address: SocketAddr,
    pub(crate) link: Link,
    pub(crate) reaches_both_origins: bool,
    pub(crate) process: Process,
}

/// A peer that does not, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Skipped {
    pub(crate) name: String,
    pub(crate) reason: String,
}

pub(crate) fn all(stage: &Stage) -> Vec<Box<dyn Peer>> {
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(ours::Ceiling), Box::new(ours::Copy)];
    peers.extend(pitwall::all(&stage.pitwalls));
    peers.extend(nginx::all());
    peers.push(Box::new(varnish::Varnish));
    peers.extend(haproxy::all());
    peers.push(Box::new(hls_proxy::HlsProxy));
    peers.push(Box::new(mediaflow_proxy::MediaflowProxy));
    peers
}

/// Starts it and waits until it listens.
pub(crate) fn start(peer: &dyn Peer, stage: &Stage, threads: usize) -> Result<Contender, Skipped> {
    let started = || {
        let address = free_address()?;
        let mut process = peer.start(stage, address, threads)?;
        process.wait_for(address).with_context(|| last_words(stage, peer.name()))?;
        Ok(Contender {
            name: peer.name().to_owned(),
            works: peer.works().to_vec(),
            address,
            link: peer.link(),
            reaches_both_origins: peer.reaches_both_origins(),
            process,
        })
    };
    started().map_err(|error: anyhow::Error| Skipped {
        name: peer.name().to_owned(),
        reason: format!("{error:#}"),
    })
}

/// How long a first answer may take: some load half of themselves for it.
const FIRST_ANSWER: Duration = Duration::from_secs(20);

impl Contender {
    /// The body of an answer to `path`, which must be a good one.
    pub(crate) fn first(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let fetched = fetch(self.address, path, FIRST_ANSWER)?;
        if fetched.status != 200 {
            bail!("status {}", fetched.status);
        }
        Ok(fetched.body)
    }
}

fn last_words(stage: &Stage, name: &str) -> String {
    let log = stage.log_of(name);
    let last = log.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or("it said nothing".to_owned(), |line| format!("it said {line:?}"))
}
