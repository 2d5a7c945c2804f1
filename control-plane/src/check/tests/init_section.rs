use std::sync::Mutex;

use super::*;

/// What a source serves behind EXT-X-MAP while its encoder is started anew.
#[tokio::test]
async fn a_rendition_is_not_renamed_while_its_initialization_section_is_missing() {
    fn init_section(codec: &str) -> Option<String> {
        let entry = format!("\0\0\0\x08{codec}");
        Some(format!("\0\0\0\x18stsd\0\0\0\0\0\0\0\x01{entry}"))
    }
    type Served = Arc<Mutex<(u64, &'static str, Option<String>)>>;
    let served = Served::default();
    let serve = |State(served): State<Served>, Path(path): Path<String>| async move {
        let (sequence, map, section) = served.lock().unwrap().clone();
        match &*path {
            "m.m3u8" => format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n#EXT-X-MAP:URI=\"{map}\"\n#EXTINF:4,\na.m4s\n"
            )
            .into_response(),
            "a.m4s" => b"\0\0\0\x18styp".into_response(),
            _ => section.map_or(StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response),
        }
    };
    let router = Router::new().route("/hls/{path}", get(serve)).with_state(served.clone());
    let origin = TestOrigin::start_with("", router).await;
    let candidate = origin.candidate("m.m3u8");
    let mut last: Option<CheckFindings> = None;
    for (case, sequence, map, section, expected) in [
        ("at first", 7, "init.mp4", init_section("avc1"), Ok("v-avc")),
        ("just started", 0, "init.mp4", Some(String::new()), Err("section is empty")),
        ("not there", 0, "init.mp4", None, Err("section was answered with 404")),
        ("written", 0, "init.mp4", init_section("avc1"), Ok("v-avc")),
        ("known", 1, "init.mp4", None, Ok("v-avc")),
        ("another one", 2, "other.mp4", init_section("hvc1"), Ok("v-hevc")),
        ("in the playlist", 3, "data:video/mp4;base64,AA", None, Ok("v-hevc")),
    ] {
        *served.lock().unwrap() = (sequence, map, section);
        let found = match &last {
            None => origin.check("m.m3u8").await,
            Some(last) => {
                recheck_candidate(&origin.fetcher, &origin.source, &candidate, last).await
            }
        };
        match (found, expected) {
            (Ok(findings), Ok(id)) => {
                assert_eq!(findings.renditions[0].id.0, id, "{case}");
                last = Some(findings);
            }
            (Err(error), Err(message)) => {
                assert!(error.message.contains(message), "{case}: {error}");
                assert_eq!(error.kind, CheckFailureKind::Transient, "{case}");
            }
            (found, _) => panic!("{case}: {:?}", found.map(|_| ())),
        }
    }
}
