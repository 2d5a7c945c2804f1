//! The log line of a refused key, for programs such as fail2ban that shut out who tries keys.

use std::net::IpAddr;

use crate::http::problem::Problem;

/// The target of the line. Every refusal is logged, also one that repeats: whoever reads the lines
/// counts them.
pub const LOG_TARGET: &str = "pitwall_proxy::refused_key";

/// Logs that a client showed a wrong key, cookie, token or admin token. One that shows none, or one
/// that has ended, has tried nothing.
///
/// docs/operate.md has a filter for this line, which is therefore not to change.
pub fn log_refused_key(client: Option<IpAddr>, problem: &Problem) {
    if !matches!(problem, Problem::KeyInvalid | Problem::AdminTokenInvalid) {
        return;
    }
    if let Some(client) = client {
        tracing::warn!(target: LOG_TARGET, %client, "a key was refused");
    }
}
