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

use super::{Candidate, Context, Extractor, Found, Track};
use crate::expiry;
use crate::settings::{HttpUrl, error_at};

pub(super) struct Static {
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
    let span = settings.span();
    let settings = Settings::deserialize(ValueDeserializer::from(settings))?;
    let feed = feed.ok_or_else(|| error_at(span, "missing field `feed`"))?;
    Ok(Arc::new(Static { url: settings.url.0, feed: feed.to_owned() }))
}

#[async_trait]
impl Extractor for Static {
    fn kind(&self) -> &'static str {
        "static"
    }

    fn origins(&self) -> Vec<Url> {
        vec![self.url.clone()]
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn extract(&self, context: &Context<'_>) -> Found {
        let mut tracing = context.trace.begin(&Track::default(), "url");
        tracing.yielded("url", self.url.as_str());
        let _ = tracing.end(Ok(()));
        let candidate = Candidate {
            position: 0,
            feed: self.feed.clone(),
            label: context.source.label.clone(),
            playlist: self.url.clone(),
            headers: context.source.headers.clone(),
            expires_at: expiry::of_url(&self.url),
        };
        Found { candidates: vec![candidate], ..Found::default() }
    }
}
