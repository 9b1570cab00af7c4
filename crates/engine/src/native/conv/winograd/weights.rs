//! The weight gradient by tiles.

use super::super::BackwardWeight;
use super::transform::{Gradient, WeightGradient, square};
use super::{FREQUENCIES, Geometry, Source, Tiles, apart, transform_input};
use crate::native::gemm::{Addend, Columns, Product, Repeats, Rows, WHOLE};
use crate::native::memory::At;
use crate::native::simd::Simd;

/// Tiles whose products are summed in registers before they go to memory.
const TILES: usize = 48;

/// Input channels of a block: a multiple of every level's panel.
const BLOCK_IN: usize = 96;

/// Output channels of a block.
const BLOCK_OUT: usize = 64;

/// Floats from one matrix of transformed inputs, gradients and sums to the next.
const INPUT_STEP: usize = apart(TILES * BLOCK_IN);
const GRADIENT_STEP: usize = apart(TILES * BLOCK_OUT);
const SUM_STEP: usize = apart(BLOCK_OUT * BLOCK_IN);

/// Number of independent blocks.
pub(in super::super) fn blocks(g: &Geometry) -> usize {
    g.out_c.div_ceil(BLOCK_OUT) * g.in_c.div_ceil(BLOCK_IN)
}

/// Floats of scratch.
pub(super) const SCRATCH: usize = BLOCK_IN + FREQUENCIES * (INPUT_STEP + GRADIENT_STEP + SUM_STEP);

/// One block. Both maps are transformed for this block alone: a few hundredths of the products' time.
#[inline(always)]
pub(in super::super) unsafe fn backward_weight<S: Simd>(b: &BackwardWeight<'_>) {
    let g = b.g;
    let tiles = Tiles::new(g.in_h, g.in_w);
    let in_blocks = g.in_c.div_ceil(BLOCK_IN);
    let (first_out, first_in) = (b.block / in_blocks * BLOCK_OUT, b.block % in_blocks * BLOCK_IN);
    let (outs, ins) = ((g.out_c - first_out).min(BLOCK_OUT), (g.in_c - first_in).min(BLOCK_IN));
    let count = b.images * tiles.count();
    let rounds = count.div_ceil(TILES);
    unsafe {
        let zeros = b.scratch;
        let inputs = zeros.add(BLOCK_IN);
        let gradients = inputs.add(FREQUENCIES * INPUT_STEP);
        let sums = gradients.add(FREQUENCIES * GRADIENT_STEP);
        std::ptr::write_bytes(zeros.ptr(), 0, BLOCK_IN);
        let x = Source { map: b.x.add(b.first_image * g.in_elements() + first_in), channels: g.in_c, count: ins, zeros };
        let dz = Source { map: b.dz.add(b.first_image * g.out_elements() + first_out), channels: g.out_c, count: outs, zeros };
        for round in 0..rounds {
            let (first, end) = (count * round / rounds, count * (round + 1) / rounds);
            transform_input::<S>(&tiles, &x, first, end - first, inputs, INPUT_STEP);
            transform_gradient::<S>(&tiles, &dz, first, end - first, gradients);
            for frequency in 0..FREQUENCIES {
                S::product(&Product {
                    segments: WHOLE,
                    depth: end - first,
                    repeats: Repeats::ONCE,
                    a: gradients.add(frequency * GRADIENT_STEP),
                    a_step: outs,
                    b: inputs.add(frequency * INPUT_STEP),
                    columns: Columns::Matrix { step: ins },
                    rows: Rows::plain(outs, 1, ins),
                    c: sums.add(frequency * SUM_STEP),
                    cols: ins,
                    addend: Addend::result_if(round > 0),
                    activation: None,
                });
            }
        }
        let panel = S::TILE_VECTORS * S::LANES;
        for col in (0..ins).step_by(panel) {
            let cols = (ins - col).min(panel);
            let to = b.dw.ptr().add((first_in + col) * 9 * g.out_c + first_out * cols);
            for out in 0..outs {
                let from = sums.ptr().add(out * ins + col).cast_const();
                store::<S>(from, to.add(out * cols), g.out_c * cols, cols, b.accumulate);
            }
        }
    }
}

/// Transforms the output gradients of `count` tiles to 16 matrices `[count, channels]`.
#[inline(always)]
unsafe fn transform_gradient<S: Simd>(tiles: &Tiles, from: &Source, first: usize, count: usize, to: At) {
    for tile in 0..count {
        unsafe {
            let (image, top, left) = tiles.place(first + tile);
            let at = tiles.positions::<2>(from.map, from.channels, image, top, left, from.zeros);
            let to = to.ptr().add(tile * from.count);
            for channel in (0..from.count).step_by(S::LANES) {
                let lanes = from.count - channel;
                let mut gradients = [[S::splat(0.0); 2]; 2];
                for (gradients, at) in gradients.iter_mut().zip(&at) {
                    for (gradient, at) in gradients.iter_mut().zip(at) {
                        *gradient = S::load_upto(at.add(channel), lanes);
                    }
                }
                let gradients = square::<S, Gradient, 2, 4>(gradients);
                for (row, gradients) in gradients.into_iter().enumerate() {
                    for (column, gradient) in gradients.into_iter().enumerate() {
                        S::store_upto(to.add((4 * row + column) * GRADIENT_STEP + channel), gradient, lanes);
                    }
                }
            }
        }
    }
}

/// Transforms `cols` sums back to the nine taps, `step` floats apart.
#[inline(always)]
unsafe fn store<S: Simd>(from: *const f32, to: *mut f32, step: usize, cols: usize, accumulate: bool) {
    unsafe {
        for col in (0..cols).step_by(S::LANES) {
            let lanes = cols - col;
            let mut sums = [[S::splat(0.0); 4]; 4];
            for (row, sums) in sums.iter_mut().enumerate() {
                for (column, sum) in sums.iter_mut().enumerate() {
                    *sum = S::load_upto(from.add((4 * row + column) * SUM_STEP + col), lanes);
                }
            }
            let gradients = square::<S, WeightGradient, 4, 3>(sums);
            for (row, gradients) in gradients.into_iter().enumerate() {
                for (column, mut gradient) in gradients.into_iter().enumerate() {
                    let to = to.add((3 * row + column) * step + col);
                    if accumulate {
                        gradient = S::add(gradient, S::load_upto(to, lanes));
                    }
                    S::store_upto(to, gradient, lanes);
                }
            }
        }
    }
}
