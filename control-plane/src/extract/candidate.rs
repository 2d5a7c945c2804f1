//! [`Candidate`]: what a run finds.

use std::fmt;

use jiff::Timestamp;
use pitwall_upstream_map::StreamId;
use pitwall_upstream_map::slug::fold;
use url::Url;

use super::error::{ExtractError, listing};

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
    /// What was found and cannot be a stream: it is told, and costs nothing else. The run is none
    /// that failed, as another one would find the same.
    pub(crate) unusable: Vec<ExtractError>,
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

    /// Says of how many, and which, nobody knows the name.
    pub(super) fn nameless(
        count: usize,
        which: impl Iterator<Item = String>,
    ) -> Option<ExtractError> {
        let message = || format!("without a name to make an id of: {}", listing(which));
        (count > 0).then(|| ExtractError::new("names", format!("{count} {}", message()), false))
    }

    /// Makes public names of what pages say, and takes no more than a source may find.
    pub(crate) fn tidy(mut self) -> Self {
        let mut nameless = Vec::new();
        let tidied = self.candidates.into_iter().zip(1..).filter_map(|(candidate, number)| {
            let feed = name(&candidate.feed).filter(|feed| StreamId::of_feed(feed).is_some());
            let Some(feed) = feed else {
                nameless.push(format!("number {number}"));
                return None;
            };
            let label = candidate.label.as_deref().and_then(name);
            Some(Candidate { feed, label, ..candidate })
        });
        self.candidates = tidied.collect();
        self.unusable.extend(Self::nameless(nameless.len(), nameless.into_iter()));
        // Where nothing else was found, the run has failed.
        if self.candidates.is_empty() {
            self.failures.append(&mut self.unusable);
        }
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
    let name = words.join(" ");
    if name.chars().count() <= MAX_NAME {
        return (!name.is_empty()).then_some(name);
    }
    // Names that differ only behind the cut are still those of different feeds.
    let hash = blake3::hash(fold(&name).as_bytes()).to_hex();
    let end = format!("… {}", hash.get(..8).unwrap_or_default());
    let head: String = name.chars().take(MAX_NAME - end.chars().count()).collect();
    Some(format!("{}{end}", head.trim_end()))
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
        let long = "ü".repeat(MAX_NAME + 1);
        for (one, other, alike) in [
            (long.clone(), format!("{long}ü"), false),
            (format!("{long} 1"), format!("{long} 2"), false),
            (format!("{long} F"), format!(" {long}\nf"), true),
        ] {
            let [one, other] = [one, other].map(|text| name(&text).unwrap());
            assert!(one.chars().count() <= MAX_NAME, "{one}");
            assert_eq!(
                StreamId::of_feed(&one) == StreamId::of_feed(&other),
                alike,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn what_has_no_name_costs_only_itself() {
        for (feeds, kept, unusable, failures) in [
            (vec!["A", "Гонка"], 2, "", ""),
            (
                vec!["A", "—", "Б", "http://only.example/"],
                2,
                "2 without a name to make an id of: number 2, number 4",
                "",
            ),
            (vec!["", "..."], 0, "", "2 without a name to make an id of: number 1, number 2"),
            (vec![], 0, "", ""),
        ] {
            let candidate = |feed: &&str| Candidate {
                position: 0,
                feed: (*feed).to_owned(),
                label: None,
                playlist: Url::parse("https://a.example/x.m3u8").unwrap(),
                headers: Vec::new(),
                expires_at: None,
            };
            let candidates = feeds.iter().map(candidate).collect();
            let found = Found { candidates, ..Found::default() }.tidy();
            let told = |errors: &[ExtractError]| {
                errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; ")
            };
            assert_eq!(
                (found.candidates.len(), told(&found.unusable), told(&found.failures)),
                (kept, unusable.to_owned(), failures.to_owned()),
                "{feeds:?}"
            );
        }
    }
}
