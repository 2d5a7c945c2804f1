//! Errors of parsing and rewriting. All of them are the upstream's fault, and an immediate retry
//! does not help.

use std::fmt;

/// Why a playlist is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlaylist {
    #[error("the playlist is empty")]
    Empty,
    #[error("not a playlist: {seen} instead of #EXTM3U")]
    NotAPlaylist { seen: UnexpectedContent },
    #[error("a media playlist without EXT-X-TARGETDURATION")]
    NoTargetDuration,
    #[error("the playlist has {bytes} bytes, more than {limit}")]
    TooLong { bytes: usize, limit: usize },
    #[error("the playlist has more than {limit} lines")]
    TooManyLines { limit: usize },
    #[error("line {line}: longer than {limit} bytes")]
    LineTooLong { line: usize, limit: usize },
    #[error(
        "line {line}: the URI is longer than {limit} bytes once it is absolute and its variables are filled in"
    )]
    UriTooLong { line: usize, limit: usize },
    #[error("line {line}: the playlist's variables are longer than {limit} bytes")]
    VariablesTooLong { line: usize, limit: usize },
    #[error("line {line}: the link to its URI would be {bytes} bytes long, more than {limit}")]
    LinkTooLong { line: usize, bytes: usize, limit: usize },
    #[error("line {line}: rewritten, the playlist is longer than {limit} bytes")]
    OutputTooLong { line: usize, limit: usize },
}

/// Why a steering manifest or asset list is rejected.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDocument {
    #[error("the document has {bytes} bytes, more than {limit}")]
    TooLong { bytes: usize, limit: usize },
    #[error("the document is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the document is neither a steering manifest nor an asset list")]
    Unrecognised,
    #[error("the link to a URI of it would be {bytes} bytes long, more than {limit}")]
    LinkTooLong { bytes: usize, limit: usize },
    #[error("rewritten, the document is longer than {limit} bytes")]
    OutputTooLong { limit: usize },
}

/// Content that was received in place of a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnexpectedContent {
    Html,
    Xml,
    Json,
    Text,
    Binary,
}

impl UnexpectedContent {
    pub(crate) fn classify(bytes: &[u8]) -> Self {
        let head = bytes.get(..512).unwrap_or(bytes);
        let text = head.trim_ascii_start();
        match text {
            _ if head.iter().any(|&byte| byte < b' ' && !byte.is_ascii_whitespace()) => {
                Self::Binary
            }
            [b'<', b'?', ..] => Self::Xml,
            [b'<', b'M', b'P', b'D', ..] => Self::Xml,
            [b'<', ..] => Self::Html,
            [b'{' | b'[', ..] => Self::Json,
            _ if head.is_ascii() => Self::Text,
            // The end of the head may cut a character in half, so only an error before the end
            // counts.
            _ => match std::str::from_utf8(head) {
                Err(error) if error.error_len().is_some() => Self::Binary,
                _ => Self::Text,
            },
        }
    }
}

impl fmt::Display for UnexpectedContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Html => "an HTML page",
            Self::Xml => "XML",
            Self::Json => "JSON",
            Self::Text => "text",
            Self::Binary => "binary data",
        })
    }
}
