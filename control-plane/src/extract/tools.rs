//! What some kinds cannot do without: programs, and a browser.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::config::{BrowserConfig, ExtractConfig};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    YtDlp,
    Streamlink,
    Browser,
}

pub(crate) struct Tools {
    yt_dlp: PathBuf,
    streamlink: PathBuf,
    pub(crate) browser: BrowserConfig,
    pub(crate) script_worker: Vec<String>,
    /// Whether there is a `setpriv` that can tie a program to us.
    leash: bool,
}

/// util-linux's, which Debian always has: the kernel kills what it starts as soon as whoever
/// started it is gone. The call of its own would have to be made between fork and exec, which
/// is no place for safe code.
const LEASH: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];

impl Tools {
    pub(crate) fn new(config: &ExtractConfig) -> Self {
        Self {
            yt_dlp: config.yt_dlp.clone(),
            streamlink: config.streamlink.clone(),
            browser: config.browser.clone(),
            script_worker: config.script_worker.clone(),
            leash: is_there(&LEASH),
        }
    }

    /// A program that ends with us, also when we get no chance to end it. The kernel takes the
    /// thread that starts it for us: those of a runtime live as long.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let [leash, arguments @ ..] = LEASH;
        if !self.leash {
            return Command::new(program);
        }
        let mut command = Command::new(leash);
        command.args(arguments).arg(program);
        command
    }

    /// Why a tool cannot be used, for a person who can change that.
    pub(crate) fn missing(&self, tool: Tool) -> Option<String> {
        let (name, key, path) = match (tool, &self.browser) {
            (Tool::YtDlp, _) => ("yt-dlp", "yt_dlp", &self.yt_dlp),
            (Tool::Streamlink, _) => ("streamlink", "streamlink", &self.streamlink),
            (Tool::Browser, BrowserConfig::Executable { path, .. }) => {
                ("the browser", "browser.executable", path)
            }
            (Tool::Browser, BrowserConfig::Endpoint(_)) => return None,
            (Tool::Browser, BrowserConfig::Off) => {
                let off = "the browser is off: set `enabled = true` in [extract.browser]";
                return Some(off.to_owned());
            }
        };
        let message = || match is_path(path) {
            true => format!("{name} is not at {}: see `{key}` in [extract]", path.display()),
            false => format!("{name} is not installed: install it, or set `{key}` in [extract]"),
        };
        find(path).is_none().then(message)
    }

    /// Where a program is.
    pub(crate) fn program(&self, tool: Tool) -> Result<PathBuf, String> {
        let path = match (tool, &self.browser) {
            (Tool::YtDlp, _) => Some(&self.yt_dlp),
            (Tool::Streamlink, _) => Some(&self.streamlink),
            (Tool::Browser, BrowserConfig::Executable { path, .. }) => Some(path),
            (Tool::Browser, _) => None,
        };
        let found = path.and_then(|path| find(path));
        found.ok_or_else(|| self.missing(tool).unwrap_or_else(|| "it is not a program".to_owned()))
    }
}

/// Others of that name, such as busybox's, do not know the option.
fn is_there([leash, arguments @ ..]: &[&str; 4]) -> bool {
    let mut command = std::process::Command::new(leash);
    command.args(arguments).arg("true").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let there = command.status().is_ok_and(|status| status.success());
    if !there {
        tracing::info!("no setpriv of util-linux: a killed Pitwall may leave programs behind");
    }
    there
}

fn is_path(program: &Path) -> bool {
    program.components().count() > 1
}

/// A path as it is; a name in `PATH`, as a shell would find it.
fn find(program: &Path) -> Option<PathBuf> {
    if is_path(program) {
        return executable(program).then(|| program.to_owned());
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| executable(path))
}

fn executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn what_ties_a_program_to_us() {
        let line = |tools: &Tools| {
            let command = tools.command(Path::new("/usr/bin/chromium"));
            let command = command.as_std();
            let words: Vec<&OsStr> =
                std::iter::once(command.get_program()).chain(command.get_args()).collect();
            words.join(OsStr::new(" ")).into_string().unwrap()
        };
        let tools = Tools { leash: true, ..Tools::new(&ExtractConfig::default()) };
        assert_eq!(line(&tools), "setpriv --pdeathsig KILL -- /usr/bin/chromium");
        assert_eq!(line(&Tools { leash: false, ..tools }), "/usr/bin/chromium");
        assert!(!is_there(&["true-no-such-program", "", "", ""]));
        assert!(!is_there(&["false", "--pdeathsig", "KILL", "--"]), "it knows no such option");
    }

    #[test]
    fn what_is_missing_and_what_to_do_about_it() {
        let tools = |yt_dlp: &str, browser| {
            Tools::new(&ExtractConfig {
                yt_dlp: yt_dlp.into(),
                browser,
                ..ExtractConfig::default()
            })
        };
        for (tools, tool, expected) in [
            (tools("sh", BrowserConfig::Off), Tool::YtDlp, None),
            (tools("/bin/sh", BrowserConfig::Off), Tool::YtDlp, None),
            (
                tools("/etc/passwd", BrowserConfig::Off),
                Tool::YtDlp,
                Some("yt-dlp is not at /etc/passwd: see `yt_dlp` in [extract]"),
            ),
            (
                tools("no-such-program", BrowserConfig::Off),
                Tool::YtDlp,
                Some("yt-dlp is not installed: install it, or set `yt_dlp` in [extract]"),
            ),
            (tools("sh", BrowserConfig::Off), Tool::Browser, Some("the browser is off")),
            (
                tools(
                    "sh",
                    BrowserConfig::Executable { path: "/no/chromium".into(), sandbox: true },
                ),
                Tool::Browser,
                Some("the browser is not at /no/chromium: see `browser.executable`"),
            ),
        ] {
            let missing = tools.missing(tool);
            assert_eq!(missing.is_some(), expected.is_some(), "{missing:?}");
            assert!(missing.unwrap_or_default().contains(expected.unwrap_or_default()));
        }
    }
}
