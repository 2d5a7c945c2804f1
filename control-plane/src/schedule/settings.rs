//! `[schedule]`.

use std::path::PathBuf;

use pitwall_fetch::{Policy, PrivateRange};
use serde::{Deserialize, Deserializer};

use super::KINDS;
use crate::settings::{HttpUrl, from_text};

#[derive(Clone, Debug)]
pub struct ScheduleConfig {
    /// Who is asked, most trusted first. Empty: no schedule.
    pub providers: Vec<ProviderName>,
    /// Where the Ergast-shaped API lives, without `/f1/…`.
    pub jolpica_url: HttpUrl,
    /// Where OpenF1 lives, without `/v1/…`.
    pub openf1_url: HttpUrl,
    pub ics: Option<IcsPlace>,
    /// The operator's word, which wins over all.
    pub override_file: Option<PathBuf>,
    /// Private ranges in which a provider may live.
    pub allow_private: Vec<PrivateRange>,
    /// Ports beside 80, 443 and those in the URLs above.
    pub ports: Vec<u16>,
}

/// A row of [`KINDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderName(pub(crate) &'static str);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IcsPlace {
    Url(HttpUrl),
    File(PathBuf),
}

impl ProviderName {
    pub const JOLPICA: Self = Self("jolpica");
    pub const OPENF1: Self = Self("openf1");
    pub const ICS: Self = Self("ics");
}

from_text!(ProviderName, |text| {
    let names = || KINDS.iter().map(|(name, _)| *name);
    names().find(|name| *name == text).map(Self).ok_or_else(|| {
        let known: Vec<_> = names().collect();
        format!("{text:?} is no provider: there are {}", known.join(", "))
    })
});

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            providers: vec![ProviderName::JOLPICA, ProviderName::OPENF1],
            jolpica_url: HttpUrl::fixed("https://api.jolpi.ca/ergast"),
            openf1_url: HttpUrl::fixed("https://api.openf1.org"),
            ics: None,
            override_file: None,
            allow_private: Vec::new(),
            ports: Vec::new(),
        }
    }
}

impl ScheduleConfig {
    pub(crate) fn policy(&self, url: &HttpUrl) -> Policy {
        Policy {
            allow_private: self.allow_private.iter().map(|range| range.0).collect(),
            ports: self.ports.iter().copied().chain(url.0.port()).collect(),
        }
    }

    /// What the address policy forbids of the providers that are asked, whatever their names
    /// resolve to: each with its key, and with the one that would allow it.
    pub fn denials(&self) -> Vec<(&'static str, String)> {
        let ics = match &self.ics {
            Some(IcsPlace::Url(url)) => Some(url),
            _ => None,
        };
        let urls = [
            (ProviderName::JOLPICA, "jolpica_url", Some(&self.jolpica_url)),
            (ProviderName::OPENF1, "openf1_url", Some(&self.openf1_url)),
            (ProviderName::ICS, "ics_url", ics),
        ];
        let asked = urls.into_iter().filter(|(name, ..)| self.providers.contains(name));
        let judged = asked.filter_map(|(_, key, url)| {
            let error = self.policy(url?).check(&url?.0).err()?;
            error.is_denied().then(|| (key, error.operator(PLACE)))
        });
        judged.collect()
    }
}

/// How messages for the operator call the place of its keys.
pub(crate) const PLACE: &str = "in [schedule]";

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    providers: Option<Vec<ProviderName>>,
    jolpica_url: Option<HttpUrl>,
    openf1_url: Option<HttpUrl>,
    ics_url: Option<HttpUrl>,
    ics_file: Option<PathBuf>,
    override_file: Option<PathBuf>,
    #[serde(default)]
    allow_private: Vec<PrivateRange>,
    #[serde(default)]
    ports: Vec<u16>,
}

impl<'de> Deserialize<'de> for ScheduleConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let default = Self::default();
        let refuse = <D::Error as serde::de::Error>::custom::<&str>;
        let ics = match (written.ics_url, written.ics_file) {
            (Some(_), Some(_)) => return Err(refuse("ics_url and ics_file exclude each other")),
            (Some(url), None) => Some(IcsPlace::Url(url)),
            (None, file) => file.map(IcsPlace::File),
        };
        let providers = written.providers.unwrap_or(default.providers);
        match (&ics, providers.contains(&ProviderName::ICS)) {
            (None, true) => return Err(refuse("the provider ics needs ics_url or ics_file")),
            (Some(_), false) => {
                return Err(refuse("ics_url and ics_file need \"ics\" among the providers"));
            }
            _ => {}
        }
        let mut seen = std::collections::HashSet::new();
        if !providers.iter().all(|name| seen.insert(name.0)) {
            return Err(refuse("a provider is listed twice"));
        }
        Ok(Self {
            providers,
            jolpica_url: written.jolpica_url.unwrap_or(default.jolpica_url),
            openf1_url: written.openf1_url.unwrap_or(default.openf1_url),
            ics,
            override_file: written.override_file,
            allow_private: written.allow_private,
            ports: written.ports,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_the_policy_forbids_names_the_key() {
        const CALENDAR: &str = "providers = ['ics']\nics_url = 'http://10.0.0.9:81/a.ics'";
        let allow =
            "10.0.0.9 is private: allow_private = [\"10.0.0.9/32\"] in [schedule] allows it";
        for (text, expected) in [
            ("".to_owned(), vec![]),
            (CALENDAR.to_owned(), vec![("ics_url", allow)]),
            (format!("{CALENDAR}\nallow_private = ['10.0.0.0/24']"), vec![]),
            // Nobody asks it.
            (format!("{CALENDAR}\njolpica_url = 'http://10.0.0.8/'"), vec![("ics_url", allow)]),
        ] {
            let config: ScheduleConfig = toml::from_str(&text).unwrap();
            let denials = config.denials();
            let denials: Vec<_> = denials.iter().map(|(key, why)| (*key, why.as_str())).collect();
            assert_eq!(denials, expected, "{text}");
        }
    }
}
