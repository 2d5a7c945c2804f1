//! The loop itself, with time turned forward: who is asked when, and the operator's file.

use async_trait::async_trait;
use tokio::time::{advance, sleep};

use super::*;
use crate::schedule::calendar::Answer;
use crate::schedule::provider::ProviderError;
use crate::schedule::samples::text;
use crate::schedule::{jolpica, overrides};

/// Notes when it is asked, and plays its script; the last entry repeats.
struct Scripted {
    name: &'static str,
    began: Instant,
    script: Mutex<Vec<Result<(), u64>>>,
    asked: Arc<Mutex<Vec<u64>>>,
}

#[async_trait]
impl Provider for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn origin(&self) -> String {
        self.name.to_owned()
    }

    async fn fetch(&self, _: &Fetcher, _: Timestamp) -> Result<Answer, ProviderError> {
        self.asked.lock().unwrap().push(self.began.elapsed().as_secs() / 60);
        let mut script = self.script.lock().unwrap();
        let next = if script.len() > 1 { script.remove(0) } else { script[0] };
        let calendar = || jolpica::read(&text("jolpica-2026-races-excerpt.json"));
        next.map(|()| Answer { calendar: calendar(), rejected: Vec::new() }).map_err(|wish| {
            let retry_after = Some(Duration::from_secs(wish));
            ProviderError { retry_after, ..ProviderError::new("not now") }
        })
    }
}

struct Run {
    asked: Vec<Arc<Mutex<Vec<u64>>>>,
    state: watch::Receiver<State>,
    directory: tempfile::TempDir,
    _running: tokio::task::JoinHandle<()>,
}

fn run(start: &str, scripts: &[(&'static str, &[Result<(), u64>])], overrides: &str) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("overrides.toml");
    std::fs::write(&path, overrides).unwrap();
    let mut asked = Vec::new();
    let providers = scripts.iter().map(|(name, script)| -> Box<dyn Provider> {
        asked.push(Arc::default());
        let script = Mutex::new(script.to_vec());
        let asked = Arc::clone(asked.last().unwrap());
        Box::new(Scripted { name, began: Instant::now(), script, asked })
    });
    let poller = Poller::over(
        providers.collect(),
        Some(overrides::OverrideFile::new(path)),
        directory.path().join("state"),
        Arc::new(Fetcher::new(Timeouts::default(), Vec::new())),
        Clock::paused_at(start.parse().unwrap()),
        Metrics::register(&Registry::new()).unwrap(),
    );
    let poller = poller.unwrap();
    let state = poller.subscribe();
    Run { asked, state, directory, _running: tokio::spawn(poller.run()) }
}

async fn pass(minutes: u64) {
    // In steps: a file is written on another thread, which only a pause lets through.
    for _ in 0..minutes {
        sleep(Duration::from_millis(1)).await;
        advance(Duration::from_secs(60)).await;
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_source_has_its_own_turn() {
    // Ten hours before the race of Miami: hourly, and from six hours before every 15 minutes.
    let wish = Err(5 * 3600);
    let run = run("2026-05-03T10:00:00Z", &[("a", &[Ok(())]), ("b", &[Ok(()), wish, Ok(())])], "");
    pass(6 * 60).await;
    let asked: Vec<_> = run.asked.iter().map(|asked| asked.lock().unwrap().clone()).collect();
    let [a, b] = asked.as_slice() else { panic!() };
    assert_eq!(&a[..5], [0, 60, 120, 180, 240], "{a:?}");
    assert_eq!(a[5], 255, "{a:?}");
    assert!(a.windows(2).skip(4).all(|two| (15..=16).contains(&(two[1] - two[0]))), "{a:?}");
    assert_eq!(&b[..3], [0, 60, 360], "asked to wait five hours: {b:?}");
}

struct Hanging;

#[async_trait]
impl Provider for Hanging {
    fn name(&self) -> &'static str {
        "hanging"
    }

    fn origin(&self) -> String {
        String::new()
    }

    async fn fetch(&self, _: &Fetcher, _: Timestamp) -> Result<Answer, ProviderError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up() {
    let now = "2026-05-03T10:00:00Z".parse().unwrap();
    let desk = Desk::new(Box::new(Hanging), None);
    let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
    let began = Instant::now();
    let error = desk.ask(&fetcher, now).await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), began.elapsed().as_secs()),
        ("no whole answer in 60 s", 60)
    );
}

#[tokio::test(start_paused = true)]
async fn the_operators_file_is_read_again_when_it_changes() {
    let race = "2026:miami-grand-prix:miami:race";
    let over = |start: &str| format!("[[session]]\nid = \"{race}\"\nstart = {start}\n");
    let run = run("2026-05-03T10:00:00Z", &[("a", &[Ok(())])], &over("2026-05-03T17:00:00Z"));
    let path = run.directory.path().join("overrides.toml");
    for (name, text, start, revision, error) in [
        ("at first", None, "17", 0, ""),
        ("changed", Some(over("2026-05-03T18:00:00Z")), "18", 1, ""),
        ("broken", Some(over("soon")), "18", 1, "overrides.toml:3: "),
        ("mended", Some(over("2026-05-03T19:00:00Z")), "19", 2, ""),
        ("emptied", Some(String::new()), "20", 3, ""),
    ] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        pass(1).await;
        let state = run.state.borrow().clone();
        let session = state.schedule.session(race).unwrap();
        let told = session.start.unwrap().strftime("%H").to_string();
        assert_eq!((told.as_str(), session.revision), (start, revision), "{name}");
        assert_eq!(state.error.is_some(), !error.is_empty(), "{name}: {:?}", state.error);
        assert!(state.error.unwrap_or_default().starts_with(error), "{name}: without its folder");
    }
}
