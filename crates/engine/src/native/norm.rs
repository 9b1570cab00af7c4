//! Batch statistics, normalisation and activation, forward and backward, on `[rows, channels]` matrices.
//!
//! A map of n images is a matrix with one row per position. Columns are worked on in groups of up to four vectors, whose
//! coefficients stay in registers while the rows go by.

use super::memory::At;
use super::simd::{Kernel, Simd};
use anmok_graph::Activation;

/// An elementwise function as a type, so that each kernel is compiled for each.
pub(crate) trait Elementwise {
    /// The value at `u`.
    unsafe fn value<S: Simd>(u: S::V) -> S::V;
    /// The slope at `u`, with PyTorch's choice at the kinks.
    unsafe fn slope<S: Simd>(u: S::V) -> S::V;
}

/// No activation.
pub(crate) struct Identity;
/// `max(u, 0)`.
pub(crate) struct Relu;
/// `u * clamp(u + 3, 0, 6) / 6`.
pub(crate) struct Hardswish;
/// `clamp(u + 3, 0, 6) / 6`.
pub(crate) struct Hardsigmoid;

impl Elementwise for Identity {
    #[inline(always)]
    unsafe fn value<S: Simd>(u: S::V) -> S::V {
        u
    }
    #[inline(always)]
    unsafe fn slope<S: Simd>(_: S::V) -> S::V {
        unsafe { S::splat(1.0) }
    }
}

impl Elementwise for Relu {
    #[inline(always)]
    unsafe fn value<S: Simd>(u: S::V) -> S::V {
        // NaN must pass through: max(0, NaN) is its second operand, NaN.
        unsafe { S::max(S::splat(0.0), u) }
    }
    #[inline(always)]
    unsafe fn slope<S: Simd>(u: S::V) -> S::V {
        unsafe { S::if_greater(u, S::splat(0.0), S::splat(1.0), S::splat(0.0)) }
    }
}

#[inline(always)]
unsafe fn relu6_of_3_plus<S: Simd>(u: S::V) -> S::V {
    unsafe { S::min(S::splat(6.0), S::max(S::splat(0.0), S::add(u, S::splat(3.0)))) }
}

impl Elementwise for Hardswish {
    #[inline(always)]
    unsafe fn value<S: Simd>(u: S::V) -> S::V {
        unsafe { S::mul(S::mul(u, relu6_of_3_plus::<S>(u)), S::splat(1.0 / 6.0)) }
    }
    #[inline(always)]
    unsafe fn slope<S: Simd>(u: S::V) -> S::V {
        // PyTorch: 0 below -3, 1 from 3 on, u / 3 + 1/2 between (ATen, hardswish_backward).
        unsafe {
            let between = S::fma(u, S::splat(1.0 / 3.0), S::splat(0.5));
            let upper = S::if_greater(S::splat(3.0), u, between, S::splat(1.0));
            S::if_greater(u, S::splat(-3.0), upper, S::splat(0.0))
        }
    }
}

impl Elementwise for Hardsigmoid {
    #[inline(always)]
    unsafe fn value<S: Simd>(u: S::V) -> S::V {
        unsafe { S::mul(relu6_of_3_plus::<S>(u), S::splat(1.0 / 6.0)) }
    }
    #[inline(always)]
    unsafe fn slope<S: Simd>(u: S::V) -> S::V {
        unsafe {
            let inside = S::if_greater(S::splat(3.0), u, S::splat(1.0 / 6.0), S::splat(0.0));
            S::if_greater(u, S::splat(-3.0), inside, S::splat(0.0))
        }
    }
}

/// Runs `$body` with `$A` as the type of the activation.
macro_rules! with_activation {
    ($activation:expr, $A:ident => $body:expr) => {
        match $activation {
            None => {
                type $A = $crate::native::norm::Identity;
                $body
            }
            Some(anmok_graph::Activation::Relu) => {
                type $A = $crate::native::norm::Relu;
                $body
            }
            Some(anmok_graph::Activation::Hardswish) => {
                type $A = $crate::native::norm::Hardswish;
                $body
            }
            Some(anmok_graph::Activation::Hardsigmoid) => {
                type $A = $crate::native::norm::Hardsigmoid;
                $body
            }
        }
    };
}
pub(crate) use with_activation;

/// A part of a `[*, channels]` matrix: whole rows, or some columns of them.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub first_row: usize,
    pub rows: usize,
    pub first_col: usize,
    pub cols: usize,
    pub channels: usize,
}

impl Region {
    #[inline(always)]
    pub fn offset(&self, row: usize, col: usize) -> usize {
        (self.first_row + row) * self.channels + self.first_col + col
    }
}

/// Calls `$f::<S, $V>($args, col, last)` for each group of up to four vectors of columns; `last` is the number of lanes
/// in the group's last vector.
macro_rules! for_column_groups {
    ($S:ident, $cols:expr, |$col:ident, $last:ident, $V:ident| $body:expr) => {
        let mut $col = 0;
        while $col < $cols {
            let left = $cols - $col;
            let vectors = left.div_ceil($S::LANES).min(4);
            let $last = (left - (vectors - 1) * $S::LANES).min($S::LANES);
            match vectors {
                1 => {
                    const $V: usize = 1;
                    $body
                }
                2 => {
                    const $V: usize = 2;
                    $body
                }
                3 => {
                    const $V: usize = 3;
                    $body
                }
                _ => {
                    const $V: usize = 4;
                    $body
                }
            }
            $col += vectors * $S::LANES;
        }
    };
}
pub(crate) use for_column_groups;

/// Loads `V` neighbouring vectors, the last of `last` lanes.
#[inline(always)]
pub(crate) unsafe fn load_group<S: Simd, const V: usize>(from: *const f32, last: usize) -> [S::V; V] {
    unsafe {
        let mut group = [S::splat(0.0); V];
        for (v, vector) in group.iter_mut().enumerate() {
            let count = if v + 1 == V { last } else { S::LANES };
            *vector = S::load_upto(from.add(v * S::LANES), count);
        }
        group
    }
}

/// Stores `V` neighbouring vectors, the last of `last` lanes.
#[inline(always)]
pub(crate) unsafe fn store_group<S: Simd, const V: usize>(to: *mut f32, group: [S::V; V], last: usize) {
    unsafe {
        for (v, vector) in group.into_iter().enumerate() {
            let count = if v + 1 == V { last } else { S::LANES };
            S::store_upto(to.add(v * S::LANES), vector, count);
        }
    }
}

/// Mean and sum of squared deviations of each column of `z` over the region's rows, while the rows are still in cache.
/// `mean` and `m2` are `[channels]` of this chunk. Two passes: no cancellation.
#[inline(always)]
pub(crate) unsafe fn column_statistics<S: Simd>(z: At, region: Region, mean: At, m2: At) {
    for_column_groups!(S, region.cols, |col, last, V| unsafe { statistics_group::<S, V>(z, region, mean, m2, col, last) });
}

#[inline(always)]
unsafe fn statistics_group<S: Simd, const V: usize>(z: At, region: Region, mean: At, m2: At, col: usize, last: usize) {
    unsafe {
        let zero = S::splat(0.0);
        let mut sums = [zero; V];
        for row in 0..region.rows {
            let values = load_group::<S, V>(z.ptr().add(region.offset(row, col)), last);
            for v in 0..V {
                sums[v] = S::add(sums[v], values[v]);
            }
        }
        let share = S::splat(1.0 / region.rows as f32);
        let mut means = sums;
        for mean in &mut means {
            *mean = S::mul(*mean, share);
        }
        let mut squares = [zero; V];
        for row in 0..region.rows {
            let values = load_group::<S, V>(z.ptr().add(region.offset(row, col)), last);
            for v in 0..V {
                let off = S::sub(values[v], means[v]);
                squares[v] = S::fma(off, off, squares[v]);
            }
        }
        store_group::<S, V>(mean.ptr().add(region.first_col + col), means, last);
        store_group::<S, V>(m2.ptr().add(region.first_col + col), squares, last);
    }
}

/// `y = activation(z * scale + shift)` on a region; without `scale`, `y = activation(z)`. `y` may be `z`.
pub(crate) struct Normalize {
    pub z: At,
    pub y: At,
    pub scale: At,
    pub shift: At,
    pub region: Region,
    pub activation: Option<Activation>,
}

impl Kernel for Normalize {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let n = &self;
        with_activation!(self.activation, A => {
            for_column_groups!(S, n.region.cols, |col, last, V| unsafe { normalize_group::<S, A, V>(n, col, last) });
        });
    }
}

#[inline(always)]
unsafe fn normalize_group<S: Simd, A: Elementwise, const V: usize>(n: &Normalize, col: usize, last: usize) {
    unsafe {
        let at = n.region.first_col + col;
        if n.scale.is_some() {
            let scale = load_group::<S, V>(n.scale.ptr().add(at), last);
            let shift = load_group::<S, V>(n.shift.ptr().add(at), last);
            for row in 0..n.region.rows {
                let offset = n.region.offset(row, col);
                let mut values = load_group::<S, V>(n.z.ptr().add(offset), last);
                for v in 0..V {
                    values[v] = A::value::<S>(S::fma(values[v], scale[v], shift[v]));
                }
                store_group::<S, V>(n.y.ptr().add(offset), values, last);
            }
        } else {
            for row in 0..n.region.rows {
                let offset = n.region.offset(row, col);
                let mut values = load_group::<S, V>(n.z.ptr().add(offset), last);
                for value in &mut values {
                    *value = A::value::<S>(*value);
                }
                store_group::<S, V>(n.y.ptr().add(offset), values, last);
            }
        }
    }
}

/// The first backward pass of BatchNorm and activation: per column, the sums over the region's rows of `d` and of
/// `d * (z - mean)`, where `d` is the gradient before the activation. Each chunk has its own `[channels]` of each sum.
pub(crate) struct GradientSums {
    pub z: At,
    pub dy: At,
    pub scale: At,
    pub shift: At,
    pub mean: At,
    pub sum_d: At,
    pub sum_dz: At,
    pub region: Region,
    pub activation: Option<Activation>,
}

impl Kernel for GradientSums {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let g = &self;
        with_activation!(self.activation, A => {
            for_column_groups!(S, g.region.cols, |col, last, V| unsafe { gradient_sums_group::<S, A, V>(g, col, last) });
        });
    }
}

#[inline(always)]
unsafe fn gradient_sums_group<S: Simd, A: Elementwise, const V: usize>(g: &GradientSums, col: usize, last: usize) {
    unsafe {
        let at = g.region.first_col + col;
        let zero = S::splat(0.0);
        let scale = load_group::<S, V>(g.scale.ptr().add(at), last);
        let shift = load_group::<S, V>(g.shift.ptr().add(at), last);
        let mean = load_group::<S, V>(g.mean.ptr().add(at), last);
        let (mut sum_d, mut sum_dz) = ([zero; V], [zero; V]);
        for row in 0..g.region.rows {
            let offset = g.region.offset(row, col);
            let z = load_group::<S, V>(g.z.ptr().add(offset), last);
            let dy = load_group::<S, V>(g.dy.ptr().add(offset), last);
            for v in 0..V {
                let d = S::mul(dy[v], A::slope::<S>(S::fma(z[v], scale[v], shift[v])));
                sum_d[v] = S::add(sum_d[v], d);
                sum_dz[v] = S::fma(d, S::sub(z[v], mean[v]), sum_dz[v]);
            }
        }
        store_group::<S, V>(g.sum_d.ptr().add(at), sum_d, last);
        store_group::<S, V>(g.sum_dz.ptr().add(at), sum_dz, last);
    }
}

/// The second backward pass: turns the gradient of the output (`dy`, in place) into that of the convolution's result,
/// `dz = scale * (d - mean(d) - (z - mean) * slope)`, with `slope = mean(d * (z - mean)) / (variance + eps)`.
pub(crate) struct NormalizeBackward {
    pub z: At,
    pub dy: At,
    pub scale: At,
    pub shift: At,
    pub mean: At,
    pub mean_d: At,
    pub slope: At,
    pub region: Region,
    pub activation: Option<Activation>,
}

impl Kernel for NormalizeBackward {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let n = &self;
        with_activation!(self.activation, A => {
            for_column_groups!(S, n.region.cols, |col, last, V| unsafe { normalize_backward_group::<S, A, V>(n, col, last) });
        });
    }
}

#[inline(always)]
unsafe fn normalize_backward_group<S: Simd, A: Elementwise, const V: usize>(n: &NormalizeBackward, col: usize, last: usize) {
    unsafe {
        let at = n.region.first_col + col;
        let scale = load_group::<S, V>(n.scale.ptr().add(at), last);
        let shift = load_group::<S, V>(n.shift.ptr().add(at), last);
        let mean = load_group::<S, V>(n.mean.ptr().add(at), last);
        let mean_d = load_group::<S, V>(n.mean_d.ptr().add(at), last);
        let slope = load_group::<S, V>(n.slope.ptr().add(at), last);
        for row in 0..n.region.rows {
            let offset = n.region.offset(row, col);
            let z = load_group::<S, V>(n.z.ptr().add(offset), last);
            let mut dy = load_group::<S, V>(n.dy.ptr().add(offset), last);
            for v in 0..V {
                let d = S::mul(dy[v], A::slope::<S>(S::fma(z[v], scale[v], shift[v])));
                let off = S::sub(z[v], mean[v]);
                dy[v] = S::mul(scale[v], S::sub(S::sub(d, mean_d[v]), S::mul(off, slope[v])));
            }
            store_group::<S, V>(n.dy.ptr().add(offset), dy, last);
        }
    }
}

/// Backward of an activation without BatchNorm, in place, with the column sums that are the bias gradient (if wanted).
pub(crate) struct ActivationBackward {
    pub z: At,
    pub dy: At,
    pub sum_d: At,
    pub region: Region,
    pub activation: Option<Activation>,
}

impl Kernel for ActivationBackward {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let a = &self;
        with_activation!(self.activation, A => {
            for_column_groups!(S, a.region.cols, |col, last, V| unsafe { activation_backward_group::<S, A, V>(a, col, last) });
        });
    }
}

#[inline(always)]
unsafe fn activation_backward_group<S: Simd, A: Elementwise, const V: usize>(a: &ActivationBackward, col: usize, last: usize) {
    unsafe {
        let mut sums = [S::splat(0.0); V];
        for row in 0..a.region.rows {
            let offset = a.region.offset(row, col);
            let z = load_group::<S, V>(a.z.ptr().add(offset), last);
            let mut dy = load_group::<S, V>(a.dy.ptr().add(offset), last);
            for v in 0..V {
                dy[v] = S::mul(dy[v], A::slope::<S>(z[v]));
                sums[v] = S::add(sums[v], dy[v]);
            }
            store_group::<S, V>(a.dy.ptr().add(offset), dy, last);
        }
        if a.sum_d.is_some() {
            store_group::<S, V>(a.sum_d.ptr().add(a.region.first_col + col), sums, last);
        }
    }
}
