//! [`changes_between`]: what differs between two configurations, and what of it needs a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use pitwall_control_plane::ConfiguredSource;
use pitwall_upstream_map::documents::{ConfigChanges, SourceChanges};

use crate::config::{Config, reloadable};
use crate::secret::{self, SealKeys, StartMode};

/// What of a configuration is compared with the next one.
#[derive(Clone)]
pub(super) struct ConfigFootprint {
    /// By dotted key: the value as TOML.
    values: BTreeMap<String, String>,
    sources: Vec<ConfiguredSource>,
    seal_keys: SealKeys,
    has_tls: bool,
}

impl ConfigFootprint {
    /// # Errors
    /// The seal key cannot be read.
    pub(super) fn of(config: &Config) -> anyhow::Result<Self> {
        let (access, state) = (&config.access, &config.state.dir);
        let seal_keys =
            secret::load_seal_keys(access, state, &config.key_locations, StartMode::Check)?;
        // Whoever deletes a key from a file is told that this was seen.
        let mut values = config.values.clone();
        for (key, file) in [
            ("access.key_file", &access.key_file),
            ("access.admin_token_file", &access.admin_token_file),
        ] {
            if let Some(Ok(content)) = file.as_ref().map(std::fs::read) {
                let mut hasher = DefaultHasher::new();
                content.hash(&mut hasher);
                values.entry(key.to_owned()).or_default().push_str(&hasher.finish().to_string());
            }
        }
        Ok(Self {
            values,
            sources: config.sources.clone(),
            seal_keys,
            has_tls: config.edge.tls.is_some(),
        })
    }

    fn differing_keys<'a>(&'a self, other: &'a Self) -> BTreeSet<&'a str> {
        let keys = self.values.keys().chain(other.values.keys());
        let differs = |key: &&String| self.values.get(*key) != other.values.get(*key);
        keys.filter(differs).map(String::as_str).collect()
    }
}

/// What of `now` differs from the configuration `before`, and what takes a restart as it differs from
/// the one that the process was `started` with.
pub(super) fn changes_between(
    started: &ConfigFootprint,
    before: &ConfigFootprint,
    now: &ConfigFootprint,
) -> ConfigChanges {
    let is_fixed = |key: &str| {
        // A listener with TLS stays one, and one without stays without.
        let is_tls = key.starts_with("edge.tls");
        !reloadable::is_reloadable(key) || is_tls && started.has_tls != now.has_tls
    };
    let changed = before.differing_keys(now).into_iter().filter(|key| !is_fixed(key));
    let fixed = started.differing_keys(now).into_iter().filter(|key| is_fixed(key));
    let mut needs_restart: Vec<String> = fixed.map(str::to_owned).collect();
    if started.seal_keys != now.seal_keys {
        let key = "access.seal_key_file";
        if !needs_restart.iter().any(|listed| listed == key) {
            needs_restart.push(key.to_owned());
        }
    }
    ConfigChanges {
        changed: changed.map(str::to_owned).collect(),
        sources: source_changes_between(&before.sources, &now.sources),
        needs_restart,
    }
}

fn source_changes_between(before: &[ConfiguredSource], now: &[ConfiguredSource]) -> SourceChanges {
    let of = |sources: &[ConfiguredSource]| -> BTreeMap<String, ConfiguredSource> {
        sources.iter().map(|source| (source.name.clone(), source.clone())).collect()
    };
    let (before, now) = (of(before), of(now));
    let names = |keep: &dyn Fn(&str) -> bool, of: &BTreeMap<String, ConfiguredSource>| {
        of.keys().filter(|name| keep(name)).cloned().collect()
    };
    let has_changed = |name: &str| match (before.get(name), now.get(name)) {
        (Some(before), Some(now)) => !before.has_same_definition(now),
        _ => false,
    };
    SourceChanges {
        added: names(&|name| !before.contains_key(name), &now),
        changed: names(&has_changed, &now),
        removed: names(&|name| !now.contains_key(name), &before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footprint(text: &str, folder: &std::path::Path) -> ConfigFootprint {
        let mut config = Config::parse("t.toml", text, []).unwrap();
        config.state.dir = folder.to_owned();
        std::fs::write(folder.join("seal.key"), "k".repeat(40)).unwrap();
        ConfigFootprint::of(&config).unwrap()
    }

    #[test]
    fn changes_are_named_and_sorted_by_what_they_need() {
        const SOURCE: &str = "[[source]]\nkind = \"static\"\nfeed = \"World feed\"\n";
        let source = |name: &str, url: &str| {
            format!("{SOURCE}name = \"{name}\"\nurl = \"https://{url}.example/a.m3u8\"\n")
        };
        let two = format!("{}{}", source("a", "a"), source("b", "b"));
        let folder = tempfile::tempdir().unwrap();
        for (before, now, expected) in [
            ("", "", "nothing has changed but, perhaps, what its files name"),
            ("[edge]\nthreads = 1", "# a comment\n[edge]\nthreads=1", "nothing has changed but"),
            ("", "[edge.limits]\nrequests = 5", "changed: edge.limits.requests"),
            ("[edge.limits]\nrequests = 5", "", "changed: edge.limits.requests"),
            ("", "[edge]\nthreads = 2", "needs a restart: edge.threads"),
            (
                "",
                "[edge]\nlisten = \"127.0.0.1:1\"\ntrusted_proxies = [\"10.0.0.0/8\"]",
                "changed: edge.trusted_proxies; needs a restart: edge.listen",
            ),
            ("", "[[rank.prefer]]\nname = \"x\"\npoints = 0.1", "changed: rank.prefer"),
            (
                "[edge.tls]\ncert = \"a\"\nkey = \"b\"",
                "[edge.tls]\ncert = \"c\"\nkey = \"b\"",
                "changed: edge.tls.cert",
            ),
            (
                "",
                "[edge.tls]\ncert = \"c\"\nkey = \"b\"",
                "needs a restart: edge.tls.cert, edge.tls.key",
            ),
            (&two, &source("b", "other"), "sources changed: b; sources removed: a"),
            (&source("b", "b"), &two, "sources added: a"),
        ] {
            let (before, now) = (footprint(before, folder.path()), footprint(now, folder.path()));
            let changes = changes_between(&before, &before, &now).to_string();
            assert!(changes.starts_with(expected), "{changes}, not {expected}");
        }
    }

    #[test]
    fn a_key_file_with_other_keys_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("friends");
        let text = format!("[access]\nkey_file = {:?}\n", file.display().to_string());
        let footprint_with = |keys: &str| {
            std::fs::write(&file, keys).unwrap();
            footprint(&text, folder.path())
        };
        let (both, one) = (footprint_with("anna: a\nbob: b\n"), footprint_with("anna: a\n"));
        assert_eq!(changes_between(&both, &both, &one).to_string(), "changed: access.key_file");
    }

    /// What needs a restart is named until the restart, or until it is taken back.
    #[test]
    fn what_needs_a_restart_is_compared_with_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let started = footprint("[edge]\nthreads = 1", folder.path());
        let second = footprint("[edge]\nthreads = 2", folder.path());
        let third = footprint("[edge]\nthreads = 2\n[upstream]\nallow_hosts = []", folder.path());
        let changes = changes_between(&started, &second, &third);
        assert_eq!(
            changes.to_string(),
            "changed: upstream.allow_hosts; needs a restart: edge.threads"
        );
        let changes = changes_between(&started, &third, &started);
        assert_eq!(changes.to_string(), "changed: upstream.allow_hosts");
    }
}
