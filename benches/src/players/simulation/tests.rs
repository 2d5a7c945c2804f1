//! Virtual players in front of a minimal HTTP server.

use std::collections::BTreeMap;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::super::client::HttpVersion;
use super::*;

/// Serves `respond` of each request's path; the URL of the server's multivariant playlist.
async fn serve(respond: fn(&str) -> (&'static str, String)) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut lines = BufReader::new(stream);
                let mut line = String::new();
                while lines.read_line(&mut line).await.is_ok_and(|count| count > 0) {
                    let path = line.split(' ').nth(1).unwrap().to_owned();
                    while line.trim_end() != "" {
                        line.clear();
                        lines.read_line(&mut line).await.unwrap();
                    }
                    line.clear();
                    let (status, body) = respond(&path);
                    let length = body.len();
                    let text =
                        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
                    lines.get_mut().write_all(text.as_bytes()).await.unwrap();
                }
            });
        }
    });
    Url::parse(&format!("http://{address}/master.m3u8")).unwrap()
}

#[tokio::test]
async fn viewers_watch_a_recording_to_its_end() {
    let playlist = serve(|path| match path {
        "/master.m3u8" => ("200 OK", crate::multivariant_playlist()),
        "/segment.ts?n=862000001&exp=1795221000&sig=8f14e45fceea167a5a36dedd4bea2543" => {
            ("404 Not Found", String::new())
        }
        _ if path.starts_with("/live.m3u8") => {
            ("200 OK", crate::window_playlist(0, 4) + "#EXT-X-ENDLIST\n")
        }
        _ => ("200 OK", "x".repeat(1000)),
    });
    let simulation = ViewerSimulation {
        playlists: vec![playlist.await],
        viewers: 3,
        duration: Duration::from_secs(60),
        arrival_period: Duration::ZERO,
        variant: VariantChoice::First,
    };
    let connector = Connector::new(HttpVersion::Negotiated).unwrap();
    let statistics = simulation.run(&connector).await;
    let actual =
        (statistics.viewers.len(), statistics.polls, statistics.segments, statistics.bytes);
    assert_eq!(actual, (3, 6, 9, 9000));
    assert_eq!((statistics.stalls, statistics.startup_delay.len()), (0, 3));
    assert_eq!(statistics.versions, BTreeMap::from([("HTTP/1.1".to_owned(), 15)]));
    let viewer = statistics.viewers.first().unwrap();
    assert_eq!((viewer.segments, viewer.failures, viewer.media_bytes), (3, 1, 3000));
    assert_eq!(statistics.failures, BTreeMap::from([("status 404 Not Found".to_owned(), 3)]));
}
