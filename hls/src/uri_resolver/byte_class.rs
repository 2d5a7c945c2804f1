//! Byte classes of URIs from a lookup table: one load per byte, faster than the sets of
//! `percent_encoding` for text that needs no encoding.

/// A set of properties of a byte, or the union over all bytes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteClass(u8);

const BYTE_CLASSES: [u8; 256] = build_byte_classes();

impl ByteClass {
    pub(super) const NOT_IN_PATH: Self = Self(1);
    pub(super) const NOT_IN_QUERY: Self = Self(2);
    /// Encoded in a path, or ends a scheme, or begins a fragment.
    pub(super) const NOT_PLAIN: Self = Self(4);
    pub(super) const SLASH: Self = Self(8);
    /// Allowed in a scheme.
    pub(super) const SCHEME: Self = Self(16);

    pub(super) fn of_byte(byte: u8) -> Self {
        Self(BYTE_CLASSES[usize::from(byte)])
    }

    /// The union of the classes of all bytes of the text.
    pub(super) fn of(text: &[u8]) -> Self {
        Self(text.iter().fold(0, |union, &byte| union | BYTE_CLASSES[usize::from(byte)]))
    }

    pub(super) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

const fn build_byte_classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut index = 0;
    while index < classes.len() {
        let byte = index as u8;
        if !byte.is_ascii_graphic() || matches!(byte, b'"' | b'<' | b'>') {
            classes[index] |= ByteClass::NOT_IN_PATH.0 | ByteClass::NOT_IN_QUERY.0;
        }
        if matches!(byte, b'`' | b'{' | b'}') {
            classes[index] |= ByteClass::NOT_IN_PATH.0;
        }
        if classes[index] != 0 || matches!(byte, b':' | b'#') {
            classes[index] |= ByteClass::NOT_PLAIN.0;
        }
        if byte == b'/' {
            classes[index] |= ByteClass::SLASH.0;
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.') {
            classes[index] |= ByteClass::SCHEME.0;
        }
        index += 1;
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri_resolver::{PATH_ENCODE_SET, QUERY_ENCODE_SET};
    use percent_encoding::percent_encode;

    #[test]
    fn agrees_with_what_is_encoded() {
        for byte in 0..=u8::MAX {
            let text = [byte];
            for (set, class) in [
                (PATH_ENCODE_SET, ByteClass::NOT_IN_PATH),
                (QUERY_ENCODE_SET, ByteClass::NOT_IN_QUERY),
            ] {
                let is_unchanged =
                    percent_encode(&text, set).eq([std::str::from_utf8(&text).unwrap_or("")]);
                assert_eq!(ByteClass::of_byte(byte).intersects(class), !is_unchanged, "{byte:#x}");
            }
        }
    }
}
