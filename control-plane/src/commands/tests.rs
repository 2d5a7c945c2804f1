//! Commands over real HTTP, to a control plane whose sources all hang, and to one whose source
//! responds.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pitwall_fetch::{Fetcher, Timeouts};
use pitwall_upstream_map::store::{CurrentMap, SpliceDecision, SpliceProposal};
use pitwall_upstream_map::{
    CommandKey, CommandSignature, Leadership, MapReach, MemoryStore, StoreError, UpstreamMap,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use prometheus::Registry;

use super::*;
use crate::config_files::SourceFileLocations;
use crate::control::{ControlPlane, ControlPlaneConfig, ControlPlaneSettings};
use crate::extract::ConfiguredSource;
use crate::extract::ExtractConfig;
use crate::publish::PublicUrl;
use crate::rank::RankConfig;
use crate::schedule::ScheduleConfig;
use crate::webhooks::{Webhook, WebhookConfig};

mod file_commands;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A control plane with its command server, until the test ends.
struct TestControlPlane {
    address: SocketAddr,
    admin: SocketAddr,
    state: tempfile::TempDir,
}

impl TestControlPlane {
    /// Starts with twenty sources that hang.
    async fn start(token: Option<&str>) -> Self {
        // Accepts connections and never responds.
        let silent_listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent_listener.local_addr().unwrap();
        let source = |name: &str| {
            format!(
                "[[source]]\nname='{name}'\nkind='recipe'\nfeed='World feed'\n\
                 allow_private=['127.0.0.0/8']\n[[source.step]]\nget='http://{address}/'\n\
                 save='p'\n[source.result]\nplaylist='{{{{p}}}}'\n"
            )
        };
        let text: String = (0..20).map(|n| source(&format!("hanging-{n}"))).collect();
        Self::start_with_sources(token, &text, silent_listener).await
    }

    /// Starts with these sources; `needed` is dropped when the control plane ends.
    async fn start_with_sources<T: Send + 'static>(
        token: Option<&str>,
        text: &str,
        needed: T,
    ) -> Self {
        Self::start_with_store(MemoryStore::new(), token, text, needed).await
    }

    async fn start_with_store<T: Send + 'static>(
        store: Arc<dyn Store>,
        token: Option<&str>,
        text: &str,
        needed: T,
    ) -> Self {
        Self::start_with_webhooks(store, token, text, Vec::new(), needed).await
    }

    async fn start_with_webhooks<T: Send + 'static>(
        store: Arc<dyn Store>,
        token: Option<&str>,
        text: &str,
        webhooks: Vec<WebhookConfig>,
        needed: T,
    ) -> Self {
        let webhooks =
            webhooks.into_iter().map(|webhook| Webhook::load(webhook).unwrap()).collect();
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("overrides.toml"), "# nothing yet\n").unwrap();
        let config = ControlPlaneConfig {
            settings: ControlPlaneSettings {
                schedule: ScheduleConfig {
                    providers: Vec::new(),
                    override_file: Some(state.path().join("overrides.toml")),
                    ..ScheduleConfig::default()
                },
                sources: ConfiguredSource::parse_file(text).unwrap(),
                rank: RankConfig::default(),
                webhooks,
                source_files: SourceFileLocations {
                    folder: Some(state.path().join("sources")),
                    ..SourceFileLocations::default()
                },
                edit_files: true,
                admin_token: token.map(|token| AdminToken::new(token.as_bytes()).unwrap()),
            },
            extract: ExtractConfig::default(),
            state_dir: state.path().to_owned().into(),
            check_interval: ControlPlaneConfig::DEFAULT_CHECK_INTERVAL,
            public_url: PublicUrl::new("https://edge.test/".parse().unwrap()),
        };
        let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
        let registry = Registry::new();
        let plane = ControlPlane::new(config, fetcher, store.clone(), &registry).unwrap();
        let (reload_requests, requests) = tokio::sync::mpsc::channel(1);
        let commands = plane.command_server(reload_requests.clone());
        tokio::spawn(answer_reloads(requests));
        let endpoints = AdminEndpointState {
            registry,
            store,
            admin_token: plane.admin_token(),
            reload_requests,
            log_filter: test_log_filter(),
        };
        let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (listener, admin) = (listen(), listen());
        let addresses = (listener.local_addr().unwrap(), admin.local_addr().unwrap());
        tokio::spawn(async move {
            plane.run(std::future::pending()).await;
            drop(needed);
        });
        tokio::spawn(commands.serve(listener, std::future::pending()));
        tokio::spawn(serve_admin(admin, endpoints, std::future::pending()));
        Self { address: addresses.0, admin: addresses.1, state }
    }

    async fn ask(&self, request: &str, headers: &str, body: &str) -> (u16, String, Value) {
        ask(self.address, request, headers, body).await
    }
}

/// Returns status, head and body, the latter as JSON where it is JSON.
async fn ask(
    address: SocketAddr,
    request: &str,
    headers: &str,
    body: &str,
) -> (u16, String, Value) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    // A server that rejects a body may close the connection before it has read the body.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    let response = String::from_utf8_lossy(&response).into_owned();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let json = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    (status, head.to_lowercase(), json)
}

/// Answers each request for a reload with what it is the how manieth.
async fn answer_reloads(
    mut requests: mpsc::Receiver<tokio::sync::oneshot::Sender<http::Response<Vec<u8>>>>,
) {
    for number in 1.. {
        let Some(reply) = requests.recv().await else { break };
        reply.send(http::Response::new(format!("{{\"reload\":{number}}}").into())).unwrap();
    }
}

/// The command and the admin endpoint ask the same task.
#[tokio::test]
async fn the_configuration_is_read_again_for_the_operator_alone() {
    let plane = TestControlPlane::start(Some(TOKEN)).await;
    let token = authorization_header();
    for (address, request, headers, status, reload) in [
        (plane.address, "POST /api/reload", "", 401, None),
        (plane.admin, "POST /reload", "", 401, None),
        (plane.admin, "POST /reload", "authorization: Bearer x\r\n", 401, None),
        (plane.admin, "GET /reload", &*token, 405, None),
        (plane.address, "GET /api/reload", &*token, 405, None),
        (plane.address, "POST /api/reload", &*token, 200, Some(1)),
        (plane.admin, "POST /reload", &*token, 200, Some(2)),
    ] {
        let (got, _, body) = ask(address, request, headers, "").await;
        assert_eq!((got, body["reload"].as_u64()), (status, reload), "{request} {body}");
    }
}

/// A filter that accepts a word.
fn test_log_filter() -> LogFilter {
    let filter = std::sync::Mutex::new("info".to_owned());
    Arc::new(move |text| {
        let mut filter = filter.lock().unwrap();
        match text {
            Some(text) if text.contains(' ') => return Err("no filter".to_owned()),
            Some(text) => text.clone_into(&mut filter),
            None => {}
        }
        Ok(filter.clone())
    })
}

#[tokio::test]
async fn the_log_level_is_the_operators() {
    let (token, wrong) = (authorization_header(), "authorization: Bearer x\r\n".to_owned());
    let (with, without) =
        (TestControlPlane::start(Some(TOKEN)).await, TestControlPlane::start(None).await);
    for (plane, request, headers, body, status, text) in [
        (&with, "GET /log/level", "", "", 200, "info\n"),
        (&with, "PUT /log/level", "", "debug", 401, "show the admin token"),
        (&with, "PUT /log/level", &*wrong, "debug", 401, "show the admin token"),
        (&with, "GET /log/level", "", "", 200, "info\n"),
        (&with, "PUT /log/level", &token, "two words", 400, "no filter\n"),
        (&with, "PUT /log/level", &token, &"x".repeat(5000), 413, ""),
        (&with, "PUT /log/level", &token, "debug", 200, "debug\n"),
        (&with, "GET /log/level", "", "", 200, "debug\n"),
        (&without, "PUT /log/level", &token, "debug", 403, "no admin token is configured"),
    ] {
        let (got, _, answer) = ask(plane.admin, request, headers, body).await;
        assert_eq!(got, status, "{request} {headers} {answer}");
        assert!(answer.as_str().unwrap_or_default().starts_with(text), "{request}: {answer}");
    }
}

/// One search finds a command in the logs of the edge and of the control plane.
#[tokio::test]
async fn a_command_keeps_the_id_of_its_request() {
    let plane = TestControlPlane::start(Some(TOKEN)).await;
    for (id, expected) in [("x-request-id: abc-1\r\n", true), ("x-request-id: a b\r\n", false)] {
        let headers = format!("{}{id}", authorization_header());
        let (_, head, _) = plane.ask("GET /api/extractors/none/trace", &headers, "").await;
        assert_eq!(head.contains("x-request-id: "), expected, "{head}");
        assert_eq!(head.contains("x-request-id: abc-1"), expected, "{head}");
    }
}

fn authorization_header() -> String {
    format!("authorization: Bearer {TOKEN}\r\n")
}

#[tokio::test]
async fn only_the_admin_token_is_accepted() {
    let plane = TestControlPlane::start(Some(TOKEN)).await;
    let wrong = format!("authorization: Bearer {}\r\n", TOKEN.replace('f', "e"));
    let shorter = format!("authorization: Bearer {}\r\n", TOKEN.trim_end_matches('f'));
    for (headers, status, name) in [
        (String::new(), 401, "admin-token-missing"),
        (wrong, 401, "admin-token-invalid"),
        (shorter, 401, "admin-token-invalid"),
        ("authorization: Basic YTpi\r\n".to_owned(), 401, "admin-token-invalid"),
        ("authorization: Bearer\r\n".to_owned(), 401, "admin-token-invalid"),
        (authorization_header(), 202, ""),
        (authorization_header().replace("Bearer", "bearer"), 202, ""),
    ] {
        let (got, head, body) = plane.ask("POST /api/extractors/hanging-0/run", &headers, "").await;
        assert_eq!(got, status, "{headers:?}");
        if got == 401 {
            assert_eq!(body["type"], format!("urn:pitwall:problem:{name}"));
            assert!(head.contains("www-authenticate: bearer"), "{head}");
        }
    }
    let unknown = plane.ask("GET /api/nothing", "", "").await;
    assert_eq!(unknown.0, 401, "who has no token does not even learn what there is");
    let closed = TestControlPlane::start(None).await;
    let (status, _, _) =
        closed.ask("POST /api/extractors/hanging-0/run", &authorization_header(), "").await;
    assert_eq!(status, 401, "no token is configured");
}

#[tokio::test]
async fn invalid_requests_are_rejected() {
    let plane = TestControlPlane::start(Some(TOKEN)).await;
    let (json, text) = ("content-type: application/json\r\n", "content-type: text/plain\r\n");
    let deep = format!("{{\"source\":{}", "[".repeat(1000));
    let huge = format!("{{\"source\":\"{}\"}}", "x".repeat(2 << 20));
    let switch = "POST /api/streams/world-feed/switch";
    for (request, headers, body, status, name) in [
        ("POST /api/extractors/nobody/run", "", "", 404, "extractor-unknown"),
        ("GET /api/extractors/nobody/trace", "", "", 404, "extractor-unknown"),
        ("GET /api/extractors/hanging-0/trace", "", "", 404, "trace-missing"),
        ("GET /api/extractors/hanging-0/run", "", "", 405, "method-not-allowed"),
        ("PUT /api/extractors/hanging-0/run", "", "", 405, "method-not-allowed"),
        ("GET /api/elsewhere", "", "", 404, "not-found"),
        (switch, "", "", 404, "stream-unknown"),
        (switch, json, "{}", 404, "stream-unknown"),
        (switch, json, "{\"source\":", 400, "bad-body"),
        (switch, json, "{\"source\":7}", 400, "bad-body"),
        (switch, json, "{\"sauce\":\"b\"}", 400, "bad-body"),
        (switch, json, &deep, 400, "bad-body"),
        (switch, json, "\u{1f}", 400, "bad-body"),
        (switch, text, "{}", 415, "not-json"),
        (switch, "", "{}", 415, "not-json"),
        (switch, json, &huge, 413, "body-too-large"),
    ] {
        let headers = format!("{}{headers}", authorization_header());
        let (got, head, problem) = plane.ask(request, &headers, body).await;
        let body: String = body.chars().take(40).collect();
        assert_eq!(got, status, "{request} {body}: {problem}");
        assert!(head.contains("application/problem+json"), "{head}");
        assert_eq!(problem["type"], format!("urn:pitwall:problem:{name}"), "{request} {body}");
        assert_eq!(problem["status"], status);
        if status == 405 {
            assert!(head.contains("allow: post"), "{head}");
        }
    }
}

#[tokio::test]
async fn commands_are_answered_at_once_though_every_source_hangs() {
    let plane = TestControlPlane::start(Some(TOKEN)).await;
    let mut slowest = Duration::MAX;
    // A busy machine delays a response now and then, but not one in each of these rounds.
    for _ in 0..10 {
        if slowest < Duration::from_millis(50) {
            break;
        }
        slowest = Duration::ZERO;
        for n in 0..40 {
            let request = format!("POST /api/extractors/hanging-{}/run", n % 20);
            let began = Instant::now();
            let (status, _, body) = plane.ask(&request, &authorization_header(), "").await;
            slowest = slowest.max(began.elapsed());
            assert_eq!(status, 202, "{body}");
        }
    }
    assert!(slowest < Duration::from_millis(50), "{slowest:?}");
}

/// The page is requested with a header and a token, and links to a playlist that does not exist.
#[tokio::test]
async fn the_trace_of_a_run_shows_every_step_and_no_secret() {
    let page = "<input name=csrf value=hidden-csrf><a href='/live.m3u8?sig=hidden-sig'>";
    let router =
        axum::Router::new().route("/page", axum::routing::get(move || async move { page }));
    let site = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = site.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(site, router).await.unwrap() });
    let recipe = format!(
        "[[source]]\nname='club'\nkind='recipe'\nfeed='World feed'\n\
         allow_private=['127.0.0.0/8']\nheaders={{X-Key='hidden-key'}}\n\
         [[source.step]]\nget='http://{address}/page?auth=hidden-auth'\nsave='page'\n\
         [[source.step]]\nselect='input'\nattribute='value'\nsave='csrf'\n\
         [[source.step]]\nselect='a'\nattribute='href'\nsave='playlist'\n\
         [source.result]\nplaylist='{{{{playlist}}}}'\n"
    );
    let plane = TestControlPlane::start_with_sources(Some(TOKEN), &recipe, ()).await;
    let request = "GET /api/extractors/club/trace";
    assert_eq!(plane.ask(request, "", "").await.0, 401, "it is for operators alone");
    let (head, trace) = loop {
        match plane.ask(request, &authorization_header(), "").await {
            (200, head, trace) => break (head, trace),
            // The first run has not ended.
            (404, _, problem) => {
                assert_eq!(problem["type"], "urn:pitwall:problem:trace-missing");
                let detail = problem["detail"].as_str().unwrap();
                assert!(detail.starts_with("no run of this source has ended"), "{detail}");
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert_eq!((&trace["extractor"], &trace["kind"]), (&"club".into(), &"recipe".into()));
    let describe = |step: &Value| {
        assert!(step["took_ms"].is_u64(), "{step}");
        let fields = ["step", "status", "yielded"].into_iter().filter_map(|key| step.get(key));
        let fields = fields.map(|it| it.as_str().map_or(it.to_string(), str::to_owned));
        fields.collect::<Vec<_>>().join(" ").replace(&address.to_string(), "SITE")
    };
    let steps: Vec<_> = trace["steps"].as_array().unwrap().iter().map(describe).collect();
    assert_eq!(
        steps,
        [
            "step 1 (get) 200 http://SITE/page?auth=…[11]",
            "step 2 (select \"input\") …[11]",
            "step 3 (select \"a\") /live.m3u8?sig=…[10]",
            "result http://SITE/live.m3u8?sig=…[10]",
        ]
    );
    assert_eq!(trace["checks"][0]["refused"], "the playlist was answered with 404");
    assert!(!trace.to_string().contains("hidden"), "{trace}");
}

#[tokio::test]
async fn metrics_and_health() {
    let plane = TestControlPlane::start(None).await;
    let get = |path: &str| {
        let request = format!("GET {path}");
        async move { ask(plane.admin, &request, "", "").await }
    };
    assert_eq!(get("/healthz").await.0, 200);
    while get("/readyz").await.0 != 200 {
        tokio::task::yield_now().await;
    }
    for path in ["/healthz", "/readyz", "/metrics", "/nothing"] {
        let (_, head, _) = get(path).await;
        assert!(head.contains("cache-control: no-store"), "{path}: {head}");
    }
    let (status, head, body) = get("/metrics").await;
    assert!(status == 200 && head.contains("text/plain"), "{head}");
    assert!(body.as_str().unwrap().contains("pitwall_extractor_failing"), "{body}");
}

/// A store whose lease another control plane holds.
struct RemotelyLedStore {
    held: CurrentMap,
    splice_store: Arc<MemoryStore>,
    leader: Mutex<Leadership>,
}

#[async_trait::async_trait]
impl Store for RemotelyLedStore {
    async fn publish(&self, _: UpstreamMap) -> Result<MapReach, StoreError> {
        Err(StoreError::NotLeading)
    }

    fn current_map(&self) -> &CurrentMap {
        &self.held
    }

    async fn propose_splice(&self, proposal: &SpliceProposal) -> SpliceDecision {
        self.splice_store.propose_splice(proposal).await
    }

    fn leadership(&self) -> Leadership {
        self.leader.lock().unwrap().clone()
    }
}

async fn standby() -> (TestControlPlane, Arc<RemotelyLedStore>) {
    let (held, splice_store) = (CurrentMap::new(UpstreamMap::default(), None), MemoryStore::new());
    let leader = Mutex::new(Leadership::Unknown);
    let store = Arc::new(RemotelyLedStore { held, splice_store, leader });
    (TestControlPlane::start_with_store(store.clone(), Some(TOKEN), "", ()).await, store)
}

#[tokio::test]
async fn a_standby_forwards_commands_to_the_leader() {
    let leader = TestControlPlane::start(Some(TOKEN)).await;
    let (one, to_one) = standby().await;
    let (two, to_two) = standby().await;
    // A bound socket keeps its port from others, and without a listener it refuses connections.
    let unused_socket = tokio::net::TcpSocket::new_v4().unwrap();
    unused_socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let unused_address = unused_socket.local_addr().unwrap();
    // Accepts the command and never responds.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_address = silent.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = silent.accept().await {
            let _ = connection.read(&mut [0; 1024]).await;
        }
    });
    let run = "POST /api/extractors/hanging-0/run";
    let switch = "POST /api/streams/world-feed/switch";
    let json = format!("{}content-type: application/json\r\n", authorization_header());
    let at = |address: SocketAddr| Leadership::Standby(Some(address.to_string()));
    let at_leader = || at(leader.address);
    for (request, headers, body, leads, status, expected) in [
        (run, authorization_header(), "", at_leader(), 202, "already_running"),
        (switch, json.clone(), "{}", at_leader(), 404, "stream-unknown"),
        (switch, json.clone(), "{\"pin\": 1}", at_leader(), 400, "bad-body"),
        (switch, authorization_header(), "{}", at_leader(), 415, "not-json"),
        (
            "GET /api/extractors/hanging-0/run",
            authorization_header(),
            "",
            at_leader(),
            405,
            "method",
        ),
        (run, String::new(), "", at_leader(), 401, "admin-token-missing"),
        (run, authorization_header(), "", Leadership::Standby(None), 503, "it is not known where"),
        (
            run,
            authorization_header(),
            "",
            Leadership::Unreachable,
            503,
            "nobody leads: the store cannot be re",
        ),
        (
            run,
            authorization_header(),
            "",
            Leadership::Unreachable,
            503,
            "urn:pitwall:problem:store-unavailable",
        ),
        (run, authorization_header(), "", Leadership::Unknown, 503, "it is not decided yet which"),
        (run, authorization_header(), "", at(unused_address), 503, "leader-silent"),
        (run, authorization_header(), "", at(silent_address), 504, "outcome-unknown"),
        // Two standbys that each take the other for the leader.
        (run, authorization_header(), "", at(two.address), 503, "it is not decided yet which"),
        (run, authorization_header(), "", at(one.address), 503, "it is not decided yet which"),
    ] {
        *to_one.leader.lock().unwrap() = leads.clone();
        *to_two.leader.lock().unwrap() = at(one.address);
        let (got, head, body) = one.ask(request, &headers, body).await;
        assert_eq!(got, status, "{request} by {leads:?}: {body}");
        assert!(body.to_string().contains(expected), "{request} by {leads:?}: {body}");
        assert_eq!(head.contains("retry-after: 1"), status == 503, "{head}");
        assert_eq!(head.contains("allow: post"), status == 405, "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
    }
}

/// What a standby sends to the leader holds no admin token, whoever sent the command.
#[tokio::test]
async fn a_standby_signs_what_it_forwards() {
    let leader = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let leads = Leadership::Standby(Some(leader.local_addr().unwrap().to_string()));
    let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = leader.accept().await {
            let mut request = vec![0; 4096];
            let length = connection.read(&mut request).await.unwrap();
            sent.send(String::from_utf8_lossy(&request[..length]).into_owned()).unwrap();
        }
    });
    let (standby, store) = standby().await;
    *store.leader.lock().unwrap() = leads;
    let (path, json) = ("/api/streams/w/switch", "content-type: application/json\r\n");
    let key = CommandKey::of_admin_token(TOKEN.as_bytes());
    let now = jiff::Timestamp::now().as_second();
    let signed =
        key.sign(&http::Method::POST, path, &http::HeaderMap::new(), b"{}", now).to_header();
    let signed = format!("authorization: {}\r\n", signed.to_str().unwrap());
    for authorization in [authorization_header(), signed.clone()] {
        let headers = format!("{authorization}{json}");
        standby.ask(&format!("POST {path}"), &headers, "{}").await;
        let forwarded = received.recv().await.unwrap();
        assert!(!forwarded.contains(TOKEN), "{forwarded}");
        let value = forwarded.lines().find_map(|line| line.strip_prefix("authorization: "));
        let value = value.unwrap().parse().unwrap();
        let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
        let signature = CommandSignature::of_headers(&headers).unwrap();
        assert!(key.has_signed(&signature, &http::Method::POST, path, &headers), "{forwarded}");
        assert!(signature.is_of_body(b"{}"));
    }
    let (status, _, problem) =
        standby.ask(&format!("POST {path}"), &format!("{signed}{json}"), "{}").await;
    assert_eq!((status, &problem["type"]), (401, &"urn:pitwall:problem:signature-replayed".into()));
}

#[test]
fn the_advertised_address() {
    for (listen, advertise, expected) in [
        ("127.0.0.1:8081", None, None),
        ("0.0.0.0:8081", None, None),
        ("[::]:8081", None, None),
        ("10.0.0.5:8081", None, Some("10.0.0.5:8081")),
        ("0.0.0.0:8081", Some("control-1.example:8081"), Some("control-1.example:8081")),
        ("127.0.0.1:8081", Some("127.0.0.1:8081"), Some("127.0.0.1:8081")),
    ] {
        let advertise = advertise.map(|address: &str| AdvertisedAddress(address.to_owned()));
        let config = ControlConfig { advertise, ..ControlConfig::default() };
        let address = config.advertised_address(listen.parse().unwrap());
        assert_eq!(address.as_deref(), expected, "{listen}");
    }
}

#[test]
fn short_tokens_are_rejected() {
    assert!(AdminToken::new(b"short").is_err());
    assert!(AdminToken::new(format!("{TOKEN}\n").as_bytes()).is_ok());
    assert!(AdminToken::new(format!("   {}\n", "x".repeat(31)).as_bytes()).is_err());
}
