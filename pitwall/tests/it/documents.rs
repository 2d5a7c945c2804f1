//! SharedDocuments for other programs: the calendar, the programme guide and the IPTV list.

use std::process::Command;

use axum::Router;
use axum::routing::get;

use crate::support::{
    Edge, client, eventually, fetch, free_address, run_pitwall, start_and_read_line,
};
use crate::twin_sources::fetch_json;

const MEDIA_PLAYLIST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nnew.ts\n";

/// Four seconds at 32 kbit/s; a lower bitrate would be below the check's floor and taken for a
/// slate.
const SEGMENT_BYTES: usize = 16_000;

/// Serves a calendar in which a race began ten minutes ago, and a media playlist; the base URL.
async fn start_upstream() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let stamp = |seconds: u64| {
        let at = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap();
        at.strftime("%Y%m%dT%H%M%SZ").to_string()
    };
    let start = stamp(now.as_secs() - 600);
    let calendar = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:{start}\r\n\
         DTSTART:{start}\r\nSUMMARY:F1: Race (Harbour Grand Prix)\r\nLOCATION:Port Calder\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    );
    let router = Router::new()
        .route("/calendar.ics", get(move || async move { calendar }))
        .route("/live.m3u8", get(|| async { MEDIA_PLAYLIST }))
        .route("/new.ts", get(|| async { vec![0x47_u8; SEGMENT_BYTES] }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

#[tokio::test]
async fn links_in_documents_lead_to_the_public_url() {
    let upstream_url = start_upstream().await;
    let address = free_address();
    let config = format!(
        "[edge]\npublic_url = \"http://{address}\"\n[schedule]\nproviders = [\"ics\"]\n\
         ics_url = \"{upstream_url}/calendar.ics\"\nallow_private = [\"127.0.0.0/8\"]\n[[source]]\n\
         name = \"s\"\nkind = \"static\"\nfeed = \"World feed\"\nurl = \"{upstream_url}/live.m3u8\"\n\
         allow_private = [\"127.0.0.0/8\"]\n"
    );
    let edge = Edge::start_on(address, &config).await;
    let get = |path: &'static str| {
        let request = client().get(edge.url(path));
        // Links must not depend on these fields, or a request could make the edge link to another
        // host.
        request.header("host", "evil.test").header("x-forwarded-host", "evil.test").send()
    };
    for (path, kind, expected) in [
        ("/calendar.ics", "text/calendar; charset=utf-8", "SUMMARY:Harbour Grand Prix: Race"),
        ("/iptv/guide.xml", "application/xml; charset=utf-8", "<title>Harbour Grand Prix: Race"),
        ("/iptv/playlist.m3u", "audio/x-mpegurl", "tvg-id=\"world-feed.pitwall\""),
    ] {
        let text = eventually(path, || async {
            let response = get(path).await.ok().filter(|response| response.status() == 200)?;
            assert_eq!(response.headers()["content-type"], kind, "{path}");
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            response.text().await.ok().filter(|text| text.contains(expected))
        })
        .await;
        assert!(!text.contains("evil") && !text.contains(&upstream_url), "{path}: {text}");
    }
    let list = get("/iptv/playlist.m3u").await.unwrap().text().await.unwrap();
    let link = list.lines().find(|line| line.starts_with("http")).unwrap();
    assert_eq!(link, edge.url("/live/world-feed/index.m3u8"));
    let playlist = fetch(link).await.unwrap().text().await.unwrap();
    assert!(playlist.contains("#EXT-X-STREAM-INF"), "{playlist}");
    let status = client().head(edge.url("/calendar.ics")).send().await.unwrap();
    assert_eq!(status.headers()["content-type"], "text/calendar; charset=utf-8");
    assert_eq!(get("/iptv/").await.unwrap().status(), 404);
}

#[test]
fn a_bad_override_file_is_bad_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("overrides.toml");
    std::fs::write(&file, "[[session]]\nid = \"2026:a:b:race\"\nstrat = 1\n").unwrap();
    let config = directory.path().join("pitwall.toml");
    std::fs::write(&config, format!("[schedule]\noverride_file = {file:?}\n")).unwrap();
    for command in ["check", "run"] {
        let arguments = [command, "--config", config.to_str().unwrap()];
        let (code, _, stderr) = run_pitwall(&arguments, directory.path());
        assert_eq!(code, 2, "{command}: {stderr}");
        assert!(stderr.contains("overrides.toml:3: session.strat: unknown field"), "{stderr}");
    }
}

/// mpv plays every stream of the demo from the IPTV list.
#[tokio::test]
async fn mpv_plays_the_iptv_list() {
    let address = free_address();
    let (mut demo, _) = start_and_read_line(&["demo", "--listen", &address.to_string()]);
    let streams = ["world-feed", "onboard-7", "onboard-22", "pit-lane"];
    let list = format!("http://{address}/iptv/playlist.m3u");
    eventually("all streams play", || async {
        let status = fetch_json(&format!("http://{address}/api/status")).await?;
        (status["streams"]["healthy"] == streams.len()).then_some(())
    })
    .await;
    let mut mpv = Command::new("mpv");
    mpv.args(["--no-config", "--ytdl=no", "--vo=null", "--ao=null", "--untimed", "--frames=5"]);
    let output = mpv.arg(&list).output();
    demo.kill().unwrap();
    demo.wait().unwrap();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    for stream in streams {
        let link = format!("Playing: http://{address}/live/{stream}/index.m3u8");
        assert!(text.contains(&link), "{link}: {text}");
    }
    assert!(output.status.success() && !text.contains("Failed"), "{text}");
}
