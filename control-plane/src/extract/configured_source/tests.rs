use std::time::Duration;

use super::*;

fn error_line(text: &str, error: &toml::de::Error) -> usize {
    let start = error.span().expect("every error says where").start;
    text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1
}

const DEMO: &str = include_str!("../../../tests/data/demo-recipe.toml");

#[test]
fn the_recipe_of_the_demo() {
    let sources = ConfiguredSource::parse_file(DEMO).unwrap();
    let source = &sources[0];
    assert_eq!((source.name.as_str(), source.kind), ("demo", "recipe"));
    assert_eq!(source.every, Duration::from_mins(1));
    assert_eq!(source.ports, [9000], "of the URL in its first step");
    assert_eq!(source.fetch_policy().allow_private.len(), 1);
    assert_eq!(source.token_parameters, ["exp", "sig"]);
}

#[test]
fn defaults() {
    let text = "[[source]]\nname = 'a'\nkind = 'static'\nfeed = 'World feed'\nurl = 'https://a.example/m.m3u8'";
    let source = ConfiguredSource::parse_file(text).unwrap().remove(0);
    assert_eq!(source.every, Duration::from_mins(5));
    assert!(source.headers.is_empty() && source.ports.is_empty());
    assert!(!format!("{source:?}").contains("a.example"));
}

#[test]
fn errors_say_where_and_what() {
    let fixed = |extra: &str| {
        format!(
            "[[source]]\nname = \"a\"\nkind = \"static\"\nfeed = \"World feed\"\nurl = \"https://a.example/x\"\n{extra}"
        )
    };
    let recipe = |steps: &str| {
        format!(
            "[[source]]\nname = \"a\"\nkind = \"recipe\"\nfeed = \"World feed\"\n{steps}\n[source.result]\nplaylist = \"{{{{p}}}}\"\n"
        )
    };
    let get = "[[source.step]]\nget = \"https://a.example/\"\n";
    for (text, expected_line, expected) in [
        (
            fixed("fedd = \"x\""),
            6,
            "unknown field `fedd`, expected `url`, or one of any source: `name`, `kind`, `feed`, ",
        ),
        (fixed("every = \"-5m\""), 6, "not a duration"),
        (fixed("every = 5"), 6, "invalid type: integer `5`"),
        (fixed("allow_private = [\"10.0.0.0/8\",\n \"0.0.0.0/0\"]"), 7, "too wide"),
        (fixed("ports = [0]"), 6, "expected a nonzero u16"),
        (fixed("headers = { Referer = \"a\\r\\nb\" }"), 6, "cannot carry"),
        (fixed("[source.headers]\nReferer = \"x\"\nHost = \"b\""), 8, "set by the edge"),
        (fixed("").replace("World feed", "—"), 4, "no letter, digit or sign"),
        (fixed("").replace("https", "ftp"), 5, "only http and https"),
        (
            fixed("").replace("\"static\"", "\"magic\""),
            3,
            "\"magic\" is not a kind of source: use \"static\", \"recipe\"",
        ),
        (fixed("").replace("name = \"a\"", "name = \"A b\""), 2, "not a name"),
        (fixed("").replace("feed = \"World feed\"\n", ""), 1, "missing field `feed`"),
        (fixed("").replace("name = \"a\"\n", ""), 1, "missing field `name`"),
        ("[source]\nname = \"a\"".to_owned(), 1, "write [[source]]"),
        (recipe(""), 1, "missing field `step`"),
        (recipe("[[source.step]]\nget = \"/x\""), 5, "must begin with http"),
        (recipe("[[source.step]]\nselect = \"a\"\nsave = \"p\""), 5, "there is no page yet"),
        (recipe(&format!("{get}post = \"/x\"")), 5, "exactly one of"),
        (recipe(&format!("{get}[[source.step]]\nselect = \"a[\"")), 8, "not a CSS selector"),
        (recipe(&format!("{get}[[source.step]]\nselect = \"a\"")), 7, "add `save`"),
        (recipe(&format!("{get}[[source.step]]\nregex = \"(\"\nsave = \"p\"")), 8, "not a pattern"),
        (recipe(&format!("{get}attribute = \"x\"")), 5, "`attribute` belongs to"),
        (recipe(&format!("{get}html = true")), 5, "`html` belongs to"),
        (recipe(&format!("{get}foreach = \"x\"")), 5, "`foreach` belongs to"),
        (recipe(&format!("{get}[[source.step]]\ncookie = \"a\"")), 7, "add `save`"),
        (recipe(&format!("{get}[[source.step]]\ndecode = \"rot13\"")), 8, "is not a coding"),
        (recipe(&format!("{get}[[source.step]]\ndecode = []")), 8, "nothing to undo"),
        (recipe(&format!("{get}[[source.step]]\nscript = \"1 +\"")), 8, "not a script"),
        (
            recipe(&format!("{get}[[source.step]]\nselect = \"a\"\nsave = \"b\"\nforeach = \"c\"")),
            7,
            "leave `save` out",
        ),
        (recipe("[[source.step]]\nheader = \"a\"\nsave = \"p\""), 5, "there is no page yet"),
        (recipe(&format!("{get}[[source.step]]\ntext = \"{{{{x|y}}}}\"")), 8, "not a filter"),
        (
            recipe(&format!("{get}[[source.step]]\npost = \"/{{{{q}}}}\"")),
            7,
            "step 2 (post): the variable \"q\" is not known",
        ),
        (recipe(&format!("{get}[[source.step]]\npost = \"/{{{{q\"")), 8, "without its"),
        (recipe(get), 9, "the variable \"p\" is not known"),
        (recipe(&format!("{get}save = \"P\"")), 7, "not the name of a variable"),
        (recipe(&format!("timeout = \"0s\"\n{get}save = \"p\"")), 5, "longer than nothing"),
        (
            recipe(&format!("for = [{{ feed = \"—\" }}]\n{get}save = \"p\"")),
            5,
            "no letter, digit or sign",
        ),
        (
            recipe(&format!("{get}save = \"p\"")).replace("feed = \"World feed\"\n", ""),
            7,
            "missing field `feed`",
        ),
    ] {
        let error = ConfiguredSource::parse_file(&text).expect_err(&text);
        assert!(error.message().contains(expected), "{}\n{text}", error.message());
        assert_eq!(error_line(&text, &error), expected_line, "{}\n{text}", error.message());
    }
}
