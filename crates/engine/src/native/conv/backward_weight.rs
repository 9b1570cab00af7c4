//! A block of a weight gradient: some output and input channels (or taps), over some images.

use super::taps::TapWeights;
use super::{DEEP_CHANNELS, Geometry, Method, Taps, windows, winograd};
use crate::native::depthwise;
use crate::native::gemm::{Addend, Columns, Product, Repeats, Rows, Segment, WHOLE};
use crate::native::memory::At;
use crate::native::simd::{Kernel, Simd};

/// Positions whose products are summed in registers before they go to memory: longer sums of one register would lose
/// bits, and the rows of a block stay in the first-level cache for all tiles of a task.
const SUM_POSITIONS: usize = 128;

/// Output channels of a block: a multiple of every level's tile.
const BLOCK_OUT: usize = 48;

/// A block of a weight gradient: some output channels and input channels (or taps), over some images.
pub(crate) struct BackwardWeight<'a> {
    pub method: &'a Method,
    pub g: &'a Geometry,
    pub x: At,
    pub dz: At,
    /// In the method's own order: the gradient itself, or this split's part of it.
    pub dw: At,
    pub first_image: usize,
    pub images: usize,
    /// The block, numbered as [`weight_blocks`] counts them.
    pub block: usize,
    /// This thread's own.
    pub scratch: At,
    pub accumulate: bool,
}

/// Number of independent blocks of a layer's weight gradient, for vectors of `lanes` and panels of `width`.
pub(crate) fn weight_blocks(method: &Method, g: &Geometry, lanes: usize, width: usize) -> usize {
    match method {
        Method::Pointwise => g.out_c.div_ceil(BLOCK_OUT) * g.in_c.div_ceil(width),
        // A large image is read from memory once, for all blocks; several small ones stay in cache.
        Method::Taps(taps) if taps.input.is_some() => 1,
        Method::Taps(_) => g.out_c.div_ceil(BLOCK_OUT) * g.taps(),
        Method::Winograd => winograd::blocks(g),
        Method::Windows => 1,
        Method::Depthwise => depthwise::blocks(g, lanes),
        Method::Copy | Method::Framed(_) => 0,
    }
}

impl Kernel for BackwardWeight<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let b = &self;
        unsafe {
            match b.method {
                Method::Pointwise => pointwise::<S>(b),
                Method::Taps(taps) if b.g.in_c < DEEP_CHANNELS => kernel_rows::<S>(b, taps),
                Method::Taps(taps) if taps.input.is_some() => all_taps::<S>(b, taps),
                Method::Taps(taps) => {
                    let (first_out, tap) = (b.block / b.g.taps() * BLOCK_OUT, b.block % b.g.taps());
                    let outs = (b.g.out_c - first_out).min(BLOCK_OUT);
                    one_tap::<S>(b, taps, tap, first_out, outs, b.first_image, b.images, b.accumulate);
                }
                Method::Winograd => winograd::backward_weight::<S>(b),
                Method::Windows => windows::backward_weight::<S>(b),
                // Depthwise works out both gradients at once: `depthwise::Backward`.
                Method::Depthwise | Method::Copy => {}
                Method::Framed(_) => unreachable!("inference has no way back"),
            }
        }
    }
}

#[inline(always)]
unsafe fn pointwise<S: Simd>(b: &BackwardWeight<'_>) {
    let g = b.g;
    let width = S::TILE_VECTORS * S::LANES;
    let panels = g.in_c.div_ceil(width);
    let first_out = b.block / panels * BLOCK_OUT;
    let first_in = b.block % panels * width;
    let cols = (g.in_c - first_in).min(width);
    let first = b.first_image * g.out_positions();
    let end = first + b.images * g.out_positions();
    let mut row = first;
    while row < end {
        let depth = (end - row).min(SUM_POSITIONS);
        unsafe {
            S::product(&Product {
                segments: WHOLE,
                depth,
                repeats: Repeats::ONCE,
                a: b.dz.add(row * g.out_c + first_out),
                a_step: g.out_c,
                b: b.x.add(row * g.in_c + first_in),
                columns: Columns::Matrix { step: g.in_c },
                rows: Rows::plain((g.out_c - first_out).min(BLOCK_OUT), 1, cols),
                c: b.dw.add(first_in * g.out_c + first_out * cols),
                cols,
                addend: Addend::result_if(b.accumulate || row > first),
                activation: None,
            });
        }
        row += depth;
    }
}

/// One tap's part for some output channels and all input channels, over some images.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the ranges of a block")]
unsafe fn one_tap<S: Simd>(
    b: &BackwardWeight<'_>,
    taps: &Taps,
    tap: usize,
    first_out: usize,
    outs: usize,
    first_image: usize,
    images: usize,
    accumulate: bool,
) {
    let g = b.g;
    let width = S::TILE_VECTORS * S::LANES;
    let TapWeights { segments, depth } = &taps.weights[tap];
    // The depth of one product: a few positions of all images, or all of a few images, or a part of one image.
    let positions = segments.len() * depth;
    let (a_step, step, depth) =
        if taps.images_deep { (g.out_elements(), g.in_elements(), images) } else { (g.out_c, g.stride * g.in_c, *depth) };
    let (images_at_once, per_list) = if taps.images_deep {
        (images, (SUM_POSITIONS / images).max(1))
    } else if positions < SUM_POSITIONS {
        ((SUM_POSITIONS / positions.max(1)).max(1), segments.len())
    } else {
        (1, (SUM_POSITIONS / depth.max(1)).max(1))
    };
    // A tap that no position has inside gets a product of no segments, which writes zeros.
    let lists = segments.len().div_ceil(per_list.max(1)).max(1);
    let mut round = 0;
    while round < images {
        let count = (images - round).min(images_at_once);
        let image = first_image + round;
        let repeats = if taps.images_deep { Repeats::ONCE } else { Repeats { count, a: g.out_elements(), b: g.in_elements() } };
        for list in 0..lists {
            for first_in in (0..g.in_c).step_by(width) {
                let cols = (g.in_c - first_in).min(width);
                unsafe {
                    S::product(&Product {
                        segments: &segments[segments.len() * list / lists..segments.len() * (list + 1) / lists],
                        depth,
                        repeats,
                        a: b.dz.add(image * g.out_elements() + first_out),
                        a_step,
                        b: b.x.add(image * g.in_elements() + first_in),
                        columns: Columns::Matrix { step },
                        rows: Rows::plain(outs, 1, cols),
                        c: b.dw.add(first_in * g.taps() * g.out_c + (tap * g.out_c + first_out) * cols),
                        cols,
                        addend: Addend::result_if(accumulate || round + list > 0),
                        activation: None,
                    });
                }
            }
        }
        round += count;
    }
}

/// All blocks of a large map, image by image.
#[inline(always)]
unsafe fn all_taps<S: Simd>(b: &BackwardWeight<'_>, taps: &Taps) {
    for image in b.first_image..b.first_image + b.images {
        for tap in 0..b.g.taps() {
            unsafe { one_tap::<S>(b, taps, tap, 0, b.g.out_c, image, 1, b.accumulate || image > b.first_image) };
        }
    }
}

/// Few input channels: all taps of a kernel row at once, as columns of the copied input.
#[inline(always)]
unsafe fn kernel_rows<S: Simd>(b: &BackwardWeight<'_>, taps: &Taps) {
    let g = b.g;
    let Some(border) = &taps.input else { return };
    for image in b.first_image..b.first_image + b.images {
        unsafe {
            border.copy(b.x.add(image * g.in_elements()), b.scratch);
            for ky in 0..g.kernel {
                let rows = g.outputs(ky, g.in_h, g.out_h);
                let mut accumulate = b.accumulate || image > b.first_image;
                let mut y = rows.start;
                let step = (SUM_POSITIONS / g.out_w).max(1);
                loop {
                    // Rows of outputs lie behind each other, and so do rows of the copy: each is a product of its own.
                    let end = (y + step).min(rows.end);
                    let mut segments = [Segment::default(); SUM_POSITIONS];
                    for (segment, y) in segments.iter_mut().zip(y..end) {
                        *segment = Segment { a: y * g.out_w * g.out_c, b: (y * g.stride + ky - g.padding) * border.row() };
                    }
                    S::product(&Product {
                        segments: &segments[..end.saturating_sub(y)],
                        depth: g.out_w,
                        repeats: Repeats::ONCE,
                        a: b.dz.add(image * g.out_elements()),
                        a_step: g.out_c,
                        b: b.scratch,
                        columns: Columns::Matrix { step: g.stride * g.in_c },
                        rows: Rows::plain(g.out_c, 1, g.depth()),
                        c: b.dw.add(ky * g.kernel * g.in_c),
                        cols: g.kernel * g.in_c,
                        addend: Addend::result_if(accumulate),
                        activation: None,
                    });
                    accumulate = true;
                    y = end;
                    if y >= rows.end {
                        break;
                    }
                }
            }
        }
    }
}
