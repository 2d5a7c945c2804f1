//! Text tables that are readable in a terminal and valid Markdown.

use std::fmt::Write;

#[derive(Debug)]
pub(crate) struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headers: impl Into<Vec<&'static str>>) -> Self {
        Self { headers: headers.into(), rows: Vec::new() }
    }

    pub(crate) fn push_row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    pub(crate) fn render(&self) -> String {
        let widths: Vec<usize> = self
            .headers
            .iter()
            .enumerate()
            .map(|(column, header)| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).fold(header.chars().count(), usize::max)
            })
            .collect();
        let mut text = String::new();
        write_row(&mut text, &widths, self.headers.iter().copied());
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        write_row(&mut text, &widths, rules.iter().map(String::as_str));
        for row in &self.rows {
            write_row(&mut text, &widths, row.iter().map(String::as_str));
        }
        text
    }
}

/// Writes a row; the first column, a name, is left-aligned, all others are right-aligned.
fn write_row<'a>(text: &mut String, widths: &[usize], cells: impl Iterator<Item = &'a str>) {
    for (column, (cell, width)) in cells.zip(widths).enumerate() {
        let _ = match column {
            0 => write!(text, "| {cell:<width$} "),
            _ => write!(text, "| {cell:>width$} "),
        };
    }
    text.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["who", "×"]);
        table.push_row(["nginx".to_owned(), "1.00".to_owned()]);
        let expected = "| who   |    × |\n| ----- | ---- |\n| nginx | 1.00 |\n";
        assert_eq!(table.render(), expected);
    }
}
