//! Properties of what a store holds.

mod registry;

pub use self::registry::splice_registry;
use super::entries::{apply_entry, encode_entry, encode_map, remove_entry};
use super::record_compression::{compress, decompress};
use crate::map::UpstreamMap;

/// An entry of the map, its field in the first line. Checks that an entry that is refused changes
/// nothing, that one that is accepted is the same when it is written and read again and leaves
/// nothing when it is removed, and that any record can be compressed.
pub fn map_entry(data: &[u8]) {
    assert_eq!(decompress(compress(data)), data);
    decompress(data.to_vec());
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (field, plain) = data.split_at(end);
    let Ok(field) = std::str::from_utf8(field) else { return };
    let plain = plain.get(1..).unwrap_or_default();
    let mut map = UpstreamMap::default();
    if !matches!(apply_entry(&mut map, field, plain), Ok(true)) {
        assert_eq!(fields(&map), [""; 0]);
        return;
    }
    let Ok(Some(written)) = encode_entry(&map, field) else {
        // A document without text is one that is not published.
        assert!(plain.is_empty(), "an entry that was read cannot be written");
        return;
    };
    assert_eq!(fields(&map), [field]);
    let mut again = UpstreamMap::default();
    assert!(matches!(apply_entry(&mut again, field, &written), Ok(true)), "{field}");
    let Ok(Some(twice)) = encode_entry(&again, field) else { panic!("{field}") };
    assert_eq!(twice, written, "{} is written as {}", written.escape_ascii(), twice.escape_ascii());
    remove_entry(&mut map, field);
    assert_eq!(fields(&map), [""; 0]);
}

fn fields(map: &UpstreamMap) -> Vec<String> {
    encode_map(map).unwrap_or_default().into_keys().collect()
}
