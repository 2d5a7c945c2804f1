//! Properties of rewritten steering manifests and asset lists.

use serde_json::Value;

use super::{EDGE_BASE_URL, HexLinkEncoder, decode_link, origin_url};
use crate::document::rewrite_json_document;
use crate::uri_mapper::UriReference;

/// Checks that only URIs of playlists and manifests change, and that all of those become links.
pub fn document(data: &[u8]) {
    let Some(base) = origin_url() else { return };
    let mut encoder = HexLinkEncoder::default();
    let mut encode =
        |reference: &UriReference<'_>, out: &mut Vec<u8>| encoder.encode_link(reference, out);
    let Ok(out) = rewrite_json_document(data, &base, &mut encode) else { return };
    let links: usize = encoder.roles.len();

    // Every URI in the output leads to the edge and resolves without further context.
    let mut second_roles = Vec::new();
    let twice = rewrite_json_document(
        &out,
        &base,
        &mut |reference: &UriReference<'_>, out: &mut Vec<u8>| {
            assert_eq!(reference.url.as_bytes(), reference.written);
            assert!(reference.url.starts_with(EDGE_BASE_URL), "{}", reference.url);
            second_roles.push((reference.role, reference.sequence));
            out.extend_from_slice(reference.written);
        },
    );
    assert!(twice.is_ok());
    assert_eq!(encoder.roles, second_roles);

    let mut resolve = |reference: &UriReference<'_>, out: &mut Vec<u8>| {
        out.extend_from_slice(reference.url.as_bytes());
    };
    let resolved = rewrite_json_document(data, &base, &mut resolve);
    let read = |json: &[u8]| serde_json::from_slice::<Value>(json).unwrap_or_default();
    let json = data.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(data);
    let mut before = read(json);
    if !before["ASSETS"].is_array()
        && let Some(manifest) = before.as_object_mut()
    {
        manifest.remove("PATHWAY-CLONES");
    }
    let mut after = read(&out);
    let mut resolved = read(&resolved.unwrap_or_default());
    let mut changed = 0;
    for (uri, (resolved, before)) in
        uris(&mut after).into_iter().zip(uris(&mut resolved).into_iter().zip(uris(&mut before)))
    {
        let link = uri.as_str().map(decode_link);
        changed += usize::from(uri.as_str().is_some_and(|uri| uri.starts_with(EDGE_BASE_URL)));
        assert_eq!(link.as_deref(), resolved.as_str());
        (*uri, *resolved, *before) = (Value::Null, Value::Null, Value::Null);
    }
    assert_eq!(changed, links);
    // Numbers may lose their last digit when printed and parsed, so both values are parsed once
    // more.
    let reparsed = |value: &Value| read(&serde_json::to_vec(value).unwrap_or_default()).to_string();
    assert_eq!(reparsed(&before), after.to_string());
}

/// All URIs of a document that are fetched.
fn uris(document: &mut Value) -> Vec<&mut Value> {
    if document["ASSETS"].is_array() {
        let assets = document["ASSETS"].as_array_mut().into_iter().flatten();
        assets.filter_map(|asset| asset.get_mut("URI")).filter(|uri| uri.is_string()).collect()
    } else {
        document.get_mut("RELOAD-URI").filter(|uri| uri.is_string()).into_iter().collect()
    }
}
