//! Segments, stored and relayed.

use std::cell::Cell;
use std::fmt::Write;
use std::str::FromStr;

use anyhow::bail;

use super::round::Round;
use super::{Terms, start};
use crate::load::Expect;
use crate::measure::measure;
use crate::origin::noise;
use crate::peers::{Contender, Kind, Work};
use crate::record::{Record, Sample, Task};
use crate::stage::Stage;

#[derive(Clone, Debug)]
pub(crate) struct Segments {
    pub(crate) works: Vec<Work>,
    pub(crate) sizes: Vec<Size>,
    pub(crate) connections: Vec<usize>,
    pub(crate) threads: Vec<usize>,
}

/// As it is written and in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    pub(crate) name: String,
    pub(crate) bytes: usize,
}

impl Size {
    pub(crate) const ALL: [&str; 3] = ["500KB", Self::MB, "4MB"];
    pub(crate) const MB: &str = "1MB";
}

/// Decimal, as segments are spoken of: 500KB are 500 000 bytes.
impl FromStr for Size {
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

impl Segments {
    /// Small segments on one connection: what counts is when they begin.
    pub(crate) fn first_byte() -> Self {
        Self {
            works: vec![Work::Stored, Work::Relayed],
            sizes: vec![Size { name: "500KB".to_owned(), bytes: 500_000 }],
            connections: vec![1],
            threads: vec![1],
        }
    }

    pub(crate) fn run(&self, stage: &Stage, terms: &Terms) -> anyhow::Result<Record<Sample>> {
        let mut record = Record::new();
        for size in &self.sizes {
            stage.origin.put(&format!("{}.ts", size.name), &noise(size.bytes))?;
        }
        let urls = Urls::default();
        for &threads in &self.threads {
            let contenders = start(stage, terms, &self.works, threads, &mut record.skipped);
            let mut round = Round::new(terms, contenders);
            for (work, size, connections) in self.combinations() {
                let task = Task { work, item: size.name.clone(), connections, threads };
                round.measure(&task, &mut record, |contender| {
                    check(contender, stage, size, work, &urls)?;
                    let (mut path, origin) = (String::new(), stage.origin.files);
                    let expect = Expect::Exactly(size.bytes as u64);
                    measure(contender, connections, terms.duration, expect, |_, out| {
                        urls.write(&mut path, size, work);
                        contender.link.write(origin, &path, Kind::Segment, out);
                    })
                });
            }
        }
        Ok(record)
    }

    fn combinations(&self) -> impl Iterator<Item = (Work, &Size, usize)> {
        self.works.iter().flat_map(move |work| {
            self.sizes.iter().flat_map(move |size| {
                self.connections.iter().map(move |connections| (*work, size, *connections))
            })
        })
    }
}

/// Counted through, so that no URL is ever asked for twice that nobody may have stored.
#[derive(Default)]
pub(crate) struct Urls(Cell<u64>);

impl Urls {
    pub(crate) fn next(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }

    fn write(&self, path: &mut String, size: &Size, work: Work) {
        path.clear();
        let _ = match work {
            Work::Relayed => write!(path, "/{}.ts?n={:010}", size.name, self.next()),
            _ => write!(path, "/{}.ts", size.name),
        };
    }
}

/// A contender that serves anything but the origin's bytes is not measured.
fn check(
    contender: &Contender,
    stage: &Stage,
    size: &Size,
    work: Work,
    urls: &Urls,
) -> anyhow::Result<()> {
    let mut path = String::new();
    urls.write(&mut path, size, work);
    let body = contender.first(&contender.link.to(stage.origin.files, &path, Kind::Segment))?;
    if body.len() != size.bytes {
        bail!("{} bytes instead of {}", body.len(), size.bytes);
    }
    if blake3::hash(&body) != blake3::hash(&noise(size.bytes)) {
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
            assert_eq!(text.parse::<Size>().ok().map(|size| size.bytes), bytes, "{text}");
        }
    }
}
