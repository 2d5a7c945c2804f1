//! Segments: cache hits (stored) and cache misses (relayed).

use std::cell::Cell;
use std::fmt::Write;
use std::str::FromStr;

use anyhow::bail;

use super::round_robin::RoundRobin;
use super::{ScenarioOptions, start_contenders};
use crate::load::ExpectedLength;
use crate::measurement::measure_load;
use crate::origin::incompressible_bytes;
use crate::peers::{Contender, LinkTarget, Workload};
use crate::record::{Sample, ScenarioRecord, Task};
use crate::testbed::Testbed;

#[derive(Clone, Debug)]
pub(crate) struct SegmentScenario {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) sizes: Vec<SegmentSize>,
    pub(crate) connections: Vec<usize>,
    pub(crate) threads: Vec<usize>,
}

/// A segment size: its name, such as "500KB", and its bytes.
#[derive(Clone, Debug)]
pub(crate) struct SegmentSize {
    pub(crate) name: String,
    pub(crate) bytes: usize,
}

impl SegmentSize {
    pub(crate) const ALL: [&str; 3] = ["500KB", Self::ONE_MEGABYTE, "4MB"];
    pub(crate) const ONE_MEGABYTE: &str = "1MB";
}

/// Units are decimal: 500KB are 500 000 bytes.
impl FromStr for SegmentSize {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        for (unit, factor) in [("KB", 1_000), ("MB", 1_000_000)] {
            let number = name.strip_suffix(unit).and_then(|number| number.parse::<usize>().ok());
            if let Some(number) = number.filter(|number| (1..=100_000).contains(number)) {
                return Ok(Self { name: name.to_owned(), bytes: number * factor });
            }
        }
        Err("write 500KB or 4MB".to_owned())
    }
}

impl SegmentScenario {
    /// The scenario for time to first byte: small segments on one connection.
    pub(crate) fn for_first_byte() -> Self {
        Self {
            workloads: vec![Workload::Stored, Workload::Relayed],
            sizes: vec![SegmentSize { name: "500KB".to_owned(), bytes: 500_000 }],
            connections: vec![1],
            threads: vec![1],
        }
    }

    pub(crate) fn run(
        &self,
        testbed: &Testbed,
        options: &ScenarioOptions,
    ) -> anyhow::Result<ScenarioRecord<Sample>> {
        let mut record = ScenarioRecord::new();
        for size in &self.sizes {
            testbed
                .origin
                .write_file(&format!("{}.ts", size.name), &incompressible_bytes(size.bytes))?;
        }
        let urls = UrlCounter::default();
        for &threads in &self.threads {
            let contenders =
                start_contenders(testbed, options, &self.workloads, threads, &mut record.skipped);
            let mut round_robin = RoundRobin::new(options, contenders);
            for (work, size, connections) in self.combinations() {
                let task = Task { work, item: size.name.clone(), connections, threads };
                round_robin.measure_task(&task, &mut record, |contender| {
                    verify_segment(contender, testbed, size, work, &urls)?;
                    let (mut path, origin) = (String::new(), testbed.origin.files_address);
                    let expect = ExpectedLength::Exactly(size.bytes as u64);
                    measure_load(contender, connections, options.duration, expect, |_, out| {
                        urls.write_unused_path(&mut path, size, work);
                        contender.link_style.write_link(origin, &path, LinkTarget::Segment, out);
                    })
                });
            }
        }
        Ok(record)
    }

    fn combinations(&self) -> impl Iterator<Item = (Workload, &SegmentSize, usize)> {
        self.workloads.iter().flat_map(move |work| {
            self.sizes.iter().flat_map(move |size| {
                self.connections.iter().map(move |connections| (*work, size, *connections))
            })
        })
    }
}

/// Numbers for URLs, each used once, so that a URL that must miss every cache is never requested
/// twice.
#[derive(Default)]
pub(crate) struct UrlCounter(Cell<u64>);

impl UrlCounter {
    pub(crate) fn next_number(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }

    fn write_unused_path(&self, path: &mut String, size: &SegmentSize, work: Workload) {
        path.clear();
        let _ = match work {
            Workload::Relayed => write!(path, "/{}.ts?n={:010}", size.name, self.next_number()),
            _ => write!(path, "/{}.ts", size.name),
        };
    }
}

/// Checks that a contender serves the origin's bytes.
///
/// # Errors
/// When it does not, so that it is not measured.
fn verify_segment(
    contender: &Contender,
    testbed: &Testbed,
    size: &SegmentSize,
    work: Workload,
    urls: &UrlCounter,
) -> anyhow::Result<()> {
    let mut path = String::new();
    urls.write_unused_path(&mut path, size, work);
    let body = contender.fetch_body(&contender.link_style.link_to(
        testbed.origin.files_address,
        &path,
        LinkTarget::Segment,
    ))?;
    if body.len() != size.bytes {
        bail!("{} bytes instead of {}", body.len(), size.bytes);
    }
    if blake3::hash(&body) != blake3::hash(&incompressible_bytes(size.bytes)) {
        bail!("other bytes than the origin's");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal() {
        for (text, bytes) in [
            ("500KB", Some(500_000)),
            ("4MB", Some(4_000_000)),
            ("0MB", None),
            ("4", None),
            ("-4MB", None),
        ] {
            assert_eq!(text.parse::<SegmentSize>().ok().map(|size| size.bytes), bytes, "{text}");
        }
    }
}
