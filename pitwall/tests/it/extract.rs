//! Sources of every kind against the pages of the demo origin: the examples in conf/recipes, with
//! the installed yt-dlp, Streamlink and Chromium.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Edge, eventually, eventually_within, fetch, find_line, free_address, run_pitwall,
    start_and_read_line,
};

const RECIPES_DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/recipes");
const TOOLS_DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/bin");

/// A `pitwall origin` process, killed when it is dropped.
struct Origin {
    child: Child,
    address: SocketAddr,
}

impl Origin {
    fn start() -> Self {
        let address = free_address();
        let listen = address.to_string();
        let (child, _) =
            start_and_read_line(&["origin", "--token-ttl", "600", "--listen", &listen]);
        Self { child, address }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `[extract]` for this machine; Chromium has no sandbox when it runs as root.
fn tools() -> String {
    assert!(Path::new(TOOLS_DIRECTORY).join("yt-dlp").exists(), "run .ci/tools first");
    format!(
        "[extract]\nyt_dlp = \"{TOOLS_DIRECTORY}/yt-dlp\"\nstreamlink = \"{TOOLS_DIRECTORY}/streamlink\"\n\
         [extract.browser]\nenabled = true\nsandbox = false\n"
    )
}

/// The text of an example, with the address of this origin.
fn example(name: &str, origin: SocketAddr) -> String {
    let file = PathBuf::from(RECIPES_DIRECTORY).join(format!("sources/{name}.toml"));
    let text = std::fs::read_to_string(file).unwrap();
    text.replace("127.0.0.1:9000", &origin.to_string())
}

/// A directory with a configuration and these examples.
fn config_folder(examples: &[&str], origin: SocketAddr) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let config = format!("[schedule]\nproviders = []\n{}", tools());
    std::fs::write(directory.path().join("p.toml"), config).unwrap();
    std::fs::create_dir(directory.path().join("sources")).unwrap();
    for name in examples {
        let file = directory.path().join(format!("sources/{name}.toml"));
        std::fs::write(file, example(name, origin)).unwrap();
    }
    directory
}

/// Names of the sources that `/api/streams` lists as healthy.
async fn healthy_sources(edge: &Edge) -> Option<Vec<String>> {
    let streams: Value = fetch(&edge.url("/api/streams")).await.ok()?.json().await.ok()?;
    let sources =
        streams["streams"].as_array()?.iter().flat_map(|stream| stream["sources"].as_array());
    let healthy = sources.flatten().filter(|source| source["health"] == "healthy");
    let mut names: Vec<String> =
        healthy.filter_map(|source| Some(source["name"].as_str()?.to_owned())).collect();
    names.sort();
    names.dedup();
    Some(names)
}

/// Asserts that the streams of these examples become healthy: their playlists, renditions and
/// segments are fetched with the fields and cookies that extraction found.
async fn assert_examples_play(examples: &[&str]) {
    let origin = Origin::start();
    let edge = Edge::start_with(&format!("[schedule]\nproviders = []\n{}", tools()), |directory| {
        std::fs::create_dir(directory.join("sources")).unwrap();
        for name in examples {
            let file = directory.join(format!("sources/{name}.toml"));
            std::fs::write(file, example(name, origin.address)).unwrap();
        }
    })
    .await;
    let expected: Vec<String> = examples.iter().map(ToString::to_string).collect();
    let playing = || async { healthy_sources(&edge).await.filter(|names| *names == expected) };
    eventually_within(120, "every example plays", playing).await;
    // No public document contains an upstream address.
    for path in
        ["/api/streams", "/api/extractors", "/api/bootstrap", "/api/status", "/api/activity"]
    {
        let text = fetch(&edge.url(path)).await.unwrap().text().await.unwrap();
        assert!(!text.contains(&origin.address.to_string()), "{path}: {text}");
    }
}

#[tokio::test]
async fn recipes_and_lists() {
    assert_examples_play(&["api", "computed", "form", "iframe", "m3u", "members", "plain"]).await;
}

#[tokio::test]
async fn programs_and_browsers() {
    assert_examples_play(&["browser", "streamlink", "yt-dlp"]).await;
}

#[test]
fn what_each_example_finds() {
    let origin = Origin::start();
    for (name, feeds, trace) in [
        ("plain", vec!["World feed", "Onboard 7", "Onboard 22", "Pit lane"], "4 matches"),
        ("iframe", vec!["World feed", "Pit lane"], "step 4 (decode javascript)"),
        ("form", vec!["World feed", "Onboard 22"], "step 5 (post)"),
        ("api", vec!["World feed", "Onboard 7", "Onboard 22", "Pit lane"], "(pointer \"\")"),
        ("computed", vec!["World feed", "Onboard 7"], "step 3 (script for answer)"),
        ("members", vec!["World feed", "Onboard 7"], "step 4 (cookie member)"),
        (
            "m3u",
            vec!["World feed", "Race: Onboard 7", "Race: Onboard 22", "Race: Pit lane"],
            "filter",
        ),
    ] {
        let directory = config_folder(&[name], origin.address);
        let (code, out, err) =
            run_pitwall(&["extract", name, "--trace", "--config", "p.toml"], directory.path());
        assert_eq!((code, err.as_str()), (0, ""), "{name}: {out}");
        assert!(out.contains(trace), "{name}: {out}");
        let found: Vec<&str> =
            out.lines().filter_map(|line| Some(line.split_once("\thttp")?.0)).collect();
        assert_eq!(found, feeds, "{out}");
        // Every token in a trace is masked, so that a trace grants no access.
        let steps = out.lines().filter(|line| !line.contains('\t'));
        for line in steps.filter(|line| line.contains("sig=")) {
            assert!(line.contains("sig=…[") || line.contains("…[64]"), "{line}");
        }
    }
}

#[test]
fn recorded_replayed_and_compared() {
    let origin = Origin::start();
    let directory = config_folder(&["computed"], origin.address);
    let run = |arguments: &[&str]| {
        let arguments = [&["extract", "computed", "--config", "p.toml"], arguments].concat();
        run_pitwall(&arguments, directory.path())
    };
    let (code, recorded, err) = run(&["--record", "kept"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(recorded.starts_with("recorded in kept/computed: it holds tokens"), "{recorded}");
    let (code, out, _) = run(&["--diff", "kept"]);
    assert!(code == 0 && out.contains("no drift since "), "{out}");

    // Replay works after the origin has ended.
    drop(origin);
    let (code, replayed, err) = run(&["--replay", "kept"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(recorded.ends_with(&replayed), "{recorded}\n{replayed}");
    let (code, _, err) = run(&["--diff", "kept"]);
    assert!(code == 1 && err.contains("step 1 (get) drifted"), "{err}");
    assert!(err.contains("FAILED: the upstream cannot be connected to"), "{err}");
    let (code, _, err) = run(&["--record", "kept"]);
    assert!(code == 1 && err.contains("step 1 (get): "), "{err}");
    assert!(directory.path().join("kept/computed.failed/recording.json").exists());
    let (code, _, _) = run(&["--replay", "kept"]);
    assert_eq!(code, 0, "the last good one is still there");

    let (code, _, err) = run(&["--replay", "nowhere"]);
    assert!(code == 1 && err.contains("there is no recording of \"computed\""), "{err}");
    let (code, _, err) = run(&["--replay", "a", "--record", "b"]);
    assert!(code == 2 && err.contains("cannot be used with"), "{err}");
}

/// A missing program is reported by the command and by the API; all else runs.
#[tokio::test]
async fn a_missing_program_is_a_clear_error() {
    let config = "[schedule]\nproviders = []\n[extract]\nyt_dlp = \"no-such-program\"\n\
        [[source]]\nname = \"a\"\nkind = \"yt-dlp\"\nurl = \"https://a.example/\"\n\
        [[source]]\nname = \"b\"\nkind = \"browser\"\nfeed = \"b\"\nurl = \"https://a.example/\"\n";
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("p.toml"), config).unwrap();
    let missing = "yt-dlp is not installed: install it, or set `yt_dlp` in [extract]";
    let off = "the browser is off: set `enabled = true` in [extract.browser]";
    let (code, out, _) = run_pitwall(&["check", "--config", "p.toml"], directory.path());
    assert_eq!(code, 0);
    assert!(out.contains(missing) && out.contains(off), "{out}");
    let (code, _, err) = run_pitwall(&["extract", "a", "--config", "p.toml"], directory.path());
    assert_eq!((code, err), (1, format!("pitwall: source \"a\": yt-dlp: {missing}\n")));

    let edge = Edge::start(config).await;
    let failing = || async {
        let text = fetch(&edge.url("/api/extractors")).await.ok()?.text().await.ok()?;
        (text.contains(missing) && text.contains(off)).then_some(())
    };
    eventually("the status says what is missing", failing).await;
    assert_eq!(fetch(&edge.url("/api/streams")).await.unwrap().status(), 200);
}

/// The address policy applies to programs and browsers, also behind redirects, frames and scripts.
#[test]
fn programs_and_browsers_go_no_further_than_policy() {
    let origin = Origin::start();
    for name in ["yt-dlp", "streamlink", "browser"] {
        let directory = config_folder(&[], origin.address);
        let closed = example(name, origin.address).replace("allow_private", "# allow_private");
        let closed = closed.replace("every", "ports = [9000]\nevery");
        std::fs::write(directory.path().join(format!("sources/{name}.toml")), closed).unwrap();
        let (code, _, err) =
            run_pitwall(&["extract", name, "--config", "p.toml"], directory.path());
        assert_eq!(code, 1, "{name}: {err}");
        let key = format!(
            "127.0.0.1 is private: allow_private = [\"127.0.0.1/32\"] in source {name:?} allows it"
        );
        assert!(err.contains(&key), "{name}: {err}");
    }
}

/// All descendants of a process, with their command lines.
fn descendant_processes(ancestor: u32) -> BTreeMap<u32, String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|one| one.file_name().to_str()?.parse::<u32>().ok());
    let parents = pids.filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // `pid (name) state parent …`, where the name may contain any character.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()?;
        Some((pid, parent))
    });
    let parents: BTreeMap<u32, u32> = parents.collect();
    let ancestors = |pid: u32| std::iter::successors(Some(pid), |pid| parents.get(pid).copied());
    let descendants =
        parents.keys().filter(|pid| ancestors(**pid).skip(1).any(|pid| pid == ancestor));
    descendants.map(|pid| (*pid, command_line(*pid))).collect()
}

/// The command line of a process; empty when it has ended, also as a zombie.
fn command_line(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

#[test]
fn a_check_says_whether_what_is_found_plays() {
    let origin = Origin::start();
    let directory = tempfile::tempdir().unwrap();
    let plain = example("plain", origin.address);
    let gone = format!(
        "name = \"gone\"\nkind = \"static\"\nfeed = \"Gone\"\nallow_private = [\"127.0.0.0/8\"]\n\
         url = \"http://{}/nothing.m3u8\"\n",
        origin.address
    );
    std::fs::write(directory.path().join("p.toml"), "[schedule]\nproviders = []\n").unwrap();
    std::fs::create_dir(directory.path().join("sources")).unwrap();
    for (name, text) in [("plain", plain), ("gone", gone)] {
        std::fs::write(directory.path().join(format!("sources/{name}.toml")), text).unwrap();
    }
    for (name, code, expected) in [
        ("plain", 0, "World feed\tplays: "),
        ("gone", 1, "Gone\tdoes not play: the playlist was answered with 403"),
    ] {
        let arguments = ["extract", name, "--check", "--config", "p.toml"];
        let (got, out, err) = run_pitwall(&arguments, directory.path());
        assert_eq!(got, code, "{out}{err}");
        assert!(out.lines().any(|line| line.starts_with(expected)), "{out}");
    }
}

/// A process killed by SIGKILL cannot end its browser, so the browser must end by itself.
#[tokio::test]
async fn a_browser_dies_with_whoever_started_it() {
    let origin = Origin::start();
    let directory = config_folder(&[], origin.address);
    // A page without a playlist is kept open until its wait ends.
    let idle = format!(
        "name = \"idle\"\nkind = \"browser\"\nfeed = \"World feed\"\nwait = \"60s\"\n\
         url = \"http://{}/nothing\"\nallow_private = [\"127.0.0.0/8\"]\n",
        origin.address
    );
    std::fs::write(directory.path().join("sources/idle.toml"), idle).unwrap();
    let quick =
        "name = \"quick\"\nkind = \"static\"\nfeed = \"f\"\nurl = \"https://a.example/m.m3u8\"\n";
    std::fs::write(directory.path().join("sources/quick.toml"), quick).unwrap();
    let mut extraction = Command::new(env!("CARGO_BIN_EXE_pitwall"))
        .args(["extract", "idle", "--config", "p.toml"])
        .current_dir(directory.path())
        .env("TMPDIR", directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = eventually_within(60, "the page is shown", || async {
        let started = descendant_processes(extraction.id());
        started.values().any(|line| line.contains("--type=renderer")).then_some(started)
    })
    .await;
    extraction.kill().unwrap();
    extraction.wait().unwrap();
    let left = || started.iter().filter(|(pid, line)| command_line(**pid) == **line).count();
    eventually_within(20, "nothing is left", || async { (left() == 0).then_some(()) }).await;
    // The killed process left its run directory, which the next process removes.
    let profiles = || {
        let entries = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap());
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("pitwall-run-")).count()
    };
    assert_eq!(profiles(), 1);
    let next = Command::new(env!("CARGO_BIN_EXE_pitwall"))
        .args(["extract", "quick", "--config", "p.toml"])
        .current_dir(directory.path())
        .env("TMPDIR", directory.path())
        .output()
        .unwrap();
    assert_eq!((next.status.code(), profiles()), (Some(0), 0));
}

/// A Chromium process, killed when it is dropped.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A browser that an operator runs is used for extraction, and keeps only its own page.
#[tokio::test]
async fn a_browser_that_somebody_else_runs() {
    let origin = Origin::start();
    let directory = config_folder(&["browser"], origin.address);
    let browser = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
        .arg("about:blank")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut browser = Browser(browser.unwrap());
    let endpoint = find_line(browser.0.stderr.take().unwrap(), Duration::from_secs(60), |line| {
        line.split_once("DevTools listening on ").map(|(_, endpoint)| endpoint.trim().to_owned())
    });
    let endpoint = endpoint.unwrap();
    let address = endpoint.trim_start_matches("ws://").split('/').next().unwrap();
    for endpoint in [&endpoint, &endpoint, &format!("http://{address}")] {
        let config = format!("[schedule]\nproviders = []\n{}endpoint = \"{endpoint}\"\n", tools());
        std::fs::write(directory.path().join("p.toml"), config).unwrap();
        let (code, out, err) =
            run_pitwall(&["extract", "browser", "--trace", "--config", "p.toml"], directory.path());
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.lines().any(|line| line.starts_with("Pit lane\thttp")), "{out}");
    }
    let pages = eventually_within(10, "its own page alone is left", || async {
        let all = fetch(&format!("http://{address}/json/list")).await.ok()?;
        let all: Vec<Value> = all.json().await.ok()?;
        let pages = all
            .iter()
            .filter(|target| target["type"] == "page")
            .map(|target| target["url"].clone());
        let pages: Vec<Value> = pages.collect();
        (pages.len() == 1).then_some(pages)
    })
    .await;
    assert_eq!(pages, ["about:blank"]);
}
