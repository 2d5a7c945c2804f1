//! Moves a segment of the loop to its place in time: bytes in, bytes out.

pub(crate) mod mp4;
pub(crate) mod ts;

/// The media is ours and embedded, so each of these is a fault of the recipe, not of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RestampError {
    #[error("box or packet at byte {0} is cut short")]
    Truncated(usize),
    #[error("no {0} box")]
    NoBox(&'static str),
    #[error("the fragment's track {0} is not in the init segment")]
    UnknownTrack(u32),
    #[error("the time does not fit a version 0 {0} box")]
    TooSmall(&'static str),
    #[error("no transport stream sync byte at byte {0}")]
    NoSync(usize),
    #[error("no packet carries a presentation time")]
    NoTime,
}
