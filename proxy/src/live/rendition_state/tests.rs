use pitwall_hls::splice::NumberMapping;

use super::*;

const TARGET: Duration = Duration::from_secs(6);

/// A rendition as an edge knows it that has just begun with it: the edges have agreed on a splice
/// at number 100, and on all numbers below `next_number`.
fn begun_at(next_number: u64) -> (RenditionState, RenditionSplice) {
    let state = RenditionState::default();
    let known_next_number = next_number;
    let decision = SpliceDecision { next_number, known_next_number, ..SpliceDecision::default() };
    state.adopt_peer_tail(&decision);
    let from = NumberMapping { upstream: 500, published: 100, ..NumberMapping::default() };
    let splice = Splice { from, ..Splice::initial("a".to_owned(), 6) };
    let record = serde_json::to_vec(&splice).unwrap();
    let splice = state.adopt_splice(&record, &Arc::default()).unwrap();
    (state, splice)
}

/// An edge that begins publishes nothing below what players may have, from itself before it was
/// killed or from others: a source that is a little behind is waited for, for three target
/// durations, and one that counts anew is spliced anew.
#[tokio::test(start_paused = true)]
async fn an_edge_that_begins_does_not_step_back() {
    use PlaylistContinuity::{Behind, Continuous, Restarted};
    for (what, next_number, end, seconds, expected) in [
        ("it goes on", 110, 110, 0, Continuous),
        ("it has come further meanwhile", 110, 117, 0, Continuous),
        ("a server is a segment behind", 110, 109, 0, Behind),
        ("it is behind still", 110, 109, 17, Behind),
        ("it does not come", 110, 109, 18, Restarted),
        ("it counts anew", 110, 106, 0, Restarted),
        ("nothing is known", 0, 3, 0, Continuous),
    ] {
        let (state, splice) = begun_at(next_number);
        let numbers = end - 3..end;
        let mut continuity = state.check_continuity(&splice, &numbers, TARGET);
        if seconds > 0 {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            continuity = state.check_continuity(&splice, &numbers, TARGET);
        }
        assert_eq!(continuity, expected, "{what}");
        let recorded = state.record_publication(&splice, Bytes::new(), end, None);
        assert_eq!(recorded == Continuous, expected == Continuous, "{what}");
    }
}

/// An edge that has published by another splice, before it was killed, does not publish the same
/// numbers by the one in force.
#[tokio::test(start_paused = true)]
async fn numbers_from_before_a_kill_are_not_published_again() {
    for (superseded_below, expected) in [(0, false), (100, false), (101, true)] {
        let state = RenditionState::default();
        let decision = SpliceDecision {
            next_number: 100,
            known_next_number: superseded_below.max(100),
            superseded_below,
            ..SpliceDecision::default()
        };
        state.adopt_peer_tail(&decision);
        state.adopt_peer_tail(&SpliceDecision { superseded_below: 0, ..decision });
        let from = NumberMapping { published: 100, discontinuity: 1, ..NumberMapping::default() };
        let splice = Splice { from, ..Splice::initial("a".to_owned(), 6) };
        state.adopt_splice(&serde_json::to_vec(&splice).unwrap(), &Arc::default()).unwrap();
        assert_eq!(state.has_diverged(), expected, "{superseded_below}");
    }
}

/// What other edges publish later does not hold this one back: its server of the source may be
/// behind theirs for ever.
#[tokio::test(start_paused = true)]
async fn an_edge_that_has_published_goes_by_its_own_numbers() {
    let (state, splice) = begun_at(110);
    assert_eq!(
        state.record_publication(&splice, Bytes::new(), 110, None),
        PlaylistContinuity::Continuous
    );
    let (next_number, known_next_number) = (113, 113);
    let decision = SpliceDecision { next_number, known_next_number, ..SpliceDecision::default() };
    state.adopt_peer_tail(&decision);
    for (end, expected) in
        [(111, PlaylistContinuity::Continuous), (109, PlaylistContinuity::Behind)]
    {
        assert_eq!(state.check_continuity(&splice, &(end - 3..end), TARGET), expected, "{end}");
    }
}

/// A playlist that is fresh is polled again once another edge has published more, and only once for
/// each number.
#[tokio::test(start_paused = true)]
async fn a_fresh_playlist_is_outdated_by_what_others_publish() {
    let (state, splice) = begun_at(110);
    state.record_publication(&splice, Bytes::new(), 110, None);
    let basis = SelectionVersion { map_version: 1, revision: 1 };
    let poll = || {
        let playlist = ServedPlaylist::new(b"#EXTM3U".to_vec(), "x", None, Duration::ZERO);
        let (playlist, polled_at) = (Arc::new(playlist), Instant::now());
        let fresh_until = polled_at + TARGET;
        state.set_latest(LatestPlaylist { playlist, polled_at, fresh_until, basis });
    };
    let is_fresh = |peer_number: Option<(u64, Instant)>| {
        let peer_number =
            peer_number.map(|(next_number, heard_at)| PeerNextNumber { next_number, heard_at });
        state.find_fresh_playlist(basis, state.outdated_since(peer_number)).is_some()
    };
    poll();
    tokio::time::advance(Duration::from_secs(1)).await;
    let heard_at = Instant::now();
    assert!(is_fresh(None));
    assert!(is_fresh(Some((110, heard_at))), "another has published the same");
    assert!(!is_fresh(Some((111, heard_at))), "another has published more");
    poll();
    assert!(is_fresh(Some((111, heard_at))), "the source has no more here");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!is_fresh(Some((112, Instant::now()))), "the next number");
}

/// A source that is published from now on is not blamed for how long the one before it stood still:
/// one that is late by a segment was left again as frozen.
#[tokio::test(start_paused = true)]
async fn another_source_begins_with_a_clock_of_its_own() {
    let (state, splice) = begun_at(110);
    let stands =
        |last_number| state.source_progress.record_playlist(Some(last_number), TARGET).as_secs();
    assert_eq!(stands(509), 0);
    tokio::time::advance(Duration::from_secs(8)).await;
    assert_eq!(stands(509), 8);
    let next = Splice { generation: 2, source: "b".to_owned(), ..(*splice.splice).clone() };
    state.adopt_splice(&serde_json::to_vec(&next).unwrap(), &Arc::default()).unwrap();
    assert_eq!(stands(300), 0, "it has just begun");
    tokio::time::advance(Duration::from_secs(7)).await;
    assert_eq!(stands(301), 0, "it goes on");
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(stands(301), 9, "it stands still");
}

/// The first player after a pause gets the playlist as it is: new segments are not withheld from it
/// for the sake of players that have left.
#[tokio::test(start_paused = true)]
async fn who_returns_after_a_pause_is_the_first_player() {
    for (what, next, expected) in [("nothing new", 110, true), ("new segments", 115, false)] {
        let (state, splice) = begun_at(110);
        state.record_publication(&splice, Bytes::new(), 110, None);
        assert!(state.last_published(TARGET).is_some());
        tokio::time::advance(TARGET * 5).await;
        state.record_poll(next);
        assert_eq!(state.last_published(TARGET).is_some(), expected, "{what}");
    }
}

/// The end of one rendition counts from when it was first seen, whatever the others do.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_rendition_counts_from_when_it_was_first_seen() {
    let state = RenditionState::default();
    let mut elapsed = vec![];
    for (source, seconds) in [("a", 0), ("a", 40), ("a", 30), ("b", 5), ("b", 5)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        elapsed.push(state.record_end(source).elapsed().as_secs());
    }
    assert_eq!(elapsed, [0, 40, 70, 0, 5]);
    state.forget_end();
    assert_eq!(state.record_end("b").elapsed(), Duration::ZERO);
}

/// What can no longer be fetched leaves the playlist and does not come back; the newest segments may
/// exist a moment later.
#[test]
fn a_segment_that_is_gone_leaves_unless_it_is_new() {
    let (state, splice) = begun_at(120);
    state.record_publication(&splice, Bytes::new(), 120, None);
    for (number, leaves, available_from) in [
        (119, false, 0),
        (114, false, 0),
        (113, true, 114),
        (110, false, 114),
        (113, false, 114),
        (u64::MAX, false, 114),
    ] {
        assert_eq!(state.mark_gone(number), leaves, "{number}");
        assert_eq!(state.available_from(), available_from, "{number}");
    }
}
