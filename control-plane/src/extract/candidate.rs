//! [`Candidate`]: what a run finds.

use std::fmt;

use jiff::Timestamp;
use pitwall_upstream_map::StreamId;
use url::Url;

use super::error::ExtractError;

/// One found playlist URL, not yet checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its place among what its source found: streams are listed in this order.
    pub position: usize,
    pub feed: String,
    pub label: Option<String>,
    pub playlist: Url,
    pub headers: Vec<(String, String)>,
    pub expires_at: Option<Timestamp>,
}

/// What one run yielded. A run that finds some feeds and fails for others has both; one that
/// finds nothing without failing says that the source has nothing now.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) failures: Vec<ExtractError>,
    /// How many were found beyond those that are taken.
    pub(crate) dropped: usize,
}

/// The most that one source may find: more is a mistake, or an attack.
const MAX_CANDIDATES: usize = 200;
/// The longest name of a feed or label, in characters: pages may say anything.
const MAX_NAME: usize = 80;

impl Found {
    pub(crate) fn failed(error: ExtractError) -> Self {
        Self { failures: vec![error], ..Self::default() }
    }

    /// Makes public names of what pages say, and takes no more than a source may find.
    pub(crate) fn tidy(mut self) -> Self {
        let tidied = self.candidates.into_iter().filter_map(|candidate| {
            let feed = name(&candidate.feed).filter(|feed| StreamId::of_feed(feed).is_some())?;
            let label = candidate.label.as_deref().and_then(name);
            Some(Candidate { feed, label, ..candidate })
        });
        self.candidates = tidied.collect();
        // No failure: trying again would find as many.
        self.dropped += self.candidates.len().saturating_sub(MAX_CANDIDATES);
        self.candidates.truncate(MAX_CANDIDATES);
        self
    }
}

/// One line without control characters, and nothing that may be an upstream's URL.
fn name(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty() && !word.contains("://")).collect();
    let name: String = words.join(" ").chars().take(MAX_NAME).collect();
    (!name.trim().is_empty()).then(|| name.trim().to_owned())
}

/// The URL without its query and the headers without their values: both hold tokens.
impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Candidate")
            .field("feed", &self.feed)
            .field("label", &self.label)
            .field("host", &self.playlist.host_str())
            .field("headers", &headers)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, expected) in [
            ("World feed", Some("World feed")),
            ("  World\n\tfeed\0 ", Some("World feed")),
            ("Onboard https://cdn.example/x?t=1 7", Some("Onboard 7")),
            ("http://only.example/", None),
            (" \n ", None),
        ] {
            assert_eq!(name(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(name(&"ü".repeat(1000)).unwrap().chars().count(), MAX_NAME);
    }
}
