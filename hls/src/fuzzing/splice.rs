//! Properties of one playlist made of the playlists of two sources.

use std::time::Duration;

use crate::splice::{PlaylistWindow, Segment, SegmentedPlaylist, Splice};

/// More polls find nothing that these do not.
const POLLS_MAX: usize = 8;

/// Publishes playlists as an edge does, separated by a line `--`, or `==` where the next one is the
/// other source's. Checks that numbers have no gap, that what was published stays when the source
/// changes, and that a playlist is parsed as what was printed and a record as what was stored.
pub fn splice(data: &[u8]) {
    let mut published: Option<(Splice, SegmentedPlaylist)> = None;
    for (is_switch, text) in polls(data).into_iter().take(POLLS_MAX) {
        let Ok(mut playlist) = SegmentedPlaylist::parse(text) else { continue };
        let (splice, before) = match published.take() {
            None => {
                let initial = Splice::initial("a".to_owned(), playlist.target_duration);
                (initial, SegmentedPlaylist::default())
            }
            Some((splice, before)) if is_switch => (switch(&splice, &before, &playlist), before),
            Some(unchanged) => unchanged,
        };
        let window = PlaylistWindow::Unlimited;
        let printed = if splice.is_initial() {
            splice.render_initial(text, &before.segments, window, false).map(String::into_bytes)
        } else {
            splice.renumber_discontinuities(&mut playlist, &before.segments);
            let Ok(printed) = splice.render(&playlist, window, false) else {
                published = Some((splice, before));
                continue;
            };
            let Ok(visible) = splice.visible_segments(&playlist) else {
                panic!("segments were printed that are not visible: {printed}")
            };
            check_printed(&visible, &printed);
            Some(printed.into_bytes())
        };
        let Ok(now) = SegmentedPlaylist::parse(printed.as_deref().unwrap_or(text)) else {
            panic!("what was published is no playlist")
        };
        published = Some((splice, now));
    }
}

/// The playlists, each with whether it is of another source than the one before.
fn polls(data: &[u8]) -> Vec<(bool, &[u8])> {
    let (mut polls, mut rest, mut is_switch) = (Vec::new(), data, false);
    loop {
        let separator = (0..rest.len().saturating_sub(3))
            .find(|&at| matches!(rest.get(at..at + 4), Some(b"\n--\n" | b"\n==\n")));
        let Some(at) = separator else { break };
        let (text, after) = rest.split_at(at + 1);
        polls.push((is_switch, text));
        is_switch = after.starts_with(b"==");
        rest = after.get(3..).unwrap_or_default();
    }
    polls.push((is_switch, rest));
    polls
}

/// The splice from what is published to `new`, as another edge reads it from the store.
fn switch(previous: &Splice, published: &SegmentedPlaylist, new: &SegmentedPlaylist) -> Splice {
    let source = if previous.source == "a" { "b" } else { "a" };
    let splice =
        Splice::plan_switch(Some(previous), published, Duration::ZERO, new, source.to_owned());
    assert_eq!(splice.from.published, published.next_number(), "a gap, or a number twice");
    if let Some(last) = published.segments.last() {
        assert!(splice.from.discontinuity > last.discontinuity || last.discontinuity == u64::MAX);
    }
    let record = serde_json::to_vec(&splice).unwrap_or_default();
    let Ok(read) = serde_json::from_slice::<Splice>(&record) else {
        panic!("the record cannot be read: {}", record.escape_ascii())
    };
    assert_eq!(serde_json::to_vec(&read).unwrap_or_default(), record, "a record changes");
    read
}

/// Checks that a player reads the segments that were to be printed, one number after the other.
fn check_printed(visible: &[std::borrow::Cow<'_, Segment>], printed: &str) {
    let Ok(parsed) = SegmentedPlaylist::parse(printed.as_bytes()) else {
        panic!("what was printed is no playlist: {printed}")
    };
    let seen = |segment: &Segment| {
        let uri = segment.lines.lines().last().unwrap_or_default().to_owned();
        (segment.number, segment.discontinuity, segment.duration.to_bits(), uri)
    };
    let (read, meant): (Vec<_>, Vec<_>) = (
        parsed.segments.iter().map(seen).collect(),
        visible.iter().map(|segment| seen(segment)).collect(),
    );
    assert_eq!(read, meant, "{printed}");
    // A segment without a map behind one with a map has the map of that one: no tag ends it.
    let mut maps = parsed.segments.iter().zip(visible).filter(|(_, meant)| !meant.map.is_empty());
    assert!(maps.all(|(read, meant)| read.map == meant.map), "{printed}");
    for pair in visible.windows(2) {
        let [one, next] = pair else { continue };
        assert_eq!(next.number, one.number.saturating_add(1), "{printed}");
        assert!(next.discontinuity >= one.discontinuity, "{printed}");
    }
}
