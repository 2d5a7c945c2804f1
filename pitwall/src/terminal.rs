//! Output to the terminal.

use std::io::{IsTerminal, Write};

/// Prints an error to standard error.
#[expect(clippy::print_stderr, reason = "the executable talks to its terminal")]
pub(crate) fn print_error(error: &anyhow::Error) {
    eprintln!("pitwall: {error:#}");
}

/// Prints a line to standard output.
pub(crate) fn print_text(text: &str) {
    // Who reads may have left, as `head` does: that is no failure, and println! would panic.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a question to standard output, without an end of line.
#[expect(clippy::print_stdout, reason = "the executable talks to its terminal")]
pub(crate) fn print_prompt(text: &str) {
    print!("{text}");
    // A terminal that cannot be written to shows nothing, and the answer is read all the same.
    let _ = std::io::stdout().flush();
}

/// Shows progress in a line of a terminal that the next call overwrites; `None` clears the line.
#[expect(clippy::print_stderr, reason = "the executable talks to its terminal")]
pub(crate) fn print_progress(text: Option<&str>) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{}", text.unwrap_or_default());
    }
}
