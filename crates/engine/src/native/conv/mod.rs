//! Convolutions and Linear: forward, input gradient and weight gradient of one task.
//!
//! Maps are `[n, height, width, channels]`. A layer is worked out in one of a few ways ([`Method`]), chosen once, from its
//! shape and from whether images come one at a time. Weights are kept as the way back wants them ([`WeightOrder`]); forward
//! reads a packed copy, and only the state dict has PyTorch's order.

mod backward_input;
mod backward_weight;
mod forward;
mod framed;
mod pack;
mod taps;
mod windows;
mod winograd;

pub(crate) use backward_input::BackwardInput;
pub(crate) use backward_weight::{BackwardWeight, weight_blocks};
pub(crate) use forward::{Epilogue, Forward};
pub(crate) use framed::Framed;
pub(crate) use pack::{Pack, Panel, packed_len, panels};
pub(crate) use taps::Taps;
pub(crate) use windows::WINDOW_ROWS;
pub(crate) use winograd::{FREQUENCIES, multiplications};

use super::memory::{ALIGN, READ_AHEAD};

/// Sizes of a convolution. Linear is a 1x1 convolution of a 1x1 map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub in_h: usize,
    pub in_w: usize,
    pub in_c: usize,
    pub out_h: usize,
    pub out_w: usize,
    pub out_c: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    pub groups: usize,
}

impl Geometry {
    pub fn in_elements(&self) -> usize {
        self.in_h * self.in_w * self.in_c
    }

    pub fn out_elements(&self) -> usize {
        self.out_h * self.out_w * self.out_c
    }

    pub fn out_positions(&self) -> usize {
        self.out_h * self.out_w
    }

    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Input channels of one group.
    pub fn group_in(&self) -> usize {
        self.in_c / self.groups
    }

    /// Output channels of one group.
    pub fn group_out(&self) -> usize {
        self.out_c / self.groups
    }

    /// Weights per output channel.
    pub fn depth(&self) -> usize {
        self.taps() * self.group_in()
    }

    /// The kernel rows (or columns) that fall inside a side of `size` for the output at `out`.
    pub fn inside(&self, out: usize, size: usize) -> std::ops::Range<usize> {
        let first = out * self.stride;
        self.padding.saturating_sub(first)..(size + self.padding).saturating_sub(first).min(self.kernel)
    }

    /// The output rows (or columns) for which kernel row `tap` falls inside a side of `size`.
    pub fn outputs(&self, tap: usize, size: usize, out_size: usize) -> std::ops::Range<usize> {
        let first = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (size + self.padding).saturating_sub(tap).div_ceil(self.stride).min(out_size);
        first.min(end)..end
    }

    /// The kernel rows (or columns) that meet a side of `size` for some output.
    pub fn met(&self, size: usize, out_size: usize) -> usize {
        (0..self.kernel).filter(|&tap| !self.outputs(tap, size, out_size).is_empty()).count()
    }
}

/// How a layer is worked out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Method {
    /// 1x1, stride 1: one product over all positions.
    Pointwise,
    /// A product per stretch of neighbouring outputs, whose depth is the kernel taps inside the image.
    Taps(Taps),
    /// 3x3, stride 1, many channels: fewer multiplications, by tiles.
    Winograd,
    /// One image on a small map, in inference.
    Framed(Framed),
    /// Groups: the windows are copied into a matrix, some rows at a time (im2col).
    Windows,
    /// One input channel per output channel.
    Depthwise,
    /// No convolution: a BatchNorm or activation that follows something else.
    Copy,
}

/// Order of a layer's weights in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WeightOrder {
    /// `[out, in, k, k]`, as PyTorch has it.
    Torch,
    /// `[out, k, k, in]`.
    TapsThenIn,
    /// `[k, k, channels]`.
    TapsThenChannels,
    /// Panels of `width` input channels (the last one of what is left), each `[k, k, out, its channels]`: how the matrix
    /// kernel reads its B for the input gradient.
    InPanels {
        /// Input channels of a panel.
        width: usize,
    },
}

/// From how many input channels on a kernel tap by itself is deep enough for a product.
const DEEP_CHANNELS: usize = 16;

impl Method {
    /// The way for this geometry, and for no more than one image at a time, in inference, if `single`.
    pub fn choose(g: &Geometry, single: bool) -> Method {
        if g.groups > 1 && g.groups == g.in_c && g.groups == g.out_c {
            Method::Depthwise
        } else if g.groups > 1 {
            Method::Windows
        } else if g.kernel == 1 && g.stride == 1 && g.padding == 0 {
            Method::Pointwise
        } else if let Some(framed) = single.then(|| Framed::new(g)).flatten() {
            Method::Framed(framed)
        } else if winograd::suits(g) {
            Method::Winograd
        } else {
            Method::Taps(Taps::new(g))
        }
    }

    /// How the weights lie, for panels of `width` columns.
    pub fn weight_order(&self, g: &Geometry, width: usize) -> WeightOrder {
        match self {
            Method::Depthwise => WeightOrder::TapsThenChannels,
            Method::Copy => WeightOrder::Torch,
            Method::Windows => WeightOrder::TapsThenIn,
            Method::Taps(_) if g.in_c < DEEP_CHANNELS => WeightOrder::TapsThenIn,
            Method::Taps(_) | Method::Winograd | Method::Framed(_) | Method::Pointwise => WeightOrder::InPanels { width },
        }
    }

    /// Whether forward reads a packed copy of the weights even in training.
    pub fn packs(&self) -> bool {
        matches!(self, Method::Pointwise | Method::Taps(_) | Method::Winograd | Method::Framed(_) | Method::Windows)
    }

    /// Floats of scratch that a thread needs.
    pub fn scratch(&self, g: &Geometry) -> usize {
        let floats = match self {
            Method::Windows => WINDOW_ROWS * g.depth(),
            Method::Taps(taps) => taps.scratch(),
            Method::Winograd => winograd::scratch(g),
            Method::Framed(framed) => framed.scratch(),
            _ => return 0,
        };
        // The matrix kernel reads whole vectors: not into the next thread's scratch.
        (floats + READ_AHEAD).next_multiple_of(ALIGN)
    }
}
