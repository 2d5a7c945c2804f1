//! Virtual players in front of one edge: what they see, and what that costs per viewer and per
//! stream. It must stay flat.

mod crowd;
mod run;

use std::time::Duration;

use anyhow::bail;
use pitwall_benches::players::{Audience, Connector};
use url::Url;

pub(crate) use self::crowd::Crowd;
pub(crate) use self::run::Run;
use self::run::Spent;
use super::{Terms, start};
use crate::origin::MADE;
use crate::peers::{Contender, Kind, Link, Skipped, Work};
use crate::record::Record;
use crate::say;
use crate::serve::origin::TARGET;
use crate::stage::Stage;
use crate::usage::{Cpu, Memory};

pub(crate) fn run(stage: &Stage, terms: &Terms, crowds: &[Crowd]) -> anyhow::Result<Record<Run>> {
    let mut record = Record::new();
    let connector = Connector::new()?;
    for crowd in crowds {
        // One after the other, each new: nothing of the last crowd is stored.
        let contenders = start(stage, terms, &[Work::Shared], 1, &mut record.skipped);
        // The others would only show that they fetch everything for everybody; who wants to see
        // that names them.
        let wanted = |contender: &&Contender| match terms.only.is_empty() {
            true => contender.link == Link::Pitwall,
            false => contender.link != Link::Path,
        };
        for contender in contenders.iter().filter(wanted) {
            match one(stage, contender, &connector, *crowd, terms.duration) {
                Ok(run) => record.results.push(run),
                Err(error) => record.skipped.push(Skipped {
                    name: contender.name.clone(),
                    reason: format!("{} viewers: {error:#}", crowd.viewers),
                }),
            }
        }
    }
    Ok(record)
}

fn one(
    stage: &Stage,
    contender: &Contender,
    connector: &Connector,
    crowd: Crowd,
    duration: Duration,
) -> anyhow::Result<Run> {
    let playlists = (0..crowd.streams).map(|stream| {
        let path = format!("{MADE}live/{}-{stream}/index.m3u8", crowd.bytes);
        let path = contender.link.to(stage.origin.of(&path), &path, Kind::Playlist);
        Url::parse(&format!("http://{}{path}", contender.address))
    });
    let audience = Audience {
        playlists: playlists.collect::<Result<_, _>>()?,
        viewers: crowd.viewers,
        duration,
        arrival: TARGET,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let process = contender.process.id();
    stage.origin.counts()?;
    let before = (Cpu::of(process), Cpu::of_only(std::process::id()));
    let outcome = runtime.block_on(audience.watch(connector));
    let after = (Cpu::of(process), Cpu::of_only(std::process::id()));
    let counts = stage.origin.counts()?;
    if let Some((failure, count)) = outcome.failures.iter().max_by_key(|(_, count)| **count) {
        say(&format!(
            "{}: {} failures, mostly {failure:?} ({count})",
            contender.name,
            outcome.failure_count()
        ));
    }
    if outcome.segments == 0 {
        bail!("no segment came");
    }
    let spent = Spent {
        cpu: after.0.since(&before.0),
        client_cpu: after.1.since(&before.1),
        memory_peak: Memory::of(process).peak,
    };
    Ok(Run::of(&contender.name, crowd, duration, &outcome, &counts, spent))
}
