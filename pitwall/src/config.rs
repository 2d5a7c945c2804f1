//! Files and environment, into what each room takes. Whatever is wrong is named by file,
//! line and key, or by environment variable.

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

pub(crate) use self::store::StoreConfig;

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

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for Invalid {}

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
        for path in source_files(path)? {
            let text = read(&path)?;
            let name = path.display().to_string();
            config.sources.push(Place { name: &name, text: &text }.source_file()?);
        }
        config.refuse_doubles()?;
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
        let sources = place.take_sources(&mut table)?;
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
        for source in &self.sources {
            if seen.insert(source.name.as_str(), ()).is_some() {
                let place = format!("source {:?}", source.name);
                return Err(Invalid::new(place, "two sources have this name"));
            }
        }
        let mut seen = HashMap::new();
        for webhook in &self.webhooks {
            if seen.insert(webhook.name.0.as_str(), ()).is_some() {
                let place = format!("webhook {:?}", webhook.name.0);
                return Err(Invalid::new(place, "two webhooks have this name"));
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

fn source_files(config: &Path) -> Result<Vec<PathBuf>, Invalid> {
    let folder = config.with_file_name("sources");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Invalid::new(folder.display(), error)),
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    Ok(files)
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

/// A file, for naming places in it.
struct Place<'a> {
    name: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn take_sources(&self, table: &mut Spanned<DeTable<'_>>) -> Result<Vec<Source>, Invalid> {
        let Some(sources) = table.get_mut().remove("source") else { return Ok(Vec::new()) };
        let span = sources.span();
        let DeValue::Array(sources) = sources.into_inner() else {
            let place = format!("{}:{}", self.name, self.line(span.start));
            return Err(Invalid::new(place, "source: write [[source]], with two brackets"));
        };
        sources.into_iter().map(|source| self.source(source)).collect()
    }

    fn source(&self, source: Spanned<DeValue<'_>>) -> Result<Source, Invalid> {
        Source::parse_value(source).map_err(|error| self.invalid(&error))
    }

    fn source_file(&self) -> Result<Source, Invalid> {
        let table = DeTable::parse(self.text).map_err(|error| self.invalid(&error))?;
        let span = table.span();
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
        Err(Invalid::new(format!("environment {variable}"), error.message()))
    }

    fn invalid(&self, error: &toml::de::Error) -> Invalid {
        let (line, message) = locate(self.text, error);
        let place = line.map_or(self.name.to_owned(), |line| format!("{}:{line}", self.name));
        Invalid::new(place, message)
    }

    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }
}

#[cfg(test)]
mod tests;
