//! Delivery directives (RFC 8216bis, 6.2.5) of a player, translated to the source's media sequence
//! numbers. Behind a splice point a source is asked for its full playlist, because the published
//! one also has segments of earlier sources.

use pitwall_hls::Splice;

const MSN_DIRECTIVE: &str = "_HLS_msn=";
const PART_DIRECTIVE: &str = "_HLS_part=";

/// The directives for the source that is published by `splice`. `None`: the source is asked for its
/// current playlist, without directives.
pub(super) fn translate_directives(directives: &str, splice: &Splice) -> Option<String> {
    if splice.is_initial() {
        return Some(directives.to_owned());
    }
    let upstream_number = |directive: &str| {
        splice.upstream_number(directive.strip_prefix(MSN_DIRECTIVE)?.parse().ok()?)
    };
    let upstream_number = directives.split('&').find_map(upstream_number);
    let translated = directives.split('&').filter_map(|directive| match upstream_number {
        // The first segment behind the splice point is published only as a whole, so a blocking
        // reload for one of its partial segments waits for the whole segment.
        Some(upstream_number)
            if upstream_number == splice.from.upstream && directive.starts_with(PART_DIRECTIVE) =>
        {
            None
        }
        Some(upstream_number) if directive.starts_with(MSN_DIRECTIVE) => {
            Some(format!("{MSN_DIRECTIVE}{upstream_number}"))
        }
        // A number before the splice point is already published, and so are its partial segments.
        None if directive.starts_with(MSN_DIRECTIVE) || directive.starts_with(PART_DIRECTIVE) => {
            None
        }
        _ => Some(directive.to_owned()),
    });
    let translated: Vec<String> = translated.collect();
    (!translated.is_empty()).then(|| translated.join("&"))
}

#[cfg(test)]
mod tests {
    use pitwall_hls::splice::NumberMapping;

    use super::*;

    #[test]
    fn directives_are_translated_to_the_numbers_of_the_source() {
        let plain = Splice::initial("a".into(), 6);
        let from = NumberMapping { upstream: 7010, published: 110, discontinuity: 1, ..plain.from };
        let spliced = Splice { from, ..plain.clone() };
        for (directives, unspliced, spliced_expected) in [
            ("_HLS_msn=112&_HLS_part=3", "_HLS_msn=112&_HLS_part=3", "_HLS_msn=7012&_HLS_part=3"),
            ("_HLS_msn=110&_HLS_part=3", "_HLS_msn=110&_HLS_part=3", "_HLS_msn=7010"),
            ("_HLS_msn=109&_HLS_part=1", "_HLS_msn=109&_HLS_part=1", ""),
            ("_HLS_msn=x&_HLS_part=1", "_HLS_msn=x&_HLS_part=1", ""),
            ("_HLS_part=1", "_HLS_part=1", ""),
        ] {
            let translate = |splice| translate_directives(directives, splice).unwrap_or_default();
            assert_eq!(
                (&*translate(&plain), &*translate(&spliced)),
                (unspliced, spliced_expected),
                "{directives}"
            );
        }
    }
}
