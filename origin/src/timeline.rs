//! Which segment is live: a pure function of unix time, so that any restart, and any second
//! origin, continues the same numbers with the same bytes.

use std::ops::RangeInclusive;

pub(crate) const SEGMENT_MS: u64 = 2_000;
pub(crate) const SEGMENTS_PER_LOOP: u64 = 12;
pub(crate) const LOOP_SECONDS: u64 = SEGMENT_MS * SEGMENTS_PER_LOOP / 1_000;

/// 2026-01-01T00:00:00Z: decode times count from here. It is a loop boundary, and it keeps them
/// far below 2^53, which is what players in JavaScript can hold exactly.
const EPOCH_SEGMENT: u64 = 1_767_225_600_000 / SEGMENT_MS;
const _: () = assert!(EPOCH_SEGMENT.is_multiple_of(SEGMENTS_PER_LOOP));

/// The number of the newest published segment. It covers the two seconds that just ended.
pub(crate) fn newest(now_ms: u64) -> u64 {
    now_ms / SEGMENT_MS
}

/// The numbers a playlist lists, oldest first.
pub(crate) fn window(now_ms: u64, length: u64) -> RangeInclusive<u64> {
    let newest = newest(now_ms);
    newest.saturating_sub(length.saturating_sub(1))..=newest
}

/// Segments stay for another window after they left the playlist: a player may be late.
pub(crate) fn is_served(n: u64, now_ms: u64, length: u64) -> bool {
    window(now_ms, length * 2).contains(&n)
}

/// When the first frame of segment `n` was "filmed", in unix milliseconds.
pub(crate) fn date_ms(n: u64) -> u64 {
    n.saturating_sub(1) * SEGMENT_MS
}

/// The segment's place in the embedded loop.
pub(crate) fn media_index(n: u64) -> usize {
    (n % SEGMENTS_PER_LOOP) as usize
}

/// How many whole loops lie before segment `n`'s own.
pub(crate) fn loops_before(n: u64) -> u64 {
    n.saturating_sub(EPOCH_SEGMENT) / SEGMENTS_PER_LOOP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_clock() {
        // (now in ms, newest, window of 3)
        for (now, n, first) in [(10_000, 5, 3), (11_999, 5, 3), (12_000, 6, 4), (0, 0, 0)] {
            assert_eq!(newest(now), n, "at {now}");
            assert_eq!(window(now, 3), first..=n, "at {now}");
        }
    }

    #[test]
    fn a_segment_ends_when_it_is_published() {
        for n in [1, 7, EPOCH_SEGMENT, EPOCH_SEGMENT + 41] {
            let published_at = n * SEGMENT_MS;
            assert_eq!(newest(published_at), n);
            assert_eq!(date_ms(n) + SEGMENT_MS, published_at);
        }
    }

    #[test]
    fn late_players_are_served_for_one_more_window() {
        let now = 200_000; // newest is 100
        for (n, served) in [(101, false), (100, true), (93, true), (85, true), (84, false)] {
            assert_eq!(is_served(n, now, 8), served, "segment {n}");
        }
    }

    #[test]
    fn loops_count_from_the_epoch() {
        for (n, loops, index) in [(0, 0, 0), (11, 0, 11), (12, 0, 0), (13, 1, 1), (36, 3, 0)] {
            if n >= 12 {
                let live = EPOCH_SEGMENT + n;
                assert_eq!((loops_before(live), media_index(live)), (n / 12, (n % 12) as usize));
            }
            assert_eq!(media_index(n), index, "loops {loops}");
        }
        assert_eq!(loops_before(5), 0, "a clock before 2026 still plays");
    }
}
