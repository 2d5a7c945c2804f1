//! Lists and calendars that are compressed files, whatever their name and type say. Does no I/O.

use std::borrow::Cow;
use std::io::Read;

use bzip2::read::MultiBzDecoder;
use flate2::read::{DeflateDecoder, MultiGzDecoder};
use lzma_rust2::XzReader;
use rawzip::{CompressionMethod, ZipArchive};

/// How often a file is decompressed, as servers compress files that are compressed.
const NESTING_MAX_DEPTH: usize = 3;
/// Memory for the dictionary of an xz file, in KiB. `xz -9` takes 65 MiB.
const XZ_MEMORY_MAX_KIB: u32 = 80 << 10;
/// Files of a zip archive that are looked at.
const ZIP_MAX_FILES: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Zip,
    /// A format that is not decompressed.
    Other(&'static str),
}

/// The bytes by which a file of a format is known, and where they stand.
const MAGICS: [(usize, &[u8], Format); 14] = [
    (0, b"\x1f\x8b", Format::Gzip),
    (0, b"BZh", Format::Bzip2),
    (0, b"\xfd7zXZ\0", Format::Xz),
    (0, b"\x28\xb5\x2f\xfd", Format::Zstd),
    (0, b"PK\x03\x04", Format::Zip),
    (0, b"PK\x05\x06", Format::Zip),
    (0, b"PK\x07\x08", Format::Zip),
    (0, b"7z\xbc\xaf\x27\x1c", Format::Other("7z")),
    (0, b"Rar!\x1a\x07", Format::Other("RAR")),
    (0, b"\x04\x22\x4d\x18", Format::Other("lz4")),
    (0, b"LZIP", Format::Other("lzip")),
    (0, b"\x5d\0\0", Format::Other("lzma")),
    (0, b"\x1f\x9d", Format::Other("compress (.Z)")),
    (257, b"ustar", Format::Other("tar")),
];

fn detect_format(bytes: &[u8]) -> Option<Format> {
    let found = MAGICS
        .iter()
        .find(|(at, magic, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    found.map(|(_, _, format)| *format)
}

/// The text in a file that may be compressed. Of a zip archive these are its files whose names end
/// in one of `extensions`, joined, or its only file.
///
/// # Errors
/// The file is cut short or damaged, its format is not decompressed, or it holds more than
/// `max_bytes`.
pub(crate) fn decompress<'a>(
    bytes: &'a [u8],
    extensions: &[&str],
    max_bytes: usize,
) -> Result<Cow<'a, [u8]>, String> {
    let mut content = Cow::Borrowed(bytes);
    for _ in 0..NESTING_MAX_DEPTH {
        let unpacked = match detect_format(&content) {
            None => return Ok(content),
            Some(Format::Gzip) => gunzip(&content, max_bytes)?,
            Some(Format::Bzip2) => {
                read_all(MultiBzDecoder::new(&*content), "not bzip2, or cut short", max_bytes)?
            }
            Some(Format::Xz) => {
                let reader = XzReader::new_mem_limit(&*content, true, XZ_MEMORY_MAX_KIB);
                read_all(reader, "not xz, or cut short", max_bytes)?
            }
            Some(Format::Zstd) => {
                let reader = zstd::Decoder::new(&*content).map_err(|error| error.to_string())?;
                read_all(reader, "not zstd, or cut short", max_bytes)?
            }
            Some(Format::Zip) => unzip(&content, extensions, max_bytes)?,
            Some(Format::Other(name)) => {
                return Err(format!(
                    "a file compressed as {name}, which is not read: use gzip, zip, xz, bzip2 or zstd"
                ));
            }
        };
        content = Cow::Owned(unpacked);
    }
    Ok(content)
}

/// # Errors
/// The bytes are not a gzip file, or unpack to more than `max_bytes`.
pub(crate) fn gunzip(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, &'static str> {
    read_all(MultiGzDecoder::new(bytes), "not gzip, or cut short", max_bytes)
}

/// `damaged` is the error of a file that is not in the reader's format.
fn read_all(
    reader: impl Read,
    damaged: &'static str,
    max_bytes: usize,
) -> Result<Vec<u8>, &'static str> {
    let mut unpacked = Vec::new();
    reader.take(max_bytes as u64 + 1).read_to_end(&mut unpacked).map_err(|_| damaged)?;
    if unpacked.len() > max_bytes { Err("larger than it may be") } else { Ok(unpacked) }
}

fn unzip(bytes: &[u8], extensions: &[&str], max_bytes: usize) -> Result<Vec<u8>, String> {
    let damaged = |error: rawzip::Error| format!("not zip, or cut short: {error}");
    let archive = ZipArchive::from_slice(bytes).map_err(damaged)?;
    let mut entries = archive.entries();
    let mut files = Vec::new();
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        let path = String::from_utf8_lossy(entry.file_path().as_bytes()).to_ascii_lowercase();
        // The Finder adds a file `__MACOSX/._name` of its own for each file.
        if !entry.is_dir() && !path.starts_with("__macosx/") && files.len() < ZIP_MAX_FILES {
            files.push((path, entry));
        }
    }
    let has_extension = |path: &str| extensions.iter().any(|extension| path.ends_with(extension));
    if files.len() != 1 {
        files.retain(|(path, _)| has_extension(path));
    }
    if files.is_empty() {
        return Err(format!("a zip archive without a file {}", extensions.join(" or ")));
    }
    let mut content = Vec::new();
    for (_, entry) in files {
        if !content.is_empty() {
            content.push(b'\n');
        }
        if entry.flags().is_encrypted() {
            return Err("a zip archive with a password".to_owned());
        }
        let file = archive.get_entry(entry.wayfinder()).map_err(damaged)?;
        let data = file.data();
        let reader: Box<dyn Read + '_> = match entry.compression_method() {
            CompressionMethod::STORE => Box::new(data),
            CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(data)),
            CompressionMethod::BZIP2 => Box::new(MultiBzDecoder::new(data)),
            CompressionMethod::ZSTD => {
                Box::new(zstd::Decoder::new(data).map_err(|error| error.to_string())?)
            }
            other => {
                let name = other.name().unwrap_or("another method");
                return Err(format!("a zip archive compressed with {name}: use deflate"));
            }
        };
        let reader = file.verifying_reader(reader);
        content.extend(read_all(
            reader,
            "not zip, or cut short",
            max_bytes.saturating_sub(content.len()),
        )?);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rawzip::ZipArchiveWriter;

    use super::*;

    const MAX_BYTES: usize = 1_000;
    const TEXT: &[u8] = b"#EXTM3U\n";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    fn zip(method: CompressionMethod, files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut output = Vec::new();
        let mut archive = ZipArchiveWriter::new(&mut output);
        for (name, bytes) in files {
            let file = archive.new_file(*name).compression_method(method);
            let (mut entry, config) = file.start().unwrap();
            let encoder: Box<dyn Write + '_> = match method {
                CompressionMethod::DEFLATE => Box::new(flate2::write::DeflateEncoder::new(
                    &mut entry,
                    flate2::Compression::fast(),
                )),
                _ => Box::new(&mut entry),
            };
            let mut writer = config.wrap(encoder);
            writer.write_all(bytes).unwrap();
            let (encoder, descriptor) = writer.finish().unwrap();
            drop(encoder);
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        output
    }

    /// `#EXTM3U\n`, as `xz` writes it.
    const XZ: &[u8] =
        b"\xfd\x37\x7a\x58\x5a\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x0c\x00\x00\x00\x8f\
        \x98\x41\x9c\x01\x00\x07\x23\x45\x58\x54\x4d\x33\x55\x0a\x00\x66\x0e\xc9\xa4\x2f\xee\
        \xda\xaf\x00\x01\x20\x08\xbb\x19\xd9\xbb\x1f\xb6\xf3\x7d\x01\x00\x00\x00\x00\x04\x59\
        \x5a";

    #[test]
    fn files_of_every_format() {
        let deflated = |files: &[(&str, &[u8])]| zip(CompressionMethod::DEFLATE, files);
        let stored = |files: &[(&str, &[u8])]| zip(CompressionMethod::STORE, files);
        let other = |magic: &[u8]| [magic, &[7; 20]].concat();
        let large = vec![b'a'; MAX_BYTES + 1];
        let cut = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.len() / 2);
            bytes
        };
        let tar = [&[b'a'; 257][..], b"ustar\x0000"].concat();
        for (bytes, expected) in [
            (TEXT.to_vec(), Ok(TEXT)),
            (Vec::new(), Ok(&b""[..])),
            (gzip(TEXT), Ok(TEXT)),
            (gzip(&gzip(TEXT)), Ok(TEXT)),
            ([gzip(b"#EXT"), gzip(b"M3U\n")].concat(), Ok(TEXT)),
            (bzip2(TEXT), Ok(TEXT)),
            ([bzip2(b"#EXT"), bzip2(b"M3U\n")].concat(), Ok(TEXT)),
            (zstd(TEXT), Ok(TEXT)),
            (XZ.to_vec(), Ok(TEXT)),
            (deflated(&[("list.m3u", TEXT)]), Ok(TEXT)),
            (stored(&[("get.php", TEXT)]), Ok(TEXT)),
            (
                deflated(&[
                    ("read.txt", &large),
                    ("a/List.M3U", TEXT),
                    ("__MACOSX/a/._List.M3U", b"x"),
                ]),
                Ok(TEXT),
            ),
            (deflated(&[("1.m3u", b"1"), ("2.m3u8", b"2")]), Ok(&b"1\n2"[..])),
            (deflated(&[("list.m3u.gz", &gzip(TEXT))]), Ok(TEXT)),
            (deflated(&[]), Err("a zip archive without a file .m3u or .m3u8")),
            (
                deflated(&[("a", b"1"), ("b", b"2")]),
                Err("a zip archive without a file .m3u or .m3u8"),
            ),
            (gzip(&large), Err("larger than it may be")),
            (bzip2(&large), Err("larger than it may be")),
            (zstd(&large), Err("larger than it may be")),
            (deflated(&[("list.m3u", &large)]), Err("larger than it may be")),
            (
                deflated(&[("1.m3u", &large[..600]), ("2.m3u", &large[..600])]),
                Err("larger than it may be"),
            ),
            (cut(gzip(TEXT)), Err("not gzip, or cut short")),
            (cut(bzip2(TEXT)), Err("not bzip2, or cut short")),
            (cut(zstd(TEXT)), Err("not zstd, or cut short")),
            (cut(XZ.to_vec()), Err("not xz, or cut short")),
            (cut(deflated(&[("list.m3u", TEXT)])), Err("not zip, or cut short")),
            (other(b"7z\xbc\xaf\x27\x1c"), Err("a file compressed as 7z, which is not read")),
            (other(b"Rar!\x1a\x07\x01\0"), Err("a file compressed as RAR, which is not read")),
            (gzip(&tar), Err("a file compressed as tar, which is not read")),
        ] {
            let found = decompress(&bytes, &[".m3u", ".m3u8"], MAX_BYTES);
            match (&found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(&**found, expected),
                (Err(found), Err(expected)) => {
                    assert!(found.starts_with(expected), "{found}, expected {expected}");
                }
                _ => panic!("{found:?}, expected {expected:?}"),
            }
        }
    }
}
