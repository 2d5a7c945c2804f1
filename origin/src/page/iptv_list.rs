//! `/iptv.m3u`: the feeds as entries of an IPTV list, among entries that are not live HLS streams
//! of the programme.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use crate::media::library;
use crate::state::OriginState;

pub(crate) async fn list(State(state): State<OriginState>) -> Response {
    let base = &state.base;
    let mut text = format!("#EXTM3U x-tvg-url=\"{base}/guide.xml\"\n");
    for feed in &library().feeds {
        let (id, name) = (feed.id, feed.name);
        let (playlist, _) = state.mint_playlist_url(feed);
        text += &format!(
            "#EXTINF:-1 tvg-id=\"{id}\" group-title=\"Motorsport\",Race: {name}\n\
             #EXTVLCOPT:http-referrer={base}/embed/{id}\n{playlist}\n"
        );
    }
    text += &format!(
        "#EXTINF:-1 group-title=\"Motorsport\",Race: replay\n{base}/vod/replay.mp4\n\
         #EXTINF:-1 group-title=\"News\",News\n{base}/open/pit-lane/master.m3u8\n\
         #EXTINF:-1 group-title=\"News\",Radio\nrtmp://127.0.0.1/radio\n"
    );
    ([(header::CONTENT_TYPE, "audio/x-mpegurl")], text).into_response()
}
