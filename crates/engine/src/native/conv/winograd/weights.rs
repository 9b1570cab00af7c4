//! The weight gradient by tiles.

use super::super::BackwardWeight;
use super::transform::{Gradient, WeightGradient, for_vectors, places, read, square, write};
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
                let from = places::<4>(sums.ptr().add(out * ins + col), SUM_STEP);
                let to = places::<3>(to.add(out * cols), g.out_c * cols);
                for_vectors!(S, cols, |i, lanes, WHOLE| {
                    let mut gradients = square::<S, WeightGradient, 4, 3>(read::<S, WHOLE, 4>(&from, i, lanes));
                    if b.accumulate {
                        for (gradients, old) in gradients.iter_mut().zip(read::<S, WHOLE, 3>(&to, i, lanes)) {
                            for (gradient, old) in gradients.iter_mut().zip(old) {
                                *gradient = S::add(*gradient, old);
                            }
                        }
                    }
                    write::<S, WHOLE, 3>(gradients, &to, i, lanes);
                });
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
            let to = places::<4>(to.ptr().add(tile * from.count), GRADIENT_STEP);
            for_vectors!(S, from.count, |channel, lanes, WHOLE| {
                let gradients = square::<S, Gradient, 2, 4>(read::<S, WHOLE, 2>(&at, channel, lanes));
                write::<S, WHOLE, 4>(gradients, &to, channel, lanes);
            });
        }
    }
}
