//! `[extract]`: how much runs at once, and where the programs are that some kinds of source need.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use url::Url;

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
    pub browser: Browser,
    /// How this executable is told to be the one that runs scripts.
    #[serde(skip)]
    pub script_worker: Vec<String>,
}

/// Off unless somebody turns it on: a browser weighs more than everything else together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Browser {
    Off,
    Executable(PathBuf),
    /// The DevTools endpoint of one that somebody else runs on this machine.
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
            browser: Browser::Off,
            script_worker: vec!["script-worker".to_owned()],
        }
    }
}

from_text!(Browser, |text| match text {
    "off" => Ok(Self::Off),
    "on" => Ok(Self::Executable(CHROMIUM.into())),
    path if path.starts_with('/') => Ok(Self::Executable(path.into())),
    text => match Url::parse(text) {
        Ok(url) if url.scheme() == "ws" && url.has_host() => Ok(Self::Endpoint(url)),
        _ => Err(format!("{text:?} is not \"off\", \"on\", a path or a ws:// endpoint")),
    },
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken() {
        for (text, expected) in [
            ("", Ok(Browser::Off)),
            ("browser = 'on'", Ok(Browser::Executable(CHROMIUM.into()))),
            ("browser = '/opt/chrome'", Ok(Browser::Executable("/opt/chrome".into()))),
            (
                "browser = 'ws://127.0.0.1:9222/devtools/browser/1'",
                Ok(Browser::Endpoint(
                    Url::parse("ws://127.0.0.1:9222/devtools/browser/1").unwrap(),
                )),
            ),
            ("browser = 'firefox'", Err("is not \"off\"")),
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
