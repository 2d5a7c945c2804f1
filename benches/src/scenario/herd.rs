//! Many clients request one new segment at once: how often is it fetched, and how long do they
//! wait?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::segments::UrlCounter;
use super::{ScenarioOptions, start_contenders};
use crate::load::{ExpectedLength, LoadGenerator};
use crate::origin::DYNAMIC_PREFIX;
use crate::peers::{Contender, LinkTarget, SkippedContender, Workload};
use crate::record::{RecordEntry, ScenarioRecord};
use crate::testbed::Testbed;

const CLIENT_COUNT: usize = 64;
const SEGMENT_BYTES: usize = 4_000_000;

/// Timeout of the responses; a contender that polls for its own fetch needs half a second.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Origin fetches and delays (in milliseconds) of one herd.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HerdResult {
    pub(crate) contender: String,
    pub(crate) fetches: u64,
    pub(crate) first_byte_p50: f64,
    pub(crate) first_byte_p99: f64,
    pub(crate) whole_p99: f64,
}

impl RecordEntry for HerdResult {
    fn supersedes(&self, older: &Self) -> bool {
        self.contender == older.contender
    }

    fn contender(&self) -> &str {
        &self.contender
    }
}

pub(crate) fn run(
    testbed: &Testbed,
    options: &ScenarioOptions,
) -> anyhow::Result<ScenarioRecord<HerdResult>> {
    let mut record = ScenarioRecord::new();
    let workloads = [Workload::Stored, Workload::Relayed];
    let contenders = start_contenders(testbed, options, &workloads, 1, &mut record.skipped);
    let urls = UrlCounter::default();
    for _ in 0..options.repetitions {
        // The reference servers do not fetch from the origin server that counts requests.
        for contender in contenders.iter().filter(|contender| contender.can_reach_both_origins) {
            match measure_herd(testbed, contender, &urls) {
                Ok(herd) => record.results.push(herd),
                Err(error) => record.skipped.push(SkippedContender {
                    name: contender.name.clone(),
                    reason: format!("a herd: {error:#}"),
                }),
            }
        }
    }
    Ok(record)
}

fn measure_herd(
    testbed: &Testbed,
    contender: &Contender,
    urls: &UrlCounter,
) -> anyhow::Result<HerdResult> {
    let path = |number: u64| format!("{DYNAMIC_PREFIX}once/{SEGMENT_BYTES}.ts?n={number:010}");
    // One request first, so that the contender has a connection to the origin.
    let origin = testbed.origin.dynamic_address;
    let link_style = contender.link_style;
    let warmup = link_style.link_to(origin, &path(urls.next_number()), LinkTarget::Segment);
    contender.fetch_body(&warmup)?;
    let link = link_style.link_to(origin, &path(urls.next_number()), LinkTarget::Segment);
    let expect = ExpectedLength::Exactly(SEGMENT_BYTES as u64);
    let mut load = LoadGenerator::connect(contender.address, CLIENT_COUNT, expect, |_, out| {
        out.push_str(&link)
    })?;
    std::thread::sleep(Duration::from_millis(100));
    testbed.origin.take_request_counts()?;
    let result = load.run_once(RESPONSE_TIMEOUT)?;
    let fetches = testbed.origin.take_request_counts()?.values().sum();
    let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    Ok(HerdResult {
        contender: contender.name.clone(),
        fetches,
        first_byte_p50: milliseconds(result.first_byte_delay.value_at_quantile(0.5)),
        first_byte_p99: milliseconds(result.first_byte_delay.value_at_quantile(0.99)),
        whole_p99: milliseconds(result.last_byte_delay.value_at_quantile(0.99)),
    })
}
