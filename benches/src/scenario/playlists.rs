//! Playlists: some contenders rewrite them, others pass them through.

use std::fmt::Write;

use anyhow::bail;
use pitwall_benches::{multivariant_playlist, window_playlist};

use super::round_robin::RoundRobin;
use super::segments::UrlCounter;
use super::{ScenarioOptions, start_contenders};
use crate::load::ExpectedLength;
use crate::measurement::measure_load;
use crate::origin::{DYNAMIC_PREFIX, SEGMENT_BYTES, SEGMENT_FILE, incompressible_bytes};
use crate::peers::{Contender, LinkStyle, LinkTarget, Workload};
use crate::record::{Sample, ScenarioRecord, Task};
use crate::testbed::Testbed;

const LONG_PLAYLIST_SEGMENTS: usize = 2_000;

#[derive(Clone, Debug)]
pub(crate) struct PlaylistScenario {
    /// Names of the playlists to measure; empty means all.
    pub(crate) items: Vec<String>,
    pub(crate) threads: Vec<usize>,
}

/// Workload, playlist and number of connections.
const TASKS: [(Workload, &str, usize); 7] = [
    (Workload::Playlist, "live", 16),
    (Workload::Playlist, "live", 64),
    (Workload::Playlist, "master", 16),
    (Workload::Shared, "live", 64),
    (Workload::Shared, "long", 16),
    (Workload::Fresh, "long", 16),
    (Workload::Fresh, "window", 16),
];

impl PlaylistScenario {
    pub(crate) fn run(
        &self,
        testbed: &Testbed,
        options: &ScenarioOptions,
    ) -> anyhow::Result<ScenarioRecord<Sample>> {
        let mut record = ScenarioRecord::new();
        testbed.origin.write_file(SEGMENT_FILE, &incompressible_bytes(SEGMENT_BYTES))?;
        testbed.origin.write_file("live.m3u8", window_playlist(0, 6).as_bytes())?;
        testbed
            .origin
            .write_file("long.m3u8", window_playlist(0, LONG_PLAYLIST_SEGMENTS).as_bytes())?;
        testbed.origin.write_file("master.m3u8", multivariant_playlist().as_bytes())?;
        let urls = UrlCounter::default();
        for &threads in &self.threads {
            let workloads = [Workload::Playlist, Workload::Shared, Workload::Fresh];
            let contenders =
                start_contenders(testbed, options, &workloads, threads, &mut record.skipped);
            let mut round_robin = RoundRobin::new(options, contenders);
            for (work, item, connections) in
                TASKS.into_iter().filter(|(_, item, _)| self.is_wanted(item))
            {
                let task = Task { work, item: item.to_owned(), connections, threads };
                round_robin.measure_task(&task, &mut record, |contender| {
                    let run = urls.next_number();
                    let mut path = String::new();
                    write_request_path(&mut path, work, item, &urls, run, 0);
                    let least = verify_playlist(contender, testbed, &path)?;
                    let origin = testbed.origin.address_for(&path);
                    let expect = ExpectedLength::AtLeast(least);
                    measure_load(
                        contender,
                        connections,
                        options.duration,
                        expect,
                        |connection, out| {
                            write_request_path(&mut path, work, item, &urls, run, connection);
                            contender.link_style.write_link(
                                origin,
                                &path,
                                LinkTarget::Playlist,
                                out,
                            );
                        },
                    )
                });
            }
        }
        Ok(record)
    }

    fn is_wanted(&self, item: &str) -> bool {
        self.items.is_empty() || self.items.iter().any(|wanted| wanted == item)
    }
}

fn write_request_path(
    path: &mut String,
    work: Workload,
    item: &str,
    urls: &UrlCounter,
    run: u64,
    connection: usize,
) {
    path.clear();
    let _ = match (work, item) {
        (_, "window") => {
            write!(
                path,
                "{DYNAMIC_PREFIX}window/{LONG_PLAYLIST_SEGMENTS}.m3u8?viewer={run:010}-{connection:03}"
            )
        }
        (Workload::Playlist, _) => write!(path, "/{item}.m3u8?n={:010}", urls.next_number()),
        (Workload::Fresh, _) => write!(path, "/{item}.m3u8?viewer={run:010}-{connection:03}"),
        _ => write!(path, "/{item}.m3u8"),
    };
}

/// Checks a contender's playlist and returns the least length of its responses. A contender that
/// rewrites must have rewritten every URI line, and its first link must lead to the origin's
/// content.
///
/// # Errors
/// When the playlist or its first link is wrong, so that the contender is not measured.
fn verify_playlist(contender: &Contender, testbed: &Testbed, path: &str) -> anyhow::Result<u64> {
    let origin = testbed.origin.address_for(path);
    let body =
        contender.fetch_body(&contender.link_style.link_to(origin, path, LinkTarget::Playlist))?;
    let body = String::from_utf8(body)?;
    let count = uri_lines(&body).count();
    if contender.link_style == LinkStyle::SamePath {
        return Ok(body.len() as u64);
    }
    let source = crate::load::fetch(origin, path, std::time::Duration::from_secs(5))?.body;
    let source = String::from_utf8(source)?;
    if count != uri_lines(&source).count() {
        bail!("{count} URIs instead of {}", uri_lines(&source).count());
    }
    if let Some(same) = uri_lines(&body).find(|uri| uri.starts_with(SEGMENT_FILE)) {
        bail!("{same:?} is not rewritten");
    }
    let Some(first) = uri_lines(&body).next() else { bail!("the playlist has no URI") };
    let prefix = format!("http://{}", contender.address);
    let linked_body = contender.fetch_body(first.strip_prefix(&prefix).unwrap_or(first))?;
    let expected =
        if path.starts_with("/master") { window_playlist(0, 6).len() } else { SEGMENT_BYTES };
    if linked_body.len() < expected {
        bail!("its first link leads to {} bytes instead of {expected}", linked_body.len());
    }
    // Rewritten links are longer than the URIs that they replace.
    Ok(source.len() as u64)
}

fn uri_lines(playlist: &str) -> impl Iterator<Item = &str> {
    playlist.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}
