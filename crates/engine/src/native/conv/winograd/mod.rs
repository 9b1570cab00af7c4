//! 3x3 convolutions of stride 1 by Winograd's F(2x2, 3x3): two by two outputs from four by four inputs with 16
//! multiplications where the plain way takes 36.
//!
//! A map is cut into tiles of two by two outputs. The inputs of some tiles are transformed ([`transform`]) into 16
//! matrices `[tiles, channels]`, the weights into 16 matrices `[channels, outputs]`; 16 products later another transform
//! gives the outputs. The input gradient is the same convolution with the kernel turned over, so forward and input
//! gradient share [`Convolve`]; the weight gradient ([`backward_weight`]) is the transposed algorithm: 4x4 inputs against
//! 2x2 output gradients, summed over the tiles before they are transformed back to 3x3.
//!
//! Everything that is transformed lives in a thread's scratch, never in memory of its own: weights are transformed by each
//! task from the panels that [`Method::Taps`](super::Method) reads too. That costs a few hundredths of the products'
//! time, less than reading 16 floats per weight from memory instead of 9 would.

mod convolve;
mod transform;
mod weights;

pub(super) use convolve::Convolve;
pub(super) use weights::{backward_weight, blocks};

use super::Geometry;
use crate::native::memory::At;
use crate::native::simd::Simd;
use transform::{Input, for_vectors, places, read, square, write};

/// Products per tile, input channel and output channel.
pub(crate) const FREQUENCIES: usize = 16;

/// The widest panel of any level.
const WIDEST_PANEL: usize = 48;

/// The narrowest one.
const NARROWEST_PANEL: usize = 8;

/// Whether a convolution is worked out this way.
pub(super) fn suits(g: &Geometry) -> bool {
    g.kernel == 3 && g.stride == 1 && g.padding == 1 && g.groups == 1 && g.in_c.min(g.out_c) >= 32 && g.in_h.min(g.in_w) >= 4
}

/// Floats of scratch that a thread needs.
pub(super) fn scratch(g: &Geometry) -> usize {
    Convolve::scratch(g.in_c, g.out_c).max(Convolve::scratch(g.out_c, g.in_c)).max(weights::SCRATCH)
}

/// Multiplications of one image, per input and output channel.
pub(crate) fn multiplications(g: &Geometry) -> usize {
    FREQUENCIES * Tiles::new(g.in_h, g.in_w).count()
}

/// Floats from one of 16 matrices of `floats` to the next: a line more than they need, because the 16 are written in turn
/// and would otherwise meet in one set of the cache.
const fn apart(floats: usize) -> usize {
    floats.next_multiple_of(16) + 16
}

/// The tiles of a map: those at its lower and right edge may stick out.
#[derive(Clone, Copy)]
struct Tiles {
    height: usize,
    width: usize,
    down: usize,
    across: usize,
}

impl Tiles {
    fn new(height: usize, width: usize) -> Tiles {
        Tiles { height, width, down: height.div_ceil(2), across: width.div_ceil(2) }
    }

    /// Tiles of one image.
    fn count(&self) -> usize {
        self.down * self.across
    }

    /// Image, and upper left output, of a tile counted over the images.
    #[inline(always)]
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let (image, tile) = (tile / self.count(), tile % self.count());
        (image, tile / self.across * 2, tile % self.across * 2)
    }

    /// Where the `SIDE` by `SIDE` positions from (`top`, `left`) on lie in a map of `channels`; `outside` for those that the map
    /// does not have. Positions before the first are written as wrapped numbers.
    #[inline(always)]
    unsafe fn positions<const SIDE: usize>(
        &self,
        map: At,
        channels: usize,
        image: usize,
        top: usize,
        left: usize,
        outside: At,
    ) -> [[*mut f32; SIDE]; SIDE] {
        let mut at = [[outside.ptr(); SIDE]; SIDE];
        for (down, row) in at.iter_mut().enumerate() {
            let y = top.wrapping_add(down);
            for (across, at) in row.iter_mut().enumerate() {
                let x = left.wrapping_add(across);
                if y < self.height && x < self.width {
                    *at = unsafe { map.ptr().add(((image * self.height + y) * self.width + x) * channels) };
                }
            }
        }
        at
    }
}

/// Some channels of a map, to be transformed.
#[derive(Clone, Copy)]
struct Source {
    /// The first of the channels in the first image.
    map: At,
    /// Channels of the map.
    channels: usize,
    /// Channels to transform.
    count: usize,
    /// As many zeros: what lies outside.
    zeros: At,
}

/// Transforms the inputs of `count` tiles to 16 matrices `[count, channels]`, `step` floats apart.
#[inline(always)]
unsafe fn transform_input<S: Simd>(tiles: &Tiles, from: &Source, first: usize, count: usize, to: At, step: usize) {
    for tile in 0..count {
        unsafe {
            let (image, top, left) = tiles.place(first + tile);
            let at = tiles.positions::<4>(from.map, from.channels, image, top.wrapping_sub(1), left.wrapping_sub(1), from.zeros);
            let to = places::<4>(to.ptr().add(tile * from.count), step);
            for_vectors!(S, from.count, |channel, lanes, WHOLE| {
                let inputs = square::<S, Input, 4, 4>(read::<S, WHOLE, 4>(&at, channel, lanes));
                write::<S, WHOLE, 4>(inputs, &to, channel, lanes);
            });
        }
    }
}
