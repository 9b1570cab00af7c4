//! Depthwise convolution: vectors run along the channels, and only the taps inside the image are worked out, so that a
//! 5x5 kernel on a 1x1 map costs one multiplication.
//!
//! Kernels of 3 and 5 with strides 1 and 2, which is all that MobileNets have, are compiled for their sizes ([`sized`]):
//! a few neighbouring columns are worked on together, each value is loaded once for all taps that read it, and which tap
//! that is the compiler knows. Anything else is in [`any_kernel`].

mod any_kernel;
mod sized;

use super::conv::{Forward, Geometry};
use super::memory::At;
use super::simd::{Kernel, Simd};

/// Channels of a task of the way back, in vectors.
const BLOCK_VECTORS: usize = 4;

/// How many tasks a way back should be at least: enough for several threads to share evenly.
const TASKS: usize = 16;

/// Channel blocks of a layer, for vectors of `lanes`.
pub(crate) fn blocks(g: &Geometry, lanes: usize) -> usize {
    g.out_c.div_ceil(BLOCK_VECTORS * lanes)
}

/// Into how many parts of images the way back is cut. A function of shape and batch, not of the number of threads: each
/// part has sums of its own of the weight gradient.
pub(crate) fn splits(blocks: usize, images: usize) -> usize {
    TASKS.div_ceil(blocks.max(1)).clamp(1, images.max(1))
}

/// Calls `$body` with the sizes of `$g` as constants `$K` (kernel), `$ST` (stride) and `$T` (columns at once, for rows of
/// `$width`), or `$other`.
macro_rules! for_sizes {
    ($g:expr, $width:expr, |$K:ident, $ST:ident, $T:ident| $body:expr, $other:expr) => {
        match ($g.kernel, $g.stride, $width) {
            _ if $g.padding != $g.kernel / 2 => $other,
            (3, 1, 1) => for_sizes!(@ 3 1 1 $K $ST $T $body),
            (3, 1, 2..=3) => for_sizes!(@ 3 1 2 $K $ST $T $body),
            (3, 1, _) => for_sizes!(@ 3 1 4 $K $ST $T $body),
            (3, 2, 1..=3) => for_sizes!(@ 3 2 2 $K $ST $T $body),
            (3, 2, _) => for_sizes!(@ 3 2 4 $K $ST $T $body),
            (5, 1, 1) => for_sizes!(@ 5 1 1 $K $ST $T $body),
            (5, 1, 2..=3) => for_sizes!(@ 5 1 2 $K $ST $T $body),
            (5, 1, _) => for_sizes!(@ 5 1 4 $K $ST $T $body),
            (5, 2, 1..=3) => for_sizes!(@ 5 2 2 $K $ST $T $body),
            (5, 2, _) => for_sizes!(@ 5 2 4 $K $ST $T $body),
            _ => $other,
        }
    };
    (@ $k:literal $s:literal $t:literal $K:ident $ST:ident $T:ident $body:expr) => {{
        const $K: usize = $k;
        const $ST: usize = $s;
        const $T: usize = $t;
        $body
    }};
}

/// Calls `$body` for each pair of vectors (or last single one) of `$cols` columns; `$last` is the number of lanes in the
/// last of its `$V` vectors.
macro_rules! for_column_pairs {
    ($S:ident, $cols:expr, |$col:ident, $last:ident, $V:ident| $body:expr) => {
        let mut $col = 0;
        while $col < $cols {
            let left = $cols - $col;
            if left > $S::LANES {
                const $V: usize = 2;
                let $last = (left - $S::LANES).min($S::LANES);
                $body
            } else {
                const $V: usize = 1;
                let $last = left;
                $body
            }
            $col += 2 * $S::LANES;
        }
    };
}

/// `z[n, y, x, c] = bias[c] + sum over taps of x[n, y', x', c] * weight[tap, c]`.
#[inline(always)]
pub(crate) unsafe fn forward<S: Simd>(f: &Forward<'_>) {
    unsafe {
        for_sizes!(
            f.g,
            f.g.out_w,
            |K, ST, T| {
                for_column_pairs!(S, f.cols, |col, last, V| sized::forward::<S, K, ST, T, V>(f, f.first_col + col, last));
            },
            any_kernel::forward::<S>(f)
        );
    }
}

/// The way back of some images and some channels: the input's gradient, and the images' part of the weights'.
#[derive(Clone, Copy)]
pub(crate) struct Backward<'a> {
    pub g: &'a Geometry,
    pub x: At,
    pub dz: At,
    /// `[k, k, channels]`.
    pub weight: At,
    /// The input's gradient, if it is wanted.
    pub dx: At,
    /// `[k, k, channels]`: these images' sums, if they are wanted.
    pub dw: At,
    pub first_image: usize,
    pub images: usize,
    /// Number of the channel block.
    pub block: usize,
    /// Add to what other readers of the input left in `dx`.
    pub accumulate_dx: bool,
    pub accumulate_dw: bool,
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (b, g) = (&self, self.g);
        let first_col = b.block * BLOCK_VECTORS * S::LANES;
        let cols = (g.in_c - first_col).min(BLOCK_VECTORS * S::LANES);
        unsafe {
            if b.dx.is_some() {
                for_sizes!(
                    g,
                    g.in_w,
                    |K, ST, T| {
                        for_column_pairs!(S, cols, |col, last, V| sized::backward_input::<S, K, ST, T, V>(b, first_col + col, last));
                    },
                    any_kernel::backward_input::<S>(b, first_col, cols)
                );
            }
            if b.dw.is_some() {
                for_sizes!(
                    g,
                    g.out_w,
                    |K, ST, T| {
                        for_column_pairs!(S, cols, |col, last, V| sized::backward_weight::<S, K, ST, T, V>(b, first_col + col, last));
                    },
                    any_kernel::backward_weight::<S>(b, first_col, cols)
                );
            }
        }
    }
}

/// The taps that read input coordinate `at`: the first and how many; tap `first + i * stride` is in output
/// `(at + padding - tap) / stride`.
#[inline(always)]
fn readers(g: &Geometry, at: usize, out_size: usize) -> (usize, usize) {
    let reach = at + g.padding;
    // The output coordinate falls as the tap rises: skip taps whose output lies beyond the map.
    let mut first = reach % g.stride;
    while first < g.kernel && first <= reach && (reach - first) / g.stride >= out_size {
        first += g.stride;
    }
    let end = g.kernel.min(reach + 1);
    (first, end.saturating_sub(first).div_ceil(g.stride))
}
