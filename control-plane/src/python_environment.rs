//! A Python environment with the libraries that tests compare with, under `target`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

const PACKAGES: [&str; 4] =
    ["icalendar==7.3.0", "recurring-ical-events==3.8.2", "lxml==6.1.3", "py-xmltv==1.0.8"];

/// A command that runs a script of `tests/clients`; `None` where there is no Python with `venv`,
/// which CI has. The environment is created once.
pub(crate) fn run_script(name: &str) -> Option<Command> {
    static PYTHON: LazyLock<Option<PathBuf>> = LazyLock::new(create_environment);
    let Some(python) = PYTHON.as_ref() else {
        assert!(std::env::var_os("CI").is_none(), "CI has Python");
        eprintln!("skipped: there is no python3 with venv");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name));
    Some(command)
}

fn create_environment() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from);
    let environment = target.join("python-calendars");
    let python = environment.join("bin/python");
    let run = |command: &mut Command| command.status().is_ok_and(|status| status.success());
    if !run(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        return None;
    }
    let installed = environment.join("installed");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == PACKAGES.join("\n")) {
        return Some(python);
    }
    assert!(run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment)));
    let mut pip = Command::new(&python);
    assert!(run(pip.args(["-m", "pip", "install", "-q"]).args(PACKAGES)), "no packages");
    std::fs::write(installed, PACKAGES.join("\n")).unwrap();
    Some(python)
}
