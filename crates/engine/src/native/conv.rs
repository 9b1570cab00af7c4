//! Convolutions and Linear: forward, input gradient and weight gradient of one task.
//!
//! Maps are `[n, height, width, channels]`. A layer is worked out in one of five ways ([`Method`]), chosen once from its
//! shape. Weights are kept as each way wants them ([`Method::weight_order`]); only the state dict has PyTorch's order.

use super::depthwise;
use super::gemm::{PANEL_VECTORS, Product, Segment, WHOLE, product};
use super::memory::At;
use super::norm::{Normalize, Region, column_statistics};
use super::simd::{Kernel, Simd};
use anmok_graph::Activation;

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
        first..end
    }
}

/// How a layer is worked out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Method {
    /// 1x1, stride 1: one product over all positions.
    Pointwise,
    /// One product per output position, its rows the images and its depth the taps inside the image: no copy of the
    /// input, and no multiplication by padding, which on the last maps of a 32x32 network is most of a 3x3 kernel.
    Taps(Taps),
    /// Few input channels, or groups: the windows are copied into a matrix, some rows at a time (im2col).
    Windows,
    /// One input channel per output channel.
    Depthwise,
    /// No convolution: a BatchNorm or activation that follows something else.
    Copy,
}

/// The segment lists of [`Method::Taps`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Taps {
    /// Per output position: input offset and packed-weight offset of each tap inside the image.
    forward: Vec<Vec<Segment>>,
    /// Per input position: output offset and weight offset of each tap that reads it.
    backward: Vec<Vec<Segment>>,
    /// Per tap: output offset and input offset of each position at which it is inside.
    weights: Vec<Vec<Segment>>,
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
}

/// Rows that [`Method::Windows`] copies at a time.
pub(crate) const WINDOW_ROWS: usize = 64;

impl Method {
    /// The way for this geometry, for vectors of `lanes`.
    pub fn choose(g: &Geometry, lanes: usize) -> Method {
        if g.groups > 1 && g.groups == g.in_c && g.groups == g.out_c {
            Method::Depthwise
        } else if g.kernel == 1 && g.stride == 1 && g.padding == 0 && g.groups == 1 {
            Method::Pointwise
        } else if g.groups == 1 && g.in_c >= 16 {
            Method::Taps(Taps::new(g, lanes))
        } else {
            Method::Windows
        }
    }

    pub fn weight_order(&self) -> WeightOrder {
        match self {
            Method::Depthwise => WeightOrder::TapsThenChannels,
            Method::Pointwise | Method::Copy => WeightOrder::Torch,
            Method::Taps(_) | Method::Windows => WeightOrder::TapsThenIn,
        }
    }
}

impl Taps {
    fn new(g: &Geometry, lanes: usize) -> Taps {
        let width = PANEL_VECTORS * lanes;
        let mut taps = Taps {
            forward: vec![Vec::new(); g.out_positions()],
            backward: vec![Vec::new(); g.in_h * g.in_w],
            weights: vec![Vec::new(); g.taps()],
        };
        for y in 0..g.out_h {
            for x in 0..g.out_w {
                let out = y * g.out_w + x;
                for ky in g.inside(y, g.in_h) {
                    for kx in g.inside(x, g.in_w) {
                        let tap = ky * g.kernel + kx;
                        let input = (y * g.stride + ky - g.padding) * g.in_w + x * g.stride + kx - g.padding;
                        taps.forward[out].push(Segment { a: input * g.in_c, b: tap * g.in_c * width });
                        taps.backward[input].push(Segment { a: out * g.out_c, b: tap * g.in_c });
                        taps.weights[tap].push(Segment { a: out * g.out_c, b: input * g.in_c });
                    }
                }
            }
        }
        taps
    }
}

/// What follows the convolution while its result is in cache.
#[derive(Clone, Copy)]
pub(crate) enum Epilogue {
    /// Nothing: the result is the layer's output.
    Nothing,
    /// Mean and squared deviations of this chunk, `[channels]` each (training with BatchNorm).
    Statistics { mean: At, m2: At },
    /// `y = activation(z * scale + shift)`; no scale: `y = activation(z)`.
    Normalize { y: At, scale: At, shift: At, activation: Option<Activation> },
}

/// The forward pass of some images and some output channels (a multiple of the panel's width from `first_col`).
pub(crate) struct Forward<'a> {
    pub method: &'a Method,
    pub g: &'a Geometry,
    pub x: At,
    /// Packed panels; for depthwise `[k, k, channels]`.
    pub weight: At,
    pub bias: At,
    pub z: At,
    pub first_image: usize,
    pub images: usize,
    pub first_col: usize,
    pub cols: usize,
    /// `[WINDOW_ROWS, depth]` of this thread.
    pub scratch: At,
    pub epilogue: Epilogue,
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
                Method::Pointwise => forward_pointwise::<S>(f, &region),
                Method::Taps(taps) => forward_taps::<S>(f, taps),
                Method::Windows => forward_windows::<S>(f),
                Method::Depthwise => depthwise::forward::<S>(f),
                Method::Copy => {
                    let copy = Normalize { z: f.x, y: f.z, scale: At::NONE, shift: At::NONE, region, activation: None };
                    copy.run::<S>();
                }
            }
            match f.epilogue {
                Epilogue::Nothing => {}
                Epilogue::Statistics { mean, m2 } => column_statistics::<S>(f.z, region, mean, m2),
                Epilogue::Normalize { y, scale, shift, activation } => {
                    Normalize { z: f.z, y, scale, shift, region, activation }.run::<S>();
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn forward_pointwise<S: Simd>(f: &Forward<'_>, region: &Region) {
    let width = PANEL_VECTORS * S::LANES;
    let depth = f.g.in_c;
    unsafe {
        product::<S>(Product {
            segments: WHOLE,
            depth,
            a: f.x.add(region.first_row * depth),
            a_row: depth,
            a_step: 1,
            b: f.weight.add(f.first_col * depth),
            b_step: width,
            b_panel: depth * width,
            c: f.z.add(region.offset(0, 0)),
            c_row: f.g.out_c,
            rows: region.rows,
            cols: f.cols,
            add: if f.bias.is_some() { f.bias.add(f.first_col) } else { At::NONE },
            add_row: 0,
        });
    }
}

#[inline(always)]
unsafe fn forward_taps<S: Simd>(f: &Forward<'_>, taps: &Taps) {
    let width = PANEL_VECTORS * S::LANES;
    let (g, depth) = (f.g, f.g.depth());
    for (position, segments) in taps.forward.iter().enumerate() {
        unsafe {
            product::<S>(Product {
                segments,
                depth: g.in_c,
                a: f.x.add(f.first_image * g.in_elements()),
                a_row: g.in_elements(),
                a_step: 1,
                b: f.weight.add(f.first_col * depth),
                b_step: width,
                b_panel: depth * width,
                c: f.z.add(f.first_image * g.out_elements() + position * g.out_c + f.first_col),
                c_row: g.out_elements(),
                rows: f.images,
                cols: f.cols,
                add: if f.bias.is_some() { f.bias.add(f.first_col) } else { At::NONE },
                add_row: 0,
            });
        }
    }
}

/// Copies the windows of `rows` output positions from `first_row` on (counted over the images) into `[rows, depth]`,
/// tap by tap, `group_in` channels from `first_channel` on, with zeros for the padding.
unsafe fn copy_windows(g: &Geometry, x: At, first_row: usize, rows: usize, first_channel: usize, to: At) {
    let channels = g.group_in();
    for row in 0..rows {
        let at = first_row + row;
        let (image, position) = (at / g.out_positions(), at % g.out_positions());
        let (y, left) = (position / g.out_w * g.stride, position % g.out_w * g.stride);
        unsafe {
            let image = x.ptr().add(image * g.in_elements() + first_channel).cast_const();
            let mut out = to.ptr().add(row * g.depth());
            for ky in 0..g.kernel {
                let in_y = (y + ky).wrapping_sub(g.padding);
                let width = g.kernel * channels;
                if channels == g.in_c && in_y < g.in_h && left >= g.padding && left - g.padding + g.kernel <= g.in_w {
                    // The window's row lies within the image: one run of floats.
                    let from = image.add((in_y * g.in_w + left - g.padding) * g.in_c);
                    for i in 0..width {
                        *out.add(i) = *from.add(i);
                    }
                    out = out.add(width);
                    continue;
                }
                for kx in 0..g.kernel {
                    let in_x = (left + kx).wrapping_sub(g.padding);
                    if in_y < g.in_h && in_x < g.in_w {
                        let from = image.add((in_y * g.in_w + in_x) * g.in_c);
                        for c in 0..channels {
                            *out.add(c) = *from.add(c);
                        }
                    } else {
                        for c in 0..channels {
                            *out.add(c) = 0.0;
                        }
                    }
                    out = out.add(channels);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn forward_windows<S: Simd>(f: &Forward<'_>) {
    let width = PANEL_VECTORS * S::LANES;
    let (g, depth) = (f.g, f.g.depth());
    let first = f.first_image * g.out_positions();
    let end = first + f.images * g.out_positions();
    for group in 0..g.groups {
        let first_col = group * g.group_out();
        let mut row = first;
        while row < end {
            let rows = (end - row).min(WINDOW_ROWS);
            unsafe {
                copy_windows(g, f.x, row, rows, group * g.group_in(), f.scratch);
                product::<S>(Product {
                    segments: WHOLE,
                    depth,
                    a: f.scratch,
                    a_row: depth,
                    a_step: 1,
                    b: f.weight.add(group * g.group_out().div_ceil(width) * depth * width),
                    b_step: width,
                    b_panel: depth * width,
                    c: f.z.add(row * g.out_c + first_col),
                    c_row: g.out_c,
                    rows,
                    cols: g.group_out(),
                    add: if f.bias.is_some() { f.bias.add(first_col) } else { At::NONE },
                    add_row: 0,
                });
            }
            row += rows;
        }
    }
}

/// The input gradient of some images and some input channels.
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
                Method::Pointwise => backward_input_pointwise::<S>(b),
                Method::Taps(taps) => backward_input_taps::<S>(b, taps),
                Method::Windows => backward_input_windows::<S>(b),
                Method::Depthwise => depthwise::backward_input::<S>(b),
                Method::Copy => backward_input_copy::<S>(b),
            }
        }
    }
}

#[inline(always)]
unsafe fn backward_input_pointwise<S: Simd>(b: &BackwardInput<'_>) {
    let g = b.g;
    let first_row = b.first_image * g.out_positions();
    unsafe {
        let c = b.dx.add(first_row * g.in_c + b.first_col);
        product::<S>(Product {
            segments: WHOLE,
            depth: g.out_c,
            a: b.dz.add(first_row * g.out_c),
            a_row: g.out_c,
            a_step: 1,
            b: b.weight.add(b.first_col),
            b_step: g.in_c,
            b_panel: PANEL_VECTORS * S::LANES,
            c,
            c_row: g.in_c,
            rows: b.images * g.out_positions(),
            cols: b.cols,
            add: if b.accumulate { c } else { At::NONE },
            add_row: g.in_c,
        });
    }
}

#[inline(always)]
unsafe fn backward_input_taps<S: Simd>(b: &BackwardInput<'_>, taps: &Taps) {
    let g = b.g;
    for (position, segments) in taps.backward.iter().enumerate() {
        unsafe {
            let c = b.dx.add(b.first_image * g.in_elements() + position * g.in_c + b.first_col);
            product::<S>(Product {
                segments,
                depth: g.out_c,
                a: b.dz.add(b.first_image * g.out_elements()),
                a_row: g.out_elements(),
                a_step: 1,
                b: b.weight.add(b.first_col),
                b_step: g.depth(),
                b_panel: PANEL_VECTORS * S::LANES,
                c,
                c_row: g.in_elements(),
                rows: b.images,
                cols: b.cols,
                add: if b.accumulate { c } else { At::NONE },
                add_row: g.in_elements(),
            });
        }
    }
}

#[inline(always)]
unsafe fn backward_input_windows<S: Simd>(b: &BackwardInput<'_>) {
    let (g, depth) = (b.g, b.g.depth());
    let first = b.first_image * g.out_positions();
    let end = first + b.images * g.out_positions();
    unsafe {
        if !b.accumulate {
            std::ptr::write_bytes(b.dx.ptr().add(b.first_image * g.in_elements()), 0, b.images * g.in_elements());
        }
        for group in 0..g.groups {
            let mut row = first;
            while row < end {
                let rows = (end - row).min(WINDOW_ROWS);
                product::<S>(Product {
                    segments: WHOLE,
                    depth: g.group_out(),
                    a: b.dz.add(row * g.out_c + group * g.group_out()),
                    a_row: g.out_c,
                    a_step: 1,
                    b: b.weight.add(group * g.group_out() * depth),
                    b_step: depth,
                    b_panel: PANEL_VECTORS * S::LANES,
                    c: b.scratch,
                    c_row: depth,
                    rows,
                    cols: depth,
                    add: At::NONE,
                    add_row: 0,
                });
                add_windows(g, b.scratch, row, rows, group * g.group_in(), b.dx);
                row += rows;
            }
        }
    }
}

/// The reverse of [`copy_windows`]: adds each window to where it was read from.
unsafe fn add_windows(g: &Geometry, from: At, first_row: usize, rows: usize, first_channel: usize, dx: At) {
    let channels = g.group_in();
    for row in 0..rows {
        let at = first_row + row;
        let (image, position) = (at / g.out_positions(), at % g.out_positions());
        let (y, x) = (position / g.out_w, position % g.out_w);
        unsafe {
            let image = dx.ptr().add(image * g.in_elements() + first_channel);
            let window = from.ptr().add(row * g.depth()).cast_const();
            for ky in g.inside(y, g.in_h) {
                for kx in g.inside(x, g.in_w) {
                    let to = image.add(((y * g.stride + ky - g.padding) * g.in_w + x * g.stride + kx - g.padding) * g.in_c);
                    let values = window.add((ky * g.kernel + kx) * channels);
                    for c in 0..channels {
                        *to.add(c) += *values.add(c);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn backward_input_copy<S: Simd>(b: &BackwardInput<'_>) {
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

/// Positions whose products are summed in registers before they go to memory: longer sums of one register would lose
/// bits, and the rows of a block stay in the first-level cache for all tiles of a task.
const SUM_POSITIONS: usize = 128;

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
    pub scratch: At,
    pub accumulate: bool,
}

/// Output channels of a block of a weight gradient.
const BLOCK_OUT: usize = 32;

/// Number of independent blocks of a layer's weight gradient, for vectors of `lanes`.
pub(crate) fn weight_blocks(method: &Method, g: &Geometry, lanes: usize) -> usize {
    match method {
        Method::Pointwise => g.out_c.div_ceil(BLOCK_OUT) * g.in_c.div_ceil(PANEL_VECTORS * lanes),
        Method::Taps(_) => g.out_c.div_ceil(BLOCK_OUT) * g.taps(),
        Method::Windows => 1,
        Method::Depthwise => g.out_c.div_ceil(depthwise::BLOCK_VECTORS * lanes),
        Method::Copy => 0,
    }
}

impl Kernel for BackwardWeight<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let b = &self;
        unsafe {
            match b.method {
                Method::Pointwise => backward_weight_pointwise::<S>(b),
                Method::Taps(taps) => backward_weight_taps::<S>(b, taps),
                Method::Windows => backward_weight_windows::<S>(b),
                Method::Depthwise => depthwise::backward_weight::<S>(b),
                Method::Copy => {}
            }
        }
    }
}

#[inline(always)]
unsafe fn backward_weight_pointwise<S: Simd>(b: &BackwardWeight<'_>) {
    let g = b.g;
    let width = PANEL_VECTORS * S::LANES;
    let panels = g.in_c.div_ceil(width);
    let first_out = b.block / panels * BLOCK_OUT;
    let first_in = b.block % panels * width;
    let end = (b.first_image + b.images) * g.out_positions();
    let mut row = b.first_image * g.out_positions();
    let mut accumulate = b.accumulate;
    while row < end {
        let depth = (end - row).min(SUM_POSITIONS);
        unsafe {
            let c = b.dw.add(first_out * g.in_c + first_in);
            product::<S>(Product {
                segments: WHOLE,
                depth,
                a: b.dz.add(row * g.out_c + first_out),
                a_row: 1,
                a_step: g.out_c,
                b: b.x.add(row * g.in_c + first_in),
                b_step: g.in_c,
                b_panel: 0,
                c,
                c_row: g.in_c,
                rows: (g.out_c - first_out).min(BLOCK_OUT),
                cols: (g.in_c - first_in).min(width),
                add: if accumulate { c } else { At::NONE },
                add_row: g.in_c,
            });
        }
        accumulate = true;
        row += depth;
    }
}

#[inline(always)]
unsafe fn backward_weight_taps<S: Simd>(b: &BackwardWeight<'_>, taps: &Taps) {
    let g = b.g;
    let (first_out, tap) = (b.block / g.taps() * BLOCK_OUT, b.block % g.taps());
    let mut accumulate = b.accumulate;
    let positions = (SUM_POSITIONS / b.images).max(1);
    // A tap that no position has inside gets a product of no segments, which writes zeros.
    let lists = taps.weights[tap].chunks(positions).chain(taps.weights[tap].is_empty().then_some(&[][..]));
    for segments in lists {
        unsafe {
            let c = b.dw.add(first_out * g.depth() + tap * g.in_c);
            product::<S>(Product {
                segments,
                depth: b.images,
                a: b.dz.add(b.first_image * g.out_elements() + first_out),
                a_row: 1,
                a_step: g.out_elements(),
                b: b.x.add(b.first_image * g.in_elements()),
                b_step: g.in_elements(),
                b_panel: PANEL_VECTORS * S::LANES,
                c,
                c_row: g.depth(),
                rows: (g.out_c - first_out).min(BLOCK_OUT),
                cols: g.in_c,
                add: if accumulate { c } else { At::NONE },
                add_row: g.depth(),
            });
        }
        accumulate = true;
    }
}

#[inline(always)]
unsafe fn backward_weight_windows<S: Simd>(b: &BackwardWeight<'_>) {
    let (g, depth) = (b.g, b.g.depth());
    let end = (b.first_image + b.images) * g.out_positions();
    for group in 0..g.groups {
        let mut row = b.first_image * g.out_positions();
        let mut accumulate = b.accumulate;
        while row < end {
            let rows = (end - row).min(WINDOW_ROWS);
            unsafe {
                copy_windows(g, b.x, row, rows, group * g.group_in(), b.scratch);
                let c = b.dw.add(group * g.group_out() * depth);
                product::<S>(Product {
                    segments: WHOLE,
                    depth: rows,
                    a: b.dz.add(row * g.out_c + group * g.group_out()),
                    a_row: 1,
                    a_step: g.out_c,
                    b: b.scratch,
                    b_step: depth,
                    b_panel: PANEL_VECTORS * S::LANES,
                    c,
                    c_row: depth,
                    rows: g.group_out(),
                    cols: depth,
                    add: if accumulate { c } else { At::NONE },
                    add_row: depth,
                });
            }
            accumulate = true;
            row += rows;
        }
    }
}
