//! [`OriginState`]: what the handlers of an origin share.

use std::sync::Arc;
use std::time::Duration;

use crate::calendar::Calendar;
use crate::clock::Clock;
use crate::media::Feed;
use crate::token::SigningKey;

/// The state that all handlers share; cheap to clone.
#[derive(Clone)]
pub(crate) struct OriginState {
    /// The origin's base URL, without a slash at the end.
    pub(crate) base: Arc<str>,
    pub(crate) signing_key: SigningKey,
    pub(crate) clock: Clock,
    pub(crate) calendar: Calendar,
    pub(crate) token_ttl: Duration,
    pub(crate) window_segments: u64,
    pub(crate) require_referer: bool,
}

impl OriginState {
    /// A canonical playlist URL with a new token, and the unix time in seconds when the token
    /// expires.
    pub(crate) fn mint_playlist_url(&self, feed: &Feed) -> (String, u64) {
        let token = self.signing_key.mint_token(feed.id, self.clock.unix_seconds(), self.token_ttl);
        (format!("{}/hls/{}/master.m3u8?{}", self.base, feed.id, token.to_query()), token.expires)
    }
}
