//! The matrix kernel: `C = A B (+ what is added)`, on which every convolution but the depthwise one and every Linear
//! runs, forward, input gradient and weight gradient.
//!
//! One tile of C is held in registers: up to [`Simd::TILE_ROWS`] rows by [`Simd::TILE_VECTORS`] vectors of columns, as
//! many as a level's registers hold (12 sums, 2 vectors of B and one of A at AVX2; a tile that needs all sixteen makes
//! the compiler spill, at half the speed). A is read element by element (any row and depth stride, so a transposed A
//! costs nothing), B by vectors along its rows. The depth is a list of segments of equal length, each with its own place
//! in A and B: a convolution's segments are the kernel taps that fall inside the image (taps that meet only padding are
//! left out, not multiplied by zero), a plain product has one. Long depths are cut into blocks whose part of B stays in
//! the first-level cache while the rows go by.

use super::memory::At;
use super::norm::{Elementwise, with_activation};
use super::simd::Simd;
use anmok_graph::Activation;

/// Where one run of the depth begins: in floats from the start of A's row; in B in floats, or in rows of the panel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub a: usize,
    pub b: usize,
}

/// The segment list of a plain product.
pub(crate) const WHOLE: &[Segment] = &[Segment { a: 0, b: 0 }];

/// The rows of a product. Row `r` is `outer = r / inner`, `r % inner`; its A begins at `outer * a_outer + (r % inner) *
/// a_inner`, its C likewise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    pub count: usize,
    pub inner: usize,
    pub a_inner: usize,
    pub a_outer: usize,
    pub c_inner: usize,
    pub c_outer: usize,
}

impl Rows {
    /// `count` rows, `a` and `c` floats apart.
    pub const fn plain(count: usize, a: usize, c: usize) -> Rows {
        Rows { count, inner: usize::MAX, a_inner: a, a_outer: 0, c_inner: c, c_outer: 0 }
    }

    #[inline(always)]
    fn offsets(&self, row: usize) -> (usize, usize) {
        if row < self.inner {
            (row * self.a_inner, row * self.c_inner)
        } else {
            let (outer, inner) = (row / self.inner, row % self.inner);
            (outer * self.a_outer + inner * self.a_inner, outer * self.c_outer + inner * self.c_inner)
        }
    }
}

/// How B lies in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Columns {
    /// In panels of `width` columns (at most [`Simd::TILE_VECTORS`] vectors), each `[depth, its columns]`, `panel_rows` rows of
    /// depth in all. The last panel is as narrow as what is left of the columns.
    Panels { panel_rows: usize, width: usize },
    /// As a matrix whose rows are `step` floats apart.
    Matrix { step: usize },
}

/// What the result is added to.
#[derive(Clone, Copy)]
pub(crate) enum Addend {
    Nothing,
    /// A vector of columns.
    Bias(At),
    /// What C holds already.
    Result,
}

impl Addend {
    /// [`Addend::Result`] if `yes`.
    #[inline(always)]
    pub fn result_if(yes: bool) -> Addend {
        if yes { Addend::Result } else { Addend::Nothing }
    }
}

/// The segment list again and again: `count` times, `a` and `b` floats apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeats {
    pub count: usize,
    pub a: usize,
    pub b: usize,
}

impl Repeats {
    /// Once.
    pub const ONCE: Repeats = Repeats { count: 1, a: 0, b: 0 };
}

/// One product. `a[r, k]` is at `a + segment.a + row offset + k * a_step`.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    pub segments: &'a [Segment],
    /// Length of each segment.
    pub depth: usize,
    /// The segments come so many times (for as many images), so far apart in A and B.
    pub repeats: Repeats,
    pub a: At,
    pub a_step: usize,
    pub b: At,
    pub columns: Columns,
    pub rows: Rows,
    pub c: At,
    pub cols: usize,
    pub addend: Addend,
    /// Applied to the sum.
    pub activation: Option<Activation>,
}

/// Depth of a block: a panel's part of B is then 16 KiB at AVX2, half of the first-level cache.
const BLOCK_DEPTH: usize = 256;

/// One panel's block of the depth.
#[derive(Clone, Copy)]
struct Block<'a> {
    segments: &'a [Segment],
    depth: usize,
    repeats: Repeats,
    a: *const f32,
    a_step: usize,
    b: *const f32,
    b_step: usize,
    /// Floats of B per unit of [`Segment::b`].
    b_unit: usize,
    rows: Rows,
    c: *mut f32,
    cols: usize,
    addend: Addend,
    activation: Option<Activation>,
}

/// Works out a product: the body of [`Simd::product`], which every level compiles once.
///
/// # Safety
/// Below `dispatch` for `S`. All addresses must be valid; B may be read up to a vector beyond its last element, and
/// nothing may write A or B meanwhile.
#[inline(always)]
pub(crate) unsafe fn product<S: Simd>(p: &Product<'_>) {
    let width = match p.columns {
        Columns::Panels { width, .. } => width,
        Columns::Matrix { .. } => S::TILE_VECTORS * S::LANES,
    };
    let blocks = if p.repeats.count > 1 { Cut::None } else { cut_depth(p.segments.len(), p.depth) };
    let mut col = 0;
    while col < p.cols {
        let cols = (p.cols - col).min(width);
        unsafe {
            let (b, b_step, b_unit) = match p.columns {
                Columns::Panels { panel_rows, .. } => (p.b.add(col * panel_rows), cols, cols),
                Columns::Matrix { step } => (p.b.add(col), step, 1),
            };
            let addend = match p.addend {
                Addend::Bias(bias) => Addend::Bias(bias.add(col)),
                other => other,
            };
            let whole = Block {
                segments: p.segments,
                depth: p.depth,
                repeats: p.repeats,
                a: p.a.ptr(),
                a_step: p.a_step,
                b: b.ptr(),
                b_step,
                b_unit,
                rows: p.rows,
                c: p.c.add(col).ptr(),
                cols,
                addend,
                activation: p.activation,
            };
            match blocks {
                Cut::None => panel::<S>(&whole),
                Cut::Segments(count) => {
                    let len = p.segments.len();
                    for i in 0..count {
                        let segments = &p.segments[len * i / count..len * (i + 1) / count];
                        panel::<S>(&Block { segments, ..whole.part(i, count) });
                    }
                }
                Cut::Depth(count) => {
                    let parts = p.segments.len() * count;
                    for i in 0..parts {
                        let (segment, part) = (i / count, i % count);
                        let (first, end) = (p.depth * part / count, p.depth * (part + 1) / count);
                        panel::<S>(&Block {
                            segments: &p.segments[segment..segment + 1],
                            depth: end - first,
                            a: whole.a.add(first * p.a_step),
                            b: whole.b.add(first * b_step),
                            ..whole.part(i, parts)
                        });
                    }
                }
            }
        }
        col += cols;
    }
}

impl Block<'_> {
    /// The same with the addend and activation of block `i` of `count`.
    #[inline(always)]
    fn part(&self, i: usize, count: usize) -> Self {
        let addend = if i == 0 { self.addend } else { Addend::Result };
        let activation = if i + 1 == count { self.activation } else { None };
        Block { addend, activation, ..*self }
    }
}

/// How a long depth is cut.
#[derive(Clone, Copy)]
enum Cut {
    None,
    /// Into so many groups of segments.
    Segments(usize),
    /// Each segment into so many parts.
    Depth(usize),
}

#[inline(always)]
fn cut_depth(segments: usize, depth: usize) -> Cut {
    if segments * depth <= BLOCK_DEPTH * 3 / 2 {
        Cut::None
    } else if depth <= BLOCK_DEPTH {
        Cut::Segments((segments * depth).div_ceil(BLOCK_DEPTH).min(segments))
    } else {
        Cut::Depth(depth.div_ceil(BLOCK_DEPTH))
    }
}

#[inline(always)]
unsafe fn panel<S: Simd>(b: &Block<'_>) {
    unsafe {
        match b.cols.div_ceil(S::LANES) {
            1 => rows::<S, 1>(b),
            2 => rows::<S, 2>(b),
            _ => rows::<S, 3>(b),
        }
    }
}

/// Cuts the rows into tiles of nearly equal height: a last tile of one or two rows would run at a third of the speed.
#[inline(always)]
unsafe fn rows<S: Simd, const V: usize>(b: &Block<'_>) {
    if V > S::TILE_VECTORS {
        return;
    }
    let tiles = b.rows.count.div_ceil(S::TILE_ROWS);
    let mut row = 0;
    for i in 0..tiles {
        let end = b.rows.count * (i + 1) / tiles;
        unsafe {
            match end - row {
                1 => tile::<S, 1, V>(b, row),
                2 => tile::<S, 2, V>(b, row),
                3 => tile::<S, 3, V>(b, row),
                4 => tile::<S, 4, V>(b, row),
                5 => tile::<S, 5, V>(b, row),
                6 => tile::<S, 6, V>(b, row),
                7 if S::TILE_ROWS > 6 => tile::<S, 7, V>(b, row),
                _ if S::TILE_ROWS > 6 => tile::<S, 8, V>(b, row),
                _ => {}
            }
        }
        row = end;
    }
}

#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(block: &Block<'_>, row: usize) {
    unsafe {
        let mut a_rows = [block.a; R];
        let mut c_rows = [block.c; R];
        for r in 0..R {
            let (a, c) = block.rows.offsets(row + r);
            a_rows[r] = block.a.add(a);
            c_rows[r] = block.c.add(c);
        }
        let mut sums = [[S::splat(0.0); V]; R];
        for repeat in 0..block.repeats.count {
            let (a_from, b_from) = (repeat * block.repeats.a, block.b.add(repeat * block.repeats.b));
            for segment in block.segments {
                let mut at = a_from + segment.a;
                let mut b = b_from.add(segment.b * block.b_unit);
                for _ in 0..block.depth {
                    let mut columns = [S::splat(0.0); V];
                    for (v, column) in columns.iter_mut().enumerate() {
                        *column = S::load(b.add(v * S::LANES));
                    }
                    for (sums, a) in sums.iter_mut().zip(&a_rows) {
                        let value = S::splat(*a.add(at));
                        for (sum, &column) in sums.iter_mut().zip(&columns) {
                            *sum = S::fma(value, column, *sum);
                        }
                    }
                    at += block.a_step;
                    b = b.wrapping_add(block.b_step);
                }
            }
        }
        with_activation!(block.activation, A => store_tile::<S, A, R, V>(block, c_rows, sums));
    }
}

#[inline(always)]
unsafe fn store_tile<S: Simd, A: Elementwise, const R: usize, const V: usize>(b: &Block<'_>, c: [*mut f32; R], sums: [[S::V; V]; R]) {
    let last = b.cols - (V - 1) * S::LANES;
    unsafe {
        for (c, sums) in c.into_iter().zip(sums) {
            for (v, sum) in sums.into_iter().enumerate() {
                let count = if v + 1 == V { last } else { S::LANES };
                let c = c.add(v * S::LANES);
                let value = match b.addend {
                    Addend::Nothing => sum,
                    Addend::Bias(bias) => S::add(sum, S::load_upto(bias.ptr().add(v * S::LANES), count)),
                    Addend::Result => S::add(sum, S::load_upto(c, count)),
                };
                S::store_upto(c, A::value::<S>(value), count);
            }
        }
    }
}

/// Transposes a block of `rows` by `cols` floats.
///
/// # Safety
/// Below `dispatch` for `S`; both addresses must be valid for the block.
#[inline(always)]
pub(crate) unsafe fn transpose<S: Simd>(from: *const f32, from_step: usize, to: *mut f32, to_step: usize, rows: usize, cols: usize) {
    let side = S::TRANSPOSED;
    let (whole_rows, whole_cols) = (rows / side * side, cols / side * side);
    unsafe {
        for row in (0..whole_rows).step_by(side) {
            for col in (0..whole_cols).step_by(side) {
                S::transpose(from.add(row * from_step + col), from_step, to.add(col * to_step + row), to_step);
            }
        }
        for row in 0..rows {
            let first = if row < whole_rows { whole_cols } else { 0 };
            for col in first..cols {
                *to.add(col * to_step + row) = *from.add(row * from_step + col);
            }
        }
    }
}
