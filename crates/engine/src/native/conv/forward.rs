//! The forward pass of some images and some output channels.

use super::winograd::Convolve;
use super::{Geometry, Method, Taps, framed, windows};
use crate::native::depthwise;
use crate::native::gemm::{Addend, Columns, Product, Repeats, Rows, WHOLE};
use crate::native::memory::At;
use crate::native::norm::{Normalize, Region, column_statistics};
use crate::native::simd::{Kernel, Simd};
use anmok_graph::Activation;

/// What follows the convolution while its result is in cache.
#[derive(Clone, Copy)]
pub(crate) enum Epilogue {
    /// Nothing: the result is the layer's output.
    Nothing,
    /// Mean and squared deviations of this chunk, `[channels]` each (training with BatchNorm).
    Statistics { mean: At, m2: At },
    /// `z = activation(z)`: inference, where BatchNorm is folded into the weights.
    Activate(Activation),
    /// `y = activation(z * scale + shift)`; no scale: `y = activation(z)`.
    Normalize { y: At, scale: At, shift: At, activation: Option<Activation> },
}

/// The forward pass of some images and some output channels (a multiple of the panel's width from `first_col`).
pub(crate) struct Forward<'a> {
    pub method: &'a Method,
    pub g: &'a Geometry,
    pub x: At,
    /// Packed panels of `panel` columns; for depthwise `[k, k, channels]`.
    pub weight: At,
    pub panel: usize,
    pub bias: At,
    pub z: At,
    pub first_image: usize,
    pub images: usize,
    pub first_col: usize,
    pub cols: usize,
    /// This thread's own.
    pub scratch: At,
    pub epilogue: Epilogue,
}

impl Forward<'_> {
    /// The bias of the task's columns from `col` on.
    #[inline(always)]
    pub unsafe fn addend(&self, col: usize) -> Addend {
        if self.bias.is_some() { Addend::Bias(unsafe { self.bias.add(col) }) } else { Addend::Nothing }
    }

    /// What the product itself applies.
    #[inline(always)]
    pub fn activation(&self) -> Option<Activation> {
        match self.epilogue {
            Epilogue::Activate(activation) => Some(activation),
            _ => None,
        }
    }
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let f = &self;
        let g = f.g;
        let region = Region {
            first_row: f.first_image * g.out_positions(),
            rows: f.images * g.out_positions(),
            first_col: f.first_col,
            cols: f.cols,
            channels: g.out_c,
        };
        unsafe {
            match f.method {
                Method::Pointwise => pointwise::<S>(f, &region),
                Method::Taps(taps) => by_taps::<S>(f, taps),
                Method::Winograd => by_tiles::<S>(f),
                Method::Framed(framed) => framed::forward::<S>(f, framed),
                Method::Windows => windows::forward::<S>(f),
                Method::Depthwise => depthwise::forward::<S>(f),
                Method::Copy => {
                    let copy = Normalize { z: f.x, y: f.z, scale: At::NONE, shift: At::NONE, region, activation: None };
                    copy.run::<S>();
                }
            }
            match f.epilogue {
                Epilogue::Nothing => {}
                Epilogue::Statistics { mean, m2 } => column_statistics::<S>(f.z, region, mean, m2),
                Epilogue::Activate(activation) => {
                    if matches!(f.method, Method::Depthwise | Method::Copy) {
                        Normalize { z: f.z, y: f.z, scale: At::NONE, shift: At::NONE, region, activation: Some(activation) }.run::<S>();
                    }
                }
                Epilogue::Normalize { y, scale, shift, activation } => {
                    Normalize { z: f.z, y, scale, shift, region, activation }.run::<S>();
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn pointwise<S: Simd>(f: &Forward<'_>, region: &Region) {
    let depth = f.g.in_c;
    unsafe {
        S::product(&Product {
            segments: WHOLE,
            depth,
            repeats: Repeats::ONCE,
            a: f.x.add(region.first_row * depth),
            a_step: 1,
            b: f.weight.add(f.first_col * depth),
            columns: Columns::Panels { panel_rows: depth, width: f.panel },
            rows: Rows::plain(region.rows, depth, f.g.out_c),
            c: f.z.add(region.offset(0, 0)),
            cols: f.cols,
            addend: f.addend(f.first_col),
            activation: f.activation(),
        });
    }
}

#[inline(always)]
unsafe fn by_taps<S: Simd>(f: &Forward<'_>, taps: &Taps) {
    let (g, depth) = (f.g, f.g.depth());
    // With a border the images go one by one through the scratch, else all at once.
    let (rounds, images) = if taps.input.is_some() { (f.images, 1) } else { (1, f.images) };
    for round in 0..rounds {
        unsafe {
            let mut x = f.x.add((f.first_image + round) * g.in_elements());
            if let Some(border) = &taps.input {
                border.copy(x, f.scratch);
                x = f.scratch;
            }
            let z = f.z.add((f.first_image + round) * g.out_elements() + f.first_col);
            for stretch in &taps.forward {
                S::product(&Product {
                    segments: &stretch.segments,
                    depth: stretch.depth,
                    repeats: Repeats::ONCE,
                    a: x,
                    a_step: 1,
                    b: f.weight.add(f.first_col * depth),
                    columns: Columns::Panels { panel_rows: depth, width: f.panel },
                    rows: Rows {
                        count: images * stretch.count,
                        inner: stretch.count,
                        a_inner: stretch.read_step,
                        a_outer: g.in_elements(),
                        c_inner: stretch.step,
                        c_outer: g.out_elements(),
                    },
                    c: z.add(stretch.first),
                    cols: f.cols,
                    addend: f.addend(f.first_col),
                    activation: f.activation(),
                });
            }
        }
    }
}

#[inline(always)]
unsafe fn by_tiles<S: Simd>(f: &Forward<'_>) {
    let g = f.g;
    unsafe {
        let convolve = Convolve {
            height: g.in_h,
            width: g.in_w,
            depth: g.in_c,
            channels: g.out_c,
            x: f.x.add(f.first_image * g.in_elements()),
            y: f.z.add(f.first_image * g.out_elements() + f.first_col),
            images: f.images,
            weight: f.weight.add(f.first_col * g.depth()),
            turned: false,
            cols: f.cols,
            addend: f.addend(f.first_col),
            activation: f.activation(),
            scratch: f.scratch,
        };
        convolve.run::<S>();
    }
}
