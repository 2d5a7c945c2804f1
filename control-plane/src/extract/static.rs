//! `kind = "static"`: a playlist URL that never changes.
//!
//! ```toml
//! [[source]]
//! name = "club"
//! kind = "static"
//! feed = "World feed"
//! url = "https://cdn.example.com/live/master.m3u8"
//! ```

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};
use url::Url;

use super::{Candidate, ExtractContext, Extractor, ExtractorOutput, RunBranch};
use crate::expiry;
use crate::settings::{HttpUrl, error_at};

pub(super) struct StaticExtractor {
    url: Url,
    feed: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: HttpUrl,
}

pub(super) fn configure(
    feed: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    let settings_span = settings.span();
    let settings = Settings::deserialize(ValueDeserializer::from(settings))?;
    let feed = feed.ok_or_else(|| error_at(settings_span, "missing field `feed`"))?;
    Ok(Arc::new(StaticExtractor { url: settings.url.0, feed: feed.to_owned() }))
}

#[async_trait]
impl Extractor for StaticExtractor {
    fn kind(&self) -> &'static str {
        "static"
    }

    fn configured_origins(&self) -> Vec<Url> {
        vec![self.url.clone()]
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn extract(&self, context: &ExtractContext<'_>) -> ExtractorOutput {
        let mut span = context.trace.start_step(&RunBranch::default(), "url");
        span.set_output("url", self.url.as_str());
        let _ = span.finish(Ok(()));
        let candidate = Candidate {
            position: 0,
            feed: self.feed.clone(),
            label: context.source.label.clone(),
            playlist: self.url.clone(),
            headers: context.source.headers.clone(),
            expires_at: expiry::expiry_from_url(&self.url),
        };
        ExtractorOutput { candidates: vec![candidate], ..ExtractorOutput::default() }
    }
}
