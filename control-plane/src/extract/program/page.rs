//! [`OnPage`]: a source that is a page which a program looks at. All that differs from one
//! [`Program`] to the next is what it is told and how its answer is read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};
use url::Url;

use super::{Instructions, run};
use crate::extract::{Candidate, Context, Extractor, Failure, Found, Tool, Track};
use crate::settings::{HttpUrl, HumanDuration};
use crate::source::Source;

/// What is known of a program that finds streams on pages.
pub(in crate::extract) struct Program {
    /// Of the kind of source, of what is run, and of the step.
    pub(in crate::extract) name: &'static str,
    pub(in crate::extract) tool: Tool,
    /// Arguments before the path of its instructions.
    pub(in crate::extract) arguments: &'static [&'static str],
    /// Its instructions for a page, line by line, given the URL of the proxy.
    pub(in crate::extract) lines: fn(&Source, &Url, proxy: &str) -> Vec<String>,
    /// The step that reads what it printed.
    pub(in crate::extract) finds: &'static str,
    pub(in crate::extract) read: fn(&[u8], &Source) -> Result<Vec<Candidate>, Failure>,
}

struct OnPage {
    program: &'static Program,
    url: Url,
    timeout: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: HttpUrl,
    timeout: Option<HumanDuration>,
}

const TIMEOUT: Duration = Duration::from_secs(60);

impl Program {
    /// With the keys of such a source.
    pub(in crate::extract) fn configure(
        &'static self,
        settings: Spanned<DeValue<'_>>,
    ) -> Result<Arc<dyn Extractor>, toml::de::Error> {
        let Settings { url, timeout } = Settings::deserialize(ValueDeserializer::from(settings))?;
        let timeout = timeout.map_or(TIMEOUT, |timeout| timeout.0);
        Ok(Arc::new(OnPage { program: self, url: url.0, timeout }))
    }

    pub(in crate::extract) fn found(
        &self,
        output: &[u8],
        source: &Source,
    ) -> Result<Vec<Candidate>, Failure> {
        let candidates = (self.read)(output, source)?;
        match candidates.is_empty() {
            true => Err("nothing that it found is HLS".into()),
            false => Ok(candidates),
        }
    }
}

#[async_trait]
impl Extractor for OnPage {
    fn kind(&self) -> &'static str {
        self.program.name
    }

    fn origins(&self) -> Vec<Url> {
        vec![self.url.clone()]
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn needs(&self) -> Option<Tool> {
        Some(self.program.tool)
    }

    async fn extract(&self, context: &Context<'_>) -> Found {
        let Program { name, tool, arguments, lines, finds, .. } = *self.program;
        let file = |proxy: &str| lines(context.source, &self.url, proxy).join("\n");
        let target = self.url.as_str();
        let instructions = Instructions { tool, name, target, arguments, file: &file };
        let tracing = context.trace.begin(&Track::default(), name);
        let output = match tracing.end(run(context, &instructions).await) {
            Ok(output) => output,
            Err(failure) => return Found::failed(failure.at(name)),
        };
        let mut tracing = context.trace.begin(&Track::default(), finds);
        let candidates = self.program.found(&output, context.source);
        if let Ok(candidates) = &candidates {
            tracing.matched(candidates.len());
            if let Some(first) = candidates.first() {
                tracing.yielded("playlist", first.playlist.as_str());
            }
        }
        match tracing.end(candidates) {
            Ok(candidates) => Found { candidates, ..Found::default() },
            Err(failure) => Found::failed(failure.at(finds)),
        }
    }
}

/// What programs print is JSON, or something is wrong with them.
pub(in crate::extract) fn parsed<'a, T: Deserialize<'a>>(output: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(output)
        .map_err(|error| Failure::lasting("its output is not what it should be").detail(error))
}

/// A playlist's URL, if it is one that can be fetched.
pub(in crate::extract) fn playlist(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    url.set_fragment(None);
    pitwall_fetch::parse_url(url.as_str()).ok()
}
