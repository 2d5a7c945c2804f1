//! [`ResolvedLinks`]: what the links of stored objects were resolved to. All viewers of a stream
//! request the same segments, and to open a seal and parse its URL takes longer than to find the
//! object.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::http::query::Link;
use crate::upstream::resolved_map::ResolvedMap;
use crate::upstream::seal::seal_period_end;
use crate::upstream::target::UpstreamTarget;

/// More than the segments that the viewers of a few hundred renditions request at a time. A link
/// takes the place of the one that was there.
const PLACE_COUNT: usize = 2048;

/// A longer link is resolved each time, so that all places together take a few MB at most.
const LINK_MAX_BYTES: usize = 1024;

/// The last link of each hash.
pub struct ResolvedLinks {
    places: Vec<ArcSwapOption<ResolvedLink>>,
    hasher: RandomState,
}

struct ResolvedLink {
    link: Link<'static>,
    target: UpstreamTarget,
    /// Unix seconds in which the link certainly leads there.
    validity: Range<u64>,
}

impl Default for ResolvedLinks {
    fn default() -> Self {
        let places = (0..PLACE_COUNT).map(|_| ArcSwapOption::empty()).collect();
        Self { places, hasher: RandomState::new() }
    }
}

impl ResolvedLinks {
    /// The target of a link that was resolved before and would be resolved to the same now.
    /// `now`: unix seconds.
    pub fn find(&self, link: &Link<'_>, map: &ResolvedMap, now: u64) -> Option<UpstreamTarget> {
        let place = self.place(link)?.load();
        let known = place.as_ref()?;
        let profile = &known.target.profile;
        // The profile of plain links does not change. Links of a removed source end with it.
        let is_current_profile = profile.id.is_empty()
            || map.find_profile(&profile.id).is_some_and(|current| Arc::ptr_eq(current, profile));
        let is_valid = known.link == *link && known.validity.contains(&now) && is_current_profile;
        is_valid.then(|| known.target.clone())
    }

    /// Remembers a link that was resolved `now`, in unix seconds.
    pub fn insert(&self, link: &Link<'_>, target: UpstreamTarget, now: u64) {
        let link_bytes = match link {
            Link::Plain { url } => url.len(),
            Link::Sealed { seal, path } => seal.len() + path.len(),
        };
        if link_bytes > LINK_MAX_BYTES {
            return;
        }
        // A seal that can be opened now can be opened until its period is over.
        let end = target.expires.unwrap_or(u64::MAX).min(seal_period_end(now));
        if let Some(place) = self.place(link) {
            let (link, validity) = (link.to_static(), now..end);
            place.store(Some(Arc::new(ResolvedLink { link, target, validity })));
        }
    }

    fn place(&self, link: &Link<'_>) -> Option<&ArcSwapOption<ResolvedLink>> {
        self.places.get(self.hasher.hash_one(link) as usize % PLACE_COUNT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UpstreamConfig;
    use crate::upstream::denials::DenialLog;
    use crate::upstream::resolved_map::tests::resolve;
    use crate::upstream::seal::{Purpose, Sealer};
    use crate::upstream::target_resolver::TargetResolver;

    const DAY: u64 = 24 * 60 * 60;
    const NOW: u64 = 20_500 * DAY + 1_000;

    fn map(profile: &str, referer: &str) -> Arc<ResolvedMap> {
        let json = serde_json::json!({
            "version": 1, "streams": {}, "documents": {},
            "profiles": { profile: {
                "headers": [["Referer", referer]],
                "allow_private": [], "ports": [], "token_parameters": [],
            } },
        });
        resolve(serde_json::from_value(json).unwrap())
    }

    fn sealed<'a>(sealer: &Sealer, path: &'a str, expires: Option<u64>) -> Link<'a> {
        let (mut seal, url) = (Vec::new(), "https://cdn.example.com/1.ts");
        sealer.seal_until(Purpose::Media, path, "club", url, NOW, expires, &mut seal);
        Link::Sealed { seal: String::from_utf8(seal).unwrap().into(), path: path.into() }
    }

    /// A link that is found leads where it would if it were resolved.
    #[test]
    fn a_link_is_found_while_it_leads_to_the_same() {
        let (sealer, config) = (Sealer::new(&[7; 32]), UpstreamConfig::default());
        let club = map("club", "https://club.example/");
        let changed = map("club", "https://other.example/");
        let removed = map("another", "https://club.example/");
        let link = sealed(&sealer, "/live/w/v/1.ts", None);
        let brief = sealed(&sealer, "/live/w/v/1.ts", Some(NOW + 60));
        let Link::Sealed { seal, .. } = link.clone() else { panic!("sealed") };
        let moved = Link::Sealed { seal, path: "/live/w/v/2.ts".into() };
        for (name, link, asked, map, later, expected) in [
            ("the same", &link, &link, &club, 0, true),
            ("in the same period", &link, &link, &club, DAY - 1_001, true),
            ("in the next", &link, &link, &club, DAY - 1_000, false),
            ("before it expires", &brief, &brief, &club, 59, true),
            ("once it has expired", &brief, &brief, &club, 60, false),
            ("another seal", &link, &brief, &club, 0, false),
            ("the seal of another path", &link, &moved, &club, 0, false),
            ("a source that was changed", &link, &link, &changed, 0, false),
            ("a source that was removed", &link, &link, &removed, 0, false),
        ] {
            let targets = TargetResolver::new(&config, DenialLog::default());
            let target = targets.resolve_link(link, None, &sealer, &club, NOW).unwrap();
            targets.links.insert(link, target.clone(), NOW);
            let found = targets.links.find(asked, map, NOW + later);
            let expected = expected.then_some((target.url, target.purpose, target.expires));
            let found = found.map(|found| (found.url, found.purpose, found.expires));
            assert_eq!(found, expected, "{name}");
        }
        let links = ResolvedLinks::default();
        let long = Link::Plain { url: "a".repeat(LINK_MAX_BYTES + 1).into() };
        let targets = TargetResolver::new(&config, DenialLog::default());
        let target = targets.resolve_link(&link, None, &sealer, &club, NOW).unwrap();
        links.insert(&long, target, NOW);
        assert!(links.find(&long, &club, NOW).is_none(), "it would take too much memory");
    }
}
