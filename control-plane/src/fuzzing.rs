//! Properties that hold for any configuration, and for whatever pages, lists and calendars hold.
//! The targets in `fuzz/` check them with random input, and a test with the seeds in `fuzz/corpus`.

use serde::Deserialize;

pub use crate::extract::fuzzing::{m3u, page, recipe};
pub use crate::schedule::fuzzing::{ics, jolpica, openf1};
use crate::settings::assert_located;
use crate::{ControlConfig, ExtractConfig, RankConfig, ScheduleConfig, WebhookConfig};

/// The sections of a configuration that are the control plane's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    #[serde(default)]
    schedule: ScheduleConfig,
    #[serde(default, rename = "rank")]
    _rank: RankConfig,
    #[serde(default, rename = "extract")]
    _extract: ExtractConfig,
    #[serde(default, rename = "control")]
    _control: ControlConfig,
    #[serde(default, rename = "webhook")]
    _webhooks: Vec<WebhookConfig>,
}

/// Checks that an error of a configuration has a place in it, and that the URLs of one that is
/// accepted can be judged.
pub fn control_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match toml::from_str::<Sections>(text) {
        Ok(sections) => {
            for (key, why) in sections.schedule.denials() {
                assert!(key.ends_with("_url") && !why.is_empty());
            }
        }
        Err(error) => assert_located(text, &error),
    }
}

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
#[test]
fn properties_hold_for_every_seed() {
    let targets: [(&str, replay::Check); 7] = [
        ("control_config", control_config),
        ("recipe", recipe),
        ("page", page),
        ("jolpica", jolpica),
        ("openf1", openf1),
        ("ics", ics),
        ("m3u", m3u),
    ];
    targets.iter().for_each(|(target, check)| replay::replay(target, *check));
}
