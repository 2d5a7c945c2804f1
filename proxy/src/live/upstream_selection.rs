//! Selection of the upstream of a stream that is polled; pure functions.
//!
//! The map ranks the upstreams, and the edges follow it together: the source that they have agreed
//! on is kept until the map ranks another one first. An edge that cannot fetch the active source
//! overrides the map, for [`LOCAL_OVERRIDE_HOLD`] or until an operator switches the stream.

use std::time::Duration;

use pitwall_upstream_map::{Health, Stream, Upstream};

use super::source_switch::SourceSwitch;
use crate::http::problem::Problem;

/// How long an edge's override of the map holds.
pub(super) const LOCAL_OVERRIDE_HOLD: Duration = Duration::from_mins(1);

/// What this edge knows beside the map.
pub(super) struct SelectionInput<'a> {
    /// The source switch that the edges agreed on last, and its source.
    pub last_switch: Option<&'a SourceSwitch>,
    pub active_source: Option<&'a str>,
    /// Whether a map newer than the switch has ranked the active source first.
    pub confirmed_by_map: bool,
    /// Whether the current switch was decided with the shared registry. An edge that is cut off
    /// from it switches only if it has to.
    pub shared: bool,
    /// Whether the map was made in this process for this edge alone: its control plane cannot
    /// reach the registry either, and an operator's switch is meant for this edge.
    pub has_own_map: bool,
    pub map_version: u64,
    /// How long ago the edges agreed on the switch. `None`: not known, long ago.
    pub switch_age: Option<Duration>,
    /// Whether this edge has put an upstream into cooldown.
    pub is_in_cooldown: &'a dyn Fn(&Upstream) -> bool,
}

/// The upstream to poll, for `rendition` if one is given.
///
/// # Errors
/// [`Problem::NotFound`] if the stream plays without this rendition, [`Problem::StreamDown`] if no
/// upstream of the stream can be polled.
pub(super) fn select_upstream<'a>(
    stream: &'a Stream,
    rendition: Option<&str>,
    input: &SelectionInput<'_>,
) -> Result<&'a Upstream, Problem> {
    let has_rendition =
        |one: &&Upstream| rendition.is_none_or(|rendition| one.find_rendition(rendition).is_some());
    let live_upstreams = || stream.upstreams.iter().filter(|one| one.health != Health::Down);
    let is_usable = |one: &&Upstream| !(input.is_in_cooldown)(one);
    let current = input.active_source.and_then(|source| {
        let mut active = stream.upstreams.iter().filter(|one| one.source == source);
        active.find(has_rendition)
    });
    // A stream that has left a source plays on without it. Players of a rendition that the new
    // source does not have get 404: to serve them from the old source would lead all viewers back
    // with each of their polls.
    let can_play = |one: &Upstream| one.health != Health::Down && is_usable(&one);
    let is_left = input.last_switch.is_some()
        && current.is_none()
        && stream
            .upstreams
            .iter()
            .any(|one| input.active_source == Some(&*one.source) && can_play(one));
    if rendition.is_some() && is_left {
        return select_upstream(stream, None, input)
            .ok()
            .filter(has_rendition)
            .ok_or(Problem::NotFound);
    }
    // An upstream in cooldown is still better than none.
    let best = live_upstreams()
        .filter(has_rendition)
        .find(is_usable)
        .or_else(|| live_upstreams().find(has_rendition));
    let Some(best) = best else {
        return match current {
            // The map may be wrong about the active source too, and there is no other.
            Some(current) if live_upstreams().next().is_none() => Ok(current),
            _ if live_upstreams().next().is_some() => Err(Problem::NotFound),
            _ => Err(Problem::StreamDown(stream.id.clone())),
        };
    };
    let Some((current, source_switch)) = current.zip(input.last_switch) else { return Ok(best) };
    let is_active_usable = current.health != Health::Down && is_usable(&current);
    let has_new_preference = source_switch.picked != best.source || input.confirmed_by_map;
    let map_prefers_other = input.map_version > source_switch.map
        && has_new_preference
        && best.source != current.source;
    let override_expired = source_switch.source != source_switch.picked
        && input.switch_age.is_none_or(|age| age >= LOCAL_OVERRIDE_HOLD);
    let operator_switched = stream.switched > source_switch.map;
    let must_move = (input.shared && (map_prefers_other || override_expired))
        || ((input.shared || input.has_own_map) && operator_switched);
    Ok(if is_active_usable && !must_move { current } else { best })
}

/// The upstream that the map ranks first among those that have the rendition.
pub(super) fn find_upstream_preferred_by_map<'a>(
    stream: &'a Stream,
    rendition: &str,
) -> Option<&'a Upstream> {
    let is_live = |one: &&Upstream| one.health != Health::Down;
    stream.upstreams.iter().filter(is_live).find(|one| one.find_rendition(rendition).is_some())
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
    /// Two sources with different containers, and so with different renditions.
    const OTHER: &[(&str, &str, &[&str])] =
        &[("a", "healthy", &["v"]), ("b", "healthy", &["v-m4s"])];
    const A_DOWN: &[(&str, &str, &[&str])] =
        &[("b", "healthy", &["v"]), ("a", "down", &["v", "hd"])];
    const ALL_DOWN: &[(&str, &str, &[&str])] = &[("b", "down", &["v"]), ("a", "down", &["v"])];

    /// `switch`: source, picked, map version, age in seconds. With `nobody` in cooldown the map has
    /// confirmed the switch.
    fn check(
        what: &str,
        upstreams: &[(&str, &str, &[&str])],
        switch: Option<(&str, &str, u64, u64)>,
        in_cooldown: &[&str],
        shared: bool,
        expected: &str,
    ) {
        check_after(0, what, upstreams, switch, in_cooldown, shared, expected);
    }

    fn check_after(
        switched: u64,
        what: &str,
        upstreams: &[(&str, &str, &[&str])],
        switch: Option<(&str, &str, u64, u64)>,
        in_cooldown: &[&str],
        shared: bool,
        expected: &str,
    ) {
        let confirmed = in_cooldown == ["nobody"];
        let switch_age = switch.map(|(_, _, _, seconds)| Duration::from_secs(seconds));
        let switch = switch.map(|(source, picked, map, _)| {
            let (source, picked) = (source.to_owned(), picked.to_owned());
            SourceSwitch { source, picked, map, target_duration: 6, ..SourceSwitch::default() }
        });
        let input = SelectionInput {
            active_source: switch.as_ref().map(|switch| switch.source.as_str()),
            last_switch: switch.as_ref(),
            confirmed_by_map: confirmed,
            shared,
            has_own_map: false,
            map_version: 10,
            switch_age,
            is_in_cooldown: &|one| in_cooldown.contains(&one.source.as_str()),
        };
        let stream = Stream { switched, ..stream(upstreams) };
        let selected = select_upstream(&stream, Some("v"), &input).map(|one| one.source.as_str());
        assert_eq!(selected.unwrap_or("none"), expected, "{what}");
    }

    #[test]
    fn selection_follows_the_map_and_what_edges_agreed_on() {
        let by_map = |source| Some((source, source, 9, 100));
        check("at first the best", BOTH, None, &[], true, "a");
        check("who plays", BOTH, by_map("a"), &[], true, "a");
        check("the map changes its mind", BOTH, by_map("b"), &[], true, "a");
        check("others could not be told", BOTH, by_map("b"), &[], false, "b");
        check("a newer map was known elsewhere", BOTH, Some(("b", "b", 11, 100)), &[], true, "b");
        check("who plays is down", A_DOWN, by_map("a"), &[], true, "b");
        check("down, and nobody can be told", A_DOWN, by_map("a"), &[], false, "b");
        check("of no use", BOTH, by_map("a"), &["a"], true, "b");
        check("of no use, all of them", BOTH, by_map("a"), &["a", "b"], true, "a");
        check("an edge knew better", BOTH, Some(("b", "a", 9, 10)), &[], true, "b");
        check("the map too, and again not", BOTH, Some(("b", "a", 9, 10)), &["nobody"], true, "a");
        check("but not for ever", BOTH, Some(("b", "a", 9, 100)), &[], true, "a");
        check("all are down: who plays may still", ALL_DOWN, by_map("a"), &[], true, "a");
        check("all are down", ALL_DOWN, None, &[], true, "none");
        check("one that is gone from the map", BOTH, by_map("c"), &[], true, "a");
        check("who plays has not got it", OTHER, Some(("b", "a", 9, 10)), &["a"], true, "none");
        check("nor does it play", OTHER, Some(("b", "a", 9, 10)), &["a", "b"], true, "a");
        check("the map goes back", OTHER, by_map("b"), &[], true, "a");
    }

    /// The operator has switched the stream with map version 10.
    #[test]
    fn a_switch_by_the_operator_ends_an_override() {
        let overridden = Some(("b", "a", 9, 10));
        let check = |what, switch, in_cooldown: &[&str], shared, expected| {
            check_after(10, what, BOTH, switch, in_cooldown, shared, expected);
        };
        check("where an edge knew better", overridden, &[], true, "a");
        check("others could not be told", overridden, &[], false, "b");
        check("it is of no use still", overridden, &["a"], true, "b");
        check("it plays", Some(("a", "a", 9, 10)), &[], true, "a");
        check("an edge knows better since", Some(("b", "a", 10, 5)), &[], true, "b");
    }

    /// Without the registry, only an operator's switch in a map of this process moves the edge.
    #[test]
    fn an_edge_that_is_cut_off_follows_the_operator_of_its_own_process() {
        let on_b = SourceSwitch {
            source: "b".to_owned(),
            picked: "b".to_owned(),
            map: 9,
            ..SourceSwitch::default()
        };
        for (has_own_map, switched, expected) in
            [(false, 10, "b"), (true, 10, "a"), (true, 9, "b"), (true, 0, "b")]
        {
            let input = SelectionInput {
                last_switch: Some(&on_b),
                active_source: Some("b"),
                confirmed_by_map: true,
                shared: false,
                has_own_map,
                map_version: 10,
                switch_age: None,
                is_in_cooldown: &|_| false,
            };
            let stream = Stream { switched, ..stream(BOTH) };
            let selected = select_upstream(&stream, Some("v"), &input).unwrap();
            assert_eq!(selected.source, expected, "own map: {has_own_map}, switched: {switched}");
        }
    }

    #[test]
    fn a_rendition_is_polled_at_an_upstream_that_has_it() {
        let input = SelectionInput {
            last_switch: None,
            active_source: None,
            confirmed_by_map: false,
            shared: true,
            has_own_map: false,
            map_version: 1,
            switch_age: None,
            is_in_cooldown: &|_| false,
        };
        let problem_of =
            |upstreams, id| select_upstream(&stream(upstreams), Some(id), &input).map(|_| ()).err();
        assert_eq!(problem_of(BOTH, "hd"), None);
        assert_eq!(problem_of(A_DOWN, "hd"), Some(Problem::NotFound));
        assert_eq!(problem_of(BOTH, "uhd"), Some(Problem::NotFound));
        assert_eq!(select_upstream(&stream(A_DOWN), None, &input).unwrap().source, "b");
        assert!(matches!(problem_of(ALL_DOWN, "v"), Some(Problem::StreamDown(_))));
    }
}
