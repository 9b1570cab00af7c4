//! Columns of text.

use super::style::width;

/// Which side of its column a cell keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows of cells, each column as wide as its widest cell.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns. Rows with fewer cells end early.
    pub fn new(columns: &[Align]) -> Self {
        Self { columns: columns.to_vec(), rows: vec![] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines, each behind `indent`, without spaces at their ends.
    pub fn render(&self, indent: &str) -> String {
        let column = |index: usize| self.rows.iter().filter_map(|row| row.get(index)).map(|cell| width(cell)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(column).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = indent.to_owned();
            for (index, cell) in row.iter().enumerate() {
                let room = widths.get(index).copied().unwrap_or(0).saturating_sub(width(cell));
                let gap = if index == 0 { "" } else { "  " };
                let (before, after) = if self.columns.get(index) == Some(&Align::Right) { (room, 0) } else { (0, room) };
                line += &format!("{gap}{}{cell}{}", " ".repeat(before), " ".repeat(after));
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&[Align::Left, Align::Right]);
        table.row(["layer", "parameters"]);
        table.row(["features.0", "432"]);
        table.row(["end"]);
        assert_eq!(table.render("  "), "  layer       parameters\n  features.0         432\n  end\n");
    }
}
