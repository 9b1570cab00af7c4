//! The input gradient of some images and some input channels.

use super::winograd::Convolve;
use super::{DEEP_CHANNELS, Geometry, Method, Taps, windows};
use crate::native::gemm::{Addend, Columns, Product, Repeats, Rows, WHOLE};
use crate::native::memory::At;
use crate::native::simd::{Kernel, Simd};

/// The input gradient of some images and some input channels (a multiple of the panel's width from `first_col`).
pub(crate) struct BackwardInput<'a> {
    pub method: &'a Method,
    pub g: &'a Geometry,
    pub dz: At,
    /// In the method's own order, not packed.
    pub weight: At,
    pub dx: At,
    pub first_image: usize,
    pub images: usize,
    pub first_col: usize,
    pub cols: usize,
    /// This thread's own.
    pub scratch: At,
    /// Add to what other readers of the input left in `dx`.
    pub accumulate: bool,
}

impl Kernel for BackwardInput<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let b = &self;
        unsafe {
            match b.method {
                Method::Pointwise => pointwise::<S>(b),
                Method::Taps(taps) => by_taps::<S>(b, taps),
                Method::Winograd => by_tiles::<S>(b),
                Method::Windows => windows::backward_input::<S>(b),
                // It works out both gradients at once: `depthwise::Backward`.
                Method::Depthwise => {}
                Method::Framed(_) => unreachable!("inference has no way back"),
                Method::Copy => copy::<S>(b),
            }
        }
    }
}

#[inline(always)]
unsafe fn pointwise<S: Simd>(b: &BackwardInput<'_>) {
    let g = b.g;
    let first_row = b.first_image * g.out_positions();
    unsafe {
        S::product(&Product {
            segments: WHOLE,
            depth: g.out_c,
            repeats: Repeats::ONCE,
            a: b.dz.add(first_row * g.out_c),
            a_step: 1,
            b: b.weight.add(b.first_col * g.out_c),
            columns: Columns::Panels { panel_rows: g.out_c, width: S::TILE_VECTORS * S::LANES },
            rows: Rows::plain(b.images * g.out_positions(), g.out_c, g.in_c),
            c: b.dx.add(first_row * g.in_c + b.first_col),
            cols: b.cols,
            addend: Addend::result_if(b.accumulate),
            activation: None,
        });
    }
}

#[inline(always)]
unsafe fn by_taps<S: Simd>(b: &BackwardInput<'_>, taps: &Taps) {
    let g = b.g;
    let (rounds, images) = if taps.output.is_some() { (b.images, 1) } else { (1, b.images) };
    for round in 0..rounds {
        unsafe {
            let mut dz = b.dz.add((b.first_image + round) * g.out_elements());
            if let Some(border) = &taps.output {
                border.copy(dz, b.scratch);
                dz = b.scratch;
            }
            let dx = b.dx.add((b.first_image + round) * g.in_elements() + b.first_col);
            for stretch in &taps.backward {
                let rows = Rows {
                    count: images * stretch.count,
                    inner: stretch.count,
                    a_inner: stretch.read_step,
                    a_outer: g.out_elements(),
                    c_inner: stretch.step,
                    c_outer: g.in_elements(),
                };
                let product = Product {
                    segments: &stretch.segments,
                    depth: stretch.depth,
                    repeats: Repeats::ONCE,
                    a: dz,
                    a_step: 1,
                    b: b.weight.add(b.first_col * g.taps() * g.out_c),
                    columns: Columns::Panels { panel_rows: g.taps() * g.out_c, width: S::TILE_VECTORS * S::LANES },
                    rows,
                    c: dx.add(stretch.first),
                    cols: b.cols,
                    addend: Addend::result_if(b.accumulate),
                    activation: None,
                };
                if g.in_c >= DEEP_CHANNELS {
                    S::product(&product);
                    continue;
                }
                // The weights are `[out, k, k, in]`: a product per tap.
                let weight = |segment: usize| b.weight.add(stretch.segments[segment].b / g.out_c * g.in_c + b.first_col);
                let columns = Columns::Matrix { step: g.depth() };
                if stretch.segments.is_empty() {
                    S::product(&product);
                }
                for (i, segment) in stretch.segments.iter().enumerate() {
                    let addend = Addend::result_if(b.accumulate || i > 0);
                    S::product(&Product { segments: WHOLE, a: dz.add(segment.a), b: weight(i), columns, addend, ..product });
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn copy<S: Simd>(b: &BackwardInput<'_>) {
    unsafe {
        let first = b.first_image * b.g.in_elements();
        let count = b.images * b.g.in_elements();
        let (from, to) = (b.dz.ptr().add(first), b.dx.ptr().add(first));
        for i in (0..count).step_by(S::LANES) {
            let mut value = S::load_upto(from.add(i), count - i);
            if b.accumulate {
                value = S::add(value, S::load_upto(to.add(i), count - i));
            }
            S::store_upto(to.add(i), value, count - i);
        }
    }
}

#[inline(always)]
unsafe fn by_tiles<S: Simd>(b: &BackwardInput<'_>) {
    let g = b.g;
    unsafe {
        let convolve = Convolve {
            height: g.in_h,
            width: g.in_w,
            depth: g.out_c,
            channels: g.in_c,
            x: b.dz.add(b.first_image * g.out_elements()),
            y: b.dx.add(b.first_image * g.in_elements() + b.first_col),
            images: b.images,
            weight: b.weight.add(b.first_col * g.taps() * g.out_c),
            turned: true,
            cols: b.cols,
            addend: Addend::result_if(b.accumulate),
            activation: None,
            scratch: b.scratch,
        };
        convolve.run::<S>();
    }
}
