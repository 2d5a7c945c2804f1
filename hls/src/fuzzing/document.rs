//! Steering manifests and asset lists.

use serde_json::Value;

use super::{EDGE, Hidden, followed, origin};
use crate::document::rewrite_document;
use crate::reference::Reference;

/// Only what names a playlist or another manifest changes, and all of that becomes links.
pub fn document(data: &[u8]) {
    let Some(base) = origin() else { return };
    let mut hidden = Hidden::default();
    let mut hide = |reference: &Reference<'_>, out: &mut Vec<u8>| hidden.link(reference, out);
    let Ok(out) = rewrite_document(data, &base, &mut hide) else { return };
    let links: usize = hidden.roles.len();

    // What the edge wrote leads to the edge, and needs nothing else to be understood.
    let mut again = Vec::new();
    let twice =
        rewrite_document(&out, &base, &mut |reference: &Reference<'_>, out: &mut Vec<u8>| {
            assert_eq!(reference.url.as_bytes(), reference.written);
            assert!(reference.url.starts_with(EDGE), "{}", reference.url);
            again.push((reference.role, reference.sequence));
            out.extend_from_slice(reference.written);
        });
    assert!(twice.is_ok());
    assert_eq!(hidden.roles, again);

    let mut put_back = |reference: &Reference<'_>, out: &mut Vec<u8>| {
        out.extend_from_slice(reference.url.as_bytes());
    };
    let resolved = rewrite_document(data, &base, &mut put_back);
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
        let link = uri.as_str().map(followed);
        changed += usize::from(uri.as_str().is_some_and(|uri| uri.starts_with(EDGE)));
        assert_eq!(link.as_deref(), resolved.as_str());
        (*uri, *resolved, *before) = (Value::Null, Value::Null, Value::Null);
    }
    assert_eq!(changed, links);
    // Numbers may lose a last digit when they are printed and read, so read both once more.
    let settled = |value: &Value| read(&serde_json::to_vec(value).unwrap_or_default()).to_string();
    assert_eq!(settled(&before), after.to_string());
}

/// Every place where a document names something that is fetched.
fn uris(document: &mut Value) -> Vec<&mut Value> {
    if document["ASSETS"].is_array() {
        let assets = document["ASSETS"].as_array_mut().into_iter().flatten();
        assets.filter_map(|asset| asset.get_mut("URI")).filter(|uri| uri.is_string()).collect()
    } else {
        document.get_mut("RELOAD-URI").filter(|uri| uri.is_string()).into_iter().collect()
    }
}
