//! The subcommands `check`, `sign`, `link` and `notify`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{anyhow, bail};
use pitwall_control_plane::{ExtractionRunner, WebhookTestResult, test_webhooks};
use pitwall_fetch::{Fetcher, Timeouts, parse_url};
use pitwall_proxy::route::URI_MAX_BYTES;
use pitwall_proxy::upstream::denials::DenialLog;
use pitwall_proxy::upstream::seal::Purpose as SealPurpose;
use pitwall_proxy::upstream::target_resolver::TargetResolver;

use crate::config::{Config, ConfigError, NonFatalConfigErrors};
use crate::secret::{self, StartMode};
use crate::terminal::{print_error, print_text};
use crate::{settings, single_process};

/// `pitwall check`: does all that a start does except to start, and prints what it finds.
pub(crate) fn check_config(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    // Loaded again, as assembling the server consumes a configuration.
    single_process::check_server(Config::load(path)?)?;
    let errors: Vec<String> = config.non_fatal_errors().iter().map(ToString::to_string).collect();
    if !errors.is_empty() {
        return Err(NonFatalConfigErrors(errors).into());
    }
    let sources = match config.sources.len() {
        1 => "1 source".to_owned(),
        count => format!("{count} sources"),
    };
    print_text(&format!("{}: fine, {sources}", path.display()));
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
    let runner = ExtractionRunner::new(fetcher, &config.extract);
    let disk = config.disk_cache_error().map(|error| error.to_string());
    config.warnings().iter().chain(&disk).for_each(|warning| print_text(warning));
    for source in &config.sources {
        // A missing program is no error, as the configuration may be for another machine.
        if let Some(missing) = runner.explain_missing(source) {
            print_text(&format!(
                "source {:?} ({}) cannot run here: {missing}",
                source.name, source.kind
            ));
        }
    }
    Ok(())
}

/// A seal is valid until the end of the next seal period (24 h), so at least this long.
const LINK_TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// `pitwall sign`: prints sealed links to `url`, as a playlist and as media.
pub(crate) fn print_sealed_links(
    url: &str,
    ttl: Option<Duration>,
    path: &Path,
) -> anyhow::Result<()> {
    if ttl.is_some_and(|ttl| ttl > LINK_TTL_MAX || ttl.is_zero()) {
        return Err(ConfigError::new("--ttl", "between 1s and 24h").into());
    }
    let config = Config::load(path)?;
    let url = parse_url(url)?;
    let targets = TargetResolver::new(&config.upstream, DenialLog::default());
    let fetcher = Fetcher::new(config.upstream.timeouts.into(), config.own_listeners());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Only a denial fails: a name that does not resolve here may resolve where the edge runs.
    if let Err(error) =
        runtime.block_on(fetcher.check_target(targets.policy_for_plain_link(&url), &url))
        && error.is_denied()
    {
        bail!("the edge would refuse it: {}", targets.explain_denial(&url, &error));
    }
    let state = &config.state.dir;
    let keys =
        secret::load_seal_keys(&config.access, state, &config.key_locations, StartMode::Join)?;
    let sealer = keys.sealer();
    let site = match config.edge.public_url {
        Some(_) => config.edge.site_url().to_string(),
        None => String::new(),
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    for (purpose, path) in [(SealPurpose::Playlist, "/proxy"), (SealPurpose::Media, "/relay")] {
        let mut seal = Vec::new();
        let expires = ttl.map(|ttl| now + ttl.as_secs());
        sealer.seal_until(purpose, path, "", url.as_str(), now, expires, &mut seal);
        let link = format!("{path}?u={}", String::from_utf8_lossy(&seal));
        if link.len() > URI_MAX_BYTES {
            bail!("the edge would refuse it: the link would be longer than {URI_MAX_BYTES} bytes");
        }
        print_text(&format!("{}{link}", site.trim_end_matches('/')));
    }
    Ok(())
}

/// `pitwall link NAME`: prints whole links with the key of a person.
pub(crate) fn print_access_links(name: &str, path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let key = secret::find_named_key(&config.access, &config.key_locations, name)?;
    let site = config.edge.site_url();
    let site = site.as_str().trim_end_matches('/');
    print_text(&format!("page\t{site}/?key={key}"));
    print_text(&format!("IPTV list\t{site}/iptv/playlist.m3u?key={key}"));
    print_text(&format!("calendar\t{site}/calendar.ics?key={key}"));
    if config.edge.public_url.is_none() {
        print_error(&anyhow!(
            "[edge] public_url is not set: the links begin with the listen address"
        ));
    }
    Ok(())
}

/// `pitwall notify --test`: sends a test to each webhook, once, and prints the outcome.
///
/// # Errors
/// No webhook is configured, or one of them did not take the test.
pub(crate) fn send_test_alerts(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let fetcher = Fetcher::new(Timeouts::default(), config.own_listeners());
    let token = secret::load_admin_token(&config.access, &config.key_locations)?;
    let webhooks = settings::control_settings(config, &token)?.webhooks;
    if webhooks.is_empty() {
        bail!("no [[webhook]] is configured");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let results = runtime.block_on(test_webhooks(&webhooks, &fetcher)).webhooks;
    for WebhookTestResult { webhook, delivered, answer, .. } in &results {
        let outcome = if *delivered { "delivered" } else { "not delivered" };
        print_text(&format!("{webhook}\t{outcome}: {answer}"));
    }
    let failed = results.iter().filter(|result| !result.delivered).count();
    if failed > 0 {
        bail!("{failed} of {} webhooks did not take the test", webhooks.len());
    }
    Ok(())
}
