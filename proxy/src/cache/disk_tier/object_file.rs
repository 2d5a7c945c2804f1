//! The file of an object: magic bytes, a BLAKE3 checksum of all that follows, the length of the
//! header (4 bytes, little endian), the header as JSON, and the body.
//!
//! A file is written under another name and renamed, so that a half-written one is never found; a
//! machine that loses its power may leave one that is damaged, which the checksum tells.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::cache::chunks::Chunks;
use crate::cache::object_key::ObjectKey;
use crate::cache::object_metadata::ObjectMetadata;
use crate::cache::object_store::CachedObject;

const MAGIC: &[u8] = b"pitwall object 1\n";
const CHECKSUM_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;
/// Longer than any header: a damaged length is not believed.
const HEADER_MAX_BYTES: usize = 64 << 10;

/// What is known of an object beside its body. It has no URL, which may hold a token.
#[derive(Serialize, Deserialize)]
pub(super) struct FileHeader {
    key: [u8; 32],
    url_key: [u8; 32],
    pub(super) stream: Option<String>,
    /// Unix seconds at which the object is stale.
    pub(super) expires_at: u64,
    etag: Option<String>,
    last_modified: Option<String>,
    content_range: Option<String>,
}

impl FileHeader {
    pub(super) fn of(key: &ObjectKey, object: &CachedObject, expires_at: u64) -> Self {
        let text = |value: &Option<HeaderValue>| {
            value.as_ref().and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        Self {
            key: key.0,
            url_key: object.url_key.0,
            stream: object.stream.as_deref().map(str::to_owned),
            expires_at,
            etag: text(&object.metadata.etag),
            last_modified: text(&object.metadata.last_modified),
            content_range: text(&object.metadata.content_range),
        }
    }

    pub(super) fn url_key(&self) -> ObjectKey {
        ObjectKey(self.url_key)
    }

    pub(super) fn metadata(&self, length: u64) -> ObjectMetadata {
        let value = |text: &Option<String>| HeaderValue::from_str(text.as_deref()?).ok();
        ObjectMetadata {
            length: Some(length),
            etag: value(&self.etag),
            last_modified: value(&self.last_modified),
            content_range: value(&self.content_range),
        }
    }
}

/// The parts of an object's file, in their order.
pub(super) fn encode_object(header: &FileHeader, body: &Chunks) -> io::Result<Vec<Bytes>> {
    let header = serde_json::to_vec(header)?;
    let length = u32::try_from(header.len()).map_err(io::Error::other)?;
    let mut parts = vec![
        Bytes::from_static(MAGIC),
        Bytes::new(),
        Bytes::copy_from_slice(&length.to_le_bytes()),
        header.into(),
    ];
    let mut position = 0;
    while let Some(chunk) = body.slice_at(position, u64::MAX) {
        position += chunk.len() as u64;
        parts.push(chunk);
    }
    let mut hasher = blake3::Hasher::new();
    for part in parts.iter().skip(2) {
        hasher.update(part);
    }
    if let Some(checksum) = parts.get_mut(1) {
        *checksum = Bytes::copy_from_slice(hasher.finalize().as_bytes());
    }
    Ok(parts)
}

/// Writes a file as `new`, and renames it to `path`.
pub(super) fn write_whole(new: &Path, path: &Path, parts: &[Bytes]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(new)?;
    for part in parts {
        file.write_all(part)?;
    }
    drop(file);
    fs::rename(new, path)
}

/// The object with this key in the file `path`.
///
/// # Errors
/// The file cannot be read, is damaged, or is that of another object.
pub(super) fn read_object(path: &Path, key: &ObjectKey) -> io::Result<(FileHeader, Bytes)> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file is damaged");
    let file = Bytes::from(fs::read(path)?);
    let rest = file.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let (checksum, rest) = rest.split_at_checked(CHECKSUM_BYTES).ok_or_else(damaged)?;
    if blake3::hash(rest).as_bytes() != checksum {
        return Err(damaged());
    }
    let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or_else(damaged)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (header, body) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let header: FileHeader = serde_json::from_slice(header)?;
    (header.key == key.0).then(|| (header, file.slice_ref(body))).ok_or_else(damaged)
}

/// Key and header of a file, whose body is not looked at. `None` if it is no object.
pub(super) fn read_header(path: &Path) -> Option<(ObjectKey, FileHeader)> {
    let mut file = File::open(path).ok()?;
    let mut start = [0; MAGIC.len() + CHECKSUM_BYTES + LENGTH_BYTES];
    file.read_exact(&mut start).ok()?;
    let (_, length) = start.strip_prefix(MAGIC)?.split_at_checked(CHECKSUM_BYTES)?;
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let mut header = vec![0; Some(length).filter(|length| *length <= HEADER_MAX_BYTES)?];
    file.read_exact(&mut header).ok()?;
    let header: FileHeader = serde_json::from_slice(&header).ok()?;
    Some((ObjectKey(header.key), header))
}
