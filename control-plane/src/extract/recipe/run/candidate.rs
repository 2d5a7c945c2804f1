//! Builds the candidate of a run from its variables and `[source.result]`.

use pitwall_upstream_map::StreamId;

use super::RecipeRun;
use crate::expiry;
use crate::extract::headers::{build_header_map, overlay_headers};
use crate::extract::recipe::template::Template;
use crate::extract::trace::StepSpan;
use crate::extract::{Candidate, StepFailure};

impl RecipeRun<'_> {
    pub(super) fn build_candidate(
        &self,
        span: &mut StepSpan<'_>,
    ) -> Result<Candidate, StepFailure> {
        let source = self.context.source;
        let result = &self.recipe.result;
        let render = |template: &toml::Spanned<Template>| {
            template.get_ref().render(&self.variables).map_err(StepFailure::from)
        };
        let from_row_or_source = |key: &str, source_value: &Option<String>| {
            self.variables.get(key).cloned().or_else(|| source_value.clone())
        };
        let playlist = self.resolve_url(&render(&result.playlist)?)?;
        span.set_output("playlist", playlist.as_str());
        let expires_at = match &result.expires {
            Some(template) => {
                let text = render(template)?;
                Some(expiry::expiry_from_text(&text).ok_or("`expires` is not a time")?)
            }
            None => expiry::expiry_from_url(&playlist),
        };
        let mut headers = source.headers.clone();
        for (name, value) in &result.headers.0 {
            overlay_headers(&mut headers, [(name.clone(), render(value)?)]);
        }
        build_header_map(&headers)?;
        let feed = match &result.feed {
            Some(template) => Some(render(template)?),
            None => from_row_or_source("feed", &source.feed),
        };
        let feed = feed.unwrap_or_default();
        if StreamId::of_feed(&feed).is_none() {
            let why = format!("the feed {feed:?} has no letter, digit or sign to make an id of");
            return Err(why.into());
        }
        let label = match &result.label {
            Some(template) => Some(render(template)?),
            None => from_row_or_source("label", &source.label),
        };
        Ok(Candidate { position: 0, feed, label, playlist, headers, expires_at })
    }
}
