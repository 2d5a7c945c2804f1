//! [`Config`]: files and environment variables, parsed into each library's configuration. An error
//! names file, line and key, or the environment variable.

mod key_locations;
mod listen_addresses;
mod log;
mod paths;
#[cfg(test)]
mod reference;
pub(crate) mod reloadable;
mod store;
mod validation;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use pitwall_control_plane::settings::locate_error;
use pitwall_control_plane::{
    ConfiguredSource, ControlConfig, ExtractConfig, OverrideError, RankConfig, ReadOnlySource,
    ScheduleConfig, SourceFileLocations, WebhookConfig, check_overrides,
};
use pitwall_proxy::config::{AccessConfig, EdgeConfig, UpstreamConfig};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(crate) use self::key_locations::{ConfigKeyLocations, key_of_variable};
pub(crate) use self::log::{LogConfig, LogFormat, parse_log_filter};
pub(crate) use self::store::StoreConfig;
use crate::state;

/// The whole configuration.
pub(crate) struct Config {
    pub(crate) edge: EdgeConfig,
    pub(crate) access: AccessConfig,
    pub(crate) upstream: UpstreamConfig,
    pub(crate) store: StoreConfig,
    pub(crate) state: StateConfig,
    pub(crate) log: LogConfig,
    pub(crate) schedule: ScheduleConfig,
    pub(crate) extract: ExtractConfig,
    pub(crate) rank: RankConfig,
    pub(crate) control: ControlConfig,
    pub(crate) webhooks: Vec<WebhookConfig>,
    pub(crate) sources: Vec<ConfiguredSource>,
    /// Where each source is configured: `FILE:LINE`, or the file in `sources/`.
    pub(crate) source_locations: Vec<String>,
    /// Where sources can be edited.
    pub(crate) source_files: SourceFileLocations,
    pub(crate) key_locations: ConfigKeyLocations,
    /// By dotted key: each value that is set, as TOML; without sources.
    pub(crate) values: BTreeMap<String, String>,
    /// The file; `None` for a configuration that is built in.
    pub(crate) path: Option<PathBuf>,
    /// Files in `sources/` that do not end in `.toml`.
    ignored_files: Vec<PathBuf>,
    /// A warning about state of an earlier version that is no longer used.
    unused_state_warning: Option<String>,
}

/// The sections of a configuration file, without its sources.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sections {
    edge: EdgeConfig,
    access: AccessConfig,
    upstream: UpstreamConfig,
    store: StoreConfig,
    state: StateConfig,
    log: LogConfig,
    schedule: ScheduleConfig,
    extract: ExtractConfig,
    rank: RankConfig,
    control: ControlConfig,
    webhook: Vec<WebhookConfig>,
}

/// `[state]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StateConfig {
    pub(crate) dir: PathBuf,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self { dir: "state".into() }
    }
}

/// A configuration error and its location: file, line and key, or environment variable.
#[derive(Debug)]
pub(crate) struct ConfigError {
    location: String,
    message: String,
}

impl ConfigError {
    pub(crate) fn new(location: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self { location: location.to_string(), message: message.to_string() }
    }
}

impl ConfigError {
    pub(crate) fn with_message(self, message: String) -> Self {
        Self { message, ..self }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Errors in spite of which a start goes on, and for which a check fails.
#[derive(Debug)]
pub(crate) struct NonFatalConfigErrors(pub(crate) Vec<String>);

impl fmt::Display for NonFatalConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for NonFatalConfigErrors {}

impl From<OverrideError> for ConfigError {
    fn from(error: OverrideError) -> Self {
        Self::new(error.location, error.message)
    }
}

impl Config {
    /// Loads a file, the files in `sources/` beside it, and the environment variables, which
    /// override the file.
    ///
    /// # Errors
    /// A file cannot be read, or something in it or in a variable is invalid.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            let hint = if missing {
                ": --config names the file, `pitwall init` writes a first one"
            } else {
                ""
            };
            ConfigError::new(path.display(), format!("{error}{hint}"))
        })?;
        let mut config = Self::parse(&path.display().to_string(), &text, environment_variables())?;
        config.source_files = config.locate_source_files(path)?;
        let (files, ignored) = list_source_files(path)?;
        for path in files {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| ConfigError::new(path.display(), error))?;
            let name = path.display().to_string();
            config.sources.push(TomlFile::new(&name, &text).parse_source_file()?);
            config.source_locations.push(name);
        }
        config.ignored_files = ignored;
        config.reject_duplicate_names()?;
        let path =
            std::path::absolute(path).map_err(|error| ConfigError::new(path.display(), error))?;
        config.path = Some(path.clone());
        let state = config.state.dir.clone();
        config.resolve_paths(path.parent().unwrap_or(Path::new("/")));
        if let Ok(working) = std::env::current_dir() {
            config.unused_state_warning =
                state::describe_unused_state(&working, &state, &config.state.dir);
        }
        if let Some(path) = &config.schedule.override_file {
            // Read and not only opened, as a folder can be opened too.
            std::fs::read(path).map_err(|error| {
                let why = format!("{}: {error}", path.display());
                config.key_locations.error_for_key("schedule.override_file", why)
            })?;
        }
        check_overrides(&config.schedule)?;
        Ok(config)
    }

    /// Parses the text of a file called `name`, and environment variables. Relative paths stay
    /// relative.
    ///
    /// # Errors
    /// Something in the text or in a variable is invalid.
    pub(crate) fn parse(
        name: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let environment: Vec<(String, String)> = environment.into_iter().collect();
        let file = TomlFile::new(name, text);
        let mut table = DeTable::parse(text).map_err(|error| file.toml_error(&error))?;
        let mut key_locations = ConfigKeyLocations::of_file(&file, table.get_ref());
        let (sources, source_locations) = file.remove_and_parse_sources(&mut table)?;
        let mut sections = file.parse_sections(table.clone())?;
        let settings = environment.iter().filter_map(|(variable, value)| {
            let path = variable.strip_prefix("PITWALL_").filter(|path| path.contains("__"))?;
            Some((variable, path, value))
        });
        let mut set_variables = Vec::new();
        for (variable, path, value) in settings {
            let before = table.clone();
            set_key_from_environment(table.get_mut(), path, value)
                .map_err(|message| ConfigError::new(format!("environment {variable}"), message))?;
            key_locations.record_environment_variable(path, variable);
            set_variables.push((variable, before));
        }
        let values = flatten_values(&table).map_err(|error| file.toml_error(&error))?;
        if !set_variables.is_empty() {
            sections = file.parse_sections_with_environment(table, &set_variables)?;
        }
        let Sections { edge, access, upstream, store, state, log, schedule, .. } = sections;
        let Sections { extract, rank, control, webhook: webhooks, .. } = sections;
        let config = Self {
            edge,
            access,
            upstream,
            store,
            state,
            log,
            schedule,
            extract,
            rank,
            control,
            webhooks,
            sources,
            source_locations,
            source_files: SourceFileLocations::default(),
            key_locations,
            values,
            path: None,
            ignored_files: Vec::new(),
            unused_state_warning: None,
        };
        config.reject_duplicate_names()?;
        if matches!(config.store, StoreConfig::Redis { .. })
            && config.access.seal_key_file.is_none()
        {
            let why = "a Redis store needs one: each process opens what another has sealed";
            return Err(ConfigError::new("access.seal_key_file", why));
        }
        Ok(config)
    }

    /// Where the sources of the configuration file `path` are, before those in files of their own
    /// were read.
    fn locate_source_files(&self, path: &Path) -> Result<SourceFileLocations, ConfigError> {
        let folder = std::path::absolute(path.with_file_name("sources"))
            .map_err(|error| ConfigError::new(path.display(), error))?;
        let fixed = self.sources.iter().zip(&self.source_locations);
        let fixed = fixed.map(|(source, location)| ReadOnlySource {
            name: source.name.clone(),
            kind: source.kind,
            location: location.clone(),
        });
        Ok(SourceFileLocations { folder: Some(folder), fixed: fixed.collect() })
    }

    fn reject_duplicate_names(&self) -> Result<(), ConfigError> {
        let mut seen = HashMap::new();
        for (source, location) in self.sources.iter().zip(&self.source_locations) {
            if let Some(first) = seen.insert(source.name.as_str(), location) {
                let name = format!("source {:?}", source.name);
                let why = format!("two sources have this name: {first} and {location}");
                return Err(ConfigError::new(name, why));
            }
        }
        let mut seen = HashMap::new();
        for (n, webhook) in self.webhooks.iter().enumerate() {
            let location =
                self.key_locations.location_of(&format!("webhook.{n}")).unwrap_or_default();
            if let Some(first) = seen.insert(webhook.name.0.as_str(), location.clone()) {
                let name = format!("webhook {:?}", webhook.name.0);
                let why = format!("two webhooks have this name: {first} and {location}");
                return Err(ConfigError::new(name, why));
            }
        }
        Ok(())
    }
}

/// The environment variables, without those that are not UTF-8, as no setting is.
pub(crate) fn environment_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The source files in `sources/` beside a configuration file, sorted, and the other files there,
/// which may be misnamed source files.
fn list_source_files(config: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), ConfigError> {
    let folder = config.with_file_name("sources");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(error) => return Err(ConfigError::new(folder.display(), error)),
    };
    let mut all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.sort();
    // Hidden files, such as an editor's, are neither read nor reported.
    all.retain(|path| !is_hidden(path));
    Ok(all.into_iter().partition(|path| is_source_file(path)))
}

/// Whether a path in `sources/` is a source.
pub(crate) fn is_source_file(path: &Path) -> bool {
    !is_hidden(path) && path.extension().is_some_and(|extension| extension == "toml")
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Each value of a table, by its dotted key. An array of tables is one value.
fn flatten_values(
    table: &Spanned<DeTable<'_>>,
) -> Result<BTreeMap<String, String>, toml::de::Error> {
    fn collect_values(prefix: &str, table: &toml::Table, values: &mut BTreeMap<String, String>) {
        for (name, value) in table {
            match value {
                toml::Value::Table(inner) => {
                    collect_values(&format!("{prefix}{name}."), inner, values)
                }
                value => drop(values.insert(format!("{prefix}{name}"), value.to_string())),
            }
        }
    }
    let mut values = BTreeMap::new();
    let table = toml::Table::deserialize(toml::Deserializer::from(table.clone()))?;
    collect_values("", &table, &mut values);
    Ok(values)
}

/// Sets the key that an environment variable names: `EDGE__CACHE__BYTES` is `edge.cache.bytes`.
///
/// # Errors
/// A part of the path is a key that is no section.
fn set_key_from_environment<'a>(
    table: &mut DeTable<'a>,
    path: &str,
    value: &'a str,
) -> Result<(), String> {
    let mut keys = path.split("__").map(str::to_lowercase);
    let (mut key, mut table) = (keys.next().unwrap_or_default(), table);
    for next in keys {
        let entry = table
            .entry(Spanned::new(0..0, key.clone().into()))
            .or_insert_with(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
        let DeValue::Table(inner) = entry.get_mut() else {
            return Err(format!("{key} is not a section"));
        };
        (key, table) = (next, inner);
    }
    // A value that is TOML, such as `8`, `true` or `["a"]`, is parsed; any other is a string.
    let value = match DeValue::parse(value) {
        Ok(parsed) => parsed.into_inner(),
        Err(_) => DeValue::String(value.into()),
    };
    table.insert(Spanned::new(0..0, key.into()), Spanned::new(0..0, value));
    Ok(())
}

pub(crate) const ADDRESS_SYNTAX_HINT: &str =
    "write an address and a port: 127.0.0.1:8080 (names are not taken)";

/// Replaces what libraries say of a value by what the value should look like: they name types of
/// Rust.
fn clarify_value_error(message: &str) -> String {
    for (of_library, clear) in [
        ("invalid socket address syntax", ADDRESS_SYNTAX_HINT),
        ("expected parsable string", "expected a size, such as \"512MiB\""),
        ("expected a duration", "expected a duration, such as \"20s\""),
        ("expected a sequence", "expected a list, such as [\"a\", \"b\"]"),
        ("expected a map", "expected a table, such as { a = \"b\" }"),
    ] {
        if message.contains(of_library) {
            return message.replace(of_library, clear);
        }
    }
    for integer in ["usize", "u64", "u32", "u16", "u8"] {
        for (of_library, clear) in [
            (format!("expected a nonzero {integer}"), "expected a whole number above 0"),
            (format!("expected {integer}"), "expected a whole number"),
        ] {
            if let Some(before) = message.strip_suffix(&of_library) {
                return format!("{before}{clear}");
            }
        }
    }
    message.to_owned()
}

/// The name and text of a TOML file, for locations in errors.
struct TomlFile<'a> {
    name: &'a str,
    text: &'a str,
    /// The byte offset at which each line ends.
    line_ends: Vec<usize>,
}

impl<'a> TomlFile<'a> {
    fn new(name: &'a str, text: &'a str) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_ends = line_ends.map(|(offset, _)| offset).collect();
        Self { name, text, line_ends }
    }

    /// Removes and parses the sources of a file; gives them with the location of each.
    fn remove_and_parse_sources(
        &self,
        table: &mut Spanned<DeTable<'_>>,
    ) -> Result<(Vec<ConfiguredSource>, Vec<String>), ConfigError> {
        let Some(sources) = table.get_mut().remove("source") else { return Ok(Default::default()) };
        let span = sources.span();
        let DeValue::Array(sources) = sources.into_inner() else {
            let location = format!("{}:{}", self.name, self.line_number(span.start));
            return Err(ConfigError::new(location, "source: write [[source]], with two brackets"));
        };
        let location = |source: &Spanned<DeValue<'_>>| {
            format!("{}:{}", self.name, self.line_number(source.span().start))
        };
        let locations = sources.iter().map(location).collect();
        let sources = sources.into_iter().map(|source| self.parse_source(source));
        Ok((sources.collect::<Result<_, _>>()?, locations))
    }

    fn parse_source(&self, source: Spanned<DeValue<'_>>) -> Result<ConfiguredSource, ConfigError> {
        ConfiguredSource::parse_value(source).map_err(|error| self.toml_error(&error))
    }

    fn parse_source_file(&self) -> Result<ConfiguredSource, ConfigError> {
        ConfiguredSource::parse_source_file(self.text).map_err(|error| self.toml_error(&error))
    }

    fn parse_sections(&self, table: Spanned<DeTable<'_>>) -> Result<Sections, ConfigError> {
        Sections::deserialize(toml::Deserializer::from(table))
            .map_err(|error| self.toml_error(&error))
    }

    /// Parses the sections after all environment variables were set, as one may need another. An
    /// error is attributed to the first variable after which it occurs.
    ///
    /// `set`: each variable, in order, with the table before it was set.
    fn parse_sections_with_environment(
        &self,
        table: Spanned<DeTable<'_>>,
        set: &[(&String, Spanned<DeTable<'_>>)],
    ) -> Result<Sections, ConfigError> {
        fn parse(table: Spanned<DeTable<'_>>) -> Result<Sections, toml::de::Error> {
            Sections::deserialize(toml::Deserializer::from(table))
        }
        let error = match parse(table.clone()) {
            Ok(sections) => return Ok(sections),
            Err(error) => error,
        };
        let after = set.iter().skip(1).map(|(_, before)| before).chain([&table]);
        let has_error = |after: &Spanned<DeTable<'_>>| {
            parse(after.clone()).is_err_and(|one| one.message() == error.message())
        };
        let culprit = set.iter().zip(after).find(|(_, after)| has_error(after));
        let variable = culprit.map_or(String::new(), |((variable, _), _)| (*variable).clone());
        Err(ConfigError::new(
            format!("environment {variable}"),
            clarify_value_error(error.message()),
        ))
    }

    fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        let (line, message) = locate_error(self.text, error);
        let location = line.map_or(self.name.to_owned(), |line| format!("{}:{line}", self.name));
        ConfigError::new(location, clarify_value_error(&message))
    }

    /// The line, from 1, of a byte offset.
    fn line_number(&self, offset: usize) -> usize {
        self.line_ends.partition_point(|end| *end < offset) + 1
    }
}

#[cfg(test)]
mod tests;
