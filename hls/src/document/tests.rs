use super::*;
use serde_json::json;

fn check(input: Value, expected: Value) {
    let base = Url::parse("https://o.example/steer/a.json?x=1").unwrap();
    let mut mapper = |reference: &UriReference<'_>, out: &mut Vec<u8>| {
        out.extend_from_slice(
            format!("<{:?} {:?} {}>", reference.role, reference.target, reference.url).as_bytes(),
        );
    };
    let result = match rewrite_json_document(input.to_string().as_bytes(), &base, &mut mapper) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(error) => json!(error.to_string()),
    };
    assert_eq!(result, expected, "{input}");
}

#[test]
fn steering_manifests() {
    check(
        json!({"VERSION": 1, "TTL": 300, "RELOAD-URI": "next?s=it's#f", "PATHWAY-PRIORITY": ["A", "B"],
               "PATHWAY-CLONES": [{"BASE-ID": "A", "ID": "C", "URI-REPLACEMENT": {"HOST": "c.example"}}]}),
        json!({"VERSION": 1, "TTL": 300, "RELOAD-URI": "<Steering Document https://o.example/steer/next?s=it's>",
               "PATHWAY-PRIORITY": ["A", "B"]}),
    );
    check(json!({"VERSION": 1, "TTL": 300}), json!({"VERSION": 1, "TTL": 300}));
    check(json!({"TTL": 300, "RELOAD-URI": 5}), json!({"TTL": 300, "RELOAD-URI": 5}));
    check(
        json!({"TTL": 300, "RELOAD-URI": "data:,x"}),
        json!({"TTL": 300, "RELOAD-URI": "data:,x"}),
    );
}

#[test]
fn asset_lists() {
    check(
        json!({"ASSETS": [{"URI": "/ad.m3u8", "DURATION": 15.5, "X-URI": "opaque"}, {"DURATION": 1}, {"URI": ""}, 7],
               "SKIP-CONTROL": {"OFFSET": 2}}),
        json!({"ASSETS": [{"URI": "<Asset Playlist https://o.example/ad.m3u8>", "DURATION": 15.5, "X-URI": "opaque"},
               {"DURATION": 1}, {"URI": ""}, 7], "SKIP-CONTROL": {"OFFSET": 2}}),
    );
    check(json!({"ASSETS": []}), json!({"ASSETS": []}));
}

#[test]
fn anything_else_is_refused() {
    let unrecognised = json!("the document is neither a steering manifest nor an asset list");
    for input in [
        json!([]),
        json!("x"),
        json!({}),
        json!({"ASSETS": "x"}),
        json!({"url": "https://o.example/"}),
    ] {
        check(input, unrecognised.clone());
    }
    let base = Url::parse("https://o.example/").unwrap();
    let rewrite_error = |json: &[u8]| {
        rewrite_json_document(json, &base, &mut |_: &UriReference<'_>, _: &mut Vec<u8>| {})
            .unwrap_err()
    };
    assert!(rewrite_error(b"<html>").to_string().starts_with("the document is not JSON: "));
    assert!(matches!(rewrite_error(&b"[".repeat(100_000)), InvalidDocument::Json(_)));
    assert!(matches!(rewrite_error(&vec![b' '; 3 << 20]), InvalidDocument::TooLong { .. }));
    let manifest = json!({"TTL": 300, "RELOAD-URI": "next"}).to_string();
    let mut grow = |_: &UriReference<'_>, out: &mut Vec<u8>| out.extend_from_slice(&[b'x'; 13_000]);
    let refused = rewrite_json_document(manifest.as_bytes(), &base, &mut grow).unwrap_err();
    assert!(matches!(refused, InvalidDocument::LinkTooLong { bytes: 13_000, .. }), "{refused}");
}
