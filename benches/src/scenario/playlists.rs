//! Playlists, rewritten by those who can, beside those who pass them through as they are.

use std::fmt::Write;

use anyhow::bail;
use pitwall_benches::{master, window};

use super::round::Round;
use super::segments::Urls;
use super::{Terms, start};
use crate::load::Expect;
use crate::measure::measure;
use crate::origin::{MADE, noise};
use crate::peers::{Contender, Kind, Link, Work};
use crate::record::{Record, Sample, Task};
use crate::stage::Stage;

/// What every playlist's segments are, whatever their query says.
pub(crate) const SEGMENT: &str = "segment.ts";
pub(crate) const SEGMENT_BYTES: usize = 100_000;

const LONG: usize = 2_000;

#[derive(Clone, Debug)]
pub(crate) struct Playlists {
    /// All when it is empty.
    pub(crate) items: Vec<String>,
    pub(crate) threads: Vec<usize>,
}

/// Work, playlist, connections.
const TASKS: [(Work, &str, usize); 7] = [
    (Work::Playlist, "live", 16),
    (Work::Playlist, "live", 64),
    (Work::Playlist, "master", 16),
    (Work::Shared, "live", 64),
    (Work::Shared, "long", 16),
    (Work::Fresh, "long", 16),
    (Work::Fresh, "window", 16),
];

impl Playlists {
    pub(crate) fn run(&self, stage: &Stage, terms: &Terms) -> anyhow::Result<Record<Sample>> {
        let mut record = Record::new();
        stage.origin.put(SEGMENT, &noise(SEGMENT_BYTES))?;
        stage.origin.put("live.m3u8", window(0, 6).as_bytes())?;
        stage.origin.put("long.m3u8", window(0, LONG).as_bytes())?;
        stage.origin.put("master.m3u8", master().as_bytes())?;
        let urls = Urls::default();
        for &threads in &self.threads {
            let works = [Work::Playlist, Work::Shared, Work::Fresh];
            let contenders = start(stage, terms, &works, threads, &mut record.skipped);
            let mut round = Round::new(terms, contenders);
            for (work, item, connections) in
                TASKS.into_iter().filter(|(_, item, _)| self.wants(item))
            {
                let task = Task { work, item: item.to_owned(), connections, threads };
                round.measure(&task, &mut record, |contender| {
                    let run = urls.next();
                    let mut path = String::new();
                    write_path(&mut path, work, item, &urls, run, 0);
                    let least = check(contender, stage, &path)?;
                    let origin = stage.origin.of(&path);
                    let expect = Expect::AtLeast(least);
                    measure(contender, connections, terms.duration, expect, |connection, out| {
                        write_path(&mut path, work, item, &urls, run, connection);
                        contender.link.write(origin, &path, Kind::Playlist, out);
                    })
                });
            }
        }
        Ok(record)
    }

    fn wants(&self, item: &str) -> bool {
        self.items.is_empty() || self.items.iter().any(|wanted| wanted == item)
    }
}

fn write_path(path: &mut String, work: Work, item: &str, urls: &Urls, run: u64, connection: usize) {
    path.clear();
    let _ = match (work, item) {
        (_, "window") => {
            write!(path, "{MADE}window/{LONG}.m3u8?viewer={run:010}-{connection:03}")
        }
        (Work::Playlist, _) => write!(path, "/{item}.m3u8?n={:010}", urls.next()),
        (Work::Fresh, _) => write!(path, "/{item}.m3u8?viewer={run:010}-{connection:03}"),
        _ => write!(path, "/{item}.m3u8"),
    };
}

/// The length that an answer has at least. Who rewrites must have rewritten every line that is
/// a URI, and what the first one leads to must be what the origin has there.
fn check(contender: &Contender, stage: &Stage, path: &str) -> anyhow::Result<u64> {
    let origin = stage.origin.of(path);
    let body = contender.first(&contender.link.to(origin, path, Kind::Playlist))?;
    let body = String::from_utf8(body)?;
    let count = uris(&body).count();
    if contender.link == Link::Path {
        return Ok(body.len() as u64);
    }
    let source = crate::load::fetch(origin, path, std::time::Duration::from_secs(5))?.body;
    let source = String::from_utf8(source)?;
    if count != uris(&source).count() {
        bail!("{count} URIs instead of {}", uris(&source).count());
    }
    if let Some(same) = uris(&body).find(|uri| uri.starts_with(SEGMENT)) {
        bail!("{same:?} leads past it");
    }
    let Some(first) = uris(&body).next() else { bail!("there is nothing in it") };
    let prefix = format!("http://{}", contender.address);
    let followed = contender.first(first.strip_prefix(&prefix).unwrap_or(first))?;
    let expected = if path.starts_with("/master") { window(0, 6).len() } else { SEGMENT_BYTES };
    if followed.len() < expected {
        bail!("its first link leads to {} bytes instead of {expected}", followed.len());
    }
    // Links are longer than what they stand for.
    Ok(source.len() as u64)
}

fn uris(playlist: &str) -> impl Iterator<Item = &str> {
    playlist.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}
