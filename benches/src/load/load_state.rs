//! State that all connections of a load generator share.

use std::net::SocketAddr;

use super::LoadResult;

/// Size of the buffer for header sections; the little content that arrives with them is copied too.
const HEAD_BUFFER_BYTES: usize = 4096;

/// Largest number of bytes discarded by one read. `MSG_TRUNC` never touches the buffer's memory.
const DISCARD_BUFFER_BYTES: usize = 8 << 20;

/// The content length that every response must have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ExpectedLength {
    Exactly(u64),
    AtLeast(u64),
}

impl ExpectedLength {
    pub(super) fn is_met_by(self, length: u64) -> bool {
        match self {
            Self::Exactly(expected) => length == expected,
            Self::AtLeast(least) => length >= least,
        }
    }
}

/// Writes the path that the connection of the given number requests next.
pub(super) type PathWriter<'a> = Box<dyn FnMut(usize, &mut String) + 'a>;

pub(super) struct LoadState<'a> {
    pub(super) address: SocketAddr,
    pub(super) expected_length: ExpectedLength,
    pub(super) write_path: PathWriter<'a>,
    pub(super) result: LoadResult,
    /// Whether a connection sends another request after a complete response.
    pub(super) is_repeating: bool,
    pub(super) path: String,
    pub(super) head_buffer: Vec<u8>,
    pub(super) discard_buffer: Vec<u8>,
}

impl<'a> LoadState<'a> {
    pub(super) fn new(
        address: SocketAddr,
        expected_length: ExpectedLength,
        write_path: PathWriter<'a>,
        result: LoadResult,
    ) -> Self {
        Self {
            address,
            expected_length,
            write_path,
            result,
            is_repeating: false,
            path: String::new(),
            head_buffer: vec![0; HEAD_BUFFER_BYTES],
            discard_buffer: vec![0; DISCARD_BUFFER_BYTES],
        }
    }
}
