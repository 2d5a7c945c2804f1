//! Shifts the timestamps of a segment of the loop to its position on the timeline.
//!
//! - [`mp4`] for fragmented MP4.
//! - [`ts`] for MPEG-TS.

pub(crate) mod mp4;
pub(crate) mod ts;

/// A defect of the embedded media. Since media/make.sh makes all of it, no request can cause one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RestampError {
    #[error("box or packet at byte {0} is cut short")]
    Truncated(usize),
    #[error("no {0} box")]
    MissingBox(&'static str),
    #[error("the fragment's track {0} is not in the init segment")]
    UnknownTrack(u32),
    #[error("the time does not fit a version 0 {0} box")]
    TimeOverflow(&'static str),
    #[error("no transport stream sync byte at byte {0}")]
    MissingSyncByte(usize),
    #[error("no packet carries a presentation time")]
    MissingTimestamp,
}
