//! Maps unix time to segment numbers. The mapping is a pure function, so that a restarted origin,
//! or a second one, continues the same numbers with the same bytes.

use std::ops::RangeInclusive;

pub(crate) const SEGMENT_DURATION_MS: u64 = 2_000;
pub(crate) const SEGMENTS_PER_LOOP: u64 = 12;
pub(crate) const LOOP_DURATION_SECONDS: u64 = SEGMENT_DURATION_MS * SEGMENTS_PER_LOOP / 1_000;

/// The segment of 2026-01-01T00:00:00Z, from which decode times count. The segment is a loop
/// boundary, and so recent that decode times stay far below 2^53, the largest integer range that
/// players in JavaScript represent exactly.
const EPOCH_SEGMENT: u64 = 1_767_225_600_000 / SEGMENT_DURATION_MS;
const _: () = assert!(EPOCH_SEGMENT.is_multiple_of(SEGMENTS_PER_LOOP));

/// The number of the newest published segment, which covers the last complete two seconds.
pub(crate) fn newest_segment(now_ms: u64) -> u64 {
    now_ms / SEGMENT_DURATION_MS
}

/// The segment numbers that a playlist of `length` segments lists, oldest first.
pub(crate) fn playlist_window(now_ms: u64, length: u64) -> RangeInclusive<u64> {
    let newest = newest_segment(now_ms);
    newest.saturating_sub(length.saturating_sub(1))..=newest
}

/// Whether segment `n` is available: a segment stays so for one more window after it left the
/// playlist (RFC 8216, 6.2.2), since a player may request it late.
pub(crate) fn is_served(n: u64, now_ms: u64, length: u64) -> bool {
    playlist_window(now_ms, length * 2).contains(&n)
}

/// The EXT-X-PROGRAM-DATE-TIME of segment `n`'s first frame, in unix milliseconds.
pub(crate) fn segment_date_ms(n: u64) -> u64 {
    n.saturating_sub(1) * SEGMENT_DURATION_MS
}

/// The index of segment `n` in the embedded loop.
pub(crate) fn loop_index(n: u64) -> usize {
    (n % SEGMENTS_PER_LOOP) as usize
}

/// The number of complete loops between the epoch and the loop of segment `n`; 0 before the epoch.
pub(crate) fn loops_before(n: u64) -> u64 {
    n.saturating_sub(EPOCH_SEGMENT) / SEGMENTS_PER_LOOP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_clock() {
        // (now in ms, newest segment, first segment of a window of 3)
        for (now, n, first) in [(10_000, 5, 3), (11_999, 5, 3), (12_000, 6, 4), (0, 0, 0)] {
            assert_eq!(newest_segment(now), n, "at {now}");
            assert_eq!(playlist_window(now, 3), first..=n, "at {now}");
        }
    }

    #[test]
    fn a_segment_ends_when_it_is_published() {
        for n in [1, 7, EPOCH_SEGMENT, EPOCH_SEGMENT + 41] {
            let published_at = n * SEGMENT_DURATION_MS;
            assert_eq!(newest_segment(published_at), n);
            assert_eq!(segment_date_ms(n) + SEGMENT_DURATION_MS, published_at);
        }
    }

    #[test]
    fn late_players_are_served_for_one_more_window() {
        let now = 200_000; // the newest segment is 100
        for (n, served) in [(101, false), (100, true), (93, true), (85, true), (84, false)] {
            assert_eq!(is_served(n, now, 8), served, "segment {n}");
        }
    }

    #[test]
    fn loops_count_from_the_epoch() {
        for (n, loops, index) in [(0, 0, 0), (11, 0, 11), (12, 0, 0), (13, 1, 1), (36, 3, 0)] {
            if n >= 12 {
                let live = EPOCH_SEGMENT + n;
                assert_eq!((loops_before(live), loop_index(live)), (n / 12, (n % 12) as usize));
            }
            assert_eq!(loop_index(n), index, "loops {loops}");
        }
        assert_eq!(loops_before(5), 0, "a clock before 2026 still plays");
    }
}
