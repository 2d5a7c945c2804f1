//! docs/configuration-reference.md has every key, as the code has it.

use std::collections::BTreeMap;

use super::reloadable::is_reloadable;
use super::{Config, ConfigError};

/// Sections that are arrays of tables.
const TABLE_ARRAYS: [&str; 2] = ["rank.prefer", "webhook"];

/// What a parser says that it expects, and the kind of value that the reference calls it.
const KINDS: [(&str, &str); 13] = [
    ("an address, or a list of addresses", "address, or list"),
    ("expected socket address", "address"),
    ("expected a duration", "duration"),
    ("expected an integer or string", "size"),
    ("expected a list", "list"),
    ("expected path string", "path"),
    ("expected a boolean", "true or false"),
    ("f64", "number"),
    ("expected a whole number", "number"),
    ("expected a string", "text"),
    ("expected a text", "text"),
    ("wanted exactly 1 element", "word"),
    // A table is what it is given here, and only then the rest of the section is missed.
    ("missing field", "table"),
];

fn section_header(section: &str) -> String {
    match section {
        "" => String::new(),
        array if TABLE_ARRAYS.contains(&array) => format!("[[{array}]]\n"),
        table => format!("[{table}]\n"),
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("t.toml", text, [])
}

/// The keys of a section; none if it is no section.
fn keys_of(section: &str) -> Vec<String> {
    let text = format!("{}\"?\" = {{}}\n", section_header(section));
    let message = parse(&text).err().map(|error| error.to_string()).unwrap_or_default();
    let Some((_, known)) = message.split_once("unknown field `?`, expected ") else {
        return Vec::new();
    };
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Adds each key of a section, and of the sections in it, with the kind of its value.
fn collect_keys(section: &str, keys: &mut BTreeMap<String, &'static str>) {
    for key in keys_of(section) {
        let path = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        if !keys_of(&path).is_empty() {
            collect_keys(&path, keys);
            continue;
        }
        let error = parse(&format!("{}{key} = {{}}\n", section_header(section))).err();
        let message = error.map(|error| error.to_string()).unwrap_or_default();
        let kind = KINDS.iter().find(|(expected, _)| message.contains(expected));
        keys.insert(path, kind.unwrap_or_else(|| panic!("{message}")).1);
    }
}

/// The columns of each row of the reference's last table, by key.
fn documented_rows() -> BTreeMap<String, Vec<&'static str>> {
    let text = include_str!("../../../docs/configuration-reference.md");
    let (_, table) = text.split_once("| key | kind |").unwrap();
    let rows = table.lines().skip(2).filter(|line| line.starts_with("| `"));
    let columns = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim));
    let mut rows = BTreeMap::new();
    for mut columns in columns {
        let key = columns.next().unwrap().trim_matches('`').to_owned();
        assert!(rows.insert(key.clone(), columns.collect()).is_none(), "{key} is there twice");
    }
    rows
}

#[test]
fn the_reference_has_every_key_with_its_kind_variable_and_reload() {
    let mut keys = BTreeMap::new();
    collect_keys("", &mut keys);
    let rows = documented_rows();
    assert_eq!(rows.keys().collect::<Vec<_>>(), keys.keys().collect::<Vec<_>>());
    for (key, kind) in &keys {
        let is_in_array = TABLE_ARRAYS.iter().any(|array| key.starts_with(&format!("{array}.")));
        let variable = match is_in_array {
            true => "none".to_owned(),
            false => format!("`PITWALL_{}`", key.to_uppercase().replace('.', "__")),
        };
        let change = if is_reloadable(key) { "effect at once" } else { "a restart" };
        let row = &rows[key];
        assert_eq!((row[0], row[2], row[3]), (*kind, variable.as_str(), change), "{key}");
    }
}

#[test]
fn the_defaults_of_the_reference_are_those_of_the_code() {
    let describe = |config: &Config| {
        let Config { edge, access, upstream, state, schedule, extract, rank, control, .. } = config;
        format!("{edge:?}{access:?}{upstream:?}{state:?}{schedule:?}{extract:?}{rank:?}{control:?}")
    };
    let expected = describe(&parse("").unwrap());
    let mut compared = 0;
    for (key, row) in documented_rows() {
        let value = row[1].strip_prefix('`').and_then(|value| value.strip_suffix('`'));
        let (Some(value), Some((section, name))) = (value, key.rsplit_once('.')) else { continue };
        // A key that needs another one cannot be set alone.
        let Ok(config) = parse(&format!("[{section}]\n{name} = {value}\n")) else { continue };
        assert_eq!(describe(&config), expected, "{key}");
        compared += 1;
    }
    assert!(compared > 25, "{compared}");
}
