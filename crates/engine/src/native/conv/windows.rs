//! Convolutions in groups: windows copied into a matrix, some rows at a time (im2col), group by group.

use super::{BackwardInput, BackwardWeight, Forward, Geometry};
use crate::native::gemm::{Addend, Columns, Product, Repeats, Rows, WHOLE};
use crate::native::memory::At;
use crate::native::simd::Simd;

/// Rows that are copied at a time.
pub(crate) const WINDOW_ROWS: usize = 64;

/// The rows of some images, at most [`WINDOW_ROWS`] at a time: (first, count).
fn blocks(g: &Geometry, first_image: usize, images: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
    let first = first_image * g.out_positions();
    let end = first + images * g.out_positions();
    (first..end).step_by(WINDOW_ROWS).map(move |row| (row, (end - row).min(WINDOW_ROWS)))
}

/// Copies the windows of `rows` output positions from `first_row` on (counted over the images) into `[rows, depth]`,
/// tap by tap, `group_in` channels from `first_channel` on, with zeros for the padding.
unsafe fn copy_windows(g: &Geometry, x: At, first_row: usize, rows: usize, first_channel: usize, to: At) {
    let channels = g.group_in();
    for row in 0..rows {
        let at = first_row + row;
        let (image, position) = (at / g.out_positions(), at % g.out_positions());
        let (y, left) = (position / g.out_w * g.stride, position % g.out_w * g.stride);
        unsafe {
            let image = x.ptr().add(image * g.in_elements() + first_channel).cast_const();
            let mut out = to.ptr().add(row * g.depth());
            for ky in 0..g.kernel {
                let in_y = (y + ky).wrapping_sub(g.padding);
                for kx in 0..g.kernel {
                    let in_x = (left + kx).wrapping_sub(g.padding);
                    if in_y < g.in_h && in_x < g.in_w {
                        std::ptr::copy_nonoverlapping(image.add((in_y * g.in_w + in_x) * g.in_c), out, channels);
                    } else {
                        std::ptr::write_bytes(out, 0, channels);
                    }
                    out = out.add(channels);
                }
            }
        }
    }
}

/// The reverse of [`copy_windows`]: adds each window to where it was read from.
unsafe fn add_windows(g: &Geometry, from: At, first_row: usize, rows: usize, first_channel: usize, dx: At) {
    let channels = g.group_in();
    for row in 0..rows {
        let at = first_row + row;
        let (image, position) = (at / g.out_positions(), at % g.out_positions());
        let (y, x) = (position / g.out_w, position % g.out_w);
        unsafe {
            let image = dx.ptr().add(image * g.in_elements() + first_channel);
            let window = from.ptr().add(row * g.depth()).cast_const();
            for ky in g.inside(y, g.in_h) {
                for kx in g.inside(x, g.in_w) {
                    let to = image.add(((y * g.stride + ky - g.padding) * g.in_w + x * g.stride + kx - g.padding) * g.in_c);
                    let values = window.add((ky * g.kernel + kx) * channels);
                    for c in 0..channels {
                        *to.add(c) += *values.add(c);
                    }
                }
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn forward<S: Simd>(f: &Forward<'_>) {
    let (g, depth) = (f.g, f.g.depth());
    for group in 0..g.groups {
        let first_col = group * g.group_out();
        for (row, rows) in blocks(g, f.first_image, f.images) {
            unsafe {
                copy_windows(g, f.x, row, rows, group * g.group_in(), f.scratch);
                S::product(&Product {
                    segments: WHOLE,
                    depth,
                    repeats: Repeats::ONCE,
                    a: f.scratch,
                    a_step: 1,
                    b: f.weight.add(first_col * depth),
                    columns: Columns::Panels { panel_rows: depth, width: f.panel },
                    rows: Rows::plain(rows, depth, g.out_c),
                    c: f.z.add(row * g.out_c + first_col),
                    cols: g.group_out(),
                    addend: f.addend(first_col),
                    activation: f.activation(),
                });
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn backward_input<S: Simd>(b: &BackwardInput<'_>) {
    let (g, depth) = (b.g, b.g.depth());
    unsafe {
        if !b.accumulate {
            std::ptr::write_bytes(b.dx.ptr().add(b.first_image * g.in_elements()), 0, b.images * g.in_elements());
        }
        for group in 0..g.groups {
            for (row, rows) in blocks(g, b.first_image, b.images) {
                S::product(&Product {
                    segments: WHOLE,
                    depth: g.group_out(),
                    repeats: Repeats::ONCE,
                    a: b.dz.add(row * g.out_c + group * g.group_out()),
                    a_step: 1,
                    b: b.weight.add(group * g.group_out() * depth),
                    columns: Columns::Matrix { step: depth },
                    rows: Rows::plain(rows, g.out_c, depth),
                    c: b.scratch,
                    cols: depth,
                    addend: Addend::Nothing,
                    activation: None,
                });
                add_windows(g, b.scratch, row, rows, group * g.group_in(), b.dx);
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn backward_weight<S: Simd>(b: &BackwardWeight<'_>) {
    let (g, depth) = (b.g, b.g.depth());
    for group in 0..g.groups {
        let mut accumulate = b.accumulate;
        for (row, rows) in blocks(g, b.first_image, b.images) {
            unsafe {
                copy_windows(g, b.x, row, rows, group * g.group_in(), b.scratch);
                S::product(&Product {
                    segments: WHOLE,
                    depth: rows,
                    repeats: Repeats::ONCE,
                    a: b.dz.add(row * g.out_c + group * g.group_out()),
                    a_step: g.out_c,
                    b: b.scratch,
                    columns: Columns::Matrix { step: depth },
                    rows: Rows::plain(g.group_out(), 1, depth),
                    c: b.dw.add(group * g.group_out() * depth),
                    cols: depth,
                    addend: Addend::result_if(accumulate),
                    activation: None,
                });
            }
            accumulate = true;
        }
    }
}
