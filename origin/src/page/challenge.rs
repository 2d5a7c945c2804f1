//! `/embed/token`: a player whose script must answer a challenge before the origin sends the
//! playlist URL, in an encoding of its own.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::Html;
use flate2::{Compression, write::GzEncoder};
use std::io::Write as _;

use super::{find_feed, render_html};
use crate::hotlink_protection;
use crate::media::Feed;
use crate::response::RequestError;
use crate::state::OriginState;

const CHALLENGE_TTL: Duration = Duration::from_secs(60);
const CHALLENGE_KEY: [u8; 5] = [7, 22, 44, 3, 81];

pub(crate) async fn page(
    State(state): State<OriginState>,
    Path(feed): Path<String>,
) -> Result<Html<String>, RequestError> {
    let Feed { id, name, .. } = find_feed(&feed)?;
    let challenge =
        state.signing_key.mint_csrf("challenge", id, state.clock.unix_seconds(), CHALLENGE_TTL);
    let script = format!(
        "<h1>{name}</h1><script>\n\
         var challenge = \"{challenge}\", key = {CHALLENGE_KEY:?};\n\
         function answer(text, key) {{\n\
           var out = \"\";\n\
           for (var i = 0; i < text.length; i++)\n\
             out += (text.charCodeAt(i) ^ key[i % key.length]).toString(16).padStart(2, \"0\");\n\
           return out.split(\"\").reverse().join(\"\");\n\
         }}\n\
         fetch(\"/embed/token/{id}/stream?c=\" + challenge + \"&a=\" + answer(challenge, key));\n\
         </script>"
    );
    Ok(render_html(&format!("{name}, computed"), &script))
}

#[derive(serde::Deserialize)]
pub(crate) struct ChallengeAnswer {
    c: String,
    a: String,
}

/// Checks the answer to a challenge and returns the playlist URL as hexadecimal, gzipped JSON,
/// which a recipe must decode.
pub(crate) async fn check_answer(
    State(state): State<OriginState>,
    Path(feed): Path<String>,
    headers: http::HeaderMap,
    Query(answer): Query<ChallengeAnswer>,
) -> Result<String, RequestError> {
    let feed = find_feed(&feed)?;
    hotlink_protection::require_player_referer(&state, &headers)
        .map_err(|_| RequestError::FormRejected("referer"))?;
    let now = state.clock.unix_seconds();
    let challenge = state.signing_key.check_csrf(&answer.c, "challenge", feed.id, now);
    if challenge.is_err() || answer.a != expected_answer(&answer.c) {
        return Err(RequestError::FormRejected("answer"));
    }
    let (playlist, expires) = state.mint_playlist_url(feed);
    let json = serde_json::json!({"playlist": playlist, "expires": expires}).to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = gzip.write_all(json.as_bytes()).and_then(|()| gzip.finish());
    let packed = packed.map_err(|_| RequestError::NotFound)?;
    Ok(packed.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn expected_answer(challenge: &str) -> String {
    let keyed = challenge.bytes().zip(CHALLENGE_KEY.iter().cycle());
    let hex: String = keyed.map(|(byte, key)| format!("{:02x}", byte ^ key)).collect();
    hex.chars().rev().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_expected_answer_is_what_the_script_computes() {
        // Computed by the page's script in a browser.
        assert_eq!(super::expected_answer("17.ab"), "3326201263");
    }
}
