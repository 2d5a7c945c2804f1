//! The poller's loop with a paused clock: when each provider is polled, and the override file.

use async_trait::async_trait;
use tokio::time::{advance, sleep};

use super::*;
use crate::schedule::calendar::ProviderResponse;
use crate::schedule::provider::ProviderError;
use crate::schedule::samples::read_sample;
use crate::schedule::{jolpica, overrides};

/// Records when it is polled, and responds by its script, whose last entry repeats. `Err` holds the
/// seconds of Retry-After.
struct ScriptedProvider {
    name: &'static str,
    started_at: Instant,
    script: Mutex<Vec<Result<(), u64>>>,
    fetch_minutes: Arc<Mutex<Vec<u64>>>,
}

#[async_trait]
impl Provider for ScriptedProvider {
    fn name(&self) -> &'static str {
        self.name
    }

    fn location(&self) -> String {
        self.name.to_owned()
    }

    async fn fetch_calendar(
        &self,
        _: &Fetcher,
        _: Timestamp,
    ) -> Result<ProviderResponse, ProviderError> {
        self.fetch_minutes.lock().unwrap().push(self.started_at.elapsed().as_secs() / 60);
        let mut script = self.script.lock().unwrap();
        let next = if script.len() > 1 { script.remove(0) } else { script[0] };
        let calendar = || jolpica::read_calendar(&read_sample("jolpica-2026-races-excerpt.json"));
        next.map(|()| ProviderResponse { calendar: calendar(), rejected: Vec::new() }).map_err(
            |seconds| {
                let retry_after = Some(Duration::from_secs(seconds));
                ProviderError { retry_after, ..ProviderError::new("not now") }
            },
        )
    }
}

struct RunningPoller {
    fetch_minutes: Vec<Arc<Mutex<Vec<u64>>>>,
    state: watch::Receiver<ScheduleState>,
    directory: tempfile::TempDir,
    _task: tokio::task::JoinHandle<()>,
}

fn start_poller(
    start: &str,
    scripts: &[(&'static str, &[Result<(), u64>])],
    overrides: &str,
) -> RunningPoller {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("overrides.toml");
    std::fs::write(&path, overrides).unwrap();
    let mut all_minutes = Vec::new();
    let providers = scripts.iter().map(|(name, script)| -> Box<dyn Provider> {
        all_minutes.push(Arc::default());
        let script = Mutex::new(script.to_vec());
        let fetch_minutes = Arc::clone(all_minutes.last().unwrap());
        Box::new(ScriptedProvider { name, started_at: Instant::now(), script, fetch_minutes })
    });
    let poller = SchedulePoller::with_providers(
        providers.collect(),
        Some(overrides::OverrideFile::new(path)),
        directory.path().join("state").into(),
        Arc::new(Fetcher::new(Timeouts::default(), Vec::new())),
        Clock::paused_at(start.parse().unwrap()),
        ScheduleMetrics::register(&Registry::new()).unwrap(),
    );
    let poller = poller.unwrap();
    let state = poller.subscribe();
    RunningPoller {
        fetch_minutes: all_minutes,
        state,
        directory,
        _task: tokio::spawn(poller.run()),
    }
}

async fn advance_minutes(minutes: u64) {
    // The schedule file is written on another thread, which only progresses while the test sleeps.
    for _ in 0..minutes {
        sleep(Duration::from_millis(1)).await;
        advance(Duration::from_secs(60)).await;
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_provider_is_polled_at_its_own_interval() {
    // From ten hours before the race of Miami hourly, from six hours before every 15 minutes.
    let retry_after = Err(5 * 3600);
    let run = start_poller(
        "2026-05-03T10:00:00Z",
        &[("a", &[Ok(())]), ("b", &[Ok(()), retry_after, Ok(())])],
        "",
    );
    advance_minutes(6 * 60).await;
    let minutes: Vec<_> =
        run.fetch_minutes.iter().map(|minutes| minutes.lock().unwrap().clone()).collect();
    let [a, b] = minutes.as_slice() else { panic!() };
    assert_eq!(&a[..5], [0, 60, 120, 180, 240], "{a:?}");
    assert_eq!(a[5], 255, "{a:?}");
    assert!(a.windows(2).skip(4).all(|two| (15..=16).contains(&(two[1] - two[0]))), "{a:?}");
    assert_eq!(&b[..3], [0, 60, 360], "Retry-After is five hours: {b:?}");
}

struct HangingProvider;

#[async_trait]
impl Provider for HangingProvider {
    fn name(&self) -> &'static str {
        "hanging"
    }

    fn location(&self) -> String {
        String::new()
    }

    async fn fetch_calendar(
        &self,
        _: &Fetcher,
        _: Timestamp,
    ) -> Result<ProviderResponse, ProviderError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_times_out() {
    let now = "2026-05-03T10:00:00Z".parse().unwrap();
    let provider_state = ProviderState::new(Box::new(HangingProvider), None);
    let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
    let started_at = Instant::now();
    let error = provider_state.fetch_response(&fetcher, now).await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), started_at.elapsed().as_secs()),
        ("no whole answer in 60 s", 60)
    );
}

#[tokio::test(start_paused = true)]
async fn the_operators_file_is_read_again_when_it_changes() {
    let race = "2026:miami-grand-prix:miami:race";
    let override_start = |start: &str| format!("[[session]]\nid = \"{race}\"\nstart = {start}\n");
    let run = start_poller(
        "2026-05-03T10:00:00Z",
        &[("a", &[Ok(())])],
        &override_start("2026-05-03T17:00:00Z"),
    );
    let path = run.directory.path().join("overrides.toml");
    for (name, text, start, revision, error) in [
        ("at first", None, "17", 0, ""),
        ("changed", Some(override_start("2026-05-03T18:00:00Z")), "18", 1, ""),
        ("broken", Some(override_start("soon")), "18", 1, "overrides.toml:3: "),
        ("mended", Some(override_start("2026-05-03T19:00:00Z")), "19", 2, ""),
        ("emptied", Some(String::new()), "20", 3, ""),
    ] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        advance_minutes(1).await;
        let state = run.state.borrow().clone();
        let session = state.schedule.find_session(race).unwrap();
        let hour = session.start.unwrap().strftime("%H").to_string();
        assert_eq!((hour.as_str(), session.revision), (start, revision), "{name}");
        assert_eq!(state.error.is_some(), !error.is_empty(), "{name}: {:?}", state.error);
        assert!(state.error.unwrap_or_default().starts_with(error), "{name}: without its folder");
    }
}

/// Revisions continue when only the override file lists a session, when the file was edited while
/// nothing ran, and when the session was not listed for a time.
#[tokio::test(start_paused = true)]
async fn revisions_outlive_a_restart_without_a_provider() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("overrides.toml");
    let id = "2026:test-cup:here:alpha";
    for (name, start, expected) in [
        ("new", Some("18"), Some(0)),
        ("moved", Some("19"), Some(1)),
        ("as it was", Some("19"), Some(1)),
        ("taken out", None, None),
        ("still out", None, None),
        ("back at another time", Some("20"), Some(2)),
    ] {
        let session = start
            .map(|hour| format!("[[session]]\nid = \"{id}\"\nstart = 2026-05-03T{hour}:00:00Z\n"));
        std::fs::write(&path, session.unwrap_or_default()).unwrap();
        let poller = SchedulePoller::with_providers(
            Vec::new(),
            Some(overrides::OverrideFile::new(path.clone())),
            directory.path().join("state").into(),
            Arc::new(Fetcher::new(Timeouts::default(), Vec::new())),
            Clock::paused_at("2026-05-03T10:00:00Z".parse().unwrap()),
            ScheduleMetrics::register(&Registry::new()).unwrap(),
        );
        let poller = poller.unwrap();
        let state = poller.subscribe();
        let task = tokio::spawn(poller.run());
        advance_minutes(1).await;
        task.abort();
        let revision = state.borrow().schedule.find_session(id).map(|session| session.revision);
        assert_eq!(revision, expected, "{name}");
    }
}
