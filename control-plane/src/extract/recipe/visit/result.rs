//! What is left at the end, as a candidate.

use pitwall_upstream_map::StreamId;

use super::Visit;
use crate::expiry;
use crate::extract::headers::{overlay, sendable};
use crate::extract::recipe::template::Template;
use crate::extract::trace::Tracing;
use crate::extract::{Candidate, Failure};

impl Visit<'_> {
    pub(super) fn result(&self, tracing: &mut Tracing<'_>) -> Result<Candidate, Failure> {
        let source = self.context.source;
        let result = &self.recipe.result;
        let render = |template: &toml::Spanned<Template>| {
            template.get_ref().render(&self.variables).map_err(Failure::from)
        };
        let otherwise = |key: &str, of_source: &Option<String>| {
            self.variables.get(key).cloned().or_else(|| of_source.clone())
        };
        let playlist = self.join(&render(&result.playlist)?)?;
        tracing.yielded("playlist", playlist.as_str());
        let expires_at = match &result.expires {
            Some(template) => {
                let text = render(template)?;
                Some(expiry::of_text(&text).ok_or("`expires` is not a time")?)
            }
            None => expiry::of_url(&playlist),
        };
        let mut headers = source.headers.clone();
        for (name, value) in &result.headers.0 {
            overlay(&mut headers, [(name.clone(), render(value)?)]);
        }
        sendable(&headers)?;
        let feed = match &result.feed {
            Some(template) => Some(render(template)?),
            None => otherwise("feed", &source.feed),
        };
        let feed = feed.unwrap_or_default();
        if StreamId::of_feed(&feed).is_none() {
            let why = format!("the feed {feed:?} has no letter, digit or sign to make an id of");
            return Err(why.into());
        }
        let label = match &result.label {
            Some(template) => Some(render(template)?),
            None => otherwise("label", &source.label),
        };
        Ok(Candidate { position: 0, feed, label, playlist, headers, expires_at })
    }
}
