//! [`LogConfig`]: `[log]`.

use serde::{Deserialize, Deserializer, de};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfig {
    pub(crate) format: LogFormat,
    /// A filter; by default what the subcommand says by itself. `PITWALL_LOG` wins over it.
    #[serde(deserialize_with = "deserialize_level")]
    pub(crate) level: Option<String>,
    /// A line for each request.
    pub(crate) access: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

fn deserialize_level<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let level = String::deserialize(deserializer)?;
    parse_log_filter(&level).map_err(de::Error::custom)?;
    Ok(Some(level))
}

/// Parses a filter: levels and targets, such as `info,pitwall_proxy=debug`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_log_filter(text: &str) -> Result<EnvFilter, String> {
    // A word that is no level would be a target, and turn everything else off.
    let mut words = text.split(',').map(str::trim).filter(|word| !word.contains(['=', '[', ':']));
    if let Some(word) = words.find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(format!("{word:?} is not a level: off, error, warn, info, debug or trace"));
    }
    EnvFilter::try_new(text).map_err(|error| {
        format!("{text:?} is not a filter ({error}): write a level, or info,pitwall_proxy=debug")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_parsed_is_refused() {
        for (text, is_valid) in [
            ("debug", true),
            ("info,pitwall_proxy=debug", true),
            ("warning", false),
            ("info, loud", false),
            ("info,pitwall_proxy::live=debug", true),
            ("info,=", false),
            ("a=b=c", false),
        ] {
            assert_eq!(parse_log_filter(text).is_ok(), is_valid, "{text}");
        }
    }
}
