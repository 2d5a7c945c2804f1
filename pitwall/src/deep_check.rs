//! `pitwall check --deep`: whether what the configuration names can be reached, and until when its
//! certificate lasts. One line for each, with the reason where it fails.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::bail;
use pitwall_control_plane::{ConfiguredSource, ExtractionRunner, check_playability};
use pitwall_fetch::{AddressPolicy, Fetcher, Request, Timeouts};
use pitwall_proxy::server::tls::LoadedCertificate;
use tokio::net::TcpStream;
use url::Url;

use crate::config::Config;
use crate::terminal::print_text;

/// How many of what a source finds are tried; a list may have thousands.
const CANDIDATES_MAX: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A certificate that ends within this time should have been renewed.
const CERTIFICATE_MIN_SECONDS: u64 = 14 * 24 * 60 * 60;

/// Prints a line for each source, schedule provider, webhook and certificate.
///
/// # Errors
/// One of them fails.
pub(crate) fn run_all_checks(config: &Config) -> anyhow::Result<()> {
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), config.own_listeners()));
    let runner = ExtractionRunner::new(fetcher.clone(), &config.extract);
    let runtime = tokio::runtime::Runtime::new()?;
    let mut failed = 0;
    let mut report = |what: String, outcome: Result<String, String>| match outcome {
        Ok(text) => print_text(&format!("ok      {what}: {text}")),
        Err(why) => {
            failed += 1;
            print_text(&format!("failed  {what}: {why}"));
        }
    };
    for source in &config.sources {
        let outcome = runtime.block_on(check_source(&runner, &fetcher, source));
        report(format!("source {:?}", source.name), outcome);
    }
    for (provider, url, policy) in config.schedule.provider_targets() {
        let outcome = runtime.block_on(check_response(&fetcher, &policy, url));
        report(format!("schedule provider {provider}"), outcome);
    }
    for webhook in &config.webhooks {
        let url = webhook.url.0.clone();
        let outcome = runtime.block_on(check_connection(&fetcher, &webhook.fetch_policy(), &url));
        report(format!("webhook {:?}", webhook.name.0), outcome);
    }
    if let Some(tls) = &config.edge.tls {
        let loaded = LoadedCertificate::load(tls).map_err(|error| error.to_string());
        let outcome = loaded.and_then(|loaded| check_certificate_expiry(loaded.not_after()));
        report(format!("certificate {}", tls.cert.display()), outcome);
    }
    if failed > 0 {
        bail!("{failed} of what the configuration names cannot be used");
    }
    Ok(())
}

/// Runs a source and tries what it finds as a player would.
async fn check_source(
    runner: &ExtractionRunner,
    fetcher: &Fetcher,
    source: &ConfiguredSource,
) -> Result<String, String> {
    if let Some(missing) = runner.explain_missing(source) {
        return Err(missing);
    }
    let extraction = runner.extract(source).await;
    if let Some(failure) = extraction.failures.first() {
        return Err(failure.to_string());
    }
    let (found, location) = (extraction.candidates.len(), source.config_location());
    let mut first_failure = None;
    for candidate in extraction.candidates.iter().take(CANDIDATES_MAX) {
        let target = fetcher.check_target(&source.fetch_policy(), &candidate.playlist).await;
        let outcome = match target {
            Err(error) => Err(error.operator_text(&location)),
            Ok(_) => check_playability(fetcher, source, candidate).await,
        };
        match outcome {
            Ok(_) => return Ok(format!("{} plays; it finds {found}", candidate.feed)),
            Err(why) => drop(first_failure.get_or_insert(format!("{}: {why}", candidate.feed))),
        }
    }
    Err(first_failure.unwrap_or_else(|| "it finds nothing".to_owned()))
}

async fn check_response(
    fetcher: &Fetcher,
    policy: &AddressPolicy,
    url: Url,
) -> Result<String, String> {
    let response = fetcher.send(policy, Request::get(url)).await;
    let response = response.map_err(|error| error.operator_text("in [schedule]"))?;
    match response.status() {
        status if status.is_server_error() => Err(format!("it answers with {}", status.as_u16())),
        status => Ok(format!("it answers with {}", status.as_u16())),
    }
}

/// Connects and sends nothing, as any request may be taken for an alert.
async fn check_connection(
    fetcher: &Fetcher,
    policy: &AddressPolicy,
    url: &Url,
) -> Result<String, String> {
    let target = fetcher.check_target(policy, url).await;
    target.map_err(|error| error.operator_text("in this webhook"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(443);
    match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok("it can be connected to".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())),
    }
}

/// `not_after` is a Unix time.
fn check_certificate_expiry(not_after: Option<i64>) -> Result<String, String> {
    let not_after = not_after.ok_or("when it ends cannot be read")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let left = u64::try_from(not_after).unwrap_or(0).saturating_sub(now);
    let days = left / (24 * 60 * 60);
    match left {
        0 => Err("it has ended".to_owned()),
        left if left < CERTIFICATE_MIN_SECONDS => Err(format!("it ends in {days} days")),
        _ => Ok(format!("it ends in {days} days")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_to_last_for_two_weeks() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let day = 24 * 60 * 60;
        for (not_after, expected) in [
            (-day, Err("it has ended")),
            (now - 1, Err("it has ended")),
            (now + 13 * day + 60, Err("it ends in 13 days")),
            (now + 20 * day + 60, Ok("it ends in 20 days")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(check_certificate_expiry(Some(not_after)), expected, "{not_after}");
        }
    }
}
