//! Forward and input gradient: one convolution by tiles.

use super::transform::{Result, Weights, for_vectors, places, read, square, write};
use super::{FREQUENCIES, NARROWEST_PANEL, Source, Tiles, WIDEST_PANEL, apart, transform_input};
use crate::native::gemm::{Addend, Columns, Product, Repeats, Rows, WHOLE};
use crate::native::memory::At;
use crate::native::norm::{Elementwise, with_activation};
use crate::native::simd::Simd;
use anmok_graph::Activation;

/// Tiles whose products are made at a time.
const TILES: usize = 64;

/// Weights of which all panels are kept transformed for all tiles of a task; more are transformed panel by panel.
const KEPT_WEIGHTS: usize = 64 * 64;

/// A 3x3 convolution of stride 1 with a border of one zero, for some images and some output channels.
pub(in super::super) struct Convolve {
    pub height: usize,
    pub width: usize,
    /// Channels of the map that is read.
    pub depth: usize,
    /// Channels of the map that is written.
    pub channels: usize,
    /// The first image that is read.
    pub x: At,
    /// The first image that is written, from its first column on.
    pub y: At,
    pub images: usize,
    /// The panels of the columns, each `[3, 3, depth, its columns]`.
    pub weight: At,
    /// Whether the kernel is turned over (input gradient).
    pub turned: bool,
    pub cols: usize,
    pub addend: Addend,
    pub activation: Option<Activation>,
    /// This thread's own.
    pub scratch: At,
}

impl Convolve {
    /// Floats of scratch for so many channels.
    pub fn scratch(depth: usize, channels: usize) -> usize {
        let weights = if depth * channels <= KEPT_WEIGHTS {
            // As many panels as there may be.
            depth * channels + 32 * channels.div_ceil(NARROWEST_PANEL)
        } else {
            apart(depth * WIDEST_PANEL)
        };
        depth.next_multiple_of(16) + WIDEST_PANEL + FREQUENCIES * (apart(TILES * depth) + apart(TILES * WIDEST_PANEL) + weights)
    }

    /// Does the work.
    ///
    /// # Safety
    /// Below `dispatch` for `S`; the scratch must have [`Self::scratch`] floats.
    #[inline(always)]
    pub unsafe fn run<S: Simd>(&self) {
        let tiles = Tiles::new(self.height, self.width);
        let (depth, panel) = (self.depth, S::TILE_VECTORS * S::LANES);
        let (input_step, product_step) = (apart(TILES * depth), apart(TILES * WIDEST_PANEL));
        let keeps = depth * self.cols <= KEPT_WEIGHTS;
        let count = self.images * tiles.count();
        let blocks = count.div_ceil(TILES);
        unsafe {
            let zeros = self.scratch;
            let nowhere = zeros.add(depth.next_multiple_of(16));
            let inputs = nowhere.add(WIDEST_PANEL);
            let products = inputs.add(FREQUENCIES * input_step);
            let weights = products.add(FREQUENCIES * product_step);
            std::ptr::write_bytes(zeros.ptr(), 0, depth);
            let source = Source { map: self.x, channels: depth, count: depth, zeros };
            for block in 0..blocks {
                let (first, end) = (count * block / blocks, count * (block + 1) / blocks);
                transform_input::<S>(&tiles, &source, first, end - first, inputs, input_step);
                let mut panel_weights = weights;
                for col in (0..self.cols).step_by(panel) {
                    let cols = (self.cols - col).min(panel);
                    let weight_step = apart(depth * cols);
                    if !keeps || block == 0 {
                        self.transform_weights::<S>(col, cols, panel_weights, weight_step);
                    }
                    for frequency in 0..FREQUENCIES {
                        S::product(&Product {
                            segments: WHOLE,
                            depth,
                            repeats: Repeats::ONCE,
                            a: inputs.add(frequency * input_step),
                            a_step: 1,
                            b: panel_weights.add(frequency * weight_step),
                            columns: Columns::Panels { panel_rows: depth, width: panel },
                            rows: Rows::plain(end - first, depth, cols),
                            c: products.add(frequency * product_step),
                            cols,
                            addend: Addend::Nothing,
                            activation: None,
                        });
                    }
                    let results = Results { tiles, first, count: end - first, col, cols, products, step: product_step, nowhere };
                    with_activation!(self.activation, A => self.store::<S, A>(&results));
                    if keeps {
                        panel_weights = panel_weights.add(FREQUENCIES * weight_step);
                    }
                }
            }
        }
    }

    /// Transforms the panel of `cols` columns from `col` on to 16 matrices `[depth, cols]`, `step` floats apart.
    #[inline(always)]
    unsafe fn transform_weights<S: Simd>(&self, col: usize, cols: usize, to: At, step: usize) {
        let floats = self.depth * cols;
        unsafe {
            let mut from = places::<3>(self.weight.ptr().add(9 * self.depth * col), floats);
            if self.turned {
                from.reverse();
                from.iter_mut().for_each(|row| row.reverse());
            }
            let to = places::<4>(to.ptr(), step);
            for_vectors!(S, floats, |i, lanes, WHOLE| {
                write::<S, WHOLE, 4>(square::<S, Weights, 3, 4>(read::<S, WHOLE, 3>(&from, i, lanes)), &to, i, lanes);
            });
        }
    }

    /// Transforms the products of a panel and puts the outputs in their places.
    #[inline(always)]
    unsafe fn store<S: Simd, A: Elementwise>(&self, r: &Results) {
        for tile in 0..r.count {
            unsafe {
                let (image, top, left) = r.tiles.place(r.first + tile);
                let y = self.y.add(r.col);
                let at = r.tiles.positions::<2>(y, self.channels, image, top, left, r.nowhere);
                let from = places::<4>(r.products.ptr().add(tile * r.cols), r.step);
                for_vectors!(S, r.cols, |col, lanes, WHOLE| {
                    let mut results = square::<S, Result, 4, 2>(read::<S, WHOLE, 4>(&from, col, lanes));
                    let addends = match self.addend {
                        Addend::Nothing => [[S::splat(0.0); 2]; 2],
                        Addend::Bias(bias) => read::<S, WHOLE, 2>(&[[bias.ptr().add(r.col); 2]; 2], col, lanes),
                        Addend::Result => read::<S, WHOLE, 2>(&at, col, lanes),
                    };
                    for (results, addends) in results.iter_mut().zip(addends) {
                        for (result, addend) in results.iter_mut().zip(addends) {
                            *result = A::value::<S>(S::add(*result, addend));
                        }
                    }
                    write::<S, WHOLE, 2>(results, &at, col, lanes);
                });
            }
        }
    }
}

/// The products of some tiles and one panel.
struct Results {
    tiles: Tiles,
    first: usize,
    count: usize,
    col: usize,
    cols: usize,
    products: At,
    step: usize,
    /// Where outputs go that the map does not have.
    nowhere: At,
}
