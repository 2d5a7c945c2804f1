//! `/iptv/playlist.m3u`: the same streams for VLC, Kodi and Jellyfin, bound to the guide.

use std::fmt::Write as _;

use pitwall_upstream_map::documents::PublicStream;

use super::{Site, guide};

/// Viewers sort channels into groups and expect to find them there again.
const GROUP: &str = "Pitwall";

pub(super) fn write(streams: &[PublicStream], site: &Site) -> String {
    let guide = site.url("/iptv/guide.xml");
    // Players have not agreed on one name for it.
    let mut list = format!("#EXTM3U url-tvg=\"{guide}\" x-tvg-url=\"{guide}\"\n");
    for stream in streams {
        let (id, name) = (guide::channel(stream), plain(&stream.feed));
        let _ = writeln!(
            list,
            "#EXTINF:-1 tvg-id=\"{id}\" tvg-name=\"{name}\" group-title=\"{GROUP}\",{name}\n{}",
            site.url(&stream.playlist)
        );
    }
    list
}

/// A name on one line and inside quotes; the format knows no escapes.
fn plain(name: &str) -> String {
    let name = name.chars().filter(|c| !c.is_control());
    name.map(|c| if c == '"' { '\'' } else { c }).collect()
}
