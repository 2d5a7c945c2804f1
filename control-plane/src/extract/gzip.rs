//! Bodies that are gzip files, whatever their type says. Does no I/O.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

/// The first bytes of every gzip file (RFC 1952 2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// # Errors
/// The bytes are not a gzip file, or unpack to more than `max_bytes`.
pub(super) fn unpack(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, &'static str> {
    let mut unpacked = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes).take(max_bytes as u64 + 1);
    decoder.read_to_end(&mut unpacked).map_err(|_| "not gzip")?;
    if unpacked.len() > max_bytes { Err("larger than it may be") } else { Ok(unpacked) }
}
