//! Properties of the rewriter.

use std::sync::Arc;

use super::{EDGE_BASE_URL, HexLinkEncoder, decode_link, inherited_variables, origin_url};
use crate::analysis::{Playlist, parse_playlist};
use crate::container::guess_container;
use crate::limits::PlaylistLimits;
use crate::line;
use crate::redactor::Redactor;
use crate::rewrite::rewrite;
use crate::uri_mapper::{UriMapper, UriReference};
use crate::variables::Variables;

/// Small limits, so that inputs reach them.
const LIMITS: PlaylistLimits = PlaylistLimits {
    max_bytes: 16 << 10,
    max_lines: 400,
    max_line_bytes: 2 << 10,
    max_link_bytes: 4 << 10,
};
/// Limits for the rewriter's own output.
const LOOSE_LIMITS: PlaylistLimits = PlaylistLimits {
    max_bytes: 1 << 30,
    max_lines: 400,
    max_line_bytes: 1 << 30,
    max_link_bytes: 1 << 30,
};

/// Checks that only URIs change, that every URI becomes a link, and that the links decode to the
/// playlist that the origin serves.
pub fn rewriting(data: &[u8]) {
    let (Some(base), Ok(edge)) = (origin_url(), url::Url::parse(EDGE_BASE_URL)) else { return };
    let (inherited, none) = (inherited_variables(), Variables::default());
    let _ = guess_container(data);
    let analysed = parse_playlist(data, &base, &inherited, &LIMITS);

    let mut keep = |reference: &UriReference<'_>, out: &mut Vec<u8>| {
        out.extend_from_slice(reference.written);
    };
    let same = rewrite(data, &base, &inherited, &LIMITS, &mut keep);
    // What a definition imports, a range's offset and a date's zone are written out, a target
    // duration becomes an integer, and byte order marks go.
    let completed: [&[u8]; 4] =
        [b"#EXT-X-DEFINE", b"#EXT-X-BYTERANGE", b"#EXT-X-PROGRAM-DATE-TIME", b"\xEF\xBB\xBF"];
    let is_complete = completed.iter().all(|tag| memchr::memmem::find(data, tag).is_none())
        && line::tags_of(data)
            .all(|tag| tag.name != b"EXT-X-TARGETDURATION" || !tag.value.contains(&b'.'));
    if let Ok(same) = &same
        && is_complete
    {
        assert_eq!(same.bytes, data);
    }

    let mut encoder = HexLinkEncoder::default();
    let mut encode =
        |reference: &UriReference<'_>, out: &mut Vec<u8>| encoder.encode_link(reference, out);
    let Ok(rewritten) = rewrite(data, &base, &inherited, &LIMITS, &mut encode) else { return };
    assert!(same.is_ok());
    assert!(rewritten.bytes.len() <= LIMITS.max_output_bytes() + data.len());
    let count_line_ends =
        |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert_eq!(count_line_ends(&rewritten.bytes), count_line_ends(data), "lines came or went");

    // Every URI in the output leads to the edge, and the output imports no variables and uses no
    // query.
    let mut second_roles = Vec::new();
    let mut find = |reference: &UriReference<'_>, out: &mut Vec<u8>| {
        assert_eq!(reference.url.as_bytes(), reference.written, "a link is read as it stands");
        assert!(reference.url.starts_with(EDGE_BASE_URL), "{}", reference.url);
        second_roles.push((reference.role, reference.sequence));
        out.extend_from_slice(reference.written);
    };
    let Ok(twice) = rewrite(&rewritten.bytes, &edge, &none, &LOOSE_LIMITS, &mut find) else {
        panic!("what we wrote is refused")
    };
    assert_eq!(twice.kind, rewritten.kind);
    assert_eq!(encoder.roles, second_roles, "{}", rewritten.bytes.escape_ascii());
    assert!(
        twice.bytes == rewritten.bytes,
        "a second edge changes {} to {}",
        rewritten.bytes.escape_ascii(),
        twice.bytes.escape_ascii()
    );

    redacting(data, &base, &inherited);

    let Ok(mut before) = analysed else { return };
    let Ok(mut after) = parse_playlist(&rewritten.bytes, &edge, &none, &LOOSE_LIMITS) else {
        panic!("what we wrote cannot be analysed")
    };
    decode_links(&mut after);
    if let (Playlist::Multivariant(before), Playlist::Multivariant(after)) =
        (&mut before, &mut after)
    {
        // Values that name the origin are redacted, so these differ.
        before.variables = Variables::default();
        after.variables = Variables::default();
    }
    // It becomes an integer.
    for playlist in [&mut before, &mut after] {
        if let Playlist::Media(media) = playlist {
            media.target_duration = media.target_duration.map(f64::ceil);
        }
    }
    assert_eq!(before, after);
}

/// Writes opaque links, and lets no text pass that names the origin.
struct RedactingMapper(Redactor);

impl UriMapper for RedactingMapper {
    fn map_uri(&mut self, _: &UriReference<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"/link");
    }

    fn redactor(&self) -> Option<&Redactor> {
        Some(&self.0)
    }
}

/// Checks that no line names the origin, and that lines neither come nor go.
fn redacting(data: &[u8], base: &url::Url, inherited: &Variables) {
    let mut redactor = Redactor::new(None);
    redactor.add_url(base);
    let mut mapper = RedactingMapper(redactor);
    let Ok(redacted) = rewrite(data, base, inherited, &LIMITS, &mut mapper) else { return };
    let count_line_ends =
        |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert_eq!(count_line_ends(&redacted.bytes), count_line_ends(data), "lines came or went");
    // A variable that some text refers to keeps its value.
    if memchr::memmem::find(data, b"#EXT-X-DEFINE").is_none() {
        let text = redacted.bytes.to_ascii_lowercase();
        let host = b"://origin.example";
        // Another host may begin with the same letters.
        let is_named = memchr::memmem::find_iter(&text, host)
            .any(|at| text.get(at + host.len()).is_none_or(|next| !next.is_ascii_alphanumeric()));
        assert!(!is_named, "{}", text.escape_ascii());
    }
}

fn decode_links(playlist: &mut Playlist) {
    let decode = |url: &mut String| *url = decode_link(url);
    match playlist {
        Playlist::Multivariant(multivariant) => {
            multivariant.variants.iter_mut().for_each(|variant| decode(&mut variant.url));
            let renditions = multivariant.renditions.iter_mut();
            renditions.filter_map(|rendition| rendition.url.as_mut()).for_each(decode);
            multivariant.i_frame_variants.iter_mut().for_each(|variant| decode(&mut variant.url));
            let (data, keys) = (&mut multivariant.session_data, &mut multivariant.session_keys);
            data.iter_mut().chain(keys).filter_map(|tag| tag.url.as_mut()).for_each(decode);
        }
        Playlist::Media(media) => {
            for segment in &mut media.segments {
                decode(&mut segment.url);
                if let Some(map) = &mut segment.map {
                    decode(&mut Arc::make_mut(map).url);
                }
                if let Some(key) = &mut segment.key {
                    Arc::make_mut(key).url.iter_mut().for_each(decode);
                }
            }
        }
    }
}
