//! Properties of the records that edges share, and of playlists that are published by them.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use pitwall_hls::{Splice, UriReference, Variables};
use pitwall_upstream_map::store::SpliceDecision;
use pitwall_upstream_map::{MemoryStore, StreamId};
use prometheus::{IntCounterVec, Opts};
use url::Url;

use super::{PublishOutcome, Publisher, SpliceCandidate, parse_playlist};
use crate::live::source_switch::SwitchReason;
use crate::live::stream_state::StreamState;
use crate::playlist::UpstreamPlaylist;
use crate::playlist::rewrite_cache::{RewriteKey, RewrittenPlaylist};

/// A switch record, a splice record, a tail record and playlists of two sources in turn, separated
/// by lines `--`: what an edge is told before it publishes the playlists. Checks that an edge ends
/// with a playlist or a problem whatever it is told, that a playlist can be parsed, and that its
/// numbers do not step back.
pub fn splice_records(data: &[u8]) {
    let Some(publisher) = new_publisher() else { return };
    let mut parts = split(data).into_iter();
    let mut record = || parts.next().unwrap_or_default().to_vec();
    let decision = SpliceDecision {
        generation: 7,
        switch_record: record(),
        splice_record: Some(record()),
        next_number: 0,
        known_next_number: 0,
        superseded_below: 0,
        tail_record: record(),
        reserved_below: 0,
        generation_age: Some(Duration::ZERO),
        tail_age: Some(Duration::ZERO),
        is_shared: true,
    };
    publisher.stream_state.apply_decision(&decision);
    publisher.rendition_state.adopt_peer_tail(&decision);
    let source_switch = publisher.stream_state.current_generation().source_switch;
    if let (Some(source_switch), Some(record)) = (source_switch, &decision.splice_record) {
        publisher.rendition_state.adopt_splice(record, &source_switch);
    }
    let mut first_number = 0;
    for (index, playlist) in parts.enumerate() {
        let source = if index % 2 == 0 { "a" } else { "b" };
        let Some((splice, text)) = poll(&publisher, source, playlist) else { continue };
        let Ok(parsed) = parse_playlist(&text) else {
            // What the first source writes and nobody can splice is published as it came.
            assert!(splice.is_initial(), "it is no playlist: {}", text.escape_ascii());
            continue;
        };
        assert!(parsed.first_number >= first_number, "{first_number}: {}", text.escape_ascii());
        first_number = parsed.first_number;
    }
}

fn split(data: &[u8]) -> Vec<&[u8]> {
    const SEPARATOR: &[u8] = b"\n--\n";
    let (mut parts, mut rest) = (Vec::new(), data);
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|it| it == SEPARATOR) {
        parts.push(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + SEPARATOR.len()..).unwrap_or_default();
    }
    parts.push(rest);
    parts
}

/// One attempt to publish a playlist: what players get of it, if anything, and by which splice.
fn poll(publisher: &Publisher, source: &str, playlist: &[u8]) -> Option<(Arc<Splice>, Vec<u8>)> {
    let candidate = SpliceCandidate {
        source,
        preferred_source: source,
        map_version: 1,
        max_target_duration: 2,
        switch_reason: SwitchReason::Failed,
        playlist,
    };
    // The store is in memory, so that nothing is waited for.
    let splice = publisher.propose_splice(&candidate, false).now_or_never()?.ok()??;
    let rewritten = rewrite(playlist)?;
    publisher.check_continuity(&splice, &rewritten);
    match publisher.publish(&splice, &rewritten, false).now_or_never()?.ok()? {
        PublishOutcome::Playlist(text) => Some((splice.splice, text.to_vec())),
        PublishOutcome::Behind | PublishOutcome::Superseded => None,
    }
}

fn rewrite(playlist: &[u8]) -> Option<RewrittenPlaylist> {
    let base_url = Url::parse("http://origin.example/v.m3u8").ok()?;
    let key = RewriteKey {
        base_url: base_url.clone(),
        seal_period: 1,
        expires: None,
        extension: "ts",
        upstream_generation: 1,
        splice: None,
    };
    let body = bytes::Bytes::copy_from_slice(playlist);
    let upstream = UpstreamPlaylist { body, base_url, fetch_duration: Duration::ZERO };
    let mut mapper = |reference: &UriReference<'_>, out: &mut Vec<u8>| {
        out.extend_from_slice(reference.url.as_bytes());
    };
    RewrittenPlaylist::rewrite(None, upstream, key, &Variables::default(), "x", &mut mapper).ok()
}

fn new_publisher() -> Option<Publisher> {
    let stream_state = Arc::new(StreamState::default());
    Some(Publisher {
        store: MemoryStore::new(),
        switch_counter: IntCounterVec::new(Opts::new("switches", "Switches."), &["reason"]).ok()?,
        rendition_state: stream_state.get_or_create_rendition("v"),
        stream_state,
        stream: StreamId::of_feed("World feed")?,
        rendition: "v".to_owned(),
        window: Duration::from_secs(300),
    })
}
