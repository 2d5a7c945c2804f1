//! `[rank]`: the operator's preferences, and how reluctantly viewers are moved.

use std::time::Duration;

use pitwall_upstream_map::{Container, Rendition, StreamId};
use serde::{Deserialize, Deserializer, de};

use crate::settings::{HumanDuration, SourceName};

/// `[rank]` of the configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RankConfig {
    /// By how much another upstream's score must be higher before viewers are moved to it.
    pub margin: Points,
    /// Time after a move within which viewers are not moved again to a better upstream.
    pub hold: HumanDuration,
    /// How long an upstream of higher priority must be healthy before viewers are moved back to it.
    pub fail_back: HumanDuration,
    /// Score adjustments.
    pub prefer: Vec<Preference>,
}

/// One `[[rank.prefer]]`: points for every upstream that meets all its conditions.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    pub name: String,
    /// Added to a score of 0 to 1; negative to avoid such upstreams.
    pub points: Points,
    pub stream: Option<StreamPattern>,
    pub source: Option<SourceName>,
    pub container: Option<Container>,
    /// Prefix of one of a rendition's codecs, such as `hvc1`.
    pub codec: Option<String>,
    pub min_height: Option<u32>,
}

/// A number from -1 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Points(pub f64);

/// A stream id, or a prefix of stream ids followed by `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPattern {
    prefix: String,
    is_prefix: bool,
}

impl Default for RankConfig {
    fn default() -> Self {
        Self {
            margin: Points(0.15),
            hold: HumanDuration(Duration::from_mins(1)),
            fail_back: HumanDuration(Duration::from_mins(5)),
            prefer: Vec::new(),
        }
    }
}

impl RankConfig {
    /// The preferences that an upstream meets.
    pub(crate) fn matching_preferences<'a>(
        &'a self,
        stream: &'a StreamId,
        source: &'a str,
        renditions: &'a [Rendition],
    ) -> impl Iterator<Item = &'a Preference> {
        self.prefer.iter().filter(move |one| one.is_met_by(stream, source, renditions))
    }
}

impl Preference {
    fn is_met_by(&self, stream: &StreamId, source: &str, renditions: &[Rendition]) -> bool {
        let any = |holds: &dyn Fn(&Rendition) -> bool| renditions.iter().any(holds);
        let height = |one: &Rendition| one.resolution.map_or(0, |(_, height)| height);
        let plays = |codec: &str, one: &Rendition| {
            let codecs = one.codecs.as_deref().unwrap_or_default();
            codecs.split(',').any(|each| each.trim().starts_with(codec))
        };
        self.stream.as_ref().is_none_or(|pattern| pattern.matches(stream))
            && self.source.as_ref().is_none_or(|name| name.0 == source)
            && self.container.is_none_or(|container| any(&|one| one.container == container))
            && self.codec.as_ref().is_none_or(|codec| any(&|one| plays(codec, one)))
            && self.min_height.is_none_or(|min_height| any(&|one| height(one) >= min_height))
    }
}

impl StreamPattern {
    fn matches(&self, stream: &StreamId) -> bool {
        match self.is_prefix {
            true => stream.as_str().starts_with(&self.prefix),
            false => stream.as_str() == self.prefix,
        }
    }
}

impl<'de> Deserialize<'de> for Points {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if !(-1.0..=1.0).contains(&number) {
            return Err(de::Error::custom(format!("{number} is not between -1 and 1")));
        }
        Ok(Self(number))
    }
}

crate::settings::from_text!(StreamPattern, |text| {
    let (start, open) = match text.strip_suffix('*') {
        Some(start) => (start, true),
        None => (text, false),
    };
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if !start.bytes().all(legal) || (start.is_empty() && !open) {
        return Err(format!(
            "{text:?} is not a stream's id such as \"onboard-7\" or \"onboard-*\""
        ));
    }
    Ok(Self { prefix: start.to_owned(), is_prefix: open })
});

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<RankConfig, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn preferences_are_matched() {
        let rendition = serde_json::json!({
            "id": "v1080-hevc", "role": "video", "playlist": "https://a.example/m.m3u8",
            "container": "fmp4", "label": "1080p", "resolution": [1920, 1080],
            "codecs": "hvc1.1.6.L93, mp4a.40.2",
        });
        let renditions: Vec<Rendition> = vec![serde_json::from_value(rendition).unwrap()];
        let stream = StreamId::of_feed("Onboard 7").unwrap();
        for (rule, expected) in [
            ("", true),
            ("stream = 'onboard-7'", true),
            ("stream = 'onboard-*'", true),
            ("stream = '*'", true),
            ("stream = 'onboard'", false),
            ("source = 'club'", true),
            ("source = 'other'", false),
            ("container = 'fmp4'", true),
            ("container = 'mpeg-ts'", false),
            ("codec = 'hvc1'", true),
            ("codec = 'mp4a'", true),
            ("codec = 'avc1'", false),
            ("min_height = 1080", true),
            ("min_height = 2160", false),
            ("source = 'club'\nmin_height = 2160", false),
        ] {
            let config =
                config(&format!("[[prefer]]\nname = 'rule'\npoints = 0.2\n{rule}\n")).unwrap();
            let met = config.matching_preferences(&stream, "club", &renditions).count() == 1;
            assert_eq!(met, expected, "{rule}");
        }
    }

    #[test]
    fn invalid_config_is_rejected() {
        for (text, expected) in [
            ("margin = 3", "3 is not between -1 and 1"),
            ("margin = nan", "is not between"),
            ("hold = 'soon'", "is not a duration"),
            ("[[prefer]]\nname='a'\npoints=0.1\nstream='On board'", "is not a stream's id"),
            ("[[prefer]]\nname='a'\npoints=0.1\ncontainer='avi'", "unknown variant"),
            ("[[prefer]]\nname='a'\npoints=0.1\nsize=3", "unknown field"),
        ] {
            let error = config(text).err().unwrap_or_else(|| panic!("{text} is accepted"));
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
