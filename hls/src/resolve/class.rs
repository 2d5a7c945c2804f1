//! What a byte may be in a URI, looked up: one load per byte where the sets of `percent_encoding`
//! are made for text that does need encoding.

/// A set of properties: of a byte, or of any byte in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class(u8);

const CLASSES: [u8; 256] = classes();

impl Class {
    pub(super) const NOT_IN_PATH: Self = Self(1);
    pub(super) const NOT_IN_QUERY: Self = Self(2);
    /// Encoded in a path, or may end a scheme, or begins a fragment.
    pub(super) const NOT_PLAIN: Self = Self(4);
    pub(super) const SLASH: Self = Self(8);
    /// May stand in a scheme.
    pub(super) const SCHEME: Self = Self(16);

    pub(super) fn of_byte(byte: u8) -> Self {
        Self(CLASSES[usize::from(byte)])
    }

    /// What occurs in the text.
    pub(super) fn of(text: &[u8]) -> Self {
        Self(text.iter().fold(0, |seen, &byte| seen | CLASSES[usize::from(byte)]))
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < classes.len() {
        let byte = at as u8;
        if !byte.is_ascii_graphic() || matches!(byte, b'"' | b'<' | b'>') {
            classes[at] |= Class::NOT_IN_PATH.0 | Class::NOT_IN_QUERY.0;
        }
        if matches!(byte, b'`' | b'{' | b'}') {
            classes[at] |= Class::NOT_IN_PATH.0;
        }
        if classes[at] != 0 || matches!(byte, b':' | b'#') {
            classes[at] |= Class::NOT_PLAIN.0;
        }
        if byte == b'/' {
            classes[at] |= Class::SLASH.0;
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.') {
            classes[at] |= Class::SCHEME.0;
        }
        at += 1;
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::{PATH, QUERY};
    use percent_encoding::percent_encode;

    #[test]
    fn agrees_with_what_is_encoded() {
        for byte in 0..=u8::MAX {
            let text = [byte];
            for (set, class) in [(PATH, Class::NOT_IN_PATH), (QUERY, Class::NOT_IN_QUERY)] {
                let stays =
                    percent_encode(&text, set).eq([std::str::from_utf8(&text).unwrap_or("")]);
                assert_eq!(Class::of_byte(byte).contains(class), !stays, "{byte:#x}");
            }
        }
    }
}
