//! The list of channels with what a viewer has to show for each: players of channels keep no
//! cookies, and load the list once a day.

use crate::access::Door;

/// The control plane writes `/live/{stream}/index.m3u8` at the end of a line, and the guide's
/// address in quotes.
pub fn write(list: &str, shown: &dyn Fn(Door<'_>) -> String) -> String {
    const GUIDE: &str = "/iptv/guide.xml";
    let mut out = String::with_capacity(list.len());
    for line in list.lines() {
        match stream(line) {
            Some(stream) => out.extend([line, &shown(Door::Stream(stream))]),
            None if line.starts_with("#EXTM3U") => {
                let guide = format!("{GUIDE}{}", shown(Door::Guide));
                out.push_str(&line.replace(GUIDE, &guide));
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn stream(line: &str) -> Option<&str> {
    if line.starts_with('#') {
        return None;
    }
    let (_, stream) = line.strip_suffix("/index.m3u8")?.rsplit_once("/live/")?;
    (!stream.contains('/')).then_some(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "#EXTM3U url-tvg=\"https://tv.example/iptv/guide.xml\" x-tvg-url=\"https://tv.example/iptv/guide.xml\"\n\
                        #EXTINF:-1 tvg-id=\"pit.pitwall\",Pit /live/x/index.m3u8\n\
                        https://tv.example/live/pit/index.m3u8\n";

    #[test]
    fn every_address_is_followed_by_what_opens_it() {
        assert_eq!(write(LIST, &|_| String::new()), LIST, "an open house");
        let shown = |door: Door<'_>| match door {
            Door::Stream(stream) => format!("?key={stream}"),
            Door::Guide => "?key=guide".to_owned(),
            Door::Api | Door::House => unreachable!("no list leads there"),
        };
        assert_eq!(
            write(LIST, &shown),
            LIST.replace("guide.xml", "guide.xml?key=guide")
                .replace("pit/index.m3u8", "pit/index.m3u8?key=pit"),
        );
    }
}
