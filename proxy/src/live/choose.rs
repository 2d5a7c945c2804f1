//! Which upstream of a stream is polled. Pure.
//!
//! The map says who is best, and the edges follow it together: what they have agreed on counts
//! until the map changes its mind. An edge that cannot get anything from who plays may know
//! better, until the map is believed again or an operator has a word.

use pitwall_upstream_map::{Health, Stream, Upstream};

use super::change::Change;
use crate::problem::Problem;

/// For so long an edge knows better than the map.
pub(super) const HOLD: u64 = 60;

/// What is known beside the map.
pub(super) struct Known<'a> {
    /// What edges agreed on last, and who plays by it.
    pub change: Option<&'a Change>,
    pub source: Option<&'a str>,
    /// Has the map had the one that plays first, since?
    pub confirmed: bool,
    /// With others that could not be asked no one changes without need.
    pub shared: bool,
    pub map: u64,
    /// Unix seconds.
    pub now: u64,
    /// Is it of no use, as this edge has seen?
    pub useless: &'a dyn Fn(&Upstream) -> bool,
}

/// The one to be polled: for this rendition, if it is about one.
pub(super) fn choose<'a>(
    stream: &'a Stream,
    rendition: Option<&str>,
    known: &Known<'_>,
) -> Result<&'a Upstream, Problem> {
    let offers =
        |one: &&Upstream| rendition.is_none_or(|rendition| one.rendition(rendition).is_some());
    let up = || stream.upstreams.iter().filter(|one| one.health != Health::Down);
    let useful = |one: &&Upstream| !(known.useless)(one);
    let current = known.source.and_then(|source| {
        let mut playing = stream.upstreams.iter().filter(|one| one.source == source);
        playing.find(offers)
    });
    // A stream that has left a source plays on without it: players of what the other one does not
    // have find it gone, or each of their polls would lead all viewers back.
    let plays = |one: &Upstream| one.health != Health::Down && useful(&one);
    let is_left = known.change.is_some()
        && current.is_none()
        && stream.upstreams.iter().any(|one| known.source == Some(&*one.source) && plays(one));
    if rendition.is_some() && is_left {
        return choose(stream, None, known).ok().filter(offers).ok_or(Problem::NotFound);
    }
    // What seems useless is still better than nothing.
    let best = up().filter(offers).find(useful).or_else(|| up().find(offers));
    let Some(best) = best else {
        return match current {
            // The control plane too may be wrong, and there is nothing else.
            Some(current) if up().next().is_none() => Ok(current),
            _ if up().next().is_some() => Err(Problem::NotFound),
            _ => Err(Problem::StreamDown(stream.id.clone())),
        };
    };
    let Some((current, change)) = current.zip(known.change) else { return Ok(best) };
    let plays = current.health != Health::Down && useful(&current);
    let other = change.picked != best.source || known.confirmed;
    let changed_its_mind = known.map > change.map && other && best.source != current.source;
    let trusted_again = change.source != change.picked && known.now >= change.at + HOLD;
    let commanded = stream.switched > change.map;
    let moves = known.shared && (changed_its_mind || trusted_again || commanded);
    Ok(if plays && !moves { current } else { best })
}

/// The one that the map has first.
pub(super) fn picked<'a>(stream: &'a Stream, rendition: &str) -> Option<&'a Upstream> {
    let up = |one: &&Upstream| one.health != Health::Down;
    stream.upstreams.iter().filter(up).find(|one| one.rendition(rendition).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(upstreams: &[(&str, &str, &[&str])]) -> Stream {
        let upstreams: Vec<_> = upstreams
            .iter()
            .map(|(source, health, renditions)| {
                let rendition = |id: &&str| {
                    serde_json::json!({
                        "id": id, "role": "video", "container": "mpeg-ts", "label": id,
                        "playlist": format!("https://{source}.example/{id}.m3u8"),
                    })
                };
                serde_json::json!({
                    "source": source, "profile": source, "generation": 1, "health": health,
                    "playlist": "https://a.example/m.m3u8", "expires_at": null, "score": 1.0,
                    "renditions": renditions.iter().map(rendition).collect::<Vec<_>>(),
                })
            })
            .collect();
        let stream = serde_json::json!({ "id": "w", "feed": "W", "upstreams": upstreams });
        serde_json::from_value(stream).unwrap()
    }

    const BOTH: &[(&str, &str, &[&str])] =
        &[("a", "healthy", &["v", "hd"]), ("b", "healthy", &["v"])];
    /// Of two containers.
    const OTHER: &[(&str, &str, &[&str])] =
        &[("a", "healthy", &["v"]), ("b", "healthy", &["v-m4s"])];
    const A_DOWN: &[(&str, &str, &[&str])] =
        &[("b", "healthy", &["v"]), ("a", "down", &["v", "hd"])];
    const ALL_DOWN: &[(&str, &str, &[&str])] = &[("b", "down", &["v"]), ("a", "down", &["v"])];

    /// `change`: source, picked, map, at. Where `nobody` is useless it was confirmed.
    fn check(
        what: &str,
        upstreams: &[(&str, &str, &[&str])],
        change: Option<(&str, &str, u64, u64)>,
        useless: &[&str],
        shared: bool,
        expected: &str,
    ) {
        check_after(0, what, upstreams, change, useless, shared, expected);
    }

    fn check_after(
        switched: u64,
        what: &str,
        upstreams: &[(&str, &str, &[&str])],
        change: Option<(&str, &str, u64, u64)>,
        useless: &[&str],
        shared: bool,
        expected: &str,
    ) {
        let confirmed = useless == ["nobody"];
        let change = change.map(|(source, picked, map, at)| {
            let (source, picked) = (source.to_owned(), picked.to_owned());
            Change { source, picked, map, at, target_duration: 6, ..Change::default() }
        });
        let known = Known {
            source: change.as_ref().map(|change| change.source.as_str()),
            change: change.as_ref(),
            confirmed,
            shared,
            map: 10,
            now: 1000,
            useless: &|one| useless.contains(&one.source.as_str()),
        };
        let stream = Stream { switched, ..stream(upstreams) };
        let chosen = choose(&stream, Some("v"), &known).map(|one| one.source.as_str());
        assert_eq!(chosen.unwrap_or("none"), expected, "{what}");
    }

    #[test]
    fn who_is_polled() {
        let by_map = |source| Some((source, source, 9, 900));
        check("at first the best", BOTH, None, &[], true, "a");
        check("who plays", BOTH, by_map("a"), &[], true, "a");
        check("the map changes its mind", BOTH, by_map("b"), &[], true, "a");
        check("others could not be told", BOTH, by_map("b"), &[], false, "b");
        check("a newer map was known elsewhere", BOTH, Some(("b", "b", 11, 900)), &[], true, "b");
        check("who plays is down", A_DOWN, by_map("a"), &[], true, "b");
        check("down, and nobody can be told", A_DOWN, by_map("a"), &[], false, "b");
        check("of no use", BOTH, by_map("a"), &["a"], true, "b");
        check("of no use, all of them", BOTH, by_map("a"), &["a", "b"], true, "a");
        check("an edge knew better", BOTH, Some(("b", "a", 9, 990)), &[], true, "b");
        check("the map too, and again not", BOTH, Some(("b", "a", 9, 990)), &["nobody"], true, "a");
        check("but not for ever", BOTH, Some(("b", "a", 9, 900)), &[], true, "a");
        check("all are down: who plays may still", ALL_DOWN, by_map("a"), &[], true, "a");
        check("all are down", ALL_DOWN, None, &[], true, "none");
        check("one that is gone from the map", BOTH, by_map("c"), &[], true, "a");
        check("who plays has not got it", OTHER, Some(("b", "a", 9, 990)), &["a"], true, "none");
        check("nor does it play", OTHER, Some(("b", "a", 9, 990)), &["a", "b"], true, "a");
        check("the map goes back", OTHER, by_map("b"), &[], true, "a");
    }

    /// By the tenth map.
    #[test]
    fn an_operator_has_the_last_word() {
        let knew_better = Some(("b", "a", 9, 990));
        let check = |what, change, useless: &[&str], shared, expected| {
            check_after(10, what, BOTH, change, useless, shared, expected);
        };
        check("where an edge knew better", knew_better, &[], true, "a");
        check("others could not be told", knew_better, &[], false, "b");
        check("it is of no use still", knew_better, &["a"], true, "b");
        check("it plays", Some(("a", "a", 9, 990)), &[], true, "a");
        check("an edge knows better since", Some(("b", "a", 10, 995)), &[], true, "b");
    }

    #[test]
    fn a_rendition_is_played_by_who_has_it() {
        let known = Known {
            change: None,
            source: None,
            confirmed: false,
            shared: true,
            map: 1,
            now: 0,
            useless: &|_| false,
        };
        let refused =
            |upstreams, id| choose(&stream(upstreams), Some(id), &known).map(|_| ()).err();
        assert_eq!(refused(BOTH, "hd"), None);
        assert_eq!(refused(A_DOWN, "hd"), Some(Problem::NotFound));
        assert_eq!(refused(BOTH, "uhd"), Some(Problem::NotFound));
        assert_eq!(choose(&stream(A_DOWN), None, &known).unwrap().source, "b");
        assert!(matches!(refused(ALL_DOWN, "v"), Some(Problem::StreamDown(_))));
    }
}
