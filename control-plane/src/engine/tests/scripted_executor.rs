//! [`ScriptedExecutor`]: scripted extractions and checks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use url::Url;

use super::Scripts;
use crate::check::{CheckError, CheckFailureKind, CheckFindings, SegmentFingerprint};
use crate::clock::Clock;
use crate::engine::jobs::JobExecutor;
use crate::extract::{Candidate, ConfiguredSource, ExtractError, ExtractorOutput};
use crate::source::Source;

/// Each source plays its script; the last entry repeats.
pub(super) struct ScriptedExecutor {
    run_times: Mutex<BTreeMap<String, Vec<Duration>>>,
    check_times: Mutex<BTreeMap<String, Vec<Duration>>>,
    scripts: Mutex<BTreeMap<String, VecDeque<ScriptedRun>>>,
    /// Hosts whose checks fail, with the error.
    failing_hosts: Mutex<BTreeMap<String, CheckError>>,
    /// Hosts whose checks never end, and hosts whose checks are slow.
    hanging_hosts: Mutex<Vec<String>>,
    slow_hosts: Mutex<BTreeMap<String, Duration>>,
    /// Hosts whose segments are all the same.
    slate_hosts: Mutex<Vec<String>>,
    /// Playlists stop advancing.
    pub(super) is_frozen: Mutex<bool>,
    /// `Some`: there is a smaller rendition; `Some(Some(n))`: it is frozen at sequence number n.
    pub(super) small_rendition: Mutex<Option<Option<u64>>>,
    /// After how many seconds a dated token is rejected, which the token does not state.
    pub(super) token_lifetime: Mutex<Option<u64>>,
    /// Checks in progress, and their peak.
    concurrent_checks: Mutex<(usize, usize)>,
    began_at: Instant,
    pub(super) clock: Clock,
}

#[derive(Clone)]
pub(super) enum ScriptedRun {
    /// Feeds at a host, with a token that states a lifetime in seconds, if any.
    Finds(&'static [&'static str], &'static str, Option<u64>),
    /// Feeds at a host, with a token that does not state its lifetime.
    FindsUndated(&'static [&'static str], &'static str),
    /// Feeds at a host, with another User-Agent in each run.
    FindsWithNewAgent(&'static [&'static str], &'static str),
    /// Feeds at a host, beside what cannot be a stream, for two reasons.
    FindsUnusable(&'static [&'static str], &'static str),
    /// This many feeds at a host.
    FindsMany(usize, &'static str),
    Fails,
    Panics,
    Hangs,
}

impl ScriptedExecutor {
    pub(super) fn new(scripts: Scripts<'_>, clock: Clock) -> Self {
        let script = |(name, runs): &(&str, &[ScriptedRun])| {
            ((*name).to_owned(), runs.iter().cloned().collect::<VecDeque<_>>())
        };
        Self {
            run_times: Mutex::default(),
            check_times: Mutex::default(),
            scripts: Mutex::new(scripts.iter().map(script).collect()),
            failing_hosts: Mutex::default(),
            hanging_hosts: Mutex::default(),
            slow_hosts: Mutex::default(),
            slate_hosts: Mutex::default(),
            is_frozen: Mutex::default(),
            small_rendition: Mutex::default(),
            token_lifetime: Mutex::default(),
            concurrent_checks: Mutex::default(),
            began_at: Instant::now(),
            clock,
        }
    }

    pub(super) fn fail_host(&self, host: &str, error: CheckError) {
        self.failing_hosts.lock().unwrap().insert(host.to_owned(), error);
    }

    pub(super) fn repair_host(&self, host: &str) {
        self.failing_hosts.lock().unwrap().remove(host);
    }

    pub(super) fn hang_host(&self, host: &str) {
        self.hanging_hosts.lock().unwrap().push(host.to_owned());
    }

    pub(super) fn show_slate(&self, host: &str) {
        self.slate_hosts.lock().unwrap().push(host.to_owned());
    }

    pub(super) fn end_slate(&self, host: &str) {
        self.slate_hosts.lock().unwrap().retain(|one| one != host);
    }

    /// Makes checks of this host take this long, and report it as latency.
    pub(super) fn delay_host(&self, host: &str, latency: Duration) {
        self.slow_hosts.lock().unwrap().insert(host.to_owned(), latency);
    }

    /// When each run of a source began.
    pub(super) fn run_times(&self, source: &str) -> Vec<f64> {
        times_in_seconds(&self.run_times, source)
    }

    /// When each check of a host began.
    pub(super) fn check_times(&self, host: &str) -> Vec<f64> {
        times_in_seconds(&self.check_times, host)
    }

    /// The peak number of concurrent checks.
    pub(super) fn max_concurrent_checks(&self) -> usize {
        self.concurrent_checks.lock().unwrap().1
    }

    fn record_time(&self, log: &Mutex<BTreeMap<String, Vec<Duration>>>, name: &str) -> usize {
        let mut times = log.lock().unwrap();
        let times = times.entry(name.to_owned()).or_default();
        times.push(self.began_at.elapsed());
        times.len()
    }

    async fn check_host(&self, candidate: &Candidate) -> Result<CheckFindings, CheckError> {
        let host = candidate.playlist.host_str().unwrap();
        self.record_time(&self.check_times, host);
        {
            let mut checks = self.concurrent_checks.lock().unwrap();
            checks.0 += 1;
            checks.1 = checks.1.max(checks.0);
        }
        let latency = self.slow_hosts.lock().unwrap().get(host).copied().unwrap_or_default();
        tokio::time::sleep(latency).await;
        if self.hanging_hosts.lock().unwrap().iter().any(|one| one == host) {
            std::future::pending::<()>().await;
        }
        self.concurrent_checks.lock().unwrap().0 -= 1;
        if let Some(error) = self.failing_hosts.lock().unwrap().get(host) {
            return Err(error.clone());
        }
        let issued_at = candidate.playlist.query().and_then(|query| query.rsplit_once('@'));
        if let (Some(lifetime), Some((_, issued_at))) =
            (*self.token_lifetime.lock().unwrap(), issued_at)
            && self.began_at.elapsed().as_secs() >= issued_at.parse::<u64>().unwrap() + lifetime
        {
            let message = "the playlist was answered with 403".to_owned();
            return Err(CheckError {
                kind: CheckFailureKind::TokenRejected,
                ..CheckError::new(message)
            });
        }
        let is_frozen = *self.is_frozen.lock().unwrap();
        let sequence = if is_frozen { 7 } else { 100 + self.began_at.elapsed().as_secs() };
        let small = *self.small_rendition.lock().unwrap();
        let ids = ["v", "v360"].into_iter().take(1 + usize::from(small.is_some()));
        let renditions = ids.map(|id| {
            serde_json::from_value(serde_json::json!({
                "id": id, "role": "video", "playlist": candidate.playlist,
                "container": "mpeg-ts", "label": "Live",
            }))
            .unwrap()
        });
        let mut findings = CheckFindings::of(renditions.collect(), sequence);
        if let Some(Some(frozen_at)) = small {
            findings.live_edges[1].1.last_sequence = frozen_at;
        }
        if self.slate_hosts.lock().unwrap().iter().any(|one| one == host) {
            findings.sample.fingerprint = SegmentFingerprint::of(b"slate");
        }
        findings.sample.latency = latency.max(Duration::from_millis(50));
        Ok(findings)
    }
}

fn times_in_seconds(times: &Mutex<BTreeMap<String, Vec<Duration>>>, name: &str) -> Vec<f64> {
    let times = times.lock().unwrap();
    times.get(name).into_iter().flatten().map(Duration::as_secs_f64).collect()
}

#[async_trait]
impl JobExecutor for ScriptedExecutor {
    async fn extract_candidates(&self, source: &ConfiguredSource) -> ExtractorOutput {
        let number = self.record_time(&self.run_times, &source.name);
        let run = {
            let mut scripts = self.scripts.lock().unwrap();
            let script = scripts.get_mut(&source.name).unwrap();
            if script.len() > 1 { script.pop_front().unwrap() } else { script[0].clone() }
        };
        let now = self.clock.now();
        let candidate = |feed: String, url: String, ttl: Option<u64>| Candidate {
            position: 0,
            feed,
            label: None,
            playlist: Url::parse(&url).unwrap(),
            headers: Vec::new(),
            expires_at: ttl.map(|ttl| now + Duration::from_secs(ttl)),
        };
        let found = |candidates| ExtractorOutput { candidates, ..ExtractorOutput::default() };
        match run {
            ScriptedRun::Finds(feeds, host, ttl) => {
                let url = match ttl {
                    Some(_) => format!("https://{host}/live.m3u8?token={number}"),
                    None => format!("https://{host}/live.m3u8"),
                };
                found(feeds.iter().map(|f| candidate((*f).into(), url.clone(), ttl)).collect())
            }
            ScriptedRun::FindsUndated(feeds, host) => {
                let issued_at = self.began_at.elapsed().as_secs();
                let url = format!("https://{host}/live.m3u8?token={number}@{issued_at}");
                found(feeds.iter().map(|f| candidate((*f).into(), url.clone(), None)).collect())
            }
            ScriptedRun::FindsWithNewAgent(feeds, host) => {
                let agent = ("User-Agent".to_owned(), format!("Agent/{number}"));
                let url = format!("https://{host}/live.m3u8");
                let one = |feed: &&str| Candidate {
                    headers: vec![agent.clone()],
                    ..candidate((*feed).into(), url.clone(), None)
                };
                found(feeds.iter().map(one).collect())
            }
            ScriptedRun::FindsUnusable(feeds, host) => {
                let url = format!("https://{host}/live.m3u8");
                let one = |feed: &&str| candidate((*feed).into(), url.clone(), None);
                let unusable = ["1 without a name", "2 left out"];
                let unusable = unusable.map(|message| ExtractError::new("filter", message, false));
                let found = found(feeds.iter().map(one).collect());
                ExtractorOutput { unusable: unusable.to_vec(), ..found }.sanitize()
            }
            ScriptedRun::FindsMany(count, host) => {
                let url = |n| format!("https://{host}/{n}.m3u8");
                let one = |n| candidate(format!("Feed {n}"), url(n), None);
                found((0..count).map(one).collect()).sanitize()
            }
            ScriptedRun::Fails => {
                ExtractorOutput::from_error(ExtractError::new("step 1 (get)", "refused", true))
            }
            ScriptedRun::Panics => panic!("a bug in an extractor"),
            ScriptedRun::Hangs => std::future::pending().await,
        }
    }

    async fn check_candidate(
        &self,
        _: &Source,
        candidate: &Candidate,
    ) -> Result<CheckFindings, CheckError> {
        self.check_host(candidate).await
    }

    async fn recheck_candidate(
        &self,
        _: &Source,
        candidate: &Candidate,
        _: &CheckFindings,
    ) -> Result<CheckFindings, CheckError> {
        self.check_host(candidate).await
    }
}
