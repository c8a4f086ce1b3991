//! Markdown tables, and the claims that they must bear out.

use std::fmt::Write;

/// A table with a heading for each column.
pub struct Table {
    columns: usize,
    text: String,
}

impl Table {
    /// A table without rows.
    pub fn new(headings: &[&str]) -> Self {
        let mut table = Self {
            columns: headings.len(),
            text: String::new(),
        };
        table.line(headings.iter().map(ToString::to_string));
        table.line(headings.iter().map(|_| "---".to_string()));
        table
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(
            cells.len(),
            self.columns,
            "a row has a cell for each column"
        );
        self.line(cells.into_iter());
    }

    fn line(&mut self, cells: impl Iterator<Item = String>) {
        for cell in cells {
            let _ = write!(self.text, "| {cell} ");
        }
        self.text.push_str("|\n");
    }

    /// The table as Markdown.
    pub fn markdown(&self) -> &str {
        &self.text
    }
}

/// A probability or share in percent, with as many digits as it deserves.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value.abs() {
        0.0 => "0 %".into(),
        v if v < 0.001 => "< 0.001 %".into(),
        v if v < 0.1 => format!("{value:.3} %"),
        v if v < 10.0 => format!("{value:.2} %"),
        _ => format!("{value:.1} %"),
    }
}

/// An amount, with as many digits as it deserves.
pub fn amount(value: f64) -> String {
    match value.abs() {
        v if v < 0.0005 && v > 0.0 => format!("{value:.5}"),
        v if v < 10.0 => format!("{value:.3}"),
        v if v < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// What a part of the simulation found: text to print and claims to hold.
#[derive(Default)]
pub struct Report {
    text: String,
    claims: Vec<Claim>,
}

/// A sentence that the figures bear out, or not.
pub struct Claim {
    /// What is claimed, with the figure that decides it.
    pub sentence: String,
    /// Whether it holds.
    pub holds: bool,
}

impl Report {
    /// Adds a heading.
    pub fn heading(&mut self, title: &str) {
        let _ = writeln!(self.text, "## {title}\n");
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.text, "{text}\n");
    }

    /// Adds a table.
    pub fn table(&mut self, table: &Table) {
        let _ = writeln!(self.text, "{}", table.markdown());
    }

    /// States a claim.
    pub fn claim(&mut self, holds: bool, sentence: String) {
        self.claims.push(Claim { sentence, holds });
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The claims so far.
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(&["a", "b"]);
        table.row(vec!["1".into(), percent(0.5)]);
        assert_eq!(
            table.markdown(),
            "| a | b |\n| --- | --- |\n| 1 | 50.0 % |\n"
        );
    }

    #[test]
    fn small_shares_keep_their_digits() {
        assert_eq!(percent(0.000_5), "0.050 %");
        assert_eq!(percent(0.000_001), "< 0.001 %");
        assert_eq!(percent(0.043_57), "4.36 %");
        assert_eq!(percent(0.0), "0 %");
    }

    #[test]
    #[should_panic(expected = "a cell for each column")]
    fn a_row_that_does_not_fit_is_refused() {
        Table::new(&["a"]).row(vec![]);
    }
}
