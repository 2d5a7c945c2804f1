//! Everything that ends by itself.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use pitwall_control_plane::extract_once;
use pitwall_fetch::{Fetcher, Timeouts, parse_url};
use pitwall_proxy::seal::Purpose;

use crate::cli::say;
use crate::config::{Config, Invalid};
use crate::secret;

pub(crate) fn check(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let sources = match config.sources.len() {
        1 => "1 source".to_owned(),
        count => format!("{count} sources"),
    };
    say(&format!("{}: fine, {sources}", path.display()));
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
    let sealer = secret::seal_keys(&config.access, &config.state.dir)?.sealer();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    for (purpose, path) in [(Purpose::Playlist, "/proxy"), (Purpose::Media, "/relay")] {
        let mut seal = Vec::new();
        let expires = ttl.map(|ttl| now + ttl.as_secs());
        sealer.seal_until(purpose, path, "", url.as_str(), now, expires, &mut seal);
        say(&format!("{path}?u={}", String::from_utf8_lossy(&seal)));
    }
    Ok(())
}

pub(crate) fn extract(name: &str, path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let Some(source) = config.sources.iter().find(|source| source.name == name) else {
        let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
        bail!("no source is called {name:?}; there are: {}", names.join(", "));
    };
    let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
    let runtime = tokio::runtime::Runtime::new()?;
    let candidates = runtime
        .block_on(extract_once(source, &fetcher))
        .with_context(|| format!("source {name:?}"))?;
    for candidate in &candidates {
        // The operator's own terminal: what was found is what was asked for, token and all.
        let expires = candidate.expires_at.map_or("unknown".to_owned(), |at| at.to_string());
        say(&format!("{}\t{}\texpires {expires}", candidate.feed, candidate.playlist));
    }
    Ok(())
}
