//! What the connections share while they are driven.

use std::net::SocketAddr;

use super::Tally;

/// Enough for a head; what of a body comes along is copied, which is little.
const HEAD: usize = 4096;

/// The most that is thrown away at once. Its memory is never touched.
const DISCARD: usize = 8 << 20;

/// What every answer must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    Exactly(u64),
    AtLeast(u64),
}

impl Expect {
    pub(super) fn accepts(self, length: u64) -> bool {
        match self {
            Self::Exactly(expected) => length == expected,
            Self::AtLeast(least) => length >= least,
        }
    }
}

/// Writes the path that the connection of that number asks for next.
pub(super) type Ask<'a> = Box<dyn FnMut(usize, &mut String) + 'a>;

pub(super) struct Turn<'a> {
    pub(super) address: SocketAddr,
    pub(super) expect: Expect,
    pub(super) request: Ask<'a>,
    pub(super) tally: Tally,
    /// Whether a connection that was answered asks again.
    pub(super) asking: bool,
    pub(super) path: String,
    pub(super) head: Vec<u8>,
    pub(super) sink: Vec<u8>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(address: SocketAddr, expect: Expect, request: Ask<'a>, tally: Tally) -> Self {
        let (head, sink) = (vec![0; HEAD], vec![0; DISCARD]);
        Self { address, expect, request, tally, asking: false, path: String::new(), head, sink }
    }
}
