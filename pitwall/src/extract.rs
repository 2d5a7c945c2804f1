//! `pitwall extract`: one run of one source's extractor, to write or repair a source.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use futures::StreamExt as _;
use pitwall_control_plane::{
    Candidate, ConfiguredSource, Extraction, ExtractionRunner, Recording, Source, TracedStep,
    check_playability, find_first_drift,
};
use pitwall_fetch::{Fetcher, Timeouts};

use crate::cli::ExtractOptions;
use crate::config::Config;
use crate::terminal::{print_error, print_text};

pub(crate) fn run_extract_command(
    name: &str,
    options: &ExtractOptions,
    path: &Path,
) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let Some(source) = config.sources.iter().find(|source| source.name == name) else {
        let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
        bail!("no source is called {name:?}; there are: {}", names.join(", "));
    };
    let baseline = options.diff.as_ref().map(|folder| Recording::load(folder, name)).transpose()?;
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), config.own_listeners()));
    let runner = ExtractionRunner::new(fetcher.clone(), &config.extract);
    let runtime = tokio::runtime::Runtime::new()?;
    let extraction = runtime.block_on(run_extractor(&runner, source, options))?;
    if options.trace {
        print_trace(&extraction.steps);
    }
    extraction.candidates.iter().for_each(print_candidate);
    let (policy, location) = (source.fetch_policy(), source.config_location());
    for candidate in &extraction.candidates {
        let check = match options.replay {
            Some(_) => policy.check_url(&candidate.playlist),
            None => runtime.block_on(fetcher.check_target(&policy, &candidate.playlist)),
        };
        // Only a denial fails: a name that does not resolve here may resolve where the edge runs.
        if let Err(error) = check
            && error.is_denied()
        {
            bail!("source {name:?}: {}: {}", candidate.feed, error.operator_text(&location));
        }
    }
    if options.check {
        runtime.block_on(check_candidates_play(&fetcher, source, &extraction.candidates))?;
    }
    if let Some(baseline) = baseline {
        return match find_first_drift(&baseline.steps, &extraction.steps) {
            Some(drift) => bail!("{drift}"),
            None => {
                print_text(&format!("no drift since {}", baseline.at));
                report_failures(name, extraction)
            }
        };
    }
    report_failures(name, extraction)
}

/// How many candidates are watched at once.
const CHECK_MAX_CONCURRENCY: usize = 16;

/// Prints of each candidate whether it plays.
///
/// # Errors
/// One of them does not play.
async fn check_candidates_play(
    fetcher: &Fetcher,
    source: &Source,
    candidates: &[Candidate],
) -> anyhow::Result<()> {
    let mut failed = 0;
    // Each takes as long as its next segment; the source's own limit bounds what runs at once.
    let checks = candidates.iter().map(|candidate| async move {
        (candidate, check_playability(fetcher, source, candidate).await)
    });
    let mut checks = futures::stream::iter(checks).buffered(CHECK_MAX_CONCURRENCY);
    while let Some((candidate, outcome)) = checks.next().await {
        match outcome {
            Ok(renditions) => print_text(&format!("{}\tplays: {renditions}", candidate.feed)),
            Err(why) => {
                failed += 1;
                print_text(&format!("{}\tdoes not play: {why}", candidate.feed));
            }
        }
    }
    if failed > 0 {
        bail!("source {:?}: {failed} of {} do not play", source.name, candidates.len());
    }
    Ok(())
}

/// Runs the extractor: on a recording with `--replay`, else on the network.
async fn run_extractor(
    runner: &ExtractionRunner,
    source: &ConfiguredSource,
    options: &ExtractOptions,
) -> anyhow::Result<Extraction> {
    if let Some(folder) = &options.replay {
        let recording = Recording::load(folder, &source.name)?;
        return Ok(runner.replay(source, &recording).await);
    }
    let Some(folder) = &options.record else { return Ok(runner.extract(source).await) };
    let (extraction, recording) = runner.run_and_record(source).await;
    let path = recording.save(folder).context("the recording cannot be saved")?;
    print_text(&format!("recorded in {}: it holds tokens, keep it private", path.display()));
    Ok(extraction)
}

/// Prints the failures of an extraction. Without candidates its first failure is the command's
/// error; an extraction that found nothing and did not fail is no error.
fn report_failures(name: &str, extraction: Extraction) -> anyhow::Result<()> {
    let with_source = |error| anyhow!("source {name:?}: {error}");
    let mut failures = extraction.failures.into_iter();
    if extraction.candidates.is_empty()
        && let Some(first) = failures.next()
    {
        return Err(with_source(first));
    }
    failures.chain(extraction.unusable).for_each(|error| print_error(&with_source(error)));
    Ok(())
}

/// Prints a candidate with its whole URL, tokens included: the output is the operator's own.
fn print_candidate(candidate: &Candidate) {
    let expires = candidate.expires_at.map_or("unknown".to_owned(), |at| at.to_string());
    print_text(&format!("{}\t{}\texpires {expires}", candidate.feed, candidate.playlist));
}

fn print_trace(steps: &[TracedStep]) {
    let mut track = None;
    for step in steps {
        if track != Some(&step.track) && !step.track.name.is_empty() {
            print_text(&step.track.name);
        }
        track = Some(&step.track);
        print_text(&format!("  {step}"));
    }
}
