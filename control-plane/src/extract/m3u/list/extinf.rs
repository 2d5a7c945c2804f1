//! [`ExtInf`]: `#EXTINF` taken apart, in the forms that lists write it in. Does no I/O.

/// `-1 tvg-id="a" group-title="B",Title`: a duration, attributes and a title. Lists also write a
/// comma behind the duration or between attributes, single quotes, and no quotes.
pub(super) struct ExtInf<'a> {
    attributes: Vec<Attribute<'a>>,
    pub(super) title: &'a str,
}

struct Attribute<'a> {
    name: &'a str,
    value: &'a str,
    is_quoted: bool,
}

impl<'a> ExtInf<'a> {
    /// Parses what stands behind `#EXTINF:`. The title begins behind the first comma that no
    /// attribute follows.
    pub(super) fn parse(info: &'a str) -> Self {
        let is_duration = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
        let mut rest = info.trim_start().trim_start_matches(is_duration);
        let mut attributes = Vec::new();
        let title = loop {
            rest = rest.trim_start();
            if let Some((attribute, tail)) = Attribute::split_from(rest) {
                attributes.push(attribute);
                rest = tail;
            } else if let Some(after) = rest.strip_prefix(',') {
                if !begins_with_attributes(after) {
                    break after.trim();
                }
                rest = after;
            } else if rest.is_empty() {
                break "";
            } else {
                // A word that is no attribute.
                rest = rest.trim_start_matches(|c: char| !c.is_whitespace() && c != ',');
            }
        };
        Self { attributes, title }
    }

    /// The value of the first attribute of this name that has one.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a str> {
        let mut values = self
            .attributes
            .iter()
            .filter(|attribute| attribute.name.eq_ignore_ascii_case(name))
            .map(|attribute| attribute.value.trim());
        values.find(|value| !value.is_empty())
    }
}

/// Whether the text behind a comma goes on with attributes: a title may look like one, but has no
/// quotes and no comma behind it.
fn begins_with_attributes(after: &str) -> bool {
    Attribute::split_from(after.trim_start())
        .is_some_and(|(attribute, tail)| attribute.is_quoted && tail.contains(','))
}

impl<'a> Attribute<'a> {
    /// The attribute at the beginning of `text`, and the text behind it.
    fn split_from(text: &'a str) -> Option<(Self, &'a str)> {
        let (name, rest) = split_name(text)?;
        let Some((inside, quotes)) = strip_quote(rest) else {
            let end = rest.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(rest.len());
            let (value, tail) = rest.split_at(end);
            return Some((Self { name, value, is_quoted: false }, tail));
        };
        let end = inside.match_indices(quotes).find(|(at, quote)| {
            inside.get(at + quote.len()..).is_some_and(|behind| {
                behind.is_empty()
                    || behind.starts_with(|c: char| c.is_whitespace() || c == ',')
                    || split_name(behind).is_some()
            })
        });
        let (value, tail) = match end {
            Some((end, quote)) => (inside.get(..end)?, inside.get(end + quote.len()..)?),
            // The quote is never closed: players take the text after the last comma as the title.
            None => inside.split_at(inside.rfind(',').unwrap_or(inside.len())),
        };
        Some((Self { name, value, is_quoted: true }, tail))
    }
}

/// The text behind a quote, and the quotes that may close it. Editors turn straight quotes into
/// curly ones.
fn strip_quote(text: &str) -> Option<(&str, &'static [char])> {
    let quotes: [&'static [char]; 4] = [&['"'], &['\''], &['“', '”', '„'], &['‘', '’']];
    quotes.into_iter().find_map(|quotes| Some((text.strip_prefix(quotes)?, quotes)))
}

/// The name of an attribute, and the text behind its `=`, which spaces may surround.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let (name, rest) = text.split_at(text.find(|c: char| !is_name(c))?);
    let value = rest.trim_start().strip_prefix('=').filter(|_| !name.is_empty())?;
    // `tvg-id= group-title="A"` has no value.
    let quoted = Some(value.trim_start()).filter(|value| strip_quote(value).is_some());
    Some((name, quoted.unwrap_or(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (info, title, group) in [
            ("-1,One", "One", ""),
            ("-1", "", ""),
            ("", "", ""),
            ("-1 , One, two ", "One, two", ""),
            (r#"-1 tvg-id="a,b" group-title="Sports, live",One, two"#, "One, two", "Sports, live"),
            (r#"-1,tvg-id="f1.one" group-title="News",World feed"#, "World feed", "News"),
            (
                r#"0, tvg-logo="http://l/2.png" group-title="News", 7 - Pit lane"#,
                "7 - Pit lane",
                "News",
            ),
            (r#"-1 tvg-id="a", group-title="News",One"#, "One", "News"),
            ("-1 tvg-id='420' tvg-name='On 7' group-title='News, live',On 7", "On 7", "News, live"),
            ("-1 tvg-id=f1.four group-title=News,Driver tracker", "Driver tracker", "News"),
            ("-1 group-title=Two words,One", "One", "Two"),
            (r#"-1 GROUP-TITLE="News",One"#, "One", "News"),
            (r#"-1 group-title="A"tvg-id="b",One"#, "One", "A"),
            (r#"-1tvg-id="b" group-title="A",One"#, "One", "A"),
            (r#"-1 group-title="" group-title="A",One"#, "One", "A"),
            (r#"-1 tvg-name="The "Best" of" group-title="A",One"#, "One", "A"),
            (r#"-1 tvg-name="'s Morgens" group-title='A "B"',One"#, "One", r#"A "B""#),
            (r#"-1 radio tvg-id="x" group-title="A" 7,One"#, "One", "A"),
            (r#"-1 tvg-id = "x" group-title= "A, B",One"#, "One", "A, B"),
            (r#"-1 tvg-id= group-title="A",One"#, "One", "A"),
            ("-1 tvg-name=“A, B” group-title=„C, D“,One", "One", "C, D"),
            ("-1 group-title=‘A’,Driver’s eye", "Driver’s eye", "A"),
            ("-1 tvg-id=,One", "One", ""),
            // A quote that is never closed.
            (r#"0 group-title="x, y,Name"#, "Name", "x, y"),
            ("0 tvg-name='s-Hertogenbosch TV,Name", "Name", ""),
            // Titles that look like attributes.
            ("-1,a=b, c", "a=b, c", ""),
            (r#"-1,Race="Best" of"#, r#"Race="Best" of"#, ""),
            (r#"-1 group-title="A",Race "7", live"#, r#"Race "7", live"#, "A"),
        ] {
            let found = ExtInf::parse(info);
            let found = (found.title, found.attribute("group-title").unwrap_or_default());
            assert_eq!(found, (title, group), "{info}");
        }
    }
}
