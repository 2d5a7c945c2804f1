//! Rewritten playlists.

use reqwest::Method;

use super::EdgeFixture;
use super::upstream::recording;

#[tokio::test]
async fn playlists() {
    let fixture = EdgeFixture::new().await;
    let master = fixture.get(&fixture.proxy("/master.m3u8")).await;
    assert_eq!(master.status, 200);
    assert_eq!(master.header("content-type"), Some("application/vnd.apple.mpegurl"));
    assert_eq!(master.header("access-control-allow-origin"), Some("*"));
    assert!(master.header("server-timing").unwrap().starts_with("origin;dur="));
    let text = master.text();
    // Every URI leads to the edge; everything else is unchanged, including line ends.
    assert!(text.contains("# a comment\r\n") && text.contains("# between\r\n"), "{text}");
    assert!(
        !text.contains(&fixture.upstream.to_string()) && !text.contains("video.m3u8"),
        "{text}"
    );

    let links = fixture.links(&fixture.proxy("/master.m3u8")).await;
    assert_eq!(links.len(), 2);
    // URIs are resolved against the URL after the redirect, and the gzip coding is decoded.
    let media = fixture.get(&links[1]).await;
    assert_eq!(media.status, 200, "{}", media.text());
    // A title that names a host which no plain link may name is left out.
    let text = media.text();
    assert!(text.contains("#EXTINF:2,\n") && !text.contains("not-a-uri"), "{text}");
    let paths: Vec<String> = fixture
        .links(&links[1])
        .await
        .iter()
        .map(|link| link.split_once('?').unwrap().0.to_owned())
        .collect();
    assert!(paths[0].starts_with("/relay/") && paths[0].ends_with(".key"), "{paths:?}");
    assert!(paths[1].starts_with("/relay/") && paths[1].ends_with(".mp4"), "{paths:?}");
    assert_eq!(&paths[2..], ["/relay/7.m4s", "/relay/8.m4s"]);

    let etag = media.header("etag").unwrap().to_owned();
    let again = fixture.send(Method::GET, &links[1], &[("if-none-match", &etag)]).await;
    assert_eq!(again.status, 304);
    let head = fixture.send(Method::HEAD, &links[1], &[]).await;
    assert_eq!((head.status, head.body.unwrap().len()), (200, 0));
    assert_eq!(head.headers["content-length"], media.headers["content-length"]);
}

#[tokio::test]
async fn a_long_recording_is_a_playlist_like_any_other() {
    let fixture = EdgeFixture::new().await;
    assert!(recording().len() > 1_800_000);
    let links = fixture.links(&fixture.proxy("/vod.m3u8")).await;
    assert_eq!(links.len(), 9000);
    assert!(links[8999].starts_with("/relay/8999.ts?u="), "{}", links[8999]);
}

/// ffmpeg refuses a segment whose extension is not its container's, so links have the container's
/// extension whatever the upstream's URI has.
#[tokio::test]
async fn links_have_the_extension_of_the_container() {
    let fixture = EdgeFixture::new().await;
    let links = fixture.links(&fixture.proxy("/masked.m3u8")).await;
    assert!(links[0].starts_with("/relay/0.vtt?u="), "{links:?}");
    let cues = fixture.get(&links[0]).await;
    assert_eq!(cues.headers["content-type"], "text/vtt; charset=utf-8");
    assert!(cues.text().contains("Box, box."));
}
