//! A source that puts its host and its tokens into every place that a response has, in every form:
//! nothing that the edge answers tells them. A new place or form is one more line of the tables.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::support::{Edge, client, eventually, fetch, plain_link};

/// Each secret has this word in it.
const CANARY: &str = "canary";
/// Where the source plays. The edge is on another loopback address.
const SOURCE_HOST: &str = "127.0.0.2";
/// A host that plain links may name.
const OPEN_HOST: &str = "127.0.0.3";

/// Lines of a multivariant playlist; `@` is a form of the secret.
const MULTIVARIANT_PLACES: &[&str] = &[
    "# @",
    "##@",
    "#CANARIES:A=\"@\"",
    "#EXT-X-NEW:@",
    "#EXT-X-NEW:A=@",
    "#EXT-X-NEW:A=1,@",
    "#EXT-X-NEW:A=\"@\",URI=\"@\"",
    "#EXT-X-START:TIME-OFFSET=-1,X-A=\"@\"",
    "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"@\"",
    "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\",X-A=\"@\"",
    "#EXT-X-SESSION-DATA:DATA-ID=\"@\",VALUE=\"@\",LANGUAGE=\"@\"",
    "#EXT-X-SESSION-DATA:DATA-ID=\"@\",URI=\"data.json?@\"",
    "#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"data:@\",KEYFORMAT=\"@\",X-A=\"@\"",
    "#EXT-X-CONTENT-STEERING:SERVER-URI=\"steering.json\",PATHWAY-ID=\"@\"",
    "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"@\",NAME=\"@\",LANGUAGE=\"@\",CHARACTERISTICS=\"@\",CHANNELS=\"@\",X-A=\"@\",URI=\"audio.m3u8\"",
    "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"@\",NAME=\"@\",INSTREAM-ID=\"CC1\",X-A=\"@\"",
    "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=30000,VIDEO=\"@\",X-A=\"@\",URI=\"frames.m3u8\"",
    "#EXT-X-STREAM-INF:BANDWIDTH=160000,RESOLUTION=1280x720,NAME=\"@\",AUDIO=\"@\",CLOSED-CAPTIONS=\"@\",STABLE-VARIANT-ID=\"@\",PATHWAY-ID=\"@\",X-A=\"@\",X-B=@\nmedia.m3u8",
];

/// Lines of a media playlist before its first segment.
const MEDIA_PLACES: &[&str] = &[
    "# @",
    "##@",
    "#CANARIES:A=\"@\"",
    "#EXT-X-NEW:@",
    "#EXT-X-NEW @",
    "#EXT-X-NEW:see @",
    "#EXT-X-NEW:A=@",
    "#EXT-X-NEW:A='@'",
    "#EXT-X-NEW:A=\"x @ y\"",
    "#EXT-X-NEW:A=1,@",
    "#EXT-X-NEW:A=1,@,B=2",
    "#EXT-X-NEW:URI=\"@\"",
    "#EXT-X-NEW:URL=@",
    "#EXT-X-PREFETCH:@",
    "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"@\"",
    "#EXT-X-DEFINE:NAME=\"b\",VALUE=\"@\"\n#EXT-X-NEW:A=\"{$b}\"",
    "#EXT-X-DEFINE:QUERYPARAM=\"token\"",
    "#EXT-X-SERVER-CONTROL:HOLD-BACK=9,X-A=\"@\"",
    "#EXT-X-KEY:METHOD=NONE,X-A=\"@\"",
    "#EXT-X-MAP:URI=\"init.mp4\",X-A=\"@\"",
    "#EXT-X-BITRATE:@",
    "#EXT-X-TILES:RESOLUTION=\"@\",LAYOUT=@",
    "#EXT-X-CUE-OUT:DURATION=30,CUE=\"@\"",
    "#EXT-OATCLS-SCTE35:@",
    "#EXT-X-DATERANGE:ID=\"@\",CLASS=\"@\",START-DATE=\"2026-01-01T00:00:00Z\",X-COM-LINK=\"@\",SCTE35-CMD=@",
    "#EXT-X-DATERANGE:ID=\"j\",START-DATE=\"2026-01-01T00:00:00Z\",X-JSON=\"{'u':'@'}\"",
    "#EXT-X-DATERANGE:ID=\"l\",START-DATE=\"2026-01-01T00:00:00Z\",X-ASSET-LIST=\"assets.json\"",
    "#EXT-X-RENDITION-REPORT:URI=\"other.m3u8\",LAST-MSN=1,X-A=\"@\"",
    "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z @",
];

/// JSON documents; `@` is a form of the secret.
const STEERING: &str = r#"{"VERSION":1,"TTL":300,"RELOAD-URI":"again?x=@","PATHWAY-PRIORITY":["@"],"PATHWAY-CLONES":[{"HOST":"@"}],"X-A":{"b":["@"]},"@":1}"#;
const ASSETS: &str =
    r#"{"ASSETS":[{"URI":"ad.m3u8?x=@","DURATION":1,"X-A":"@","TRACKING":["@"]}],"X-B":"@"}"#;

/// Fields of each response.
const FIELDS: &[(&str, &str)] = &[
    ("server", "canary/1.0"),
    ("via", "1.1 canary.example"),
    ("location", "https://canary.example/"),
    ("content-location", "https://canary.example/"),
    ("link", "<https://canary.example/>; rel=preload"),
    ("set-cookie", "canary=Canary-Of-Set-Cookie-1; Path=/"),
    ("x-cache", "canary.example"),
    ("x-request-url", "https://canary.example/"),
    ("content-disposition", "attachment; filename=canary"),
    ("access-control-allow-origin", "https://canary.example"),
    ("strict-transport-security", "max-age=1; report-uri=canary"),
    ("server-timing", "canary;dur=1"),
    ("warning", "199 canary"),
    ("alt-svc", "h3=\"canary.example:443\""),
];

/// What no response may have as it is.
struct Secrets {
    url: String,
    forms: Vec<String>,
}

impl Secrets {
    /// The forms of the URL, and with `tokens` those of what is known of it.
    fn new(url: String, tokens: &[&str]) -> Self {
        let percent = url.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let mut forms = vec![
            url.clone(),
            url.to_uppercase(),
            url.replacen("http:", "", 1),
            url.replacen("//", "//canary:canary-password@", 1),
            url.replace('/', "\\/"),
            percent.replace('%', "%25"),
            percent,
            STANDARD.encode(&url),
            URL_SAFE_NO_PAD.encode(format!("x{url}")),
            "https://elsewhere.canary.example/a?b=c,d=e".to_owned(),
        ];
        forms.extend(tokens.iter().map(|token| (*token).to_owned()));
        Self { url, forms }
    }

    fn fill(&self, place: &str) -> String {
        self.forms.iter().map(|form| place.replace('@', form) + "\n").collect()
    }

    /// A document with a form that JSON can hold.
    fn fill_document(&self, document: &str) -> String {
        document.replace('@', &self.url)
    }

    fn assert_none_in(&self, what: &str, text: &str) {
        let lower = text.to_lowercase();
        let needles = [CANARY, SOURCE_HOST].into_iter().map(str::to_owned);
        for needle in needles.chain(self.forms.iter().map(|form| form.to_lowercase())) {
            let line = lower.lines().find(|line| line.contains(&needle));
            assert!(line.is_none(), "{needle} is in {what}: {}", line.unwrap_or_default());
        }
    }
}

struct Upstream {
    secrets: Secrets,
    sequence: AtomicUsize,
}

impl Upstream {
    fn multivariant_playlist(&self) -> String {
        let places = MULTIVARIANT_PLACES.iter().map(|place| self.secrets.fill(place));
        format!("#EXTM3U\n{}", places.collect::<String>())
    }

    fn media_playlist(&self) -> String {
        let first = self.sequence.fetch_add(1, Ordering::SeqCst);
        let places = MEDIA_PLACES.iter().map(|place| self.secrets.fill(place));
        let titles = self.secrets.forms.iter().enumerate();
        let segments =
            titles.map(|(n, form)| format!("#EXTINF:1,{form}\n{}.m4s?x={form}\n", first + n));
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n{}{}",
            places.collect::<String>(),
            segments.collect::<String>()
        )
    }
}

async fn respond(State(upstream): State<Arc<Upstream>>, Path(name): Path<String>) -> Response {
    let text = match name.as_str() {
        "master.m3u8" => upstream.multivariant_playlist(),
        "steering.json" => upstream.secrets.fill_document(STEERING),
        "assets.json" => upstream.secrets.fill_document(ASSETS),
        "html" => format!("<html>{}</html>", upstream.secrets.url),
        "long" => format!("#EXTM3U\n#{}", upstream.secrets.url.repeat(1000)),
        "gone" => {
            return (StatusCode::GONE, fields(), upstream.secrets.url.clone()).into_response();
        }
        "moved" => return (StatusCode::FOUND, fields(), "").into_response(),
        name if name.ends_with(".m3u8") => upstream.media_playlist(),
        _ => return (fields(), b"\0\0\0\x18ftypiso5aaaaaaaaaaaaaaaa".repeat(1000)).into_response(),
    };
    (fields(), text).into_response()
}

fn fields() -> HeaderMap {
    let field = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    FIELDS.iter().map(field).collect()
}

async fn start_upstream(host: &str, tokens: &[&str]) -> (String, Arc<Upstream>) {
    let listener = tokio::net::TcpListener::bind((host, 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let url = format!("http://{SOURCE_HOST}:8080/canary/live.m3u8?token={URL_TOKEN}");
    let secrets = Secrets::new(url, tokens);
    let upstream = Arc::new(Upstream { secrets, sequence: AtomicUsize::new(7) });
    let router = Router::new().route("/{name}", get(respond)).with_state(upstream.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, upstream)
}

const URL_TOKEN: &str = "Canary-Of-Url-1";
/// What the source alone has, in other forms than a URL.
const KNOWN: &[&str] = &[
    SOURCE_HOST,
    URL_TOKEN,
    "Canary-Of-Header-1",
    "Canary-Of-Cookie-1",
    "Canary-Of-Set-Cookie-1",
    "/a?b=Canary-Of-Url-1",
    "Q2FuYXJ5LU9mLVVybC0x",
];

/// Asks for a path and for all that its playlists and documents lead to.
async fn crawl(edge: &Edge, path: &str, secrets: &Secrets) -> usize {
    let mut pending = VecDeque::from([path.to_owned()]);
    let mut asked = BTreeSet::new();
    // All links of a kind are alike.
    while let Some(path) = pending.pop_front().filter(|_| asked.len() < 60) {
        if !asked.insert(path.clone()) {
            continue;
        }
        let response = fetch(&edge.url(&path)).await.unwrap();
        secrets.assert_none_in(&path, &format!("{:?}", response.headers()));
        let content_type = response.headers().get("content-type").cloned();
        let content_type = content_type.map_or(String::new(), |it| it.to_str().unwrap().to_owned());
        if !content_type.contains("mpegurl") && !content_type.contains("json") {
            continue;
        }
        // The file behind the URI of session data is passed on as it is.
        if path.contains(".json?") {
            continue;
        }
        let text = response.text().await.unwrap();
        secrets.assert_none_in(&path, &text);
        let base = reqwest::Url::parse(&edge.url(&path)).unwrap();
        let quoted = text.split('"').skip(1).step_by(2);
        for link in text.lines().filter(|line| !line.starts_with('#')).chain(quoted) {
            let is_link = link.starts_with('/') || link.ends_with(".m3u8");
            if is_link && let Ok(link) = base.join(link) {
                let query = link.query().map_or(String::new(), |query| format!("?{query}"));
                pending.push_back(format!("{}{query}", link.path()));
            }
        }
    }
    asked.len()
}

#[tokio::test]
async fn nothing_tells_where_a_source_plays() {
    let (source, upstream) = start_upstream(SOURCE_HOST, KNOWN).await;
    let (open, open_upstream) = start_upstream(OPEN_HOST, &[]).await;
    let broken = ["html", "long", "gone", "moved", "nothing.m3u8?a=b"].iter().enumerate();
    let broken = broken.map(|(n, name)| {
        format!(
            "[[source]]\nname = \"broken-{n}\"\nkind = \"static\"\nfeed = \"Broken {n}\"\n\
             url = \"{source}/{name}\"\nallow_private = [\"127.0.0.0/8\"]\n"
        )
    });
    let edge = Edge::start(&format!(
        "[upstream]\nallow_hosts = [\"{}\"]\nallow_private = [\"127.0.0.0/8\"]\n\
         [schedule]\nproviders = []\n[[source]]\nname = \"s\"\nkind = \"static\"\n\
         feed = \"World feed\"\nurl = \"{source}/master.m3u8?token={URL_TOKEN}\"\n\
         allow_private = [\"127.0.0.0/8\"]\n[source.headers]\n\
         Authorization = \"Bearer Canary-Of-Header-1\"\nCookie = \"sid=Canary-Of-Cookie-1\"\n\
         Referer = \"https://referer.canary.example/\"\n{}",
        open.trim_start_matches("http://"),
        broken.collect::<String>(),
    ))
    .await;
    let index = edge.url("/live/world-feed/index.m3u8");
    eventually("the stream is there", || async {
        fetch(&index).await.ok().filter(|response| response.status() == 200)
    })
    .await;

    let secrets = &upstream.secrets;
    let asked = crawl(&edge, "/live/world-feed/index.m3u8", secrets).await;
    assert!(asked > 10, "{asked} paths of the stream");
    let plain = plain_link("/proxy", &format!("{open}/master.m3u8"));
    let asked = crawl(&edge, &plain, &open_upstream.secrets).await;
    assert!(asked > 10, "{asked} paths of the plain link");

    let denied = plain_link("/proxy", &format!("{source}/master.m3u8?token={URL_TOKEN}"));
    for path in [
        "/",
        "/watch",
        "/status",
        "/api/bootstrap",
        "/api/schedule",
        "/api/streams",
        "/api/streams/world-feed",
        "/api/streams/world-feed/explain",
        "/api/streams/broken-0",
        "/api/streams/broken-0/explain",
        "/api/extractors",
        "/api/status",
        "/api/activity",
        "/api/widget",
        "/api/openapi.json",
        "/iptv/playlist.m3u",
        "/iptv/guide.xml",
        "/calendar.ics",
        "/live/broken-0/index.m3u8",
        "/live/world-feed/nothing.m3u8",
        &*denied,
        &*plain_link("/proxy", &format!("{open}/html")),
        &*plain_link("/proxy", &format!("{open}/long")),
        &*plain_link("/proxy", &format!("{open}/gone")),
        &*plain_link("/proxy", &format!("{open}/moved")),
        &*plain_link("/relay", &format!("{open}/gone")),
        &*plain_link("/relay", &format!("{open}/moved")),
    ] {
        let response = fetch(&edge.url(path)).await.unwrap();
        let fields = format!("{:?}", response.headers());
        let text = response.text().await.unwrap();
        secrets.assert_none_in(path, &format!("{fields}\n{text}"));
    }
    let metrics = fetch(&format!("http://{}/metrics", edge.admin)).await.unwrap();
    secrets.assert_none_in("metrics", &metrics.text().await.unwrap());
    let mut events = client().get(edge.url("/api/events")).send().await.unwrap();
    let first = events.chunk().await.unwrap().unwrap_or_default();
    secrets.assert_none_in("events", &String::from_utf8_lossy(&first));
}
