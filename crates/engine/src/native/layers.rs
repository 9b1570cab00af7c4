//! The layers without weights: pooling, residual sums, squeeze-excite's scale, dropout. Each kernel works on some images.

use super::memory::At;
use super::norm::{Elementwise, for_column_groups, load_group, store_group, with_activation};
use super::simd::{Kernel, Simd};
use anmok_graph::{Activation, Shape};

/// The images of a task.
#[derive(Clone, Copy)]
pub(crate) struct Images {
    pub first: usize,
    pub count: usize,
}

impl Images {
    #[inline(always)]
    fn each(self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }
}

/// The mean of each channel over the positions of a map.
pub(crate) struct AveragePool {
    pub x: At,
    pub y: At,
    pub shape: Shape,
    pub images: Images,
}

impl Kernel for AveragePool {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let p = &self;
        for_column_groups!(S, p.shape.channels, |col, last, V| unsafe {
            let share = S::splat(1.0 / p.shape.positions() as f32);
            for image in p.images.each() {
                let mut sums = [S::splat(0.0); V];
                for position in 0..p.shape.positions() {
                    let offset = image * p.shape.elements() + position * p.shape.channels + col;
                    let values = load_group::<S, V>(p.x.ptr().add(offset), last);
                    for v in 0..V {
                        sums[v] = S::add(sums[v], values[v]);
                    }
                }
                for sum in &mut sums {
                    *sum = S::mul(*sum, share);
                }
                store_group::<S, V>(p.y.ptr().add(image * p.shape.channels + col), sums, last);
            }
        });
    }
}

/// Backward of [`AveragePool`]: every position gets an equal share.
pub(crate) struct AveragePoolBackward {
    pub dy: At,
    pub dx: At,
    pub shape: Shape,
    pub images: Images,
    pub accumulate: bool,
}

impl Kernel for AveragePoolBackward {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let p = &self;
        for_column_groups!(S, p.shape.channels, |col, last, V| unsafe {
            let share = S::splat(1.0 / p.shape.positions() as f32);
            for image in p.images.each() {
                let mut each = load_group::<S, V>(p.dy.ptr().add(image * p.shape.channels + col), last);
                for value in &mut each {
                    *value = S::mul(*value, share);
                }
                for position in 0..p.shape.positions() {
                    let to = p.dx.ptr().add(image * p.shape.elements() + position * p.shape.channels + col);
                    let mut values = each;
                    if p.accumulate {
                        let before = load_group::<S, V>(to, last);
                        for v in 0..V {
                            values[v] = S::add(before[v], values[v]);
                        }
                    }
                    store_group::<S, V>(to, values, last);
                }
            }
        });
    }
}

/// Maximum over a window. The winning tap of each output is kept (as a float) for the way back.
pub(crate) struct MaxPool {
    pub x: At,
    pub y: At,
    /// Which tap won, `[n, out_h, out_w, channels]`; the first of equals, as in PyTorch.
    pub winners: At,
    pub input: Shape,
    pub output: Shape,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    pub images: Images,
}

impl MaxPool {
    /// The number and the input position of every tap of output (`y`, `x`) inside the image.
    #[inline(always)]
    fn taps(&self, y: usize, x: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (kernel, input) = (self.kernel, self.input);
        let (top, left) = ((y * self.stride) as isize - self.padding as isize, (x * self.stride) as isize - self.padding as isize);
        (0..kernel * kernel).filter_map(move |tap| {
            let (in_y, in_x) = (top + (tap / kernel) as isize, left + (tap % kernel) as isize);
            let inside = in_y >= 0 && in_x >= 0 && (in_y as usize) < input.height && (in_x as usize) < input.width;
            inside.then(|| (tap, in_y as usize * input.width + in_x as usize))
        })
    }
}

impl Kernel for MaxPool {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let p = &self;
        for_column_groups!(S, p.input.channels, |col, last, V| unsafe {
            for image in p.images.each() {
                for position in 0..p.output.positions() {
                    let mut taps = p.taps(position / p.output.width, position % p.output.width);
                    // A window holds at least one tap: padding is at most half of it.
                    let Some((tap, from)) = taps.next() else { continue };
                    let value_at = |from: usize| p.x.ptr().add(image * p.input.elements() + from * p.input.channels + col);
                    let mut best = load_group::<S, V>(value_at(from), last);
                    let mut winner = [S::splat(tap as f32); V];
                    for (tap, from) in taps {
                        let values = load_group::<S, V>(value_at(from), last);
                        for v in 0..V {
                            // A NaN takes the window and keeps it, as in PyTorch: no comparison with it holds, so what
                            // replaces the best is "neither at most the best, nor the best itself a NaN".
                            let at_most = S::if_at_most(values[v], best[v], best[v], values[v]);
                            let is_number = S::if_at_most(best[v], best[v], at_most, best[v]);
                            let kept = S::if_at_most(values[v], best[v], winner[v], S::splat(tap as f32));
                            winner[v] = S::if_at_most(best[v], best[v], kept, winner[v]);
                            best[v] = is_number;
                        }
                    }
                    let at = image * p.output.elements() + position * p.output.channels + col;
                    store_group::<S, V>(p.y.ptr().add(at), best, last);
                    if p.winners.is_some() {
                        store_group::<S, V>(p.winners.ptr().add(at), winner, last);
                    }
                }
            }
        });
    }
}

/// Backward of [`MaxPool`]: the gradient goes to the winner. `forward.y` is the output's gradient, `forward.x` the input's.
pub(crate) struct MaxPoolBackward {
    pub forward: MaxPool,
    pub accumulate: bool,
}

impl Kernel for MaxPoolBackward {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let p = &self.forward;
        unsafe {
            if !self.accumulate {
                let first = p.images.first * p.input.elements();
                std::ptr::write_bytes(p.x.ptr().add(first), 0, p.images.count * p.input.elements());
            }
        }
        for_column_groups!(S, p.input.channels, |col, last, V| unsafe {
            for image in p.images.each() {
                for position in 0..p.output.positions() {
                    let at = image * p.output.elements() + position * p.output.channels + col;
                    let dy = load_group::<S, V>(p.y.ptr().add(at), last);
                    let winner = load_group::<S, V>(p.winners.ptr().add(at), last);
                    for (tap, to) in p.taps(position / p.output.width, position % p.output.width) {
                        let to = p.x.ptr().add(image * p.input.elements() + to * p.input.channels + col);
                        let mut dx = load_group::<S, V>(to, last);
                        let (below, above) = (S::splat(tap as f32 - 0.5), S::splat(tap as f32 + 0.5));
                        for v in 0..V {
                            let share =
                                S::if_greater(winner[v], below, S::if_greater(above, winner[v], dy[v], S::splat(0.0)), S::splat(0.0));
                            dx[v] = S::add(dx[v], share);
                        }
                        store_group::<S, V>(to, dx, last);
                    }
                }
            }
        });
    }
}

/// `y = x * scale`, one factor per image and channel.
pub(crate) struct ChannelScale {
    pub x: At,
    pub scale: At,
    pub y: At,
    pub shape: Shape,
    pub images: Images,
}

impl Kernel for ChannelScale {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let p = &self;
        for_column_groups!(S, p.shape.channels, |col, last, V| unsafe {
            for image in p.images.each() {
                let scale = load_group::<S, V>(p.scale.ptr().add(image * p.shape.channels + col), last);
                for position in 0..p.shape.positions() {
                    let at = image * p.shape.elements() + position * p.shape.channels + col;
                    let mut values = load_group::<S, V>(p.x.ptr().add(at), last);
                    for v in 0..V {
                        values[v] = S::mul(values[v], scale[v]);
                    }
                    store_group::<S, V>(p.y.ptr().add(at), values, last);
                }
            }
        });
    }
}

/// Backward of [`ChannelScale`]: `dx = dy * scale`, `dscale = sum over positions of dy * x`.
pub(crate) struct ChannelScaleBackward {
    pub x: At,
    pub scale: At,
    pub dy: At,
    pub dx: At,
    pub dscale: At,
    pub shape: Shape,
    pub images: Images,
    pub accumulate_x: bool,
    pub accumulate_scale: bool,
}

impl Kernel for ChannelScaleBackward {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let p = &self;
        for_column_groups!(S, p.shape.channels, |col, last, V| unsafe {
            for image in p.images.each() {
                let vector = image * p.shape.channels + col;
                let scale = load_group::<S, V>(p.scale.ptr().add(vector), last);
                let mut dscale = [S::splat(0.0); V];
                for position in 0..p.shape.positions() {
                    let at = image * p.shape.elements() + position * p.shape.channels + col;
                    let dy = load_group::<S, V>(p.dy.ptr().add(at), last);
                    if p.dscale.is_some() {
                        let x = load_group::<S, V>(p.x.ptr().add(at), last);
                        for v in 0..V {
                            dscale[v] = S::fma(dy[v], x[v], dscale[v]);
                        }
                    }
                    if p.dx.is_some() {
                        let mut dx = if p.accumulate_x { load_group::<S, V>(p.dx.ptr().add(at), last) } else { [S::splat(0.0); V] };
                        for v in 0..V {
                            dx[v] = S::fma(dy[v], scale[v], dx[v]);
                        }
                        store_group::<S, V>(p.dx.ptr().add(at), dx, last);
                    }
                }
                if p.dscale.is_some() {
                    if p.accumulate_scale {
                        let before = load_group::<S, V>(p.dscale.ptr().add(vector), last);
                        for v in 0..V {
                            dscale[v] = S::add(before[v], dscale[v]);
                        }
                    }
                    store_group::<S, V>(p.dscale.ptr().add(vector), dscale, last);
                }
            }
        });
    }
}

/// `y = activation(a + b)`, elementwise over `count` floats.
pub(crate) struct Sum {
    pub a: At,
    pub b: At,
    pub y: At,
    pub count: usize,
    pub activation: Option<Activation>,
}

impl Kernel for Sum {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        with_activation!(self.activation, A => unsafe {
            for i in (0..self.count).step_by(S::LANES) {
                let left = self.count - i;
                let u = S::add(S::load_upto(self.a.ptr().add(i), left), S::load_upto(self.b.ptr().add(i), left));
                S::store_upto(self.y.ptr().add(i), A::value::<S>(u), left);
            }
        });
    }
}

/// Backward of [`Sum`]: both inputs get `dy * activation'(a + b)`. An input whose gradient nobody wants has no address.
pub(crate) struct SumBackward {
    pub a: At,
    pub b: At,
    pub dy: At,
    pub da: At,
    pub db: At,
    pub count: usize,
    pub activation: Option<Activation>,
    pub accumulate_a: bool,
    pub accumulate_b: bool,
}

impl Kernel for SumBackward {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        with_activation!(self.activation, A => unsafe {
            for i in (0..self.count).step_by(S::LANES) {
                let left = self.count - i;
                let mut d = S::load_upto(self.dy.ptr().add(i), left);
                if self.activation.is_some() {
                    let u = S::add(S::load_upto(self.a.ptr().add(i), left), S::load_upto(self.b.ptr().add(i), left));
                    d = S::mul(d, A::slope::<S>(u));
                }
                for (to, accumulate) in [(self.da, self.accumulate_a), (self.db, self.accumulate_b)] {
                    if to.is_some() {
                        let to = to.ptr().add(i);
                        let value = if accumulate { S::add(S::load_upto(to, left), d) } else { d };
                        S::store_upto(to, value, left);
                    }
                }
            }
        });
    }
}

/// `to = from * mask / (1 - p)` with a mask that is a function of (key, element), so that the way back repeats it.
pub(crate) struct Dropout {
    pub from: At,
    pub to: At,
    pub first: usize,
    pub count: usize,
    pub p: f32,
    pub key: u64,
    pub accumulate: bool,
}

impl Kernel for Dropout {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let scale = if self.p < 1.0 { 1.0 / (1.0 - self.p) } else { 0.0 };
        for i in self.first..self.first + self.count {
            unsafe {
                let factor = if anmok_random::uniform_at(self.key, i as u64) >= self.p { scale } else { 0.0 };
                let before = if self.accumulate { *self.to.ptr().add(i) } else { 0.0 };
                *self.to.ptr().add(i) = before + *self.from.ptr().add(i) * factor;
            }
        }
    }
}
