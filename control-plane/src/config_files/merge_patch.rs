//! [`apply_merge_patch`]: changes keys of a TOML file as a JSON merge patch says (RFC 7396), and
//! leaves its other keys, its comments and its order as they are.

use serde_json::{Map, Value as Json};
use toml_edit::{Array, DocumentMut, InlineTable, Item, TableLike, Value};

/// `null` removes a key, an object changes keys of a table, and anything else replaces a value.
///
/// # Errors
/// The dotted key of what TOML cannot hold: `null` in a list, or a number beyond 64 bits.
pub(super) fn apply_merge_patch(
    file: &mut DocumentMut,
    patch: &Map<String, Json>,
) -> Result<(), String> {
    patch_table(file.as_table_mut(), patch, "")
}

fn patch_table(
    table: &mut dyn TableLike,
    patch: &Map<String, Json>,
    prefix: &str,
) -> Result<(), String> {
    for (key, change) in patch {
        let path = format!("{prefix}{key}");
        match change {
            Json::Null => {
                table.remove(key);
            }
            Json::Object(inner) => {
                let known = table.get_mut(key).and_then(Item::as_table_like_mut);
                match known {
                    Some(known) => {
                        patch_table(known, inner, &format!("{path}."))?;
                        // The space before the brace went with a key that was the last one.
                        if inner.values().any(Json::is_null)
                            && let Some(table) = table.get_mut(key)
                            && let Some(table) = table.as_inline_table_mut()
                        {
                            table.fmt();
                        }
                    }
                    None => {
                        let new = inline_table(inner, &path)?;
                        table.insert(key, Item::Value(Value::InlineTable(new)));
                    }
                }
                let is_empty = table
                    .get(key)
                    .and_then(Item::as_table_like)
                    .is_some_and(|table| table.is_empty());
                if is_empty {
                    table.remove(key);
                }
            }
            change => set_value(table, key, to_value(change, &path)?),
        }
    }
    Ok(())
}

/// White space and a comment around a replaced value stay.
fn set_value(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key) {
        Some(Item::Value(known)) => {
            *value.decor_mut() = known.decor().clone();
            *known = value;
        }
        _ => {
            table.insert(key, Item::Value(value));
        }
    }
}

fn to_value(json: &Json, path: &str) -> Result<Value, String> {
    Ok(match json {
        Json::Null => return Err(path.to_owned()),
        Json::Bool(flag) => (*flag).into(),
        Json::String(text) => text.as_str().into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(float)) if !number.is_u64() => float.into(),
            _ => return Err(path.to_owned()),
        },
        Json::Array(items) => {
            let items = items.iter().map(|item| to_value(item, path));
            Value::Array(items.collect::<Result<Array, _>>()?)
        }
        Json::Object(inner) => Value::InlineTable(inline_table(inner, path)?),
    })
}

fn inline_table(object: &Map<String, Json>, path: &str) -> Result<InlineTable, String> {
    let mut table = InlineTable::new();
    for (key, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        table.insert(key, to_value(value, &format!("{path}.{key}"))?);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Club feed\nname = \"club\" # fixed\nkind = \"m3u\"\n\n# by mail\nurl = \
                        \"http://a/\" # old\nheaders = { Referer = \"x\", Cookie = \"y\" }\n\n\
                        [check]\nmin_height = 720\n";

    #[test]
    fn keys_change_and_comments_stay() {
        for (patch, changed) in [
            (r#"{}"#, FILE.to_owned()),
            (r#"{"url": "http://b/"}"#, FILE.replace("http://a/", "http://b/")),
            (r#"{"url": null}"#, FILE.replace("\n# by mail\nurl = \"http://a/\" # old\n", "")),
            (
                r#"{"headers": {"Cookie": null, "Referer": "z"}}"#,
                FILE.replace("{ Referer = \"x\", Cookie = \"y\" }", "{ Referer = \"z\" }"),
            ),
            (
                r#"{"headers": {"Cookie": null, "Referer": null}}"#,
                FILE.replace("headers = { Referer = \"x\", Cookie = \"y\" }\n", ""),
            ),
            (r#"{"check": {"min_height": 480}}"#, FILE.replace("720", "480")),
            (
                r#"{"priority": 5, "allow_private": ["127.0.0.1/32"]}"#,
                FILE.replace(
                    "\n\n[check]",
                    "\nallow_private = [\"127.0.0.1/32\"]\npriority = 5\n\n[check]",
                ),
            ),
        ] {
            let mut file: DocumentMut = FILE.parse().unwrap();
            let parsed: Map<String, Json> = serde_json::from_str(patch).unwrap();
            apply_merge_patch(&mut file, &parsed).unwrap();
            assert_eq!(file.to_string(), changed, "{patch}");
        }
    }

    #[test]
    fn a_new_file_is_written_and_what_toml_cannot_hold_is_refused() {
        let apply = |patch: &str| {
            let mut file = DocumentMut::new();
            let parsed: Map<String, Json> = serde_json::from_str(patch).unwrap();
            apply_merge_patch(&mut file, &parsed).map(|()| file.to_string())
        };
        for (patch, expected) in [
            (
                r#"{"kind": "m3u", "headers": {"A": "b"}, "x": 1.5}"#,
                Ok("headers = { A = \"b\" }\nkind = \"m3u\"\nx = 1.5\n"),
            ),
            (r#"{"a": [null]}"#, Err("a")),
            (r#"{"a": {"b": 18446744073709551615}}"#, Err("a.b")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(apply(patch), expected, "{patch}");
        }
    }
}
