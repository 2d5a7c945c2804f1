//! Everything that ends by itself.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::bail;
use pitwall_control_plane::Runner;
use pitwall_fetch::{Fetcher, Timeouts, parse_url};
use pitwall_proxy::seal::Purpose as SealPurpose;
use pitwall_proxy::target::Targets;

use crate::cli::say;
use crate::config::{Config, Flaws, Invalid};
use crate::run;
use crate::secret::{self, Purpose};

pub(crate) fn check(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    // Read again: what is assembled is used up.
    run::assemble(Config::load(path)?, Purpose::Check)?;
    let flaws: Vec<String> = config.flaws().iter().map(ToString::to_string).collect();
    if !flaws.is_empty() {
        return Err(Flaws(flaws).into());
    }
    let sources = match config.sources.len() {
        1 => "1 source".to_owned(),
        count => format!("{count} sources"),
    };
    say(&format!("{}: fine, {sources}", path.display()));
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
    let runner = Runner::new(fetcher, &config.extract);
    config.remarks().iter().for_each(|remark| say(remark));
    for source in &config.sources {
        // The configuration is fine; this machine may be another than the one it is for.
        if let Some(missing) = runner.missing(source) {
            say(&format!(
                "source {:?} ({}) cannot run here: {missing}",
                source.name,
                source.kind()
            ));
        }
    }
    Ok(())
}

/// Links made from now on work until the end of the next day: longer than that is no promise.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn sign(url: &str, ttl: Option<Duration>, path: &Path) -> anyhow::Result<()> {
    if ttl.is_some_and(|ttl| ttl > LONGEST || ttl.is_zero()) {
        return Err(Invalid::new("--ttl", "between 1s and 24h").into());
    }
    let config = Config::load(path)?;
    let url = parse_url(url)?;
    let targets = Targets::new(&config.upstream);
    let fetcher = Fetcher::new(config.upstream.timeouts.into(), Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // A name that does not resolve here may do so where the edge is.
    if let Err(error) = runtime.block_on(fetcher.vet(&targets.policy_of(&url), &url))
        && error.is_denied()
    {
        bail!("the edge would refuse it: {}", targets.explain(&url, &error));
    }
    let state = &config.state.dir;
    let keys = secret::seal_keys(&config.access, state, &config.origins, Purpose::Start)?;
    let sealer = keys.sealer();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    for (purpose, path) in [(SealPurpose::Playlist, "/proxy"), (SealPurpose::Media, "/relay")] {
        let mut seal = Vec::new();
        let expires = ttl.map(|ttl| now + ttl.as_secs());
        sealer.seal_until(purpose, path, "", url.as_str(), now, expires, &mut seal);
        say(&format!("{path}?u={}", String::from_utf8_lossy(&seal)));
    }
    Ok(())
}
