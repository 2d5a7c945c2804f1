//! Properties that hold for any configuration, link, report and record. The targets in `fuzz/`
//! check them with random input, and a test with the seeds in `fuzz/corpus`.

use pitwall_fetch::Timeouts;
use serde::Deserialize;

use crate::config::{AccessConfig, EdgeConfig, UpstreamConfig};
pub use crate::feedback::cmcd::fuzzing::cmcd;
pub use crate::live::splice_records;
pub use crate::upstream::seal::fuzzing::seal;

/// The sections of a configuration that are the edge's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    #[serde(default)]
    edge: EdgeConfig,
    #[serde(default, rename = "access")]
    _access: AccessConfig,
    #[serde(default)]
    upstream: UpstreamConfig,
}

/// Checks that links can be made by a configuration that is accepted, and that its values are
/// within their limits.
pub fn edge_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(Sections { edge, upstream, .. }) = toml::from_str(text) else { return };
    let site = edge.site_url();
    assert!(matches!(site.scheme(), "http" | "https") && site.query().is_none(), "{site}");
    assert!(site.username().is_empty() && site.password().is_none(), "{site}");
    let path = edge.public_path();
    assert!(edge.public_url.is_some() || path == Default::default());
    assert!(!edge.control.is_empty());
    assert!((10..=86_400).contains(&edge.playlist.window.as_secs()));
    let _ = Timeouts::from(upstream.timeouts);
}

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
#[test]
fn properties_hold_for_every_seed() {
    let targets: [(&str, replay::Check); 4] = [
        ("edge_config", edge_config),
        ("seal", seal),
        ("cmcd", cmcd),
        ("splice_records", splice_records),
    ];
    targets.iter().for_each(|(target, check)| replay::replay(target, *check));
}
