//! `[extract]`: how many sources run at once, and where the programs of some source kinds are.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use crate::settings::from_text;

/// The keys of `[extract]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExtractConfig {
    /// How many sources run at the same time.
    pub at_once: NonZeroUsize,
    /// How many of these may be sources that need a program or a browser.
    pub programs_at_once: NonZeroUsize,
    /// The path of yt-dlp, or a name that is looked up in `PATH`.
    pub yt_dlp: PathBuf,
    /// The path of Streamlink, or a name that is looked up in `PATH`.
    pub streamlink: PathBuf,
    pub browser: BrowserConfig,
    /// The arguments with which this executable starts as the worker that runs scripts.
    #[serde(skip)]
    pub script_worker: Vec<String>,
}

/// The browser of `kind = "browser"`. Off by default: a browser needs more memory and CPU than all
/// of Pitwall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrowserConfig {
    Off,
    Executable {
        path: PathBuf,
        /// Whether Chromium's own sandbox is on, which does not work for root.
        sandbox: bool,
    },
    /// The DevTools endpoint (`ws:`) of a browser that the operator runs on this machine, or the
    /// address (`http:`) whose `/json/version` names that endpoint.
    Endpoint(Url),
}

/// Where Debian installs Chromium.
const CHROMIUM_DEFAULT_PATH: &str = "/usr/bin/chromium";

impl Default for ExtractConfig {
    fn default() -> Self {
        Self {
            at_once: NonZeroUsize::MIN.saturating_add(7),
            programs_at_once: NonZeroUsize::MIN.saturating_add(1),
            yt_dlp: "yt-dlp".into(),
            streamlink: "streamlink".into(),
            browser: BrowserConfig::Off,
            script_worker: vec!["script-worker".to_owned()],
        }
    }
}

/// `[extract.browser]`, as written in the configuration.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BrowserSettings {
    enabled: bool,
    executable: PathBuf,
    sandbox: bool,
    endpoint: Option<DevToolsEndpoint>,
}

struct DevToolsEndpoint(Url);

from_text!(DevToolsEndpoint, |text| match Url::parse(text) {
    Ok(url) if url.scheme() == "ws" && url.has_host() => Ok(Self(url)),
    Ok(url) if url.scheme() == "http" && is_loopback_url(&url) && url.path() == "/" =>
        Ok(Self(url)),
    _ => Err(format!(
        "{text:?} is not a DevTools endpoint: http://127.0.0.1:9222 or ws://127.0.0.1:9222/devtools/…"
    )),
});

/// Whether the browser runs on this machine: its only network path is an
/// [`LoopbackProxy`](super::egress::LoopbackProxy) on loopback, which no other machine can reach.
fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Default for BrowserSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            executable: CHROMIUM_DEFAULT_PATH.into(),
            sandbox: true,
            endpoint: None,
        }
    }
}

impl<'de> Deserialize<'de> for BrowserConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let BrowserSettings { enabled, executable, sandbox, endpoint } =
            BrowserSettings::deserialize(deserializer)?;
        Ok(match (enabled, endpoint) {
            (false, _) => Self::Off,
            (true, Some(DevToolsEndpoint(url))) => Self::Endpoint(url),
            (true, None) => Self::Executable { path: executable, sandbox },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browser_settings_are_validated() {
        let executable =
            |path: &str, sandbox| BrowserConfig::Executable { path: path.into(), sandbox };
        for (text, expected) in [
            ("", Ok(BrowserConfig::Off)),
            ("browser = { sandbox = false }", Ok(BrowserConfig::Off)),
            ("browser = { enabled = true }", Ok(executable(CHROMIUM_DEFAULT_PATH, true))),
            (
                "[browser]\nenabled = true\nexecutable = '/opt/chrome'\nsandbox = false",
                Ok(executable("/opt/chrome", false)),
            ),
            (
                "browser = { enabled = true, endpoint = 'ws://127.0.0.1:9222/devtools/browser/1' }",
                Ok(BrowserConfig::Endpoint(
                    Url::parse("ws://127.0.0.1:9222/devtools/browser/1").unwrap(),
                )),
            ),
            (
                "browser = { enabled = true, endpoint = 'http://localhost:9222' }",
                Ok(BrowserConfig::Endpoint(Url::parse("http://localhost:9222/").unwrap())),
            ),
            ("browser = { endpoint = 'http://192.0.2.1:9222' }", Err("not a DevTools endpoint")),
            ("browser = { endpoint = 'http://[::1]:9222/json' }", Err("not a DevTools endpoint")),
            ("browser = { endpoint = 'https://127.0.0.1:9222' }", Err("not a DevTools endpoint")),
            ("browser = { enable = true }", Err("unknown field `enable`")),
            ("at_once = 0", Err("nonzero")),
            ("yt-dlp = 'x'", Err("unknown field `yt-dlp`")),
        ] {
            match (toml::from_str::<ExtractConfig>(text), expected) {
                (Ok(config), Ok(expected)) => assert_eq!(config.browser, expected, "{text}"),
                (Err(error), Err(expected)) => {
                    assert!(error.message().contains(expected), "{error}");
                }
                (got, expected) => panic!("{text}: {got:?}, expected {expected:?}"),
            }
        }
    }
}
