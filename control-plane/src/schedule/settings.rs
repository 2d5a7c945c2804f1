//! [`ScheduleConfig`]: `[schedule]`.

use std::path::PathBuf;

use pitwall_fetch::{AddressPolicy, PrivateRange};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::PROVIDER_KINDS;
use crate::settings::{HttpUrl, from_text};

/// The keys of `[schedule]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleConfig {
    /// The providers to poll, the most trusted first. Empty: no schedule.
    pub providers: Vec<ProviderName>,
    /// The base URL of an API with Ergast's format, without `/f1/…`.
    pub jolpica_url: HttpUrl,
    /// The base URL of OpenF1, without `/v1/…`.
    pub openf1_url: HttpUrl,
    pub ics: Option<IcsLocation>,
    /// The operator's overrides, which win over all providers.
    pub override_file: Option<PathBuf>,
    /// Private address ranges in which a provider's host may be.
    pub allow_private: Vec<PrivateRange>,
    /// Ports beside 80, 443 and those in the URLs above.
    pub ports: Vec<u16>,
}

/// The name of an entry of `PROVIDER_KINDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderName(pub(crate) &'static str);

/// Where the calendar of the provider `ics` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IcsLocation {
    Url(HttpUrl),
    File(PathBuf),
}

impl ProviderName {
    pub const JOLPICA: Self = Self("jolpica");
    pub const OPENF1: Self = Self("openf1");
    pub const ICS: Self = Self("ics");
}

from_text!(ProviderName, |text| {
    let names = || PROVIDER_KINDS.iter().map(|(name, _)| *name);
    names().find(|name| *name == text).map(Self).ok_or_else(|| {
        let known: Vec<_> = names().collect();
        format!("{text:?} is no provider: there are {}", known.join(", "))
    })
});

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            providers: vec![ProviderName::JOLPICA, ProviderName::OPENF1],
            jolpica_url: HttpUrl::from_static("https://api.jolpi.ca/ergast"),
            openf1_url: HttpUrl::from_static("https://api.openf1.org"),
            ics: None,
            override_file: None,
            allow_private: Vec::new(),
            ports: Vec::new(),
        }
    }
}

impl ScheduleConfig {
    /// The address policy for requests to a provider at `url`.
    pub(crate) fn policy(&self, url: &HttpUrl) -> AddressPolicy {
        AddressPolicy {
            allow_private: self.allow_private.iter().map(|range| range.0).collect(),
            ports: self.ports.iter().copied().chain(url.0.port()).collect(),
        }
    }

    /// What each configured provider is read from, but for a file, and how it may be reached.
    pub fn provider_targets(&self) -> Vec<(&'static str, Url, AddressPolicy)> {
        let url = |name: &ProviderName| match (*name, &self.ics) {
            (ProviderName::JOLPICA, _) => Some(&self.jolpica_url),
            (ProviderName::OPENF1, _) => Some(&self.openf1_url),
            (_, Some(IcsLocation::Url(url))) => Some(url),
            _ => None,
        };
        let target = |name: &ProviderName| {
            let url = url(name)?;
            Some((name.0, url.0.clone(), self.policy(url)))
        };
        self.providers.iter().filter_map(target).collect()
    }

    /// The URLs of configured providers that the address policy denies before any name is resolved:
    /// the key of each, and the message that names the key which would allow it.
    pub fn denials(&self) -> Vec<(&'static str, String)> {
        let ics = match &self.ics {
            Some(IcsLocation::Url(url)) => Some(url),
            _ => None,
        };
        let urls = [
            (ProviderName::JOLPICA, "jolpica_url", Some(&self.jolpica_url)),
            (ProviderName::OPENF1, "openf1_url", Some(&self.openf1_url)),
            (ProviderName::ICS, "ics_url", ics),
        ];
        let used = urls.into_iter().filter(|(name, ..)| self.providers.contains(name));
        let denials = used.filter_map(|(_, key, url)| {
            let error = self.policy(url?).check_url(&url?.0).err()?;
            error.is_denied().then(|| (key, error.operator_text(CONFIG_SECTION)))
        });
        denials.collect()
    }
}

/// How messages for the operator name the section of the configuration.
pub(crate) const CONFIG_SECTION: &str = "in [schedule]";

/// `[schedule]`, as written in the configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleSettings {
    providers: Option<Vec<ProviderName>>,
    jolpica_url: Option<HttpUrl>,
    openf1_url: Option<HttpUrl>,
    ics_url: Option<CalendarUrl>,
    ics_file: Option<PathBuf>,
    override_file: Option<PathBuf>,
    #[serde(default)]
    allow_private: Vec<PrivateRange>,
    #[serde(default)]
    ports: Vec<u16>,
}

/// A URL that may be `webcal:`, as sites write it for programs that subscribe. It says nothing of
/// TLS, which a site at the usual port has.
struct CalendarUrl(HttpUrl);

from_text!(CalendarUrl, |text| {
    let written = Url::parse(text).ok();
    let rest = |url: &Url| text.get(url.scheme().len()..).unwrap_or_default().to_owned();
    let url = written.and_then(|url| match (url.scheme(), url.port()) {
        ("webcal", Some(port)) if port != 443 => Some(format!("http{}", rest(&url))),
        ("webcal" | "webcals", _) => Some(format!("https{}", rest(&url))),
        _ => None,
    });
    HttpUrl::parse(url.as_deref().unwrap_or(text)).map(Self)
});

impl<'de> Deserialize<'de> for ScheduleConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = ScheduleSettings::deserialize(deserializer)?;
        let default = Self::default();
        let refuse = <D::Error as serde::de::Error>::custom::<&str>;
        let ics = match (settings.ics_url, settings.ics_file) {
            (Some(_), Some(_)) => return Err(refuse("ics_url and ics_file exclude each other")),
            (Some(url), None) => Some(IcsLocation::Url(url.0)),
            (None, file) => file.map(IcsLocation::File),
        };
        let providers = settings.providers.unwrap_or(default.providers);
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
            jolpica_url: settings.jolpica_url.unwrap_or(default.jolpica_url),
            openf1_url: settings.openf1_url.unwrap_or(default.openf1_url),
            ics,
            override_file: settings.override_file,
            allow_private: settings.allow_private,
            ports: settings.ports,
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
            // jolpica is not among the providers, so that its URL is not checked.
            (format!("{CALENDAR}\njolpica_url = 'http://10.0.0.8/'"), vec![("ics_url", allow)]),
        ] {
            let config: ScheduleConfig = toml::from_str(&text).unwrap();
            let denials = config.denials();
            let denials: Vec<_> = denials.iter().map(|(key, why)| (*key, why.as_str())).collect();
            assert_eq!(denials, expected, "{text}");
        }
    }

    #[test]
    fn urls_of_calendars() {
        for (url, expected) in [
            ("https://a.example/a.ics", Some("https://a.example/a.ics")),
            ("webcal://a.example/a.ics?k=1", Some("https://a.example/a.ics?k=1")),
            ("WEBCAL://a.example/a.ics", Some("https://a.example/a.ics")),
            ("webcals://a.example/a.ics", Some("https://a.example/a.ics")),
            ("webcals://a.example:8443/a.ics", Some("https://a.example:8443/a.ics")),
            ("webcal://a.example:8080/a.ics", Some("http://a.example:8080/a.ics")),
            ("webcal://a.example:443/a.ics", Some("https://a.example/a.ics")),
            ("ftp://a.example/a.ics", None),
        ] {
            let text = format!("providers = ['ics']\nics_url = '{url}'");
            let config = toml::from_str::<ScheduleConfig>(&text);
            let found = config.ok().and_then(|config| match config.ics {
                Some(IcsLocation::Url(url)) => Some(url.0.to_string()),
                _ => None,
            });
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }
}
