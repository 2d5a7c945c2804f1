//! Files and environment, into what each room takes. Whatever is wrong is named by file,
//! line and key, or by environment variable.

mod addresses;
mod flaws;
mod origins;
mod paths;
mod store;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use pitwall_control_plane::settings::locate;
use pitwall_control_plane::{
    ControlConfig, ExtractConfig, OverrideError, RankConfig, ScheduleConfig, Source, WebhookConfig,
    check_overrides,
};
use pitwall_proxy::config::{AccessConfig, EdgeConfig, UpstreamConfig};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(crate) use self::origins::Origins;
pub(crate) use self::store::StoreConfig;
use crate::state;

/// All that is configured.
pub(crate) struct Config {
    pub(crate) edge: EdgeConfig,
    pub(crate) access: AccessConfig,
    pub(crate) upstream: UpstreamConfig,
    pub(crate) store: StoreConfig,
    pub(crate) state: StateConfig,
    pub(crate) schedule: ScheduleConfig,
    pub(crate) extract: ExtractConfig,
    pub(crate) rank: RankConfig,
    pub(crate) control: ControlConfig,
    pub(crate) webhooks: Vec<WebhookConfig>,
    pub(crate) sources: Vec<Source>,
    /// `FILE:LINE` of each source.
    pub(crate) source_places: Vec<String>,
    pub(crate) origins: Origins,
    /// What was found and is used for nothing.
    ignored: Vec<PathBuf>,
    /// State where it is not looked for any more, in words.
    left_behind: Option<String>,
}

/// What a file says beside its sources.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sections {
    edge: EdgeConfig,
    access: AccessConfig,
    upstream: UpstreamConfig,
    store: StoreConfig,
    state: StateConfig,
    schedule: ScheduleConfig,
    extract: ExtractConfig,
    rank: RankConfig,
    control: ControlConfig,
    webhook: Vec<WebhookConfig>,
}

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

/// What is wrong with the configuration, and where.
#[derive(Debug)]
pub(crate) struct Invalid {
    place: String,
    message: String,
}

impl Invalid {
    pub(crate) fn new(place: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self { place: place.to_string(), message: message.to_string() }
    }
}

impl Invalid {
    pub(crate) fn with(self, message: String) -> Self {
        Self { message, ..self }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for Invalid {}

/// What a start would go on without, and a check does not let pass.
#[derive(Debug)]
pub(crate) struct Flaws(pub(crate) Vec<String>);

impl fmt::Display for Flaws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Flaws {}

impl From<OverrideError> for Invalid {
    fn from(error: OverrideError) -> Self {
        Self::new(error.place, error.message)
    }
}

impl Config {
    /// Reads a file, the files in `sources/` beside it, and the environment.
    pub(crate) fn load(path: &Path) -> Result<Self, Invalid> {
        let text = read(path)?;
        let mut config = Self::parse(&path.display().to_string(), &text, environment())?;
        let (files, ignored) = source_files(path)?;
        for path in files {
            let text = read(&path)?;
            let name = path.display().to_string();
            config.sources.push(Place { name: &name, text: &text }.source_file()?);
            config.source_places.push(name);
        }
        config.ignored = ignored;
        config.refuse_doubles()?;
        let path =
            std::path::absolute(path).map_err(|error| Invalid::new(path.display(), error))?;
        let state = config.state.dir.clone();
        config.resolve_paths(path.parent().unwrap_or(Path::new("/")));
        if let Ok(working) = std::env::current_dir() {
            config.left_behind = state::left_behind(&working, &state, &config.state.dir);
        }
        if let Some(path) = &config.schedule.override_file {
            // Read, as a folder can be opened too.
            std::fs::read(path).map_err(|error| {
                let why = format!("{}: {error}", path.display());
                config.origins.invalid("schedule.override_file", why)
            })?;
        }
        check_overrides(&config.schedule)?;
        Ok(config)
    }

    pub(crate) fn parse(
        name: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Invalid> {
        let environment: Vec<(String, String)> = environment.into_iter().collect();
        let place = Place { name, text };
        let mut table = DeTable::parse(text).map_err(|error| place.invalid(&error))?;
        let mut origins = Origins::of_file(&place, table.get_ref());
        let (sources, source_places) = place.take_sources(&mut table)?;
        let mut sections = place.sections(table.clone())?;
        let ours = environment.iter().filter_map(|(variable, value)| {
            let path = variable.strip_prefix("PITWALL_").filter(|path| path.contains("__"))?;
            Some((variable, path, value))
        });
        let mut set_all = Vec::new();
        for (variable, path, value) in ours {
            let before = table.clone();
            set(table.get_mut(), path, value)
                .map_err(|message| Invalid::new(format!("environment {variable}"), message))?;
            origins.set(path, variable);
            set_all.push((variable, before));
        }
        if !set_all.is_empty() {
            sections = place.with_environment(table, &set_all)?;
        }
        let Sections { edge, access, upstream, store, state, schedule, .. } = sections;
        let Sections { extract, rank, control, webhook: webhooks, .. } = sections;
        let config = Self {
            edge,
            access,
            upstream,
            store,
            state,
            schedule,
            extract,
            rank,
            control,
            webhooks,
            sources,
            source_places,
            origins,
            ignored: Vec::new(),
            left_behind: None,
        };
        config.refuse_doubles()?;
        if matches!(config.store, StoreConfig::Redis { .. })
            && config.access.seal_key_file.is_none()
        {
            let why = "a Redis store needs one: each process opens what another has sealed";
            return Err(Invalid::new("access.seal_key_file", why));
        }
        Ok(config)
    }

    fn refuse_doubles(&self) -> Result<(), Invalid> {
        let mut seen = HashMap::new();
        for (source, place) in self.sources.iter().zip(&self.source_places) {
            if let Some(first) = seen.insert(source.name.as_str(), place) {
                let name = format!("source {:?}", source.name);
                let why = format!("two sources have this name: {first} and {place}");
                return Err(Invalid::new(name, why));
            }
        }
        let mut seen = HashMap::new();
        for (n, webhook) in self.webhooks.iter().enumerate() {
            let place = self.origins.place(&format!("webhook.{n}")).unwrap_or_default();
            if let Some(first) = seen.insert(webhook.name.0.as_str(), place.clone()) {
                let name = format!("webhook {:?}", webhook.name.0);
                let why = format!("two webhooks have this name: {first} and {place}");
                return Err(Invalid::new(name, why));
            }
        }
        Ok(())
    }
}

/// A variable that is not UTF-8 is nobody's setting.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn read(path: &Path) -> Result<String, Invalid> {
    std::fs::read_to_string(path).map_err(|error| Invalid::new(path.display(), error))
}

/// And what is beside them and looks as if it were meant to be one.
fn source_files(config: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Invalid> {
    let folder = config.with_file_name("sources");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(error) => return Err(Invalid::new(folder.display(), error)),
    };
    let mut all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.sort();
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
    let (files, mut ignored): (Vec<_>, Vec<_>) = all.into_iter().partition(is_source);
    // As on every Unix, what begins with a dot is somebody's own business.
    let hidden = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    ignored.retain(|path| !hidden(path));
    Ok((files, ignored))
}

/// Puts an environment variable's value where its name says: `EDGE__CACHE__BYTES` is
/// `edge.cache.bytes`.
fn set<'a>(table: &mut DeTable<'a>, path: &str, value: &'a str) -> Result<(), String> {
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
    // `8`, `true` and `["a"]` as TOML has them; everything else is text.
    let value = match DeValue::parse(value) {
        Ok(parsed) => parsed.into_inner(),
        Err(_) => DeValue::String(value.into()),
    };
    table.insert(Spanned::new(0..0, key.into()), Spanned::new(0..0, value));
    Ok(())
}

pub(crate) const ADDRESS_AND_PORT: &str =
    "write an address and a port: 127.0.0.1:8080 (names are not taken)";

/// What the standard library says of an address helps nobody who wrote a name.
fn clearer(message: &str) -> String {
    message.replace("invalid socket address syntax", ADDRESS_AND_PORT)
}

/// A file, for naming places in it.
struct Place<'a> {
    name: &'a str,
    text: &'a str,
}

impl Place<'_> {
    /// With the place of each.
    fn take_sources(
        &self,
        table: &mut Spanned<DeTable<'_>>,
    ) -> Result<(Vec<Source>, Vec<String>), Invalid> {
        let Some(sources) = table.get_mut().remove("source") else { return Ok(Default::default()) };
        let span = sources.span();
        let DeValue::Array(sources) = sources.into_inner() else {
            let place = format!("{}:{}", self.name, self.line(span.start));
            return Err(Invalid::new(place, "source: write [[source]], with two brackets"));
        };
        let place = |source: &Spanned<DeValue<'_>>| {
            format!("{}:{}", self.name, self.line(source.span().start))
        };
        let places = sources.iter().map(place).collect();
        let sources = sources.into_iter().map(|source| self.source(source));
        Ok((sources.collect::<Result<_, _>>()?, places))
    }

    fn source(&self, source: Spanned<DeValue<'_>>) -> Result<Source, Invalid> {
        Source::parse_value(source).map_err(|error| self.invalid(&error))
    }

    fn source_file(&self) -> Result<Source, Invalid> {
        let table = DeTable::parse(self.text).map_err(|error| self.invalid(&error))?;
        let span = table.span();
        if let Some((key, _)) = table.get_ref().get_key_value("source") {
            let place = format!("{}:{}", self.name, self.line(key.span().start));
            let why = "source: a file in sources/ is one source: leave [[source]] out";
            return Err(Invalid::new(place, why));
        }
        self.source(Spanned::new(span, DeValue::Table(table.into_inner())))
    }

    fn sections(&self, table: Spanned<DeTable<'_>>) -> Result<Sections, Invalid> {
        Sections::deserialize(toml::Deserializer::from(table)).map_err(|error| self.invalid(&error))
    }

    /// Judged together, as one may need another; what is wrong is the fault of the first of
    /// `set` after which it is.
    fn with_environment(
        &self,
        table: Spanned<DeTable<'_>>,
        set: &[(&String, Spanned<DeTable<'_>>)],
    ) -> Result<Sections, Invalid> {
        fn read(table: Spanned<DeTable<'_>>) -> Result<Sections, toml::de::Error> {
            Sections::deserialize(toml::Deserializer::from(table))
        }
        let error = match read(table.clone()) {
            Ok(sections) => return Ok(sections),
            Err(error) => error,
        };
        let after = set.iter().skip(1).map(|(_, before)| before).chain([&table]);
        let same = |after: &Spanned<DeTable<'_>>| {
            read(after.clone()).is_err_and(|one| one.message() == error.message())
        };
        let culprit = set.iter().zip(after).find(|(_, after)| same(after));
        let variable = culprit.map_or(String::new(), |((variable, _), _)| (*variable).clone());
        Err(Invalid::new(format!("environment {variable}"), clearer(error.message())))
    }

    fn invalid(&self, error: &toml::de::Error) -> Invalid {
        let (line, message) = locate(self.text, error);
        let place = line.map_or(self.name.to_owned(), |line| format!("{}:{line}", self.name));
        Invalid::new(place, clearer(&message))
    }

    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }
}

#[cfg(test)]
mod tests;
