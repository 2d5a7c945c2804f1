//! Compression of what goes to Redis often: the entries of a map, and for each published number the
//! JSON of segments that differ in little but a number.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// More than any record has: its segments come from a playlist of 16 MiB at most.
const RECORD_MAX_BYTES: u64 = 64 << 20;

/// Compresses a record with zlib (RFC 1950). An empty record stays empty.
pub(super) fn compress(record: &[u8]) -> Vec<u8> {
    if record.is_empty() {
        return Vec::new();
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let compressed = encoder.write_all(record).and_then(|()| encoder.finish());
    compressed.unwrap_or_else(|_| record.to_vec())
}

/// The record that was compressed. What is not compressed, as earlier versions wrote it, is
/// returned as it is.
pub(super) fn decompress(stored: Vec<u8>) -> Vec<u8> {
    let mut record = Vec::new();
    let decoder = ZlibDecoder::new(stored.as_slice());
    match decoder.take(RECORD_MAX_BYTES).read_to_end(&mut record) {
        Ok(_) => record,
        Err(_) => stored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were() {
        let segments = |count: u64| {
            let segment = |n| {
                let lines =
                    format!("#EXTINF:2,\\nhttps://cdn.example/live/720p/{n}.ts?token=a0b1c2");
                format!("{{\"number\":{n},\"discontinuity\":0,\"key\":\"\",\"lines\":\"{lines}\"}}")
            };
            (0..count).map(segment).collect::<Vec<_>>().join(",").into_bytes()
        };
        for record in [Vec::new(), b"{}".to_vec(), segments(4), segments(1000)] {
            assert_eq!(decompress(compress(&record)), record);
            assert_eq!(decompress(record.clone()), record, "an earlier version wrote it");
        }
        let record = segments(4);
        assert!(compress(&record).len() * 2 < record.len());
    }
}
