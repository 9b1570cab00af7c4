//! The matrix kernel: `C = A B (+ what is added)`, on which every convolution but the depthwise one and every Linear
//! runs, forward, input gradient and weight gradient.
//!
//! One tile of C is held in registers: [`Simd::TILE_ROWS`] rows by up to three vectors of columns. A is read element by
//! element (any row and depth stride, so a transposed A costs nothing), B by vectors along its rows. The depth is a list
//! of segments of equal length, each with its own place in A and B: a convolution's segments are the kernel taps that
//! fall inside the image (taps that meet only padding are left out, not multiplied by zero), a plain product has one.

use super::memory::At;
use super::simd::Simd;

/// Columns of a panel of B, in vectors.
pub(crate) const PANEL_VECTORS: usize = 3;

/// Where one run of the depth begins, in floats from the start of A and of B.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub a: usize,
    pub b: usize,
}

/// One product. `a[r, k]` is at `a + segment.a + r * a_row + k * a_step`; row `k` of panel `p` of B at
/// `b + segment.b + p * b_panel + k * b_step`; `c[r, j]` at `c + r * c_row + j`.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    pub segments: &'a [Segment],
    pub depth: usize,
    pub a: At,
    pub a_row: usize,
    pub a_step: usize,
    pub b: At,
    pub b_step: usize,
    pub b_panel: usize,
    pub c: At,
    pub c_row: usize,
    pub rows: usize,
    pub cols: usize,
    /// Added to the result: a bias (`add_row = 0`), or C itself (`add_row = c_row`) to accumulate; or nothing.
    pub add: At,
    pub add_row: usize,
}

/// The segment list of a plain product.
pub(crate) const WHOLE: &[Segment] = &[Segment { a: 0, b: 0 }];

/// Works out a product.
///
/// # Safety
/// Below `dispatch` for `S`. All addresses must be valid; B may be read up to a panel beyond its last column (the block's
/// read-ahead), and nothing may write A or B meanwhile.
#[inline(always)]
pub(crate) unsafe fn product<S: Simd>(p: Product<'_>) {
    let width = PANEL_VECTORS * S::LANES;
    let mut col = 0;
    while col < p.cols {
        let cols = (p.cols - col).min(width);
        unsafe {
            let b = p.b.add(col / width * p.b_panel);
            let c = p.c.add(col);
            let add = if p.add.is_some() { p.add.add(col) } else { At::NONE };
            let panel = Product { b, c, add, cols, ..p };
            match cols.div_ceil(S::LANES) {
                1 => rows::<S, 1>(panel),
                2 => rows::<S, 2>(panel),
                _ => rows::<S, 3>(panel),
            }
        }
        col += width;
    }
}

#[inline(always)]
unsafe fn rows<S: Simd, const V: usize>(p: Product<'_>) {
    let mut row = 0;
    unsafe {
        if S::TILE_ROWS == 8 {
            while p.rows - row >= 8 {
                tile::<S, 8, V>(&p, row);
                row += 8;
            }
        }
        while p.rows - row >= 4 {
            tile::<S, 4, V>(&p, row);
            row += 4;
        }
        while p.rows - row >= 2 {
            tile::<S, 2, V>(&p, row);
            row += 2;
        }
        if row < p.rows {
            tile::<S, 1, V>(&p, row);
        }
    }
}

#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(p: &Product<'_>, row: usize) {
    unsafe {
        let mut sums = [[S::splat(0.0); V]; R];
        for segment in p.segments {
            let mut a = p.a.ptr().cast_const().add(segment.a + row * p.a_row);
            let mut b = p.b.ptr().cast_const().add(segment.b);
            for _ in 0..p.depth {
                let mut columns = [S::splat(0.0); V];
                for (v, column) in columns.iter_mut().enumerate() {
                    *column = S::load(b.add(v * S::LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let value = S::splat(*a.add(r * p.a_row));
                    for (sum, &column) in sums.iter_mut().zip(&columns) {
                        *sum = S::fma(value, column, *sum);
                    }
                }
                a = a.wrapping_add(p.a_step);
                b = b.wrapping_add(p.b_step);
            }
        }
        let last = p.cols - (V - 1) * S::LANES;
        for (r, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let count = if v + 1 == V { last } else { S::LANES };
                let mut value = sum;
                if p.add.is_some() {
                    let add = p.add.ptr().add((row + r) * p.add_row + v * S::LANES);
                    value = S::add(value, S::load_upto(add, count));
                }
                S::store_upto(p.c.ptr().add((row + r) * p.c_row + v * S::LANES), value, count);
            }
        }
    }
}

/// Floats of a packed copy of a `[cols, depth]` matrix (see [`pack_panel`]) for vectors of `lanes`.
pub(crate) fn packed_len(cols: usize, depth: usize, lanes: usize) -> usize {
    cols.div_ceil(PANEL_VECTORS * lanes) * depth * PANEL_VECTORS * lanes
}

/// Copies the rows of panel `panel` of `from` (`[cols, depth]`, a weight matrix as PyTorch has it) into
/// `[depth, PANEL_VECTORS * lanes]`, so that the kernel reads B along the columns. Missing columns stay zero.
///
/// # Safety
/// Both addresses must be valid for their whole matrix.
pub(crate) unsafe fn pack_panel(from: At, cols: usize, depth: usize, to: At, panel: usize, lanes: usize) {
    let width = PANEL_VECTORS * lanes;
    let first = panel * width;
    let count = (cols - first).min(width);
    unsafe {
        let to = to.add(panel * depth * width).ptr();
        let from = from.add(first * depth).ptr();
        // Sixteen depths at a time: each source row gives a whole cache line.
        for k0 in (0..depth).step_by(16) {
            let k1 = (k0 + 16).min(depth);
            for col in 0..count {
                for k in k0..k1 {
                    *to.add(k * width + col) = *from.add(col * depth + k);
                }
            }
        }
    }
}
