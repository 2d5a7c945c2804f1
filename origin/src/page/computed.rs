//! `/embed/token`: a player that computes the answer to a challenge before it is told, in a code
//! of its own, where the playlist is.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::Html;
use flate2::{Compression, write::GzEncoder};
use std::io::Write as _;

use super::{find, html};
use crate::answer::Refusal;
use crate::gate;
use crate::media::Feed;
use crate::routes::Site;

const CHALLENGE_TTL: Duration = Duration::from_secs(60);
const KEY: [u8; 5] = [7, 22, 44, 3, 81];

pub(crate) async fn page(
    State(site): State<Site>,
    Path(feed): Path<String>,
) -> Result<Html<String>, Refusal> {
    let Feed { id, name, .. } = find(&feed)?;
    let challenge = site.key.mint_csrf("challenge", id, site.clock.unix_seconds(), CHALLENGE_TTL);
    let script = format!(
        "<h1>{name}</h1><script>\n\
         var challenge = \"{challenge}\", key = {KEY:?};\n\
         function answer(text, key) {{\n\
           var out = \"\";\n\
           for (var i = 0; i < text.length; i++)\n\
             out += (text.charCodeAt(i) ^ key[i % key.length]).toString(16).padStart(2, \"0\");\n\
           return out.split(\"\").reverse().join(\"\");\n\
         }}\n\
         fetch(\"/embed/token/{id}/stream?c=\" + challenge + \"&a=\" + answer(challenge, key));\n\
         </script>"
    );
    Ok(html(&format!("{name}, computed"), &script))
}

#[derive(serde::Deserialize)]
pub(crate) struct Answer {
    c: String,
    a: String,
}

/// Hex of the gzip of JSON, so that nobody reads it by accident.
pub(crate) async fn stream(
    State(site): State<Site>,
    Path(feed): Path<String>,
    headers: http::HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<String, Refusal> {
    let feed = find(&feed)?;
    gate::came_from_player(&site, &headers).map_err(|_| Refusal::Form("referer"))?;
    let now = site.clock.unix_seconds();
    let asked = site.key.check_csrf(&answer.c, "challenge", feed.id, now);
    if asked.is_err() || answer.a != expected(&answer.c) {
        return Err(Refusal::Form("answer"));
    }
    let (playlist, expires) = site.playlist_url(feed);
    let json = serde_json::json!({"playlist": playlist, "expires": expires}).to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = gzip.write_all(json.as_bytes()).and_then(|()| gzip.finish());
    let packed = packed.map_err(|_| Refusal::NotFound)?;
    Ok(packed.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn expected(challenge: &str) -> String {
    let keyed = challenge.bytes().zip(KEY.iter().cycle());
    let hex: String = keyed.map(|(byte, key)| format!("{:02x}", byte ^ key)).collect();
    hex.chars().rev().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_script_and_we_agree() {
        // As a browser computes it.
        assert_eq!(super::expected("17.ab"), "3326201263");
    }
}
