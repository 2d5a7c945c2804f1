//! [`ProgramExtractor`]: a source whose page an external program reads. The programs differ only in
//! their configuration and in how their output is parsed, which [`StreamFinderProgram`] holds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};
use url::Url;

use super::{ProgramInvocation, run_program};
use crate::extract::error::{count_and_describe_reasons, describe_left_out};
use crate::extract::{
    Candidate, ExternalTool, ExtractContext, ExtractError, Extractor, ExtractorOutput, RunBranch,
    StepFailure,
};
use crate::settings::{HttpUrl, HumanDuration};
use crate::source::Source;

/// A program that finds streams on pages.
pub(in crate::extract) struct StreamFinderProgram {
    /// The source kind, the program's name in recordings, and the name of the step that runs it.
    pub(in crate::extract) name: &'static str,
    pub(in crate::extract) tool: ExternalTool,
    /// Arguments before the path of the configuration file.
    pub(in crate::extract) arguments: &'static [&'static str],
    /// The lines of the configuration file for a page, given the URL of the proxy.
    pub(in crate::extract) build_config_lines: fn(&Source, &Url, proxy: &str) -> Vec<String>,
    /// The name of the step that parses the program's output.
    pub(in crate::extract) parse_step_name: &'static str,
    pub(in crate::extract) parse_output: fn(&[u8], &Source) -> Result<PageFindings, StepFailure>,
}

/// What a program found on a page.
#[derive(Default)]
pub(in crate::extract) struct PageFindings {
    pub(in crate::extract) candidates: Vec<Candidate>,
    /// Why each of the page's other videos is no candidate.
    pub(in crate::extract) left_out: Vec<&'static str>,
}

struct ProgramExtractor {
    program: &'static StreamFinderProgram,
    url: Url,
    timeout: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: HttpUrl,
    timeout: Option<HumanDuration>,
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

impl StreamFinderProgram {
    /// Builds the extractor from the keys of a source of this kind.
    ///
    /// # Errors
    /// A missing, unknown or malformed key, with its place in the file.
    pub(in crate::extract) fn build_extractor(
        &'static self,
        settings: Spanned<DeValue<'_>>,
    ) -> Result<Arc<dyn Extractor>, toml::de::Error> {
        let Settings { url, timeout } = Settings::deserialize(ValueDeserializer::from(settings))?;
        let timeout = timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.0);
        Ok(Arc::new(ProgramExtractor { program: self, url: url.0, timeout }))
    }

    pub(in crate::extract) fn parse_findings(
        &self,
        output: &[u8],
        source: &Source,
    ) -> Result<PageFindings, StepFailure> {
        let findings = (self.parse_output)(output, source)?;
        if !findings.candidates.is_empty() {
            return Ok(findings);
        }
        Err(match count_and_describe_reasons(findings.left_out.into_iter()) {
            (0, _) => "it found nothing".into(),
            (_, reasons) => format!("nothing that it found can be played: {reasons}").into(),
        })
    }
}

#[async_trait]
impl Extractor for ProgramExtractor {
    fn kind(&self) -> &'static str {
        self.program.name
    }

    fn configured_origins(&self) -> Vec<Url> {
        vec![self.url.clone()]
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn required_tool(&self) -> Option<ExternalTool> {
        Some(self.program.tool)
    }

    async fn extract(&self, context: &ExtractContext<'_>) -> ExtractorOutput {
        let StreamFinderProgram {
            name, tool, arguments, build_config_lines, parse_step_name, ..
        } = *self.program;
        let render_config =
            |proxy: &str| build_config_lines(context.source, &self.url, proxy).join("\n");
        let target = self.url.as_str();
        let invocation =
            ProgramInvocation { tool, name, target, arguments, render_config: &render_config };
        let span = context.trace.start_step(&RunBranch::default(), name);
        let output = match span.finish(run_program(context, &invocation).await) {
            Ok(output) => output,
            Err(failure) => return ExtractorOutput::from_error(failure.at_step(name)),
        };
        let mut span = context.trace.start_step(&RunBranch::default(), parse_step_name);
        let findings = self.program.parse_findings(&output, context.source);
        if let Ok(PageFindings { candidates, .. }) = &findings {
            span.set_match_count(candidates.len());
            if let Some(first) = candidates.first() {
                span.set_output("playlist", first.playlist.as_str());
            }
        }
        match span.finish(findings) {
            Ok(PageFindings { candidates, left_out }) => {
                let left_out = describe_left_out(left_out.into_iter());
                let unusable = left_out
                    .map(|message| ExtractError::new(parse_step_name, message, false))
                    .into_iter()
                    .collect();
                ExtractorOutput { candidates, unusable, ..ExtractorOutput::default() }
            }
            Err(failure) => ExtractorOutput::from_error(failure.at_step(parse_step_name)),
        }
    }
}

/// Parses a program's output, which is JSON unless the program is broken.
pub(in crate::extract) fn parse_json_output<'a, T: Deserialize<'a>>(
    output: &'a [u8],
) -> Result<T, StepFailure> {
    serde_json::from_slice(output).map_err(|error| {
        StepFailure::permanent("its output is not what it should be").with_detail(error)
    })
}

/// Parses a playlist's URL; `None` if Pitwall cannot fetch it.
pub(in crate::extract) fn parse_playlist_url(url: &str) -> Option<Url> {
    let mut parsed = Url::parse(url).ok()?;
    parsed.set_fragment(None);
    let mut parsed = pitwall_fetch::parse_url(parsed.as_str()).ok()?;
    pitwall_fetch::keep_written_query(&mut parsed, url);
    Some(parsed)
}
