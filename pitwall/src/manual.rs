//! Man pages and shell completions, from the same description of the command line that parses it.

use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

/// Writes a man page for each command, and completions for bash, zsh and fish, into `directory`.
pub(crate) fn write_pages_and_completions(directory: &Path) -> anyhow::Result<()> {
    let failed = || format!("cannot write into {}", directory.display());
    std::fs::create_dir_all(directory).with_context(failed)?;
    clap_mangen::generate_to(Cli::command(), directory).with_context(failed)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "pitwall", directory)
            .with_context(failed)?;
    }
    Ok(())
}
