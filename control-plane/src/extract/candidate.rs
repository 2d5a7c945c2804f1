//! [`Candidate`]: one found playlist URL; [`ExtractorOutput`]: all that one run found.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use pitwall_upstream_map::StreamId;
use pitwall_upstream_map::slug::normalize_name;
use url::Url;

use super::error::{ExtractError, list_names};

/// One found playlist URL, not yet checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Index among the source's candidates; streams are listed in this order.
    pub position: usize,
    pub feed: String,
    pub label: Option<String>,
    pub playlist: Url,
    pub headers: Vec<(String, String)>,
    pub expires_at: Option<Timestamp>,
}

impl Candidate {
    /// Is this the playlist of `other`, sent the same header fields? A User-Agent makes no
    /// difference: programs make up another one for each run, and it is no credential.
    pub(crate) fn is_same_find(&self, other: &Self) -> bool {
        let fields = |candidate: &Self| -> BTreeSet<(String, String)> {
            let fields = candidate.headers.iter();
            let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
            fields.filter(|(name, _)| name != "user-agent").collect()
        };
        self.playlist == other.playlist && fields(self) == fields(other)
    }
}

/// The output of one run. A run that finds some feeds and fails for others has both candidates and
/// failures; an output with neither says that the source has no stream now.
#[derive(Default)]
pub(crate) struct ExtractorOutput {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) failures: Vec<ExtractError>,
    /// Findings that cannot be a stream. They are reported, but the run has not failed: another run
    /// would find the same.
    pub(crate) unusable: Vec<ExtractError>,
    /// The number of candidates beyond `MAX_CANDIDATES`.
    pub(crate) dropped: usize,
}

/// Candidates per source: a source that finds more is misconfigured or under attack.
const MAX_CANDIDATES: usize = 200;
/// Length of a feed's name or a label, in characters; a page may claim a name of any length.
const NAME_MAX_CHARS: usize = 80;

impl ExtractorOutput {
    pub(crate) fn from_error(error: ExtractError) -> Self {
        Self { failures: vec![error], ..Self::default() }
    }

    /// The error that `count` findings, described by `which`, have no name that a stream's id can
    /// be made of; `None` if `count` is 0.
    pub(super) fn nameless_error(
        count: usize,
        which: impl Iterator<Item = String>,
    ) -> Option<ExtractError> {
        let message = || format!("without a name to make an id of: {}", list_names(which));
        (count > 0).then(|| ExtractError::new("names", format!("{count} {}", message()), false))
    }

    /// Cleans the names that pages gave, moves candidates without a usable name to `unusable`, and
    /// truncates the candidates to `MAX_CANDIDATES`, which is reported too.
    pub(crate) fn sanitize(mut self) -> Self {
        let mut nameless = Vec::new();
        let sanitized = self.candidates.into_iter().zip(1..).filter_map(|(candidate, number)| {
            let feed =
                sanitize_name(&candidate.feed).filter(|feed| StreamId::of_feed(feed).is_some());
            let Some(feed) = feed else {
                nameless.push(format!("number {number}"));
                return None;
            };
            let label = candidate.label.as_deref().and_then(sanitize_name);
            Some(Candidate { feed, label, ..candidate })
        });
        self.candidates = sanitized.collect();
        self.unusable.extend(Self::nameless_error(nameless.len(), nameless.into_iter()));
        // A run whose findings are all unusable has failed.
        if self.candidates.is_empty() {
            self.failures.append(&mut self.unusable);
        }
        // Dropped candidates are not a failure: another run would find as many.
        self.dropped += self.candidates.len().saturating_sub(MAX_CANDIDATES);
        self.candidates.truncate(MAX_CANDIDATES);
        if self.dropped > 0 {
            let message = format!(
                "{} left out: more than are taken of one source, so filter what it lists",
                self.dropped
            );
            self.unusable.push(ExtractError::new("limit", message, false));
        }
        self
    }
}

/// One line without control characters and without anything that may be an upstream's URL.
fn sanitize_name(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty() && !word.contains("://")).collect();
    let name = words.join(" ");
    if name.chars().count() <= NAME_MAX_CHARS {
        return (!name.is_empty()).then_some(name);
    }
    // The hash keeps names apart that differ only after the cut: they are different feeds.
    let hash = blake3::hash(normalize_name(&name).as_bytes()).to_hex();
    let end = format!("… {}", hash.get(..8).unwrap_or_default());
    let head: String = name.chars().take(NAME_MAX_CHARS - end.chars().count()).collect();
    Some(format!("{}{end}", head.trim_end()))
}

/// Shows the playlist's host and the headers' names only: URLs and header values hold tokens.
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
            assert_eq!(sanitize_name(text).as_deref(), expected, "{text:?}");
        }
        let long = "ü".repeat(NAME_MAX_CHARS + 1);
        for (one, other, alike) in [
            (long.clone(), format!("{long}ü"), false),
            (format!("{long} 1"), format!("{long} 2"), false),
            (format!("{long} F"), format!(" {long}\nf"), true),
        ] {
            let [one, other] = [one, other].map(|text| sanitize_name(&text).unwrap());
            assert!(one.chars().count() <= NAME_MAX_CHARS, "{one}");
            assert_eq!(
                StreamId::of_feed(&one) == StreamId::of_feed(&other),
                alike,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn finds_that_are_the_same() {
        let candidate = |find: &str| {
            let (url, fields) = find.split_once(' ').unwrap_or((find, ""));
            let fields = fields.split(' ').filter_map(|field| field.split_once('='));
            Candidate {
                position: 0,
                feed: "World feed".to_owned(),
                label: None,
                playlist: Url::parse(url).unwrap(),
                headers: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                expires_at: None,
            }
        };
        for (one, other, expected) in [
            ("https://a/x Cookie=1", "https://a/x Cookie=1", true),
            (
                "https://a/x User-Agent=A/147 Referer=r",
                "https://a/x user-agent=A/150 Referer=r",
                true,
            ),
            ("https://a/x User-Agent=A", "https://a/x", true),
            ("https://a/x Referer=r Cookie=1", "https://a/x cookie=1 referer=r", true),
            ("https://a/x Cookie=1", "https://a/x Cookie=2", false),
            ("https://a/x Referer=r", "https://a/x", false),
            ("https://a/x?t=1", "https://a/x?t=2", false),
        ] {
            let is_same = candidate(one).is_same_find(&candidate(other));
            assert_eq!(is_same, expected, "{one} and {other}");
        }
    }

    #[test]
    fn candidates_beyond_the_limit_are_reported() {
        let candidate = |position| Candidate {
            position,
            feed: format!("Feed {position}"),
            label: None,
            playlist: Url::parse("https://a.example/x.m3u8").unwrap(),
            headers: Vec::new(),
            expires_at: None,
        };
        for (count, dropped, expected) in [
            (MAX_CANDIDATES, 0, None),
            (MAX_CANDIDATES + 1, 0, Some("1 left out")),
            (3, 2, Some("2 left out")),
        ] {
            let candidates = (0..count).map(candidate).collect();
            let found =
                ExtractorOutput { candidates, dropped, ..ExtractorOutput::default() }.sanitize();
            let reported = found.unusable.first().and_then(|one| one.message.split(':').next());
            assert_eq!(reported, expected, "{count} {dropped}");
            assert!(found.failures.is_empty() && found.candidates.len() <= MAX_CANDIDATES);
        }
    }

    #[test]
    fn a_candidate_without_a_usable_name_is_reported_and_the_others_stay() {
        for (feeds, candidate_count, unusable, failures) in [
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
            let found = ExtractorOutput { candidates, ..ExtractorOutput::default() }.sanitize();
            let messages = |errors: &[ExtractError]| {
                errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; ")
            };
            assert_eq!(
                (found.candidates.len(), messages(&found.unusable), messages(&found.failures)),
                (candidate_count, unusable.to_owned(), failures.to_owned()),
                "{feeds:?}"
            );
        }
    }
}
