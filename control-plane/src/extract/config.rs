//! `[extract]`: how much runs at once, and where the programs are that some kinds of source need.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use crate::settings::from_text;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExtractConfig {
    /// Sources that run at the same time.
    pub at_once: NonZeroUsize,
    /// Of these, sources that need a program or a browser.
    pub programs_at_once: NonZeroUsize,
    /// A path, or a name that is looked up in `PATH`.
    pub yt_dlp: PathBuf,
    pub streamlink: PathBuf,
    pub browser: BrowserConfig,
    /// How this executable is told to be the one that runs scripts.
    #[serde(skip)]
    pub script_worker: Vec<String>,
}

/// Off unless somebody turns it on: a browser weighs more than everything else together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrowserConfig {
    Off,
    Executable {
        path: PathBuf,
        /// Its own, which needs another user than root.
        sandbox: bool,
    },
    /// The DevTools endpoint of one that somebody else runs on this machine, or with `http:`
    /// where it can be asked for.
    Endpoint(Url),
}

/// Where Debian puts it.
const CHROMIUM: &str = "/usr/bin/chromium";

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

/// `[extract.browser]` as it is written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BrowserSettings {
    enabled: bool,
    executable: PathBuf,
    sandbox: bool,
    endpoint: Option<Endpoint>,
}

struct Endpoint(Url);

from_text!(Endpoint, |text| match Url::parse(text) {
    Ok(url) if url.scheme() == "ws" && url.has_host() => Ok(Self(url)),
    Ok(url) if url.scheme() == "http" && is_here(&url) && url.path() == "/" => Ok(Self(url)),
    _ => Err(format!(
        "{text:?} is not a DevTools endpoint: http://127.0.0.1:9222 or ws://127.0.0.1:9222/devtools/…"
    )),
});

/// Its way out is a proxy on this machine's loopback: from elsewhere it could show nothing.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Default for BrowserSettings {
    fn default() -> Self {
        Self { enabled: false, executable: CHROMIUM.into(), sandbox: true, endpoint: None }
    }
}

impl<'de> Deserialize<'de> for BrowserConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let BrowserSettings { enabled, executable, sandbox, endpoint } =
            BrowserSettings::deserialize(deserializer)?;
        Ok(match (enabled, endpoint) {
            (false, _) => Self::Off,
            (true, Some(Endpoint(url))) => Self::Endpoint(url),
            (true, None) => Self::Executable { path: executable, sandbox },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken() {
        let executable =
            |path: &str, sandbox| BrowserConfig::Executable { path: path.into(), sandbox };
        for (text, expected) in [
            ("", Ok(BrowserConfig::Off)),
            ("browser = { sandbox = false }", Ok(BrowserConfig::Off)),
            ("browser = { enabled = true }", Ok(executable(CHROMIUM, true))),
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
