//! [`Crowd`]: a number of viewers, streams, and a segment size.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::scenario::segments::SegmentSize;

/// Viewers, the number of streams over which they are spread, and the streams' segment size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Crowd {
    pub(crate) viewers: usize,
    pub(crate) streams: usize,
    /// Size of a segment in bytes.
    pub(crate) bytes: usize,
}

impl Crowd {
    /// Growing numbers of viewers of one stream, then growing numbers of streams with one viewer
    /// each.
    pub(crate) const ALL: [&str; 7] = [
        "10x1x500KB",
        "100x1x500KB",
        "1000x1x500KB",
        "1x1x50KB",
        "10x10x50KB",
        "100x100x50KB",
        "1000x1000x50KB",
    ];
}

/// Parses `VIEWERSxSTREAMSxSIZE`.
impl FromStr for Crowd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let mut parts = text.split('x');
            let mut count = || parts.next()?.parse().ok().filter(|count: &usize| *count > 0);
            let (viewers, streams) = (count()?, count()?);
            let size: SegmentSize = parts.next()?.parse().ok()?;
            parts.next().is_none().then_some(Self { viewers, streams, bytes: size.bytes })
        };
        parse().ok_or_else(|| "write 1000x1x500KB".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowds_are_viewers_streams_and_a_size() {
        let crowd = Crowd { viewers: 1000, streams: 10, bytes: 50_000 };
        assert_eq!("1000x10x50KB".parse(), Ok(crowd));
        for bad in ["1000x10", "0x1x50KB", "1x1x50KBx1", "axbxc", ""] {
            assert!(bad.parse::<Crowd>().is_err(), "{bad}");
        }
    }
}
