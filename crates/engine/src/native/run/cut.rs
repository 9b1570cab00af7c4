//! How columns and rows are cut into tasks.

use super::super::norm::Region;

/// A cut of columns, only as far as it takes to keep all threads busy: a column's result does not depend on it.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    pub cols: usize,
    pub unit: usize,
    pub cuts: usize,
}

impl Cut {
    /// Cuts `cols` columns at multiples of `unit`, for `chunks` chunks of rows.
    pub fn new(cols: usize, unit: usize, chunks: usize, threads: usize) -> Cut {
        Cut { cols, unit, cuts: (threads * 4).div_ceil(chunks).min(cols.div_ceil(unit)) }
    }

    /// The columns of cut `cut`: (first, end).
    pub fn range(&self, cut: usize) -> (usize, usize) {
        let units = self.cols.div_ceil(self.unit);
        (units * cut / self.cuts * self.unit, (units * (cut + 1) / self.cuts * self.unit).min(self.cols))
    }

    /// The columns of cut `cut` of some rows.
    pub fn region(&self, cut: usize, rows: Region) -> Region {
        let (first, end) = self.range(cut);
        Region { first_col: first, cols: end - first, ..rows }
    }
}

/// The rows of chunk `part`.
pub(super) fn chunk_region(part: usize, chunk: usize, n: usize, positions: usize, channels: usize) -> Region {
    let first = part * chunk;
    Region { first_row: first * positions, rows: (n - first).min(chunk) * positions, first_col: 0, cols: channels, channels }
}
