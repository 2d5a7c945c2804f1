//! `pitwall extract`: one source, once, for whoever writes or repairs it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use pitwall_control_plane::{
    Candidate, Extraction, Recording, Runner, Source, TracedStep, first_drift, playable,
};
use pitwall_fetch::{Fetcher, Timeouts};

use crate::cli::{ExtractOptions, complain, say};
use crate::config::Config;

pub(crate) fn extract(name: &str, options: &ExtractOptions, path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let Some(source) = config.sources.iter().find(|source| source.name == name) else {
        let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
        bail!("no source is called {name:?}; there are: {}", names.join(", "));
    };
    let good = options.diff.as_ref().map(|folder| Recording::load(folder, name)).transpose()?;
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
    let runner = Runner::new(fetcher.clone(), &config.extract);
    let runtime = tokio::runtime::Runtime::new()?;
    let extraction = runtime.block_on(run(&runner, source, options))?;
    if options.trace {
        print_steps(&extraction.steps);
    }
    extraction.candidates.iter().for_each(print_candidate);
    let (policy, place) = (source.policy(), source.place());
    for candidate in &extraction.candidates {
        let vetted = match options.replay {
            Some(_) => policy.check(&candidate.playlist),
            None => runtime.block_on(fetcher.vet(&policy, &candidate.playlist)),
        };
        // A name that does not resolve may do so where the source is used.
        if let Err(error) = vetted
            && error.is_denied()
        {
            bail!("source {name:?}: {}: {}", candidate.feed, error.operator(&place));
        }
    }
    if options.check {
        runtime.block_on(all_play(&fetcher, source, &extraction.candidates))?;
    }
    if let Some(good) = good {
        return match first_drift(&good.steps, &extraction.steps) {
            Some(drift) => bail!("{drift}"),
            None => {
                say(&format!("no drift since {}", good.at));
                outcome(name, extraction)
            }
        };
    }
    outcome(name, extraction)
}

/// Says of each whether it plays.
async fn all_play(
    fetcher: &Fetcher,
    source: &Source,
    candidates: &[Candidate],
) -> anyhow::Result<()> {
    let mut failed = 0;
    for candidate in candidates {
        match playable(fetcher, source, candidate).await {
            Ok(renditions) => say(&format!("{}\tplays: {renditions}", candidate.feed)),
            Err(why) => {
                failed += 1;
                say(&format!("{}\tdoes not play: {why}", candidate.feed));
            }
        }
    }
    if failed > 0 {
        bail!("source {:?}: {failed} of {} do not play", source.name, candidates.len());
    }
    Ok(())
}

async fn run(
    runner: &Runner,
    source: &Source,
    options: &ExtractOptions,
) -> anyhow::Result<Extraction> {
    if let Some(folder) = &options.replay {
        let recording = Recording::load(folder, &source.name)?;
        return Ok(runner.replay(source, &recording).await);
    }
    let Some(folder) = &options.record else { return Ok(runner.extract(source).await) };
    let (extraction, recording) = runner.record(source).await;
    let place = recording.save(folder).context("the recording is not kept")?;
    say(&format!("recorded in {}: it holds tokens, keep it private", place.display()));
    Ok(extraction)
}

/// Finding nothing is a failure only where something failed.
fn outcome(name: &str, extraction: Extraction) -> anyhow::Result<()> {
    if extraction.dropped > 0 {
        say(&format!("{} more were found than are taken", extraction.dropped));
    }
    let failed = |error| anyhow!("source {name:?}: {error}");
    let mut failures = extraction.failures.into_iter();
    if extraction.candidates.is_empty()
        && let Some(first) = failures.next()
    {
        return Err(failed(first));
    }
    failures.chain(extraction.unusable).for_each(|error| complain(&failed(error)));
    Ok(())
}

/// The operator's own terminal: what was found is what was asked for, token and all.
fn print_candidate(candidate: &Candidate) {
    let expires = candidate.expires_at.map_or("unknown".to_owned(), |at| at.to_string());
    say(&format!("{}\t{}\texpires {expires}", candidate.feed, candidate.playlist));
}

fn print_steps(steps: &[TracedStep]) {
    let mut track = None;
    for step in steps {
        if track != Some(&step.track) && !step.track.name.is_empty() {
            say(&step.track.name);
        }
        track = Some(&step.track);
        say(&format!("  {step}"));
    }
}
