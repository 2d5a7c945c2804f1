//! [`RepeatLayer`]: a log line that repeats is logged once, and then counted: what fails on every
//! poll of every player must not bury what happens once.
//!
//! Lines are the same where they come from the same place in the code, have the same subject
//! ([`SUBJECT_FIELDS`]) and say the same, whatever numbers they say. A place in the code whose lines
//! always differ, because clients choose what they say, is limited in their number.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pitwall_control_plane::COMMAND_LOG_TARGET;
use pitwall_proxy::ACCESS_LOG_TARGET;
use pitwall_proxy::http::refused_keys::LOG_TARGET as REFUSED_KEY_LOG_TARGET;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How long repetitions of a line are counted before their number is logged.
const WINDOW: Duration = Duration::from_mins(1);
/// How many different lines of one place in the code are logged within a window.
const LINES_PER_CALLSITE_MAX: usize = 20;
/// How often it is looked whether a window has ended.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(5);

/// The fields that name what a line is about: these differ where only a number in them does.
const SUBJECT_FIELDS: [&str; 10] = [
    "source",
    "stream",
    "rendition",
    "webhook",
    "provider",
    "profile",
    "address",
    "path",
    "cert",
    "leader",
];

/// Lines that are counted by who reads them, or that say what an operator has just done: the last
/// one must be true.
const UNCOUNTED_TARGETS: [&str; 5] = [
    ACCESS_LOG_TARGET,
    REFUSED_KEY_LOG_TARGET,
    COMMAND_LOG_TARGET,
    "pitwall::reload",
    "pitwall_proxy::server::tls",
];

/// Suppresses log lines that repeat within [`WINDOW`]. Lines of level `DEBUG` and below pass, and
/// those of [`UNCOUNTED_TARGETS`].
#[derive(Clone, Default)]
pub(crate) struct RepeatLayer(Arc<Mutex<RepeatCounts>>);

/// What was logged within the current windows.
#[derive(Default)]
struct RepeatCounts(HashMap<Identifier, HashMap<String, RepeatCount>>);

struct RepeatCount {
    level: Level,
    /// The line as it was logged first.
    line: String,
    since: Instant,
    /// How often it was suppressed since.
    suppressed: u64,
}

impl RepeatLayer {
    /// Starts the thread that logs how often lines repeated.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start_summaries(&self) -> std::io::Result<()> {
        let counts = self.0.clone();
        let log_summaries = move || loop {
            std::thread::sleep(SUMMARY_INTERVAL);
            let summaries = counts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take_summaries(Instant::now());
            for (level, line) in summaries {
                match level {
                    Level::ERROR => tracing::error!("{line}"),
                    Level::WARN => tracing::warn!("{line}"),
                    _ => tracing::info!("{line}"),
                }
            }
        };
        std::thread::Builder::new().name("log".to_owned()).spawn(log_summaries).map(drop)
    }
}

impl<S: Subscriber> Layer<S> for RepeatLayer {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_uncounted = UNCOUNTED_TARGETS.contains(&metadata.target())
            || metadata.module_path() == Some(module_path!());
        if *metadata.level() > Level::INFO || is_uncounted {
            return true;
        }
        let mut text = EventText::default();
        event.record(&mut text);
        let EventText { key, line } = text;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.admit(metadata.callsite(), key, line, *metadata.level(), Instant::now())
    }
}

impl RepeatCounts {
    /// Whether the line is to be logged.
    fn admit(
        &mut self,
        callsite: Identifier,
        key: String,
        line: String,
        level: Level,
        now: Instant,
    ) -> bool {
        let lines = self.0.entry(callsite).or_default();
        let is_crowded = lines.len() >= LINES_PER_CALLSITE_MAX;
        let (key, line) = match lines.contains_key(&key) || !is_crowded {
            true => (key, line),
            // The lines beyond the limit are counted together, as lines like the last one.
            false => (String::new(), format!("{line} and others like it")),
        };
        match lines.get_mut(&key) {
            Some(count) => {
                count.suppressed += 1;
                false
            }
            None => {
                let suppressed = u64::from(is_crowded);
                lines.insert(key, RepeatCount { level, line, since: now, suppressed });
                !is_crowded
            }
        }
    }

    /// The lines that say what repeated in the windows that have ended. A line that goes on
    /// repeating is only counted in its next window too.
    fn take_summaries(&mut self, now: Instant) -> Vec<(Level, String)> {
        let mut summaries = Vec::new();
        for lines in self.0.values_mut() {
            lines.retain(|_, count| {
                if now.duration_since(count.since) < WINDOW {
                    return true;
                }
                let suppressed = std::mem::take(&mut count.suppressed);
                count.since = now;
                if suppressed > 0 {
                    let times = if suppressed == 1 { "once" } else { "times" };
                    let number =
                        if suppressed == 1 { String::new() } else { format!("{suppressed} ") };
                    let line = &count.line;
                    summaries.push((
                        count.level,
                        format!("{line} … {number}{times} more in the last minute"),
                    ));
                }
                suppressed > 0
            });
        }
        self.0.retain(|_, lines| !lines.is_empty());
        summaries
    }
}

/// The text of an event: as a key, without the numbers that are no subject, and as it is logged.
#[derive(Default)]
struct EventText {
    key: String,
    line: String,
}

impl Visit for EventText {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let (name, value) = (field.name(), format!("{value:?}"));
        let separator = if self.line.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = match name {
            // Where a library logs, which is no part of what it says.
            name if name.starts_with("log.") => Ok(()),
            "message" => write!(self.line, "{separator}{value}"),
            _ => write!(self.line, "{separator}{name}={value}"),
        };
        self.key.push('\n');
        match SUBJECT_FIELDS.contains(&name) {
            true => self.key.push_str(&value),
            false => self.key.extend(value.chars().filter(|c| !c.is_ascii_digit())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// Logs in `body`; the lines that were logged, and the summaries of the minute.
    fn capture(body: impl FnOnce()) -> (Vec<String>, Vec<String>) {
        let (log, repeats) = (Log::default(), RepeatLayer::default());
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(log.clone())
            .without_time()
            .with_target(false)
            .with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(repeats.clone()).with(layer);
        tracing::subscriber::with_default(subscriber, body);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let mut counts = repeats.0.lock().unwrap();
        assert!(counts.take_summaries(Instant::now()).is_empty(), "the window has not ended");
        let mut summaries = counts.take_summaries(Instant::now() + WINDOW);
        summaries.sort_by(|a, b| a.1.cmp(&b.1));
        (
            text.lines().map(|line| line.trim().to_owned()).collect(),
            summaries.into_iter().map(|(level, line)| format!("{level} {line}")).collect(),
        )
    }

    /// The one place in the code that logs.
    fn warn_of(source: &str, error: &str) {
        tracing::warn!(source, %error, "it failed");
    }

    // The tests log from a child module of the one whose lines pass.
    #[test]
    fn a_line_that_repeats_is_logged_once_and_counted() {
        for (what, lines, logged, summaries) in [
            ("once", vec![("a", "gone")], 1, vec![]),
            (
                "the same",
                vec![("a", "gone"); 38],
                1,
                vec!["WARN it failed source=\"a\" error=gone … 37 times more in the last minute"],
            ),
            (
                "twice",
                vec![("a", "gone"); 2],
                1,
                vec!["WARN it failed source=\"a\" error=gone … once more in the last minute"],
            ),
            (
                "other numbers",
                vec![("a", "after 5002 ms"), ("a", "after 31 ms"), ("a", "after 5 ms")],
                1,
                vec![
                    "WARN it failed source=\"a\" error=after 5002 ms … 2 times more in the last \
                     minute",
                ],
            ),
            ("other subjects", vec![("cam-1", "gone"), ("cam-2", "gone")], 2, vec![]),
            ("another error", vec![("a", "gone"), ("a", "late")], 2, vec![]),
        ] {
            let (got, counted) = capture(|| lines.iter().for_each(|(a, b)| warn_of(a, b)));
            assert_eq!(got.len(), logged, "{what}: {got:?}");
            assert_eq!(counted, summaries, "{what}");
        }
    }

    #[test]
    fn a_place_whose_lines_all_differ_is_limited() {
        let name = |n: u32| char::from_u32('a' as u32 + n).unwrap().to_string();
        let (logged, summaries) = capture(|| (0..26).for_each(|n| warn_of("a", &name(n))));
        assert_eq!(logged.len(), LINES_PER_CALLSITE_MAX);
        let expected = "WARN it failed source=\"a\" error=u and others like it … 6 times more in \
                        the last minute";
        assert_eq!(summaries, [expected]);
    }

    #[test]
    fn levels_below_info_pass_and_windows_end() {
        let (logged, _) = capture(|| (0..3).for_each(|_| tracing::debug!("seen")));
        assert_eq!(logged.len(), 3);
        let repeats = RepeatLayer::default();
        let subscriber = tracing_subscriber::registry().with(repeats.clone());
        let admitted = || repeats.0.lock().unwrap().0.len();
        tracing::subscriber::with_default(subscriber, || warn_of("a", "gone"));
        assert_eq!(admitted(), 1);
        let mut counts = repeats.0.lock().unwrap();
        assert!(counts.take_summaries(Instant::now() + WINDOW).is_empty());
        assert!(counts.0.is_empty(), "what no longer repeats is forgotten");
    }
}
