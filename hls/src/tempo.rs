//! How a media playlist moves: what its tags say in passing, while it is rewritten.

use crate::line::Tag;
use crate::number;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tempo {
    pub target_duration: Option<f64>,
    pub part_target: Option<f64>,
    /// Nothing will be added.
    pub end_list: bool,
    pub segments: u64,
}

impl Tempo {
    pub(crate) fn tag(&mut self, tag: &Tag<'_>) {
        match tag.name {
            b"EXT-X-TARGETDURATION" => self.target_duration = number::decimal(tag.value),
            b"EXT-X-PART-INF" => {
                self.part_target = tag.attribute("PART-TARGET").and_then(number::decimal);
            }
            b"EXT-X-ENDLIST" => self.end_list = true,
            _ => {}
        }
    }

    /// How many seconds of media it names, at most.
    pub fn window(&self) -> f64 {
        self.target_duration.unwrap_or_default() * self.segments as f64
    }
}
