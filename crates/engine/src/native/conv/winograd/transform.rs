//! The transforms: a few additions along a line of numbers, applied to a square along its rows and then its columns.
//!
//! They are those of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), but for two liberties: the
//! halves of the kernel's transform are taken on the way out, where a multiply-add has them for nothing, and the last row
//! has the other sign, which saves a negation. The weight gradient's are the same ones transposed.

use crate::native::simd::Simd;

/// A transform of `I` numbers to `O`.
pub(super) trait Line<const I: usize, const O: usize> {
    unsafe fn line<S: Simd>(v: [S::V; I]) -> [S::V; O];
}

/// Four neighbouring inputs to what is multiplied.
pub(super) struct Input;
/// Three weights to what is multiplied; twice too large in the middle.
pub(super) struct Weights;
/// Four products to two outputs.
pub(super) struct Result;
/// The gradients of two outputs to those of the products, twice too large in the middle.
pub(super) struct Gradient;
/// The gradients of what was multiplied to those of the three weights.
pub(super) struct WeightGradient;

impl Line<4, 4> for Input {
    #[inline(always)]
    unsafe fn line<S: Simd>([a, b, c, d]: [S::V; 4]) -> [S::V; 4] {
        unsafe { [S::sub(a, c), S::add(b, c), S::sub(c, b), S::sub(d, b)] }
    }
}

impl Line<3, 4> for Weights {
    #[inline(always)]
    unsafe fn line<S: Simd>([a, b, c]: [S::V; 3]) -> [S::V; 4] {
        unsafe {
            let ends = S::add(a, c);
            [a, S::add(ends, b), S::sub(ends, b), c]
        }
    }
}

impl Line<4, 2> for Result {
    #[inline(always)]
    unsafe fn line<S: Simd>([a, b, c, d]: [S::V; 4]) -> [S::V; 2] {
        unsafe { [S::fma(S::splat(0.5), S::add(b, c), a), S::fma(S::splat(0.5), S::sub(b, c), d)] }
    }
}

impl Line<2, 4> for Gradient {
    #[inline(always)]
    unsafe fn line<S: Simd>([a, b]: [S::V; 2]) -> [S::V; 4] {
        unsafe { [a, S::add(a, b), S::sub(a, b), b] }
    }
}

impl Line<4, 3> for WeightGradient {
    #[inline(always)]
    unsafe fn line<S: Simd>([a, b, c, d]: [S::V; 4]) -> [S::V; 3] {
        unsafe {
            let (half, sum) = (S::splat(0.5), S::add(b, c));
            [S::fma(half, sum, a), S::mul(half, S::sub(b, c)), S::fma(half, sum, d)]
        }
    }
}

/// A square along its rows, then along its columns.
#[inline(always)]
pub(super) unsafe fn square<S: Simd, L: Line<I, O>, const I: usize, const O: usize>(from: [[S::V; I]; I]) -> [[S::V; O]; O] {
    unsafe {
        let zero = S::splat(0.0);
        let mut rows = [[zero; O]; I];
        for (to, row) in rows.iter_mut().zip(from) {
            *to = L::line::<S>(row);
        }
        let mut squared = [[zero; O]; O];
        for column in 0..O {
            let mut line = [zero; I];
            for (value, row) in line.iter_mut().zip(&rows) {
                *value = row[column];
            }
            let line = L::line::<S>(line);
            for (row, value) in squared.iter_mut().zip(line) {
                row[column] = value;
            }
        }
        squared
    }
}

/// A vector of each of `N` by `N` places, `offset` floats further on; its first `lanes` lanes unless it is `WHOLE`.
#[inline(always)]
pub(super) unsafe fn read<S: Simd, const WHOLE: bool, const N: usize>(
    from: &[[*mut f32; N]; N],
    offset: usize,
    lanes: usize,
) -> [[S::V; N]; N] {
    unsafe {
        let mut square = [[S::splat(0.0); N]; N];
        for (row, from) in square.iter_mut().zip(from) {
            for (value, from) in row.iter_mut().zip(from) {
                let from = from.wrapping_add(offset);
                *value = if WHOLE { S::load(from) } else { S::load_partial(from, lanes) };
            }
        }
        square
    }
}

/// The reverse of [`read`].
#[inline(always)]
pub(super) unsafe fn write<S: Simd, const WHOLE: bool, const N: usize>(
    square: [[S::V; N]; N],
    to: &[[*mut f32; N]; N],
    offset: usize,
    lanes: usize,
) {
    unsafe {
        for (row, to) in square.into_iter().zip(to) {
            for (value, to) in row.into_iter().zip(to) {
                let to = to.wrapping_add(offset);
                if WHOLE { S::store(to, value) } else { S::store_partial(to, value, lanes) }
            }
        }
    }
}

/// Places `step` floats apart, row by row.
#[inline(always)]
pub(super) fn places<const N: usize>(first: *mut f32, step: usize) -> [[*mut f32; N]; N] {
    let mut places = [[first; N]; N];
    for (row, places) in places.iter_mut().enumerate() {
        for (column, place) in places.iter_mut().enumerate() {
            *place = first.wrapping_add((N * row + column) * step);
        }
    }
    places
}

/// Calls `$f::<S, WHOLE>(.., i, lanes)` for the whole vectors of `$count` floats and for what is left.
macro_rules! for_vectors {
    ($S:ident, $count:expr, |$i:ident, $lanes:ident, $WHOLE:ident| $body:expr) => {
        let whole = $count / $S::LANES * $S::LANES;
        for $i in (0..whole).step_by($S::LANES) {
            const $WHOLE: bool = true;
            let $lanes = $S::LANES;
            $body
        }
        if whole < $count {
            const $WHOLE: bool = false;
            let ($i, $lanes) = (whole, $count - whole);
            $body
        }
    };
}
pub(super) use for_vectors;
