//! The rewriter.

use std::sync::Arc;

use super::{EDGE, Hidden, followed, inherited, origin};
use crate::analysis::{Playlist, analyse};
use crate::container::container_hint;
use crate::limits::Limits;
use crate::reference::Reference;
use crate::rewrite::rewrite;
use crate::variables::Variables;

/// Small, so that they are met.
const LIMITS: Limits = Limits { bytes: 16 << 10, lines: 400, line: 2 << 10 };
/// For what the edge made of it.
const ROOMY: Limits = Limits { bytes: 1 << 30, lines: 400, line: 1 << 30 };

/// Nothing but URIs changes; every URI becomes a link, and a player that follows the links sees the
/// playlist it would have seen at the origin.
pub fn rewriting(data: &[u8]) {
    let (Some(base), Ok(edge)) = (origin(), url::Url::parse(EDGE)) else { return };
    let (inherited, none) = (inherited(), Variables::default());
    let _ = container_hint(data);
    let analysed = analyse(data, &base, &inherited, &LIMITS);

    let mut put_back = |reference: &Reference<'_>, out: &mut Vec<u8>| {
        out.extend_from_slice(reference.written);
    };
    let same = rewrite(data, &base, &inherited, &LIMITS, &mut put_back);
    if let Ok(same) = &same
        && memchr::memmem::find(data, b"#EXT-X-DEFINE").is_none()
    {
        assert_eq!(same.bytes, data);
    }

    let mut hidden = Hidden::default();
    let mut hide = |reference: &Reference<'_>, out: &mut Vec<u8>| hidden.link(reference, out);
    let Ok(rewritten) = rewrite(data, &base, &inherited, &LIMITS, &mut hide) else { return };
    assert!(same.is_ok());
    assert!(rewritten.bytes.len() <= LIMITS.grown() + data.len());
    let ends = |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert_eq!(ends(&rewritten.bytes), ends(data), "lines came or went");

    // What is found in the output leads to the edge; it inherits nothing and has no query any more.
    let mut again = Vec::new();
    let mut find = |reference: &Reference<'_>, out: &mut Vec<u8>| {
        assert_eq!(reference.url.as_bytes(), reference.written, "a link is read as it stands");
        assert!(reference.url.starts_with(EDGE), "{}", reference.url);
        again.push((reference.role, reference.sequence));
        out.extend_from_slice(reference.written);
    };
    let Ok(twice) = rewrite(&rewritten.bytes, &edge, &none, &ROOMY, &mut find) else {
        panic!("what we wrote is refused")
    };
    assert_eq!(twice.kind, rewritten.kind);
    assert_eq!(hidden.roles, again, "{}", rewritten.bytes.escape_ascii());
    assert!(
        twice.bytes == rewritten.bytes,
        "a second edge changes {} to {}",
        rewritten.bytes.escape_ascii(),
        twice.bytes.escape_ascii()
    );

    let Ok(mut before) = analysed else { return };
    let Ok(mut after) = analyse(&rewritten.bytes, &edge, &none, &ROOMY) else {
        panic!("what we wrote cannot be analysed")
    };
    follow(&mut after);
    if let (Playlist::Master(before), Playlist::Master(after)) = (&mut before, &mut after) {
        // Values that named the origin are withheld, so these differ.
        before.variables = Variables::default();
        after.variables = Variables::default();
    }
    assert_eq!(before, after);
}

fn follow(playlist: &mut Playlist) {
    let visit = |url: &mut String| *url = followed(url);
    match playlist {
        Playlist::Master(master) => {
            master.variants.iter_mut().for_each(|variant| visit(&mut variant.url));
            let renditions = master.renditions.iter_mut();
            renditions.filter_map(|rendition| rendition.url.as_mut()).for_each(visit);
        }
        Playlist::Media(media) => {
            for segment in &mut media.segments {
                visit(&mut segment.url);
                if let Some(map) = &mut segment.map {
                    visit(&mut Arc::make_mut(map).url);
                }
                if let Some(key) = &mut segment.key {
                    Arc::make_mut(key).url.iter_mut().for_each(visit);
                }
            }
        }
    }
}
