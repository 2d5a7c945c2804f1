//! The answer to [`DeliveryDirectives`]: what a player asks of the delivery of a playlist (RFC
//! 8216bis, 6.2.5).
//!
//! Directives never reach an upstream as they come: each other value would be another request
//! there, which an upstream that honours them holds open. They count only where the last playlist
//! offered them, and whoever waits for a segment waits here: the upstream is asked for what comes
//! next, once for all. Delta updates are made here: a new segment is published only after its whole
//! playlist has been read.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use pitwall_hls::DeliveryOffer;
use tokio::time::Instant;

use super::{PlaylistResult, PollOutcome, ServedPlaylist};
use crate::http::problem::Problem;
use crate::http::query::DeliveryDirectives;

/// What a playlist has to have before it is the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RequiredProgress {
    /// Media sequence number, and the partial segment of that segment.
    segment: Option<(u64, Option<u64>)>,
    /// `_HLS_skip`: a delta update.
    is_delta: bool,
}

/// How many segments beyond the newest one a player may wait for (RFC 8216bis, 6.2.5.2).
const ADVANCE_SEGMENTS_MAX: u64 = 2;
/// The Advance Part Limit (RFC 8216bis, 6.2.5.2): three seconds of partial segments, at least three.
const ADVANCE_PARTS_MIN: u64 = 3;
const ADVANCE_PARTS_SECONDS: f64 = 3.0;
/// Between two polls for one player that waits: an upstream may promise to wait and answer at once.
const RELOAD_PAUSE_MIN: Duration = Duration::from_millis(100);

/// The answer to a request with these directives. `last`: what was polled last. `poll` polls the upstream with the directives that it is given, or without any.
///
/// # Errors
/// [`Problem::BadDirective`] for a value that cannot be honoured, [`Problem::Unavailable`] if
/// what the player waits for has not come within three target durations, or the problem of the
/// poll.
pub async fn poll_until_satisfied<'a>(
    directives: &DeliveryDirectives,
    last: Option<Arc<ServedPlaylist>>,
    poll: impl Fn(Option<String>) -> BoxFuture<'a, PollOutcome> + Send + Sync,
) -> PlaylistResult {
    let last = last.filter(|last| last.fetched_at.elapsed() < last.stale_if_error_lifetime());
    let wanted = match last.map(|last| (check_directives(directives, last.delivery_offer()), last))
    {
        Some((Ok(wanted), last)) => Some((wanted, last)),
        // The playlist may have moved since, or another edge may have served the player.
        Some((Err(_), _)) | None => None,
    };
    let (wanted, playlist) = match wanted {
        Some((wanted, _)) if wanted.segment.is_none() => (wanted, poll(None).await.result?),
        Some((wanted, last)) => (wanted, wait_for_segment(wanted, last, &poll).await?),
        None => {
            let playlist = poll(None).await.result?;
            let wanted = check_directives(directives, playlist.delivery_offer())?;
            (wanted, wait_for_segment(wanted, playlist, &poll).await?)
        }
    };
    let is_delta = wanted.is_delta && !playlist.delivery_offer().has_end_list;
    Ok(if is_delta { playlist.delta_update() } else { playlist })
}

/// Polls until the playlist has the wanted segment or has ended. `playlist`: the last one.
async fn wait_for_segment<'a>(
    wanted: RequiredProgress,
    mut playlist: Arc<ServedPlaylist>,
    poll: impl Fn(Option<String>) -> BoxFuture<'a, PollOutcome> + Send + Sync,
) -> PlaylistResult {
    let Some((number, part)) = wanted.segment else { return Ok(playlist) };
    let deadline = Instant::now() + playlist.stale_if_error_lifetime();
    loop {
        let outcome = poll(Some(directives_for_upstream(playlist.delivery_offer()))).await;
        playlist = match outcome.result {
            Ok(playlist) => playlist,
            // The current playlist may be there all the same, or that of another source.
            Err(_) => poll(None).await.result?,
        };
        let offer = playlist.delivery_offer();
        if offer.has_segment_or_part(number, part) || offer.has_end_list {
            return Ok(playlist);
        }
        if Instant::now() >= deadline {
            return Err(Problem::Unavailable("what is waited for has not come"));
        }
        let pause = Instant::now() + RELOAD_PAUSE_MIN;
        tokio::time::sleep_until(outcome.fresh_until.max(pause)).await;
    }
}

/// What the playlist has to have, by what the last one offered. A directive that was not
/// offered does not count, whatever its value.
fn check_directives(
    directives: &DeliveryDirectives,
    offer: &DeliveryOffer,
) -> Result<RequiredProgress, Problem> {
    let mut wanted = RequiredProgress::default();
    if offer.has_end_list {
        return Ok(wanted);
    }
    if offer.can_block_reload {
        let number = directives.msn.as_deref().map(parse_number).transpose()?;
        let part = directives.part.as_deref().map(parse_number).transpose()?;
        let is_far = |number| number >= offer.next_number.saturating_add(ADVANCE_SEGMENTS_MAX);
        match (number, part) {
            (Some(number), _) if is_far(number) => {
                return Err(Problem::BadDirective("_HLS_msn is more than two segments ahead"));
            }
            (Some(number), Some(part))
                if number == offer.next_number
                    && part >= offer.next_part.saturating_add(advance_part_limit(offer)) =>
            {
                return Err(Problem::BadDirective("_HLS_part is too far ahead"));
            }
            (Some(number), part) => {
                wanted.segment =
                    Some((number, part)).filter(|_| !offer.has_segment_or_part(number, part));
            }
            (None, Some(_)) => {
                return Err(Problem::BadDirective("_HLS_part comes without _HLS_msn"));
            }
            (None, None) => {}
        }
    }
    if offer.can_skip {
        wanted.is_delta = match directives.skip.as_deref() {
            Some("YES" | "v2") => true,
            Some(_) => return Err(Problem::BadDirective("_HLS_skip is neither YES nor v2")),
            None => false,
        };
    }
    Ok(wanted)
}

/// The directives by which an upstream answers as soon as it has more than this playlist.
fn directives_for_upstream(offer: &DeliveryOffer) -> String {
    let mut directives = format!("_HLS_msn={}", offer.next_number);
    if offer.part_target.is_some() {
        directives += &format!("&_HLS_part={}", offer.next_part);
    }
    directives
}

fn advance_part_limit(offer: &DeliveryOffer) -> u64 {
    let parts =
        ADVANCE_PARTS_SECONDS / offer.part_target.unwrap_or(ADVANCE_PARTS_SECONDS).max(0.01);
    (parts.ceil() as u64).max(ADVANCE_PARTS_MIN)
}

/// A decimal-integer (RFC 8216bis, 4.2), of digits only.
fn parse_number(value: &str) -> Result<u64, Problem> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| value.parse().ok()).flatten();
    number.ok_or(Problem::BadDirective("_HLS_msn and _HLS_part are decimal integers"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt;

    use super::*;

    const OFFER: DeliveryOffer = DeliveryOffer {
        can_block_reload: true,
        can_skip: true,
        can_skip_date_ranges: false,
        next_number: 10,
        next_part: 2,
        part_target: Some(0.5),
        has_end_list: false,
    };

    fn directives(query: &str) -> DeliveryDirectives {
        crate::http::query::Query(query).delivery_directives().unwrap_or_default()
    }

    #[test]
    fn directives_count_where_they_are_offered_and_can_be_honoured() {
        let none = DeliveryOffer { can_block_reload: false, can_skip: false, ..OFFER };
        let whole = DeliveryOffer { part_target: None, next_part: 0, ..OFFER };
        let ended = DeliveryOffer { has_end_list: true, ..OFFER };
        let dated = DeliveryOffer { can_skip_date_ranges: true, ..OFFER };
        let wait = |number, part| Ok((Some((number, part)), false));
        let delta = Ok((None, true));
        type Segment = (u64, Option<u64>);
        const NOW: Result<(Option<Segment>, bool), &str> = Ok((None, false));
        let far = Err("_HLS_msn is more than two segments ahead");
        let number = Err("_HLS_msn and _HLS_part are decimal integers");
        for (offer, query, expected) in [
            (none, "_HLS_msn=10&_HLS_part=2&_HLS_skip=YES", NOW),
            (none, "_HLS_msn=99999", NOW),
            (none, "_HLS_msn=x", NOW),
            (ended, "_HLS_msn=11", NOW),
            (ended, "_HLS_msn=x", NOW),
            (OFFER, "_HLS_msn=9", NOW),
            (OFFER, "_HLS_msn=0", NOW),
            (OFFER, "_HLS_msn=9&_HLS_part=99", NOW),
            (OFFER, "_HLS_msn=10&_HLS_part=1", NOW),
            (OFFER, "_HLS_msn=10", wait(10, None)),
            (OFFER, "_HLS_msn=10&_HLS_part=2", wait(10, Some(2))),
            (OFFER, "_HLS_part=2&_HLS_msn=10", wait(10, Some(2))),
            (OFFER, "_HLS_msn=11&_HLS_part=0", wait(11, Some(0))),
            (OFFER, "_HLS_msn=12", far),
            (OFFER, "_HLS_msn=18446744073709551615", far),
            (OFFER, "_HLS_msn=18446744073709551616", number),
            (OFFER, "_HLS_msn=", number),
            (OFFER, "_HLS_msn=-1", number),
            (OFFER, "_HLS_msn=+10", number),
            (OFFER, "_HLS_msn=1%30", number),
            (OFFER, "_HLS_msn=10.0", number),
            (OFFER, "_HLS_msn=10&_HLS_msn=11", number),
            (OFFER, "_HLS_msn=10&_HLS_part=x", number),
            (OFFER, "_HLS_part=1", Err("_HLS_part comes without _HLS_msn")),
            (OFFER, "_HLS_msn=10&_HLS_part=7", wait(10, Some(7))),
            (OFFER, "_HLS_msn=10&_HLS_part=8", Err("_HLS_part is too far ahead")),
            (whole, "_HLS_msn=10&_HLS_part=0", wait(10, Some(0))),
            (OFFER, "_HLS_skip=YES", delta),
            (OFFER, "_HLS_skip=v2", delta),
            (dated, "_HLS_skip=v2", delta),
            (OFFER, "_HLS_skip=no", Err("_HLS_skip is neither YES nor v2")),
            (OFFER, "_HLS_msn=11&_HLS_skip=YES", Ok((Some((11, None)), true))),
            (OFFER, "_HLS_push=1&_HLS_report=a&_HLS_pathway=b", NOW),
        ] {
            let wanted = check_directives(&directives(query), &offer);
            let expected =
                expected.map(|(segment, is_delta)| RequiredProgress { segment, is_delta });
            assert_eq!(wanted, expected.map_err(Problem::BadDirective), "{query} {offer:?}");
        }
    }

    fn playlist(segments: u64) -> Arc<ServedPlaylist> {
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12\n{}",
            "#EXTINF:2,\na.ts\n".repeat(usize::try_from(segments).unwrap())
        );
        Arc::new(ServedPlaylist::new(text.into_bytes(), "x", None, Duration::ZERO))
    }

    /// Players that ask for different things: what the upstream is asked for.
    #[tokio::test(start_paused = true)]
    async fn an_upstream_is_asked_for_what_comes_next() {
        for (query, at_upstream, expected) in [
            ("_HLS_msn=2", vec![None], Ok(3)),
            ("_HLS_msn=3", vec![Some("_HLS_msn=3")], Ok(4)),
            ("_HLS_msn=4", vec![Some("_HLS_msn=3"), Some("_HLS_msn=4")], Ok(5)),
            ("_HLS_msn=4&_HLS_skip=YES", vec![Some("_HLS_msn=3"), Some("_HLS_msn=4")], Ok(5)),
            ("_HLS_skip=YES", vec![None], Ok(3)),
            ("_HLS_msn=5", vec![None], Err(400)),
        ] {
            let asked = Arc::new(Mutex::new(Vec::new()));
            let poll = |directives: Option<String>| {
                let is_blocking = directives.as_ref().is_some_and(|it| it.contains("_HLS_msn"));
                asked.lock().unwrap().push(directives);
                let blocking = asked.lock().unwrap().len() as u64;
                let segments = 3 + if is_blocking { blocking } else { 0 };
                let (result, fresh_until) = (Ok(playlist(segments)), Instant::now());
                async move { PollOutcome { result, started_at: Instant::now(), fresh_until } }
                    .boxed()
            };
            let delivered = poll_until_satisfied(&directives(query), Some(playlist(3)), poll).await;
            let delivered = delivered.map(|it| it.delivery_offer().next_number);
            assert_eq!(delivered.map_err(|problem| problem.status().as_u16()), expected, "{query}");
            let asked = asked.lock().unwrap();
            let asked: Vec<_> = asked.iter().map(Option::as_deref).collect();
            assert_eq!(asked, at_upstream, "{query}");
        }
    }

    /// An upstream that promises to wait, answers at once and has nothing new.
    #[tokio::test(start_paused = true)]
    async fn what_never_comes_is_waited_for_three_target_durations() {
        let polls = Arc::new(Mutex::new(0));
        let begun = Instant::now();
        let poll = |_| {
            *polls.lock().unwrap() += 1;
            let (result, fresh_until) = (Ok(playlist(3)), Instant::now() + RELOAD_PAUSE_MIN * 5);
            async move { PollOutcome { result, started_at: Instant::now(), fresh_until } }.boxed()
        };
        let waited = poll_until_satisfied(&directives("_HLS_msn=3"), Some(playlist(3)), poll).await;
        assert_eq!(waited.unwrap_err().status(), 503);
        assert_eq!(begun.elapsed().as_secs(), 6, "three times two seconds");
        assert!(*polls.lock().unwrap() <= 14, "{}", polls.lock().unwrap());
    }
}
