//! Which keys take effect without a restart.

/// Keys, or sections with all their keys, that a running process follows. All others need a restart.
const RELOADABLE_KEYS: [&str; 14] = [
    "access.admin_token_file",
    "access.key_file",
    "access.mode",
    "control.edit_files",
    "edge.limits",
    "edge.tls",
    "edge.trusted_proxies",
    "log",
    "rank",
    "schedule",
    "source",
    "upstream.allow_hosts",
    "upstream.allow_private",
    "webhook",
];

/// Whether a change of this dotted key takes effect without a restart.
pub(crate) fn is_reloadable(key: &str) -> bool {
    let covers = |section: &str| {
        key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    RELOADABLE_KEYS.iter().any(|section| covers(section))
}
