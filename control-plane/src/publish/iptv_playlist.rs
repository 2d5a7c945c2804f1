//! `/iptv/playlist.m3u`: the streams for VLC, Kodi and Jellyfin, linked to the XMLTV guide.

use std::fmt::Write as _;

use pitwall_upstream_map::Stream;

use super::{PublicUrl, playlist_path, xmltv_guide};

/// Constant, as viewers sort channels into groups by it.
const GROUP_TITLE: &str = "Pitwall";

pub(crate) fn write_m3u(streams: &[&Stream], public_url: &PublicUrl) -> String {
    let guide = public_url.absolute_url("/iptv/guide.xml");
    // Players disagree on the name of this attribute.
    let mut playlist = format!("#EXTM3U url-tvg=\"{guide}\" x-tvg-url=\"{guide}\"\n");
    for stream in streams {
        let (id, name) = (xmltv_guide::channel_id(&stream.id), sanitize_name(&stream.feed));
        let _ = writeln!(
            playlist,
            "#EXTINF:-1 tvg-id=\"{id}\" tvg-name=\"{name}\" group-title=\"{GROUP_TITLE}\",{name}\n{}",
            public_url.absolute_url(&playlist_path(&stream.id))
        );
    }
    playlist
}

/// Makes a name fit one quoted line, as the format has no escapes.
fn sanitize_name(name: &str) -> String {
    let name = name.chars().filter(|c| !c.is_control());
    name.map(|c| if c == '"' { '\'' } else { c }).collect()
}
