use super::*;

fn check(list: &str, expected: &str) {
    let prefix = "#EXT-X-ANY:";
    let input = format!("{prefix}{list}");
    let tag = Tag { name: b"EXT-X-ANY", value: list.as_bytes(), value_start: prefix.len() };
    let parsed: Vec<String> = tag
        .attributes()
        .map(|attribute| {
            let range = attribute.value_start..attribute.value_start + attribute.value.len();
            assert_eq!(
                &input.as_bytes()[range],
                attribute.value,
                "{list}: the offset is the value's"
            );
            let whole = &input.as_bytes()[attribute.start..attribute.end];
            assert!(whole.starts_with(attribute.name), "{list}: {}", whole.escape_ascii());
            format!(
                "{}={}",
                String::from_utf8_lossy(attribute.name),
                String::from_utf8_lossy(attribute.value)
            )
        })
        .collect();
    assert_eq!(parsed.join("|"), expected, "{list}");
}

#[test]
fn lists() {
    for (list, expected) in [
        ("", ""),
        ("A=1", "A=1"),
        ("A=1,B=\"2\"", "A=1|B=2"),
        ("NAME=\"a,URI=b\",URI=\"c\"", "NAME=a,URI=b|URI=c"),
        ("BANDWIDTH=1,AVERAGE-BANDWIDTH=2", "BANDWIDTH=1|AVERAGE-BANDWIDTH=2"),
        (" A = 1 , B = \"2\" ", "A=1|B=2"),
        ("A=1,,B=2,", "A=1|B=2"),
        ("URI=a.ts,B=2", "URI=a.ts|B=2"),
        ("URI=a.ts?x=1&y=2,B=2", "URI=a.ts?x=1&y=2|B=2"),
        ("URI=my file.ts,B=2", "URI=my file.ts|B=2"),
        ("A=1 URI=\"b\"", "A=1|URI=b"),
        ("A=\"1\" URI=\"b\"", "A=1|URI=b"),
        ("A=\"1\"junk,URI=\"b\"", "A=1|URI=b"),
        ("URI=\"never closed", "URI=never closed"),
        ("URI=\" padded \"", "URI=padded"),
        ("URI='a,b'", "URI='a"),
        ("NAME='x URI=\"y\"',URI=z", "NAME='x|URI=y|URI=z"),
        ("FLAG,URI=\"b\"", "URI=b"),
        ("FLAG URI=\"b\"", "URI=b"),
        ("\"stray,URI=x\",URI=\"b\"", "URI=b"),
        ("A=,B=\"\"", "A=|B="),
        ("=x", "=x"),
        ("A=\u{e9}\u{85}b,C=d", "A=\u{e9}\u{85}b|C=d"),
        ("URI=\"a\",URI=\"b\"", "URI=a|URI=b"),
    ] {
        check(list, expected);
    }
}

#[test]
fn last_duplicate_wins() {
    let tag = Tag { name: b"EXT-X-ANY", value: b"A=1,a=2,B=YES", value_start: 0 };
    assert_eq!(tag.find_attribute_value("A"), Some(&b"2"[..]));
    assert!(tag.is_attribute_yes("B"));
    assert!(!tag.is_attribute_yes("A"));
    assert_eq!(tag.find_attribute_value("C"), None);
}
