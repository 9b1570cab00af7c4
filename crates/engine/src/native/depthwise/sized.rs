//! Depthwise kernels compiled for a kernel of `K`, a stride of `ST`, `T` columns and `V` vectors at a time, padding `K / 2`.
//!
//! Along a row the columns go in blocks of `T`. The values that a block reads are numbered `j`; the loop over them is
//! unrolled, so that the taps that read value `j` are constants, and the few values beyond the image's sides are skipped by
//! a comparison that comes out the same for every row. Values are loaded by whole vectors, also where the last one has
//! fewer channels: what lies behind is memory of the same block, and those lanes are never stored.

use super::super::conv::Forward;
use super::super::norm::{load_group, store_group};
use super::super::simd::Simd;
use super::Backward;
use super::readers;

/// `V` whole vectors.
#[inline(always)]
unsafe fn load<S: Simd, const V: usize>(from: *const f32) -> [S::V; V] {
    unsafe {
        let mut group = [S::splat(0.0); V];
        for (v, vector) in group.iter_mut().enumerate() {
            *vector = S::load(from.add(v * S::LANES));
        }
        group
    }
}

/// The weights of kernel row `ky`, of `channels` each.
#[inline(always)]
unsafe fn kernel_row<S: Simd, const K: usize, const V: usize>(weight: *const f32, ky: usize, channels: usize) -> [[S::V; V]; K] {
    unsafe {
        let mut weights = [[S::splat(0.0); V]; K];
        for (kx, tap) in weights.iter_mut().enumerate() {
            *tap = load::<S, V>(weight.add((ky * K + kx) * channels));
        }
        weights
    }
}

/// `sum += a * b`.
#[inline(always)]
unsafe fn multiply_add<S: Simd, const V: usize>(a: &[S::V; V], b: &[S::V; V], sum: &mut [S::V; V]) {
    for v in 0..V {
        sum[v] = unsafe { S::fma(a[v], b[v], sum[v]) };
    }
}

#[inline(always)]
pub(super) unsafe fn forward<S: Simd, const K: usize, const ST: usize, const T: usize, const V: usize>(
    f: &Forward<'_>,
    channel: usize,
    last: usize,
) {
    let (g, padding) = (f.g, K / 2);
    let c = g.in_c;
    unsafe {
        let weight = f.weight.ptr().add(channel).cast_const();
        let bias = if f.bias.is_some() { load_group::<S, V>(f.bias.ptr().add(channel), last) } else { [S::splat(0.0); V] };
        for image in f.first_image..f.first_image + f.images {
            let x = f.x.ptr().add(image * g.in_elements() + channel).cast_const();
            let z = f.z.ptr().add(image * g.out_elements() + channel);
            for out_y in 0..g.out_h {
                for first in (0..g.out_w).step_by(T) {
                    let left = first * ST;
                    let (from, end) = (padding.saturating_sub(left), g.in_w + padding - left);
                    let mut sums = [bias; T];
                    for ky in g.inside(out_y, g.in_h) {
                        let row = x.wrapping_add(((out_y * ST + ky - padding) * g.in_w + left) * c).wrapping_sub(padding * c);
                        let weights = kernel_row::<S, K, V>(weight, ky, c);
                        for j in 0..(T - 1) * ST + K {
                            if j < from || j >= end {
                                continue;
                            }
                            let values = load::<S, V>(row.wrapping_add(j * c));
                            for (t, sums) in sums.iter_mut().enumerate() {
                                if j >= t * ST && j - t * ST < K {
                                    multiply_add::<S, V>(&values, &weights[j - t * ST], sums);
                                }
                            }
                        }
                    }
                    for (t, sums) in sums.into_iter().enumerate() {
                        if first + t < g.out_w {
                            store_group::<S, V>(z.add((out_y * g.out_w + first + t) * c), sums, last);
                        }
                    }
                }
            }
        }
    }
}

/// `dx[n, y, x, c] = sum over the taps that read it of dz[n, y', x', c] * weight[tap, c]`, blocks of `T` input columns.
#[inline(always)]
pub(super) unsafe fn backward_input<S: Simd, const K: usize, const ST: usize, const T: usize, const V: usize>(
    b: &Backward<'_>,
    channel: usize,
    last: usize,
) {
    let (g, padding) = (b.g, K / 2);
    let c = g.in_c;
    unsafe {
        let weight = b.weight.ptr().add(channel).cast_const();
        for image in b.first_image..b.first_image + b.images {
            let dz = b.dz.ptr().add(image * g.out_elements() + channel).cast_const();
            let dx = b.dx.ptr().add(image * g.in_elements() + channel);
            for y in 0..g.in_h {
                let (first_ky, rows) = readers(g, y, g.out_h);
                for first in (0..g.in_w).step_by(T) {
                    // Output column `first / ST + j - before` reaches the block's column `t` by tap `t + padding - (j - before) * ST`.
                    let (before, left) = (padding / ST, first / ST);
                    let (from, end) = (before.saturating_sub(left), (g.out_w + before).saturating_sub(left));
                    let mut sums = [[S::splat(0.0); V]; T];
                    if b.accumulate_dx {
                        for (t, sums) in sums.iter_mut().enumerate() {
                            if first + t < g.in_w {
                                *sums = load_group::<S, V>(dx.add((y * g.in_w + first + t) * c), last);
                            }
                        }
                    }
                    for row in 0..rows {
                        let ky = first_ky + row * ST;
                        let out_y = (y + padding - ky) / ST;
                        let row = dz.wrapping_add((out_y * g.out_w + left) * c).wrapping_sub(before * c);
                        let weights = kernel_row::<S, K, V>(weight, ky, c);
                        for j in 0..padding / ST + (T - 1 + padding) / ST + 1 {
                            if j < from || j >= end {
                                continue;
                            }
                            let slopes = load::<S, V>(row.wrapping_add(j * c));
                            for (t, sums) in sums.iter_mut().enumerate() {
                                let reach = t + padding + (padding / ST) * ST;
                                if reach >= j * ST && reach - j * ST < K {
                                    multiply_add::<S, V>(&slopes, &weights[reach - j * ST], sums);
                                }
                            }
                        }
                    }
                    for (t, sums) in sums.into_iter().enumerate() {
                        if first + t < g.in_w {
                            store_group::<S, V>(dx.add((y * g.in_w + first + t) * c), sums, last);
                        }
                    }
                }
            }
        }
    }
}

/// Positions per image up to which the images are summed together: larger maps have a sum per image, so that no long sum
/// loses bits.
const FEW_POSITIONS: usize = 4;

/// `dw[tap, c] = sum over images and positions of x[n, y', x', c] * dz[n, y, x, c]`.
#[inline(always)]
pub(super) unsafe fn backward_weight<S: Simd, const K: usize, const ST: usize, const T: usize, const V: usize>(
    b: &Backward<'_>,
    channel: usize,
    last: usize,
) {
    let g = b.g;
    let together = if g.out_positions() <= FEW_POSITIONS { b.images } else { 1 };
    let mut image = b.first_image;
    let end = b.first_image + b.images;
    while image < end {
        let count = together.min(end - image);
        for ky in 0..K {
            let accumulate = b.accumulate_dw || image > b.first_image;
            unsafe { weight_row::<S, K, ST, T, V>(b, channel, last, ky, image..image + count, accumulate) };
        }
        image += count;
    }
}

/// One kernel row of the weight gradient, over some images.
#[inline(always)]
unsafe fn weight_row<S: Simd, const K: usize, const ST: usize, const T: usize, const V: usize>(
    b: &Backward<'_>,
    channel: usize,
    last: usize,
    ky: usize,
    images: std::ops::Range<usize>,
    accumulate: bool,
) {
    let (g, padding) = (b.g, K / 2);
    let c = g.in_c;
    let rows = g.outputs(ky, g.in_h, g.out_h);
    unsafe {
        let mut sums = [[S::splat(0.0); V]; K];
        for image in images {
            let x = b.x.ptr().add(image * g.in_elements() + channel).cast_const();
            let dz = b.dz.ptr().add(image * g.out_elements() + channel).cast_const();
            for out_y in rows.clone() {
                for first in (0..g.out_w).step_by(T) {
                    let left = first * ST;
                    let (from, end) = (padding.saturating_sub(left), g.in_w + padding - left);
                    let slopes_at = dz.add((out_y * g.out_w + first) * c);
                    let mut slopes = [[S::splat(0.0); V]; T];
                    for (t, slope) in slopes.iter_mut().enumerate() {
                        if first + t < g.out_w {
                            *slope = load::<S, V>(slopes_at.add(t * c));
                        }
                    }
                    let row = x.wrapping_add(((out_y * ST + ky - padding) * g.in_w + left) * c).wrapping_sub(padding * c);
                    for j in 0..(T - 1) * ST + K {
                        if j < from || j >= end {
                            continue;
                        }
                        let values = load::<S, V>(row.wrapping_add(j * c));
                        for (t, slope) in slopes.iter().enumerate() {
                            if j >= t * ST && j - t * ST < K {
                                multiply_add::<S, V>(&values, slope, &mut sums[j - t * ST]);
                            }
                        }
                    }
                }
            }
        }
        for (kx, sums) in sums.into_iter().enumerate() {
            let to = b.dw.ptr().add((ky * K + kx) * c + channel);
            let mut total = sums;
            if accumulate {
                let before = load_group::<S, V>(to, last);
                for v in 0..V {
                    total[v] = S::add(before[v], total[v]);
                }
            }
            store_group::<S, V>(to, total, last);
        }
    }
}
