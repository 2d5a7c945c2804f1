//! [`ExternalTools`]: the programs and the browser that some source kinds run.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::config::{BrowserConfig, ExtractConfig};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExternalTool {
    YtDlp,
    Streamlink,
    Browser,
}

pub(crate) struct ExternalTools {
    yt_dlp: PathBuf,
    streamlink: PathBuf,
    pub(crate) browser: BrowserConfig,
    pub(crate) script_worker: Vec<String>,
    /// Whether util-linux's `setpriv` is installed, with which a child dies with its parent.
    has_setpriv: bool,
}

/// util-linux's `setpriv`, which Debian always has: the kernel kills the program that it starts as
/// soon as the parent thread has ended. Pitwall's own call of `prctl(PR_SET_PDEATHSIG)` would have
/// to be made between fork and exec, which needs unsafe code.
const SETPRIV_COMMAND: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];

impl ExternalTools {
    pub(crate) fn new(config: &ExtractConfig) -> Self {
        Self {
            yt_dlp: config.yt_dlp.clone(),
            streamlink: config.streamlink.clone(),
            browser: config.browser.clone(),
            script_worker: config.script_worker.clone(),
            has_setpriv: is_setpriv_available(&SETPRIV_COMMAND),
        }
    }

    /// A command whose process the kernel kills when Pitwall ends, even if Pitwall is killed. The
    /// kernel watches the thread that starts the process; a runtime's threads live as long as
    /// Pitwall does. Without `setpriv`, the command is the bare program.
    pub(crate) fn build_command(&self, program: &Path) -> Command {
        let [setpriv, arguments @ ..] = SETPRIV_COMMAND;
        if !self.has_setpriv {
            return Command::new(program);
        }
        let mut command = Command::new(setpriv);
        command.args(arguments).arg(program);
        command
    }

    /// Why a tool cannot be used and which key of `[extract]` or package would change that; `None`
    /// if the tool can be used.
    pub(crate) fn explain_missing(&self, tool: ExternalTool) -> Option<String> {
        let (name, key, path) = match (tool, &self.browser) {
            (ExternalTool::YtDlp, _) => ("yt-dlp", "yt_dlp", &self.yt_dlp),
            (ExternalTool::Streamlink, _) => ("streamlink", "streamlink", &self.streamlink),
            (ExternalTool::Browser, BrowserConfig::Executable { path, .. }) => {
                ("the browser", "browser.executable", path)
            }
            (ExternalTool::Browser, BrowserConfig::Endpoint(_)) => return None,
            (ExternalTool::Browser, BrowserConfig::Off) => {
                let off = "the browser is off: set `enabled = true` in [extract.browser]";
                return Some(off.to_owned());
            }
        };
        let message = || match is_path(path) {
            true => format!("{name} is not at {}: see `{key}` in [extract]", path.display()),
            false => format!("{name} is not installed: install it, or set `{key}` in [extract]"),
        };
        find_executable(path).is_none().then(message)
    }

    /// The path of a tool's executable.
    ///
    /// # Errors
    /// The text of [`explain_missing`](Self::explain_missing), or that the tool is not a program.
    pub(crate) fn find_program(&self, tool: ExternalTool) -> Result<PathBuf, String> {
        let path = match (tool, &self.browser) {
            (ExternalTool::YtDlp, _) => Some(&self.yt_dlp),
            (ExternalTool::Streamlink, _) => Some(&self.streamlink),
            (ExternalTool::Browser, BrowserConfig::Executable { path, .. }) => Some(path),
            (ExternalTool::Browser, _) => None,
        };
        let found = path.and_then(|path| find_executable(path));
        found.ok_or_else(|| {
            self.explain_missing(tool).unwrap_or_else(|| "it is not a program".to_owned())
        })
    }
}

/// Runs `setpriv` once: other implementations, such as busybox's, do not know the option.
fn is_setpriv_available([setpriv, arguments @ ..]: &[&str; 4]) -> bool {
    let mut command = std::process::Command::new(setpriv);
    command.args(arguments).arg("true").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let available = command.status().is_ok_and(|status| status.success());
    if !available {
        tracing::info!(
            "no setpriv of util-linux is installed: a killed Pitwall may leave programs running"
        );
    }
    available
}

fn is_path(program: &Path) -> bool {
    program.components().count() > 1
}

/// Returns a path unchanged if it is executable, and looks a bare name up in `PATH`.
fn find_executable(program: &Path) -> Option<PathBuf> {
    if is_path(program) {
        return is_executable(program).then(|| program.to_owned());
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn programs_run_under_setpriv_where_it_is_available() {
        let command_line = |tools: &ExternalTools| {
            let command = tools.build_command(Path::new("/usr/bin/chromium"));
            let command = command.as_std();
            let arguments: Vec<&OsStr> =
                std::iter::once(command.get_program()).chain(command.get_args()).collect();
            arguments.join(OsStr::new(" ")).into_string().unwrap()
        };
        let tools =
            ExternalTools { has_setpriv: true, ..ExternalTools::new(&ExtractConfig::default()) };
        assert_eq!(command_line(&tools), "setpriv --pdeathsig KILL -- /usr/bin/chromium");
        let without_setpriv = ExternalTools { has_setpriv: false, ..tools };
        assert_eq!(command_line(&without_setpriv), "/usr/bin/chromium");
        assert!(!is_setpriv_available(&["true-no-such-program", "", "", ""]));
        assert!(
            !is_setpriv_available(&["false", "--pdeathsig", "KILL", "--"]),
            "it knows no such option"
        );
    }

    #[test]
    fn what_is_missing_and_what_to_do_about_it() {
        let tools = |yt_dlp: &str, browser| {
            ExternalTools::new(&ExtractConfig {
                yt_dlp: yt_dlp.into(),
                browser,
                ..ExtractConfig::default()
            })
        };
        for (tools, tool, expected) in [
            (tools("sh", BrowserConfig::Off), ExternalTool::YtDlp, None),
            (tools("/bin/sh", BrowserConfig::Off), ExternalTool::YtDlp, None),
            (
                tools("/etc/passwd", BrowserConfig::Off),
                ExternalTool::YtDlp,
                Some("yt-dlp is not at /etc/passwd: see `yt_dlp` in [extract]"),
            ),
            (
                tools("no-such-program", BrowserConfig::Off),
                ExternalTool::YtDlp,
                Some("yt-dlp is not installed: install it, or set `yt_dlp` in [extract]"),
            ),
            (tools("sh", BrowserConfig::Off), ExternalTool::Browser, Some("the browser is off")),
            (
                tools(
                    "sh",
                    BrowserConfig::Executable { path: "/no/chromium".into(), sandbox: true },
                ),
                ExternalTool::Browser,
                Some("the browser is not at /no/chromium: see `browser.executable`"),
            ),
        ] {
            let missing = tools.explain_missing(tool);
            assert_eq!(missing.is_some(), expected.is_some(), "{missing:?}");
            assert!(missing.unwrap_or_default().contains(expected.unwrap_or_default()));
        }
    }
}
