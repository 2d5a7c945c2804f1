//! The contenders. A new one is a new file and one line in [`build_peers`].
//!
//! - [`haproxy`], [`hls_proxy`], [`mediaflow_proxy`], [`nginx`], [`varnish`]: other servers.
//! - [`pitwall`]: Pitwall's edge.
//! - [`reference_servers`]: the ceiling and the raw copy loop.
//! - [`link_style`]: how each is asked for an upstream URL.

mod haproxy;
mod hls_proxy;
mod link_style;
mod mediaflow_proxy;
mod nginx;
mod pitwall;
mod reference_servers;
mod varnish;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};

pub(crate) use link_style::{LinkStyle, LinkTarget};

use crate::load::fetch;
use crate::process::{Process, find_free_address};
use crate::testbed::Testbed;

/// Work that a peer can do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Workload {
    /// A segment that was requested before: a cache hit.
    Stored,
    /// A segment that was never requested before: a cache miss.
    Relayed,
    /// A playlist at a URL that was never requested before.
    Playlist,
    /// A playlist that all clients request at one URL; the peer reuses it as its settings say.
    Shared,
    /// A playlist that each client polls at its own URL; the peer never reuses a response.
    Fresh,
    /// A stored segment over TLS, HTTP/1.1.
    Tls,
    /// A stored segment over TLS, HTTP/2, a few concurrent streams on each connection.
    Http2,
}

impl Workload {
    pub(crate) fn is_segment(self) -> bool {
        matches!(self, Self::Stored | Self::Relayed | Self::Tls | Self::Http2)
    }

    pub(crate) fn label(self) -> &'static str {
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

/// A server that can be measured.
pub(crate) trait Peer {
    fn name(&self) -> &str;
    /// The work that the peer does with its settings.
    fn workloads(&self) -> &[Workload];
    fn link_style(&self) -> LinkStyle {
        LinkStyle::SamePath
    }
    /// Whether the peer fetches generated responses from the origin's second server as well.
    fn can_reach_both_origins(&self) -> bool {
        self.link_style() != LinkStyle::SamePath
    }
    /// Starts the peer, listening on `listen`, in front of the testbed's origin.
    ///
    /// # Errors
    /// When the peer is not installed or does not start.
    fn spawn(
        &self,
        testbed: &Testbed,
        listen: SocketAddr,
        threads: usize,
    ) -> anyhow::Result<Process>;
}

/// A running peer.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) address: SocketAddr,
    pub(crate) link_style: LinkStyle,
    pub(crate) can_reach_both_origins: bool,
    pub(crate) process: Process,
}

/// A peer that was not measured, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct SkippedContender {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// All peers, whether installed or not.
pub(crate) fn build_peers(testbed: &Testbed) -> Vec<Box<dyn Peer>> {
    let mut peers: Vec<Box<dyn Peer>> =
        vec![Box::new(reference_servers::CeilingServer), Box::new(reference_servers::RawCopyLoop)];
    peers.extend(pitwall::build_peers(&testbed.pitwall_executables));
    peers.extend(nginx::build_peers());
    peers.push(Box::new(varnish::Varnish));
    peers.extend(haproxy::build_peers());
    peers.push(Box::new(hls_proxy::HlsProxy));
    peers.push(Box::new(mediaflow_proxy::MediaflowProxy));
    peers
}

/// Starts a peer and waits until it listens.
///
/// # Errors
/// The peer with the reason why it does not run.
pub(crate) fn start_contender(
    peer: &dyn Peer,
    testbed: &Testbed,
    threads: usize,
) -> Result<Contender, SkippedContender> {
    let start = || {
        let address = find_free_address()?;
        let mut process = peer.spawn(testbed, address, threads)?;
        process
            .wait_until_listening(address)
            .with_context(|| last_log_line(testbed, peer.name()))?;
        Ok(Contender {
            name: peer.name().to_owned(),
            workloads: peer.workloads().to_vec(),
            address,
            link_style: peer.link_style(),
            can_reach_both_origins: peer.can_reach_both_origins(),
            process,
        })
    };
    start().map_err(|error: anyhow::Error| SkippedContender {
        name: peer.name().to_owned(),
        reason: format!("{error:#}"),
    })
}

/// Timeout of a response: some peers load much of their code for the first one.
const FIRST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

impl Contender {
    /// The body of the response to `path`.
    ///
    /// # Errors
    /// When there is no response, or its status is not 200.
    pub(crate) fn fetch_body(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let response = fetch(self.address, path, FIRST_RESPONSE_TIMEOUT)?;
        if response.status != 200 {
            bail!("status {}", response.status);
        }
        Ok(response.body)
    }
}

fn last_log_line(testbed: &Testbed, name: &str) -> String {
    let log = testbed.read_contender_log(name);
    let last = log.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or("its log is empty".to_owned(), |line| format!("the last line of its log: {line:?}"))
}
