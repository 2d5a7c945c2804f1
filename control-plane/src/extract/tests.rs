use std::sync::atomic::{AtomicUsize, Ordering};

use pitwall_fetch::Timeouts;

use super::*;
use crate::extract::ConfiguredSource;

struct ScriptedExtractor(fn() -> Vec<Candidate>);

#[async_trait]
impl Extractor for ScriptedExtractor {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn configured_origins(&self) -> Vec<Url> {
        Vec::new()
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(50)
    }

    async fn extract(&self, _: &ExtractContext<'_>) -> ExtractorOutput {
        let candidates = (self.0)();
        if candidates.is_empty() {
            std::future::pending::<()>().await;
        }
        ExtractorOutput { candidates, ..ExtractorOutput::default() }
    }
}

/// Counts its concurrent runs and their maximum.
#[derive(Default)]
struct CountingExtractor {
    tool: Option<ExternalTool>,
    running: AtomicUsize,
    max_running: AtomicUsize,
}

#[async_trait]
impl Extractor for CountingExtractor {
    fn kind(&self) -> &'static str {
        "counting"
    }

    fn configured_origins(&self) -> Vec<Url> {
        Vec::new()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn required_tool(&self) -> Option<ExternalTool> {
        self.tool
    }

    async fn extract(&self, _: &ExtractContext<'_>) -> ExtractorOutput {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.max_running.fetch_max(running, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(900)).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        ExtractorOutput::default()
    }
}

/// The wait for a permit does not count towards the deadline of a run.
#[tokio::test(start_paused = true)]
async fn concurrent_runs_are_limited() {
    for (tool, config, expected) in [
        (None, "", 8),
        (None, "at_once = 3", 3),
        (Some(ExternalTool::YtDlp), "", 2),
        (Some(ExternalTool::Browser), "programs_at_once = 4", 4),
        (Some(ExternalTool::Browser), "programs_at_once = 4\nat_once = 1", 1),
    ] {
        let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
        let runner = ExtractionRunner::new(fetcher, &toml::from_str(config).unwrap());
        let counting = Arc::new(CountingExtractor { tool, ..CountingExtractor::default() });
        let sources = (0..20).map(|number| {
            let text = format!(
                "[[source]]\nname='s{number}'\nkind='static'\nfeed='f'\nurl='https://a.example/'"
            );
            let mut source = ConfiguredSource::parse_file(&text).unwrap().remove(0);
            source.extractor = counting.clone();
            source
        });
        let sources: Vec<ConfiguredSource> = sources.collect();
        let runs = sources.iter().map(|source| runner.run(source));
        let found = futures::future::join_all(runs).await;
        assert!(found.iter().all(|found| found.failures.is_empty()), "{config}");
        assert_eq!(counting.max_running.load(Ordering::SeqCst), expected, "{tool:?} {config}");
    }
}

fn many_candidates() -> Vec<Candidate> {
    let candidate = |number: usize| Candidate {
        position: 0,
        feed: format!("Feed {number}"),
        label: None,
        playlist: Url::parse("https://a.example/secret.m3u8?token=t").unwrap(),
        headers: vec![("Cookie".into(), "secret".into())],
        expires_at: None,
    };
    (0..10_000).map(candidate).collect()
}

/// A runner with the default configuration and this executable as the script worker.
pub(crate) fn build_runner() -> ExtractionRunner {
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
    let script_worker = recipe::worker_of_the_tests();
    ExtractionRunner::new(fetcher, &ExtractConfig { script_worker, ..ExtractConfig::default() })
}

async fn run_scripted(script: fn() -> Vec<Candidate>) -> (usize, usize, Vec<String>) {
    let text = "[[source]]\nname='a'\nkind='static'\nfeed='f'\nurl='https://a.example/'";
    let mut source = ConfiguredSource::parse_file(text).unwrap().remove(0);
    source.extractor = Arc::new(ScriptedExtractor(script));
    let found = build_runner().run(&source).await;
    let failures = found.failures.iter().map(ToString::to_string).collect();
    (found.candidates.len(), found.dropped, failures)
}

#[tokio::test(start_paused = true)]
async fn an_extractor_that_misbehaves() {
    let failed = |error: &str| (0, 0, vec![error.to_owned()]);
    assert_eq!(run_scripted(|| panic!("a bug")).await, failed("run: the extractor panicked"));
    assert_eq!(run_scripted(Vec::new).await, failed("run: not finished within 50ms"));
    assert_eq!(run_scripted(many_candidates).await, (200, 9_800, Vec::new()), "capped and counted");
}

#[test]
fn candidates_do_not_print_their_secrets() {
    let text = format!("{:?}", many_candidates()[0]);
    assert!(!text.contains("token") && !text.contains("secret"), "{text}");
}
