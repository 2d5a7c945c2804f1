use std::sync::atomic::{AtomicUsize, Ordering};

use pitwall_fetch::Timeouts;

use super::*;
use crate::source::Source;

struct Scripted(fn() -> Vec<Candidate>);

#[async_trait]
impl Extractor for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn origins(&self) -> Vec<Url> {
        Vec::new()
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(50)
    }

    async fn extract(&self, _: &Context<'_>) -> Found {
        let candidates = (self.0)();
        if candidates.is_empty() {
            std::future::pending::<()>().await;
        }
        Found { candidates, ..Found::default() }
    }
}

/// Notes how many of it run at once, and the most that ever did.
#[derive(Default)]
struct Counting {
    needs: Option<Tool>,
    running: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Extractor for Counting {
    fn kind(&self) -> &'static str {
        "counting"
    }

    fn origins(&self) -> Vec<Url> {
        Vec::new()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn needs(&self) -> Option<Tool> {
        self.needs
    }

    async fn extract(&self, _: &Context<'_>) -> Found {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(900)).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        Found::default()
    }
}

/// Whoever waits for its turn has its whole deadline left.
#[tokio::test(start_paused = true)]
async fn so_many_run_at_once() {
    for (needs, config, expected) in [
        (None, "", 8),
        (None, "at_once = 3", 3),
        (Some(Tool::YtDlp), "", 2),
        (Some(Tool::Browser), "programs_at_once = 4", 4),
        (Some(Tool::Browser), "programs_at_once = 4\nat_once = 1", 1),
    ] {
        let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
        let runner = Runner::new(fetcher, &toml::from_str(config).unwrap());
        let counting = Arc::new(Counting { needs, ..Counting::default() });
        let sources = (0..20).map(|number| {
            let text = format!(
                "[[source]]\nname='s{number}'\nkind='static'\nfeed='f'\nurl='https://a.example/'"
            );
            let mut source = Source::parse_file(&text).unwrap().remove(0);
            source.extractor = counting.clone();
            source
        });
        let sources: Vec<Source> = sources.collect();
        let runs = sources.iter().map(|source| runner.run(source));
        let found = futures::future::join_all(runs).await;
        assert!(found.iter().all(|found| found.failures.is_empty()), "{config}");
        assert_eq!(counting.most.load(Ordering::SeqCst), expected, "{needs:?} {config}");
    }
}

fn many() -> Vec<Candidate> {
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

/// As it is configured by default, with this executable for scripts.
pub(crate) fn runner() -> Runner {
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
    let script_worker = recipe::worker_of_the_tests();
    Runner::new(fetcher, &ExtractConfig { script_worker, ..ExtractConfig::default() })
}

async fn outcome(script: fn() -> Vec<Candidate>) -> (usize, usize, Vec<String>) {
    let text = "[[source]]\nname='a'\nkind='static'\nfeed='f'\nurl='https://a.example/'";
    let mut source = Source::parse_file(text).unwrap().remove(0);
    source.extractor = Arc::new(Scripted(script));
    let found = runner().run(&source).await;
    let failures = found.failures.iter().map(ToString::to_string).collect();
    (found.candidates.len(), found.dropped, failures)
}

#[tokio::test(start_paused = true)]
async fn an_extractor_that_misbehaves() {
    let failed = |error: &str| (0, 0, vec![error.to_owned()]);
    assert_eq!(outcome(|| panic!("a bug")).await, failed("run: the extractor panicked"));
    assert_eq!(outcome(Vec::new).await, failed("run: not finished within 50ms"));
    assert_eq!(outcome(many).await, (200, 9_800, Vec::new()), "capped and counted");
}

#[test]
fn candidates_do_not_print_their_secrets() {
    let text = format!("{:?}", many()[0]);
    assert!(!text.contains("token") && !text.contains("secret"), "{text}");
}
