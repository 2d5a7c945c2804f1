//! The M3U list of streams for IPTV players, with a token in each link: IPTV players keep no
//! cookies, and load the list about once a day.

use crate::http::access::AccessScope;

/// Appends `token_query` of its scope to each link of the list. The control plane writes a stream's
/// link, `/live/{stream}/index.m3u8`, at the end of a line, and the guide's in quotes.
pub fn append_tokens(list: &str, token_query: &dyn Fn(AccessScope<'_>) -> String) -> String {
    const GUIDE: &str = "/iptv/guide.xml";
    let mut out = String::with_capacity(list.len());
    for line in list.lines() {
        match stream_of_line(line) {
            Some(stream) => out.extend([line, &token_query(AccessScope::Stream(stream))]),
            None if line.starts_with("#EXTM3U") => {
                let guide = format!("{GUIDE}{}", token_query(AccessScope::Guide));
                out.push_str(&line.replace(GUIDE, &guide));
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// The stream that a line of the list links to.
fn stream_of_line(line: &str) -> Option<&str> {
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
    fn a_token_is_appended_to_each_link() {
        assert_eq!(append_tokens(LIST, &|_| String::new()), LIST, "access is open");
        let token_query = |scope: AccessScope<'_>| match scope {
            AccessScope::Stream(stream) => format!("?key={stream}"),
            AccessScope::Guide => "?key=guide".to_owned(),
            AccessScope::Api | AccessScope::Site => unreachable!("the list has no such link"),
        };
        assert_eq!(
            append_tokens(LIST, &token_query),
            LIST.replace("guide.xml", "guide.xml?key=guide")
                .replace("pit/index.m3u8", "pit/index.m3u8?key=pit"),
        );
    }
}
