//! What this process logs, in which form, and how that is changed while it runs.
//!
//! Logging starts before the configuration is read, as its errors are logged too: [`start`] logs
//! text by `PITWALL_LOG`, [`configure`] continues as `[log]` says, and [`log_filter_handle`] is for the admin
//! listeners.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pitwall_control_plane::LogFilter;
use pitwall_proxy::ACCESS_LOG_TARGET;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{LogConfig, LogFormat, parse_log_filter};
use crate::log_repeats::RepeatLayer;

/// The environment variable that wins over `[log] level`.
const LEVEL_VARIABLE: &str = "PITWALL_LOG";

/// What a process says that serves. A client that disconnects during a handshake is no error, which
/// `pingora_core::apps` logs it as.
const SERVER_DEFAULT: &str =
    "info,pingora_core=warn,pingora_core::apps=off,rustls_platform_verifier=off";
/// A demo, and one run of a source: only what has failed, and what a reload came to.
const QUIET_DEFAULT: &str =
    "error,pitwall::signals=warn,pitwall::reload=info,rustls_platform_verifier=off";

/// How much a subcommand says by itself.
#[derive(Clone, Copy)]
pub(crate) enum Verbosity {
    Server,
    Quiet,
    /// It prints errors itself.
    Silent,
}

type LineLayer = Box<dyn Layer<Registry> + Send + Sync>;

struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    lines: reload::Handle<LineLayer, Registry>,
    settings: Mutex<Settings>,
    /// By the environment or the subcommand.
    level_at_start: String,
}

/// What the filter is made of.
#[derive(Clone)]
struct Settings {
    /// By the environment, the configuration or the subcommand.
    level: String,
    is_access_logged: bool,
    /// By the admin listener, until it is taken back.
    replacement: Option<String>,
}

static LOGGING: OnceLock<Logging> = OnceLock::new();

/// Starts logging to standard error.
pub(crate) fn start(verbosity: Verbosity) {
    let default = match verbosity {
        Verbosity::Server => SERVER_DEFAULT,
        Verbosity::Quiet => QUIET_DEFAULT,
        Verbosity::Silent => "off",
    };
    let variable = std::env::var(LEVEL_VARIABLE).ok();
    let unusable = variable.as_deref().and_then(|text| parse_log_filter(text).err());
    let level = variable.filter(|_| unusable.is_none()).unwrap_or_else(|| default.to_owned());
    let level_at_start = level.clone();
    let settings = Settings { level, is_access_logged: false, replacement: None };
    let filter = EnvFilter::new(settings.filter_text());
    let (filter, filter_handle) = reload::Layer::new(filter);
    let (lines, lines_handle) = reload::Layer::new(build_line_layer(LogFormat::Text));
    let repeats = RepeatLayer::default();
    let registry =
        tracing_subscriber::registry().with(repeats.clone().and_then(lines).with_filter(filter));
    #[cfg(feature = "otlp")]
    let registry = registry.with(crate::otlp::layer());
    registry.init();
    let settings = Mutex::new(settings);
    // Set once, as `main` starts logging once.
    let (filter, lines) = (filter_handle, lines_handle);
    let _ = LOGGING.set(Logging { filter, lines, settings, level_at_start });
    if let Some(why) = unusable {
        tracing::error!("environment {LEVEL_VARIABLE}: {why}");
    }
    if let Err(error) = repeats.start_summaries() {
        tracing::warn!(%error, "log lines that repeat are not counted: no thread can be started");
    }
}

/// Continues as the configuration says, at the start and after each reload.
pub(crate) fn configure(config: &LogConfig) {
    let Some(logging) = LOGGING.get() else { return };
    let mut settings = logging.lock_settings();
    let level = config.level.as_ref().filter(|_| std::env::var_os(LEVEL_VARIABLE).is_none());
    settings.level.clone_from(level.unwrap_or(&logging.level_at_start));
    settings.is_access_logged = config.access;
    // Reloading fails only when the subscriber is gone, and it is never dropped.
    let _ = logging.lines.reload(build_line_layer(config.format));
    let _ = logging.filter.reload(EnvFilter::new(settings.filter_text()));
}

/// Reads and replaces the filter, for the admin listeners.
pub(crate) fn log_filter_handle() -> LogFilter {
    Arc::new(|replacement| {
        let logging = LOGGING.get().ok_or("this process does not log")?;
        let mut settings = logging.lock_settings();
        if let Some(text) = replacement {
            let text = text.trim();
            let replacement = (!text.is_empty()).then(|| text.to_owned());
            let replaced = Settings { replacement, ..settings.clone() };
            let filter = parse_log_filter(&replaced.filter_text())?;
            let before = settings.filter_text();
            logging.filter.reload(filter).map_err(|error| error.to_string())?;
            let after = replaced.filter_text();
            *settings = replaced;
            tracing::warn!(before, after, "the operator has changed what is logged");
        }
        Ok(settings.filter_text())
    })
}

impl Logging {
    fn lock_settings(&self) -> std::sync::MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    /// The access log is what `[log] access` says, unless the filter names it.
    fn filter_text(&self) -> String {
        let level = match self.replacement.as_deref().unwrap_or(&self.level) {
            // The same as where nothing is configured.
            "info" => SERVER_DEFAULT,
            level => level,
        };
        match (level.contains(ACCESS_LOG_TARGET), self.is_access_logged) {
            (true, _) => level.to_owned(),
            (false, true) => format!("{level},{ACCESS_LOG_TARGET}=info"),
            (false, false) => format!("{level},{ACCESS_LOG_TARGET}=off"),
        }
    }
}

fn build_line_layer(format: LogFormat) -> LineLayer {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        // Without spans: those that began in the other format would have no fields in this one.
        LogFormat::Json => {
            let json = lines.json().flatten_event(true);
            json.with_current_span(false).with_span_list(false).boxed()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_log_is_on_where_it_is_asked_for() {
        let with_access = format!("{SERVER_DEFAULT},pitwall::access=info");
        for (level, is_access_logged, replacement, expected) in [
            ("debug", false, None, "debug,pitwall::access=off"),
            ("warn", true, None, "warn,pitwall::access=info"),
            ("warn", true, Some("error"), "error,pitwall::access=info"),
            ("info", true, None, &*with_access),
            ("warn", false, Some("warn,pitwall::access=info"), "warn,pitwall::access=info"),
            ("warn,pitwall::access=off", true, None, "warn,pitwall::access=off"),
        ] {
            let replacement = replacement.map(str::to_owned);
            let settings = Settings { level: level.to_owned(), is_access_logged, replacement };
            assert_eq!(settings.filter_text(), expected, "{level} {is_access_logged}");
            assert!(parse_log_filter(expected).is_ok(), "{expected}");
        }
    }
}
