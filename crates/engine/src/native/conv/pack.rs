//! Weights in the order in which forward's matrix kernel reads them: panels of output channels, each `[k, k, in, its
//! channels]`. In inference BatchNorm's scale is folded in on the way.

use super::{Geometry, Method, WeightOrder};
use crate::native::gemm::transpose;
use crate::native::memory::At;
use crate::native::simd::{Kernel, Simd};

/// Floats of a layer's packed weights.
pub(crate) fn packed_len(g: &Geometry) -> usize {
    g.out_c * g.depth()
}

/// One panel of a layer's packed weights: a task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panel {
    /// Index of the layer.
    pub layer: usize,
    /// Its first output channel.
    pub first_out: usize,
    /// Its output channels.
    pub outs: usize,
}

/// The panels of a layer, `width` output channels of one group each; a depthwise layer is one.
pub(crate) fn panels(layer: usize, method: &Method, g: &Geometry, width: usize) -> impl Iterator<Item = Panel> + use<> {
    let (groups, outs, width) = if *method == Method::Depthwise { (1, g.out_c, g.out_c) } else { (g.groups, g.group_out(), width) };
    let starts =
        (0..groups).flat_map(move |group| (0..outs).step_by(width).map(move |first| (group * outs + first, (outs - first).min(width))));
    starts.map(move |(first_out, outs)| Panel { layer, first_out, outs })
}

/// Packs one panel.
pub(crate) struct Pack<'a> {
    pub method: &'a Method,
    pub g: &'a Geometry,
    /// The layer's weights, in their own order, and their packed copy.
    pub from: At,
    pub to: At,
    /// Multiplied with each output channel, if there is one.
    pub scale: At,
    pub panel: Panel,
}

impl Kernel for Pack<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (g, outs, first) = (self.g, self.panel.outs, self.panel.first_out);
        let depth = g.depth();
        unsafe {
            if *self.method == Method::Depthwise {
                self.scaled_copy::<S>();
                return;
            }
            let to = self.to.ptr().add(first * depth);
            match self.method.weight_order(g, S::TILE_VECTORS * S::LANES) {
                WeightOrder::InPanels { width } => {
                    for first_in in (0..g.in_c).step_by(width) {
                        let ins = (g.in_c - first_in).min(width);
                        for tap in 0..g.taps() {
                            let from = self.from.ptr().add(first_in * g.taps() * g.out_c + (tap * g.out_c + first) * ins);
                            transpose::<S>(from, ins, to.add((tap * g.in_c + first_in) * outs), outs, outs, ins);
                        }
                    }
                }
                _ => transpose::<S>(self.from.ptr().add(first * depth), depth, to, outs, outs, depth),
            }
            if self.scale.is_some() {
                for row in 0..depth {
                    let row = to.add(row * outs);
                    for i in (0..outs).step_by(S::LANES) {
                        let scale = S::load_upto(self.scale.ptr().add(first + i), outs - i);
                        S::store_upto(row.add(i), S::mul(S::load_upto(row.add(i), outs - i), scale), outs - i);
                    }
                }
            }
        }
    }
}

impl Pack<'_> {
    /// Depthwise weights are `[k, k, channels]` either way.
    #[inline(always)]
    unsafe fn scaled_copy<S: Simd>(&self) {
        let (channels, first, count) = (self.g.out_c, self.panel.first_out, self.panel.outs);
        unsafe {
            for tap in 0..self.g.taps() {
                for i in (0..count).step_by(S::LANES) {
                    let at = tap * channels + first + i;
                    let mut value = S::load_upto(self.from.ptr().add(at), count - i);
                    if self.scale.is_some() {
                        value = S::mul(value, S::load_upto(self.scale.ptr().add(first + i), count - i));
                    }
                    S::store_upto(self.to.ptr().add(at), value, count - i);
                }
            }
        }
    }
}
