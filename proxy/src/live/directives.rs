//! What a player asks for, as the source knows it: with its own numbers, and whole where it is put
//! together with another's.

use pitwall_hls::Splice;

const SKIP: &str = "_HLS_skip=";
const MSN: &str = "_HLS_msn=";
const PART: &str = "_HLS_part=";

/// `splice`: the part by which the source is published. `None`: what there is now.
pub(super) fn translated(directives: &str, splice: &Splice) -> Option<String> {
    if splice.is_plain() {
        return Some(directives.to_owned());
    }
    let number =
        |directive: &str| splice.upstream_number(directive.strip_prefix(MSN)?.parse().ok()?);
    let number = directives.split('&').find_map(number);
    let kept = directives.split('&').filter_map(|directive| match number {
        // It follows a discontinuity, and is published when it is there as a whole.
        Some(number) if number == splice.from.upstream && directive.starts_with(PART) => None,
        // Deltas count from a number that is not ours.
        _ if directive.starts_with(SKIP) => None,
        Some(number) if directive.starts_with(MSN) => Some(format!("{MSN}{number}")),
        // It is published already, and so are its parts.
        None if directive.starts_with(MSN) || directive.starts_with(PART) => None,
        _ => Some(directive.to_owned()),
    });
    let kept: Vec<String> = kept.collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// Is it a delta that they ask for?
pub(super) fn skips(directives: &str) -> bool {
    directives.split('&').any(|directive| directive.starts_with(SKIP))
}

#[cfg(test)]
mod tests {
    use pitwall_hls::splice::Numbers;

    use super::*;

    #[test]
    fn a_player_asks_with_our_numbers() {
        let plain = Splice::plain("a".into(), 6);
        let from = Numbers { upstream: 7010, published: 110, discontinuity: 1, ..plain.from };
        let spliced = Splice { from, ..plain.clone() };
        for (asked, as_it_comes, across) in [
            ("_HLS_msn=112&_HLS_part=3", "_HLS_msn=112&_HLS_part=3", "_HLS_msn=7012&_HLS_part=3"),
            ("_HLS_msn=110&_HLS_part=3", "_HLS_msn=110&_HLS_part=3", "_HLS_msn=7010"),
            ("_HLS_msn=110&_HLS_skip=YES", "_HLS_msn=110&_HLS_skip=YES", "_HLS_msn=7010"),
            ("_HLS_skip=v2", "_HLS_skip=v2", ""),
            ("_HLS_msn=109&_HLS_part=1", "_HLS_msn=109&_HLS_part=1", ""),
            ("_HLS_msn=x&_HLS_part=1", "_HLS_msn=x&_HLS_part=1", ""),
            ("_HLS_part=1", "_HLS_part=1", ""),
            ("_HLS_msn=109&_HLS_pathway=x", "_HLS_msn=109&_HLS_pathway=x", "_HLS_pathway=x"),
        ] {
            let text = |splice| translated(asked, splice).unwrap_or_default();
            assert_eq!((&*text(&plain), &*text(&spliced)), (as_it_comes, across), "{asked}");
            assert_eq!(skips(asked), asked.contains("skip"));
        }
    }
}
