//! One image on a small map, in inference: its weights take longer to read than to multiply with.
//!
//! The map is copied with a border of zeros, and all its outputs are the rows of one product, so that every weight is read from far
//! away once, while it is used. [`Taps`](super::Taps) comes back to a panel for each group of outputs that meets other taps, and
//! Winograd transforms more weights than such a map has tiles for.

use super::taps::Border;
use super::{DEEP_CHANNELS, Forward, Geometry};
use crate::native::gemm::{Columns, Product, Repeats, Rows, Segment};
use crate::native::simd::Simd;

/// Maps of more outputs than this are worked out as in a batch.
const MOST_OUTPUTS: usize = 64;

/// The map's copy, and the product's depth: the kernel's rows, each of whose taps lie side by side in the copy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Framed {
    border: Border,
    segments: Vec<Segment>,
}

impl Framed {
    /// `None` for shapes that other ways suit better: also where a tap meets no input at all, whose weights nobody has to read.
    pub fn new(g: &Geometry) -> Option<Framed> {
        let suits = g.kernel > 1
            && g.groups == 1
            && g.in_c >= DEEP_CHANNELS
            && g.out_positions() <= MOST_OUTPUTS
            && g.met(g.in_h, g.out_h) == g.kernel
            && g.met(g.in_w, g.out_w) == g.kernel;
        if !suits {
            return None;
        }
        let beyond = |size: usize, out: usize| ((out - 1) * g.stride + g.kernel).saturating_sub(g.padding + size);
        let border = Border {
            height: g.in_h,
            width: g.in_w,
            channels: g.in_c,
            above: g.padding,
            below: beyond(g.in_h, g.out_h),
            left: g.padding,
            right: beyond(g.in_w, g.out_w),
        };
        let segments = (0..g.kernel).map(|ky| Segment { a: ky * border.row(), b: ky * g.kernel * g.in_c }).collect();
        Some(Framed { border, segments })
    }

    /// Floats of scratch that a thread needs.
    pub fn scratch(&self) -> usize {
        self.border.elements()
    }
}

#[inline(always)]
pub(super) unsafe fn forward<S: Simd>(f: &Forward<'_>, framed: &Framed) {
    let (g, border) = (f.g, &framed.border);
    for image in f.first_image..f.first_image + f.images {
        unsafe {
            border.copy(f.x.add(image * g.in_elements()), f.scratch);
            S::product(&Product {
                segments: &framed.segments,
                depth: g.kernel * g.in_c,
                repeats: Repeats::ONCE,
                a: f.scratch,
                a_step: 1,
                b: f.weight.add(f.first_col * g.depth()),
                columns: Columns::Panels { panel_rows: g.depth(), width: f.panel },
                rows: Rows {
                    count: g.out_positions(),
                    inner: g.out_w,
                    a_inner: g.stride * g.in_c,
                    a_outer: g.stride * border.row(),
                    c_inner: g.out_c,
                    c_outer: g.out_w * g.out_c,
                },
                c: f.z.add(image * g.out_elements() + f.first_col),
                cols: f.cols,
                addend: f.addend(f.first_col),
                activation: f.activation(),
            });
        }
    }
}
