//! The outside world, scripted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use url::Url;

use super::Scripts;
use crate::check::{CheckError, Checked, Fault};
use crate::clock::Clock;
use crate::engine::work::Work;
use crate::extract::{Candidate, ExtractError, Found};
use crate::source::Source;

/// Each source plays its script; the last entry repeats.
pub(super) struct World {
    runs: Mutex<BTreeMap<String, Vec<Duration>>>,
    checks: Mutex<BTreeMap<String, Vec<Duration>>>,
    scripts: Mutex<BTreeMap<String, VecDeque<Run>>>,
    /// Hosts whose playlists fail their checks, and how.
    broken: Mutex<BTreeMap<String, CheckError>>,
    /// Hosts whose checks never end, and those that are slow.
    hanging: Mutex<Vec<String>>,
    slow: Mutex<BTreeMap<String, Duration>>,
    /// Playlists stop moving.
    pub(super) frozen: Mutex<bool>,
    /// There is a smaller rendition, and where it stands still, if it does.
    pub(super) small: Mutex<Option<Option<u64>>>,
    /// How long the upstream takes a token for, whatever it says of itself.
    pub(super) lives: Mutex<Option<u64>>,
    /// Checks under way, and the most there ever were.
    busy: Mutex<(usize, usize)>,
    began: Instant,
    pub(super) clock: Clock,
}

#[derive(Clone)]
pub(super) enum Run {
    /// Feeds, each at this host, with a token that says it lives so many seconds.
    Finds(&'static [&'static str], &'static str, Option<u64>),
    /// The same with a token that does not say.
    FindsUndated(&'static [&'static str], &'static str),
    /// So many feeds.
    FindsMany(usize, &'static str),
    Fails,
    Panics,
    Hangs,
}

impl World {
    pub(super) fn new(scripts: Scripts<'_>, clock: Clock) -> Self {
        let script = |(name, runs): &(&str, &[Run])| {
            ((*name).to_owned(), runs.iter().cloned().collect::<VecDeque<_>>())
        };
        Self {
            runs: Mutex::default(),
            checks: Mutex::default(),
            scripts: Mutex::new(scripts.iter().map(script).collect()),
            broken: Mutex::default(),
            hanging: Mutex::default(),
            slow: Mutex::default(),
            frozen: Mutex::default(),
            small: Mutex::default(),
            lives: Mutex::default(),
            busy: Mutex::default(),
            began: Instant::now(),
            clock,
        }
    }

    pub(super) fn breaks(&self, host: &str, error: CheckError) {
        self.broken.lock().unwrap().insert(host.to_owned(), error);
    }

    pub(super) fn mends(&self, host: &str) {
        self.broken.lock().unwrap().remove(host);
    }

    pub(super) fn hangs(&self, host: &str) {
        self.hanging.lock().unwrap().push(host.to_owned());
    }

    /// Checks of this host take so long, and say so.
    pub(super) fn slows(&self, host: &str, latency: Duration) {
        self.slow.lock().unwrap().insert(host.to_owned(), latency);
    }

    /// When each run of a source began.
    pub(super) fn runs(&self, source: &str) -> Vec<f64> {
        seconds(&self.runs, source)
    }

    /// When each check of a host began.
    pub(super) fn checks(&self, host: &str) -> Vec<f64> {
        seconds(&self.checks, host)
    }

    /// The most checks that were under way at once.
    pub(super) fn busiest(&self) -> usize {
        self.busy.lock().unwrap().1
    }

    fn note(&self, what: &Mutex<BTreeMap<String, Vec<Duration>>>, name: &str) -> usize {
        let mut times = what.lock().unwrap();
        let times = times.entry(name.to_owned()).or_default();
        times.push(self.began.elapsed());
        times.len()
    }

    async fn verdict(&self, candidate: &Candidate) -> Result<Checked, CheckError> {
        let host = candidate.playlist.host_str().unwrap();
        self.note(&self.checks, host);
        {
            let mut busy = self.busy.lock().unwrap();
            busy.0 += 1;
            busy.1 = busy.1.max(busy.0);
        }
        let latency = self.slow.lock().unwrap().get(host).copied().unwrap_or_default();
        tokio::time::sleep(latency).await;
        if self.hanging.lock().unwrap().iter().any(|one| one == host) {
            std::future::pending::<()>().await;
        }
        self.busy.lock().unwrap().0 -= 1;
        if let Some(error) = self.broken.lock().unwrap().get(host) {
            return Err(error.clone());
        }
        let made = candidate.playlist.query().and_then(|query| query.rsplit_once('@'));
        if let (Some(lives), Some((_, made))) = (*self.lives.lock().unwrap(), made)
            && self.began.elapsed().as_secs() >= made.parse::<u64>().unwrap() + lives
        {
            let message = "the playlist was answered with 403".to_owned();
            return Err(CheckError { fault: Fault::Refused, ..CheckError::new(message) });
        }
        let frozen = *self.frozen.lock().unwrap();
        let sequence = if frozen { 7 } else { 100 + self.began.elapsed().as_secs() };
        let small = *self.small.lock().unwrap();
        let ids = ["v", "v360"].into_iter().take(1 + usize::from(small.is_some()));
        let renditions = ids.map(|id| {
            serde_json::from_value(serde_json::json!({
                "id": id, "role": "video", "playlist": candidate.playlist,
                "container": "mpeg-ts", "label": "Live",
            }))
            .unwrap()
        });
        let mut checked = Checked::of(renditions.collect(), sequence);
        if let Some(Some(stands_at)) = small {
            checked.heads[1].1.sequence = stands_at;
        }
        checked.sample.latency = latency.max(Duration::from_millis(50));
        Ok(checked)
    }
}

fn seconds(times: &Mutex<BTreeMap<String, Vec<Duration>>>, name: &str) -> Vec<f64> {
    let times = times.lock().unwrap();
    times.get(name).into_iter().flatten().map(Duration::as_secs_f64).collect()
}

#[async_trait]
impl Work for World {
    async fn extract(&self, source: &Source) -> Found {
        let number = self.note(&self.runs, &source.name);
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
        let found = |candidates| Found { candidates, ..Found::default() };
        match run {
            Run::Finds(feeds, host, ttl) => {
                let url = match ttl {
                    Some(_) => format!("https://{host}/live.m3u8?token={number}"),
                    None => format!("https://{host}/live.m3u8"),
                };
                found(feeds.iter().map(|f| candidate((*f).into(), url.clone(), ttl)).collect())
            }
            Run::FindsUndated(feeds, host) => {
                let made = self.began.elapsed().as_secs();
                let url = format!("https://{host}/live.m3u8?token={number}@{made}");
                found(feeds.iter().map(|f| candidate((*f).into(), url.clone(), None)).collect())
            }
            Run::FindsMany(count, host) => {
                let url = |n| format!("https://{host}/{n}.m3u8");
                let one = |n| candidate(format!("Feed {n}"), url(n), None);
                found((0..count).map(one).collect()).tidy()
            }
            Run::Fails => Found::failed(ExtractError::new("step 1 (get)", "refused", true)),
            Run::Panics => panic!("a bug in an extractor"),
            Run::Hangs => std::future::pending().await,
        }
    }

    async fn check(&self, _: &Source, candidate: &Candidate) -> Result<Checked, CheckError> {
        self.verdict(candidate).await
    }

    async fn recheck(
        &self,
        _: &Source,
        candidate: &Candidate,
        _: &Checked,
    ) -> Result<Checked, CheckError> {
        self.verdict(candidate).await
    }
}
