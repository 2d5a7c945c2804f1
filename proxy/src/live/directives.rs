//! What a player asks for, as the source knows it: with its own numbers, and whole where it is put
//! together with another's.

use pitwall_hls::Splice;

pub(super) const SKIP: &str = "_HLS_skip=";
const MSN: &str = "_HLS_msn=";

/// `splice`: the part by which the rendition is published, of whichever source.
pub(super) fn translated(
    directives: Option<&str>,
    splice: Option<&Splice>,
    source: &str,
) -> Option<String> {
    let directives = directives?;
    let changes = splice.is_some_and(|splice| splice.source != source);
    if !changes && splice.is_none_or(Splice::is_plain) {
        return Some(directives.to_owned());
    }
    let kept: Vec<String> = directives
        .split('&')
        .filter(|directive| !directive.starts_with(SKIP))
        .filter_map(|directive| match directive.strip_prefix(MSN) {
            // Nobody knows yet what its numbers will be.
            Some(_) if changes => None,
            Some(number) => {
                let number = splice?.upstream_number(number.parse().ok()?)?;
                Some(format!("{MSN}{number}"))
            }
            None if changes && directive.starts_with("_HLS_part=") => None,
            None => Some(directive.to_owned()),
        })
        .collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}
