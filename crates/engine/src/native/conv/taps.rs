//! What [`Method::Taps`](super::Method) works out ahead: stretches of neighbouring positions whose kernel taps inside the
//! image are the same, each one product without a copy of the input and without multiplying padding, which on the last
//! maps of a 32x32 network is most of a 3x3 kernel.
//!
//! On wide maps, where padding is little, a row of outputs is one stretch: its image is copied once into rows with a
//! border of zeros.

use super::{DEEP_CHANNELS, Geometry};
use crate::native::gemm::Segment;
use crate::native::memory::At;

/// Rows of one product: neighbouring positions of a map, in each of a task's images.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stretch {
    /// Offset of the first position within the image.
    pub first: usize,
    /// Positions.
    pub count: usize,
    /// Floats from one position to the next.
    pub step: usize,
    /// The same in the map that is read.
    pub read_step: usize,
    /// The taps: offsets in the map that is read, and rows of the weights' panels.
    pub segments: Vec<Segment>,
    /// Length of each segment.
    pub depth: usize,
}

/// Products of one tap's weight gradient: outputs with the inputs that the tap meets there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TapWeights {
    /// Offsets in the output's gradient and in the input, within an image.
    pub segments: Vec<Segment>,
    /// Neighbouring positions of each segment.
    pub depth: usize,
}

/// A map copied into rows with a border of zeros, of so many positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Border {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub above: usize,
    pub below: usize,
    pub left: usize,
    pub right: usize,
}

impl Border {
    pub fn row(&self) -> usize {
        (self.left + self.width + self.right) * self.channels
    }

    pub fn elements(&self) -> usize {
        (self.above + self.height + self.below) * self.row()
    }

    /// Copies one image.
    ///
    /// # Safety
    /// `from` must hold the map, `to` [`Self::elements`].
    pub unsafe fn copy(&self, from: At, to: At) {
        let row = self.width * self.channels;
        let (left, right) = (self.left * self.channels, self.right * self.channels);
        unsafe {
            let first = to.ptr().add(self.above * self.row());
            std::ptr::write_bytes(to.ptr(), 0, self.above * self.row());
            std::ptr::write_bytes(first.add(self.height * self.row()), 0, self.below * self.row());
            for y in 0..self.height {
                let to = first.add(y * self.row());
                std::ptr::write_bytes(to, 0, left);
                std::ptr::copy_nonoverlapping(from.ptr().add(y * row).cast_const(), to.add(left), row);
                std::ptr::write_bytes(to.add(left + row), 0, right);
            }
        }
    }
}

/// The products of a convolution, worked out ahead.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Taps {
    /// The border around the input, where it is copied.
    pub input: Option<Border>,
    /// The border around the output's gradient, where it is copied.
    pub output: Option<Border>,
    /// Stretches of outputs.
    pub forward: Vec<Stretch>,
    /// Stretches of inputs (for the input gradient).
    pub backward: Vec<Stretch>,
    /// Per tap (for the weight gradient); empty where whole kernel rows are taken from a copied input.
    pub weights: Vec<TapWeights>,
    /// Whether the weight gradient's depth runs over the images, so small is the map.
    pub images_deep: bool,
}

/// Maps wider than this are copied with a border.
const NARROW: usize = 8;

impl Taps {
    pub fn new(g: &Geometry) -> Taps {
        let wide = g.in_w > NARROW || g.in_c < DEEP_CHANNELS;
        let input = wide.then(|| {
            let right = ((g.out_w - 1) * g.stride + g.kernel).saturating_sub(g.padding + g.in_w);
            Border { height: g.in_h, width: g.in_w, channels: g.in_c, above: 0, below: 0, left: g.padding, right }
        });
        let output = wide.then(|| {
            let left = (g.kernel - 1).saturating_sub(g.padding).div_ceil(g.stride);
            let right = ((g.in_w - 1 + g.padding) / g.stride + 1).saturating_sub(g.out_w);
            Border { height: g.out_h, width: g.out_w, channels: g.out_c, above: 0, below: 0, left, right }
        });
        let images_deep = g.out_w <= 2;
        Taps {
            input,
            output,
            forward: (0..g.out_h).flat_map(|y| forward(g, y, input)).collect(),
            backward: (0..g.in_h).flat_map(|y| backward(g, y, output)).collect(),
            weights: if g.in_c < DEEP_CHANNELS { Vec::new() } else { (0..g.taps()).map(|tap| weights(g, tap, images_deep)).collect() },
            images_deep,
        }
    }

    /// Floats that a copied image takes.
    pub fn scratch(&self) -> usize {
        self.input.iter().chain(&self.output).map(Border::elements).max().unwrap_or(0)
    }
}

/// Cuts `positions` into groups whose `key` is the same.
fn grouped<K: PartialEq>(positions: impl Iterator<Item = usize>, key: impl Fn(usize) -> K) -> Vec<(usize, usize, K)> {
    let mut groups: Vec<(usize, usize, K)> = Vec::new();
    for position in positions {
        let here = key(position);
        match groups.last_mut() {
            Some((_, count, last)) if *last == here => *count += 1,
            _ => groups.push((position, 1, here)),
        }
    }
    groups
}

/// The stretches of output row `y`. The taps of a kernel row meet neighbouring inputs: they are one segment.
fn forward(g: &Geometry, y: usize, border: Option<Border>) -> Vec<Stretch> {
    let columns = |x| if border.is_some() { 0..g.kernel } else { g.inside(x, g.in_w) };
    let groups = grouped(0..g.out_w, columns);
    let stretch = |(x, count, columns): (usize, usize, std::ops::Range<usize>)| {
        let segments = g.inside(y, g.in_h).filter(|_| !columns.is_empty()).map(|ky| {
            let (in_y, tap) = (y * g.stride + ky - g.padding, ky * g.kernel + columns.start);
            let a = match border {
                Some(border) => in_y * border.row() + x * g.stride * g.in_c,
                None => (in_y * g.in_w + x * g.stride + columns.start - g.padding) * g.in_c,
            };
            Segment { a, b: tap * g.in_c }
        });
        Stretch {
            first: (y * g.out_w + x) * g.out_c,
            count,
            step: g.out_c,
            read_step: g.stride * g.in_c,
            segments: segments.collect(),
            depth: columns.len() * g.in_c,
        }
    };
    groups.into_iter().map(stretch).collect()
}

/// The outputs that input coordinate `at` reaches: (tap, output), output coordinates counted from `-left` on.
fn reached(g: &Geometry, at: usize, out_size: usize, border: Option<(usize, usize)>) -> Vec<(usize, usize)> {
    let (left, right) = border.unwrap_or((0, 0));
    let reach = at + g.padding + left * g.stride;
    let inside =
        |tap: &usize| *tap <= reach && (reach - tap).is_multiple_of(g.stride) && (reach - tap) / g.stride < left + out_size + right;
    (0..g.kernel).filter(inside).map(|tap| (tap, (reach - tap) / g.stride)).collect()
}

/// The stretches of input row `y`: for each remainder of the stride those positions that the same taps read.
fn backward(g: &Geometry, y: usize, border: Option<Border>) -> Vec<Stretch> {
    let sides = border.map(|b| (b.left, b.right));
    let row = border.map_or(g.out_w * g.out_c, |b| b.row());
    let rows = reached(g, y, g.out_h, None);
    let mut stretches = Vec::new();
    for remainder in 0..g.stride.min(g.in_w) {
        let taps = |x: usize| -> Vec<usize> { reached(g, x, g.out_w, sides).into_iter().map(|(tap, _)| tap).collect() };
        for (x, count, _) in grouped((remainder..g.in_w).step_by(g.stride), taps) {
            let columns = reached(g, x, g.out_w, sides);
            let each = rows.iter().flat_map(|&(ky, out_y)| columns.iter().map(move |&(kx, out_x)| (ky * g.kernel + kx, out_y, out_x)));
            let segments = each.map(|(tap, out_y, out_x)| Segment { a: out_y * row + out_x * g.out_c, b: tap * g.out_c });
            stretches.push(Stretch {
                first: (y * g.in_w + x) * g.in_c,
                count,
                step: g.stride * g.in_c,
                read_step: g.out_c,
                segments: segments.collect(),
                depth: g.out_c,
            });
        }
    }
    stretches
}

fn weights(g: &Geometry, tap: usize, images_deep: bool) -> TapWeights {
    let (ky, kx) = (tap / g.kernel, tap % g.kernel);
    let (rows, columns) = (g.outputs(ky, g.in_h, g.out_h), g.outputs(kx, g.in_w, g.out_w));
    let at = |y: usize, x: usize| {
        let input = (y * g.stride + ky - g.padding) * g.in_w + x * g.stride + kx - g.padding;
        Segment { a: (y * g.out_w + x) * g.out_c, b: input * g.in_c }
    };
    if images_deep {
        let segments = rows.flat_map(|y| columns.clone().map(move |x| (y, x))).map(|(y, x)| at(y, x));
        TapWeights { segments: segments.collect(), depth: 0 }
    } else {
        let segments = rows.filter(|_| !columns.is_empty()).map(|y| at(y, columns.start));
        TapWeights { segments: segments.collect(), depth: columns.len() }
    }
}
