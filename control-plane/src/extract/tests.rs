use pitwall_fetch::Timeouts;

use super::*;
use crate::source::Source;

struct Scripted(fn() -> Vec<Candidate>);

#[async_trait]
impl Extractor for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn ports(&self) -> Vec<u16> {
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
