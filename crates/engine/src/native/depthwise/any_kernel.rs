//! Depthwise kernels of any size, stride and padding, tap by tap.

use super::super::conv::Forward;
use super::super::norm::{for_column_groups, load_group, store_group};
use super::super::simd::Simd;
use super::{Backward, readers};

#[inline(always)]
pub(super) unsafe fn forward<S: Simd>(f: &Forward<'_>) {
    for_column_groups!(S, f.cols, |col, last, V| unsafe { forward_group::<S, V>(f, f.first_col + col, last) });
}

#[inline(always)]
unsafe fn forward_group<S: Simd, const V: usize>(f: &Forward<'_>, channel: usize, last: usize) {
    let g = f.g;
    unsafe {
        let weight = f.weight.ptr().add(channel).cast_const();
        let bias = if f.bias.is_some() { load_group::<S, V>(f.bias.ptr().add(channel), last) } else { [S::splat(0.0); V] };
        for image in f.first_image..f.first_image + f.images {
            let x = f.x.ptr().add(image * g.in_elements() + channel).cast_const();
            let mut z = f.z.ptr().add(image * g.out_elements() + channel);
            for out_y in 0..g.out_h {
                let rows = g.inside(out_y, g.in_h);
                for out_x in 0..g.out_w {
                    let columns = g.inside(out_x, g.in_w);
                    let mut sums = bias;
                    for ky in rows.clone() {
                        let in_y = out_y * g.stride + ky - g.padding;
                        let mut from = x.add((in_y * g.in_w + out_x * g.stride + columns.start - g.padding) * g.in_c);
                        let mut tap = weight.add((ky * g.kernel + columns.start) * g.in_c);
                        for _ in columns.clone() {
                            let (values, weights) = (load_group::<S, V>(from, last), load_group::<S, V>(tap, last));
                            for v in 0..V {
                                sums[v] = S::fma(values[v], weights[v], sums[v]);
                            }
                            from = from.wrapping_add(g.in_c);
                            tap = tap.wrapping_add(g.in_c);
                        }
                    }
                    store_group::<S, V>(z, sums, last);
                    z = z.wrapping_add(g.out_c);
                }
            }
        }
    }
}

/// `dx[n, y, x, c] = sum over the taps that read it of dz[n, y', x', c] * weight[tap, c]`.
#[inline(always)]
pub(super) unsafe fn backward_input<S: Simd>(b: &Backward<'_>, first_col: usize, cols: usize) {
    for_column_groups!(S, cols, |col, last, V| unsafe { backward_input_group::<S, V>(b, first_col + col, last) });
}

#[inline(always)]
unsafe fn backward_input_group<S: Simd, const V: usize>(b: &Backward<'_>, channel: usize, last: usize) {
    let g = b.g;
    unsafe {
        let weight = b.weight.ptr().add(channel).cast_const();
        for image in b.first_image..b.first_image + b.images {
            let dz = b.dz.ptr().add(image * g.out_elements() + channel).cast_const();
            let mut dx = b.dx.ptr().add(image * g.in_elements() + channel);
            for y in 0..g.in_h {
                let (first_ky, rows) = readers(g, y, g.out_h);
                for x in 0..g.in_w {
                    let (first_kx, columns) = readers(g, x, g.out_w);
                    let mut sums = if b.accumulate_dx { load_group::<S, V>(dx, last) } else { [S::splat(0.0); V] };
                    for row in 0..rows {
                        let ky = first_ky + row * g.stride;
                        let out_y = (y + g.padding - ky) / g.stride;
                        for column in 0..columns {
                            let kx = first_kx + column * g.stride;
                            let out_x = (x + g.padding - kx) / g.stride;
                            let values = load_group::<S, V>(dz.add((out_y * g.out_w + out_x) * g.out_c), last);
                            let weights = load_group::<S, V>(weight.add((ky * g.kernel + kx) * g.in_c), last);
                            for v in 0..V {
                                sums[v] = S::fma(values[v], weights[v], sums[v]);
                            }
                        }
                    }
                    store_group::<S, V>(dx, sums, last);
                    dx = dx.wrapping_add(g.in_c);
                }
            }
        }
    }
}

/// `dw[tap, c] = sum over images and positions of x[n, y', x', c] * dz[n, y, x, c]`.
#[inline(always)]
pub(super) unsafe fn backward_weight<S: Simd>(b: &Backward<'_>, first_col: usize, cols: usize) {
    for_column_groups!(S, cols, |col, last, V| unsafe { backward_weight_group::<S, V>(b, first_col + col, last) });
}

#[inline(always)]
unsafe fn backward_weight_group<S: Simd, const V: usize>(b: &Backward<'_>, channel: usize, last: usize) {
    let g = b.g;
    unsafe {
        for ky in 0..g.kernel {
            let rows = g.outputs(ky, g.in_h, g.out_h);
            for kx in 0..g.kernel {
                let columns = g.outputs(kx, g.in_w, g.out_w);
                let dw = b.dw.ptr().add((ky * g.kernel + kx) * g.in_c + channel);
                let mut total = if b.accumulate_dw { load_group::<S, V>(dw, last) } else { [S::splat(0.0); V] };
                // Two levels of sums: per image, then over the images, so that no long sum loses bits.
                for image in b.first_image..b.first_image + b.images {
                    let x = b.x.ptr().add(image * g.in_elements() + channel).cast_const();
                    let dz = b.dz.ptr().add(image * g.out_elements() + channel).cast_const();
                    let mut sums = [S::splat(0.0); V];
                    for out_y in rows.clone() {
                        let in_y = out_y * g.stride + ky - g.padding;
                        let mut values_at =
                            x.wrapping_add((in_y * g.in_w + columns.start * g.stride + kx).saturating_sub(g.padding) * g.in_c);
                        let mut slopes_at = dz.wrapping_add((out_y * g.out_w + columns.start) * g.out_c);
                        for _ in columns.clone() {
                            let values = load_group::<S, V>(values_at, last);
                            let slopes = load_group::<S, V>(slopes_at, last);
                            for v in 0..V {
                                sums[v] = S::fma(values[v], slopes[v], sums[v]);
                            }
                            values_at = values_at.wrapping_add(g.stride * g.in_c);
                            slopes_at = slopes_at.wrapping_add(g.out_c);
                        }
                    }
                    for v in 0..V {
                        total[v] = S::add(total[v], sums[v]);
                    }
                }
                store_group::<S, V>(dw, total, last);
            }
        }
    }
}
