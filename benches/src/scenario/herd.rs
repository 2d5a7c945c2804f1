//! Many at once on one new segment: how often is it fetched, and who waits?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::segments::Urls;
use super::{Terms, start};
use crate::load::{Expect, Load};
use crate::origin::MADE;
use crate::peers::{Contender, Kind, Skipped, Work};
use crate::record::{Entry, Record};
use crate::stage::Stage;

const CLIENTS: usize = 64;
const BYTES: usize = 4_000_000;

/// A contender that polls for its own fetch needs half a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// Delays in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Herd {
    pub(crate) contender: String,
    pub(crate) fetches: u64,
    pub(crate) first_byte_p50: f64,
    pub(crate) first_byte_p99: f64,
    pub(crate) whole_p99: f64,
}

impl Entry for Herd {
    fn replaces(&self, older: &Self) -> bool {
        self.contender == older.contender
    }

    fn contender(&self) -> &str {
        &self.contender
    }
}

pub(crate) fn run(stage: &Stage, terms: &Terms) -> anyhow::Result<Record<Herd>> {
    let mut record = Record::new();
    let works = [Work::Stored, Work::Relayed];
    let contenders = start(stage, terms, &works, 1, &mut record.skipped);
    let urls = Urls::default();
    for _ in 0..terms.repetitions {
        // Neither of our own measures asks an origin that counts.
        for contender in contenders.iter().filter(|contender| contender.reaches_both_origins) {
            match one(stage, contender, &urls) {
                Ok(herd) => record.results.push(herd),
                Err(error) => record.skipped.push(Skipped {
                    name: contender.name.clone(),
                    reason: format!("a herd: {error:#}"),
                }),
            }
        }
    }
    Ok(record)
}

fn one(stage: &Stage, contender: &Contender, urls: &Urls) -> anyhow::Result<Herd> {
    let path = |number: u64| format!("{MADE}once/{BYTES}.ts?n={number:010}");
    // Connections are up, and one to the origin as well.
    let mut current = path(urls.next());
    let made = stage.origin.made;
    contender.first(&contender.link.to(made, &current, Kind::Segment))?;
    current = contender.link.to(made, &path(urls.next()), Kind::Segment);
    let expect = Expect::Exactly(BYTES as u64);
    let mut load =
        Load::connect(contender.address, CLIENTS, expect, |_, out| out.push_str(&current))?;
    std::thread::sleep(Duration::from_millis(100));
    stage.origin.counts()?;
    let tally = load.once(PATIENCE)?;
    let fetches = stage.origin.counts()?.values().sum();
    let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    Ok(Herd {
        contender: contender.name.clone(),
        fetches,
        first_byte_p50: milliseconds(tally.first_byte.value_at_quantile(0.5)),
        first_byte_p99: milliseconds(tally.first_byte.value_at_quantile(0.99)),
        whole_p99: milliseconds(tally.whole.value_at_quantile(0.99)),
    })
}
