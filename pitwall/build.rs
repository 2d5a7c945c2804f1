//! The commit of the clone that is built, for `--version`; `unknown` outside of one.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PITWALL_COMMIT");
    let given = std::env::var("PITWALL_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(read_commit).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=PITWALL_COMMIT={commit}");
}

/// The short hash of HEAD. A file that does not exist would make every build run this again, so
/// that only files that do are watched.
fn read_commit() -> Option<String> {
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
