//! Logit gradients to parameter gradients.

use super::super::conv::{BackwardInput, BackwardWeight, Method};
use super::super::depthwise;
use super::super::layers::{AveragePoolBackward, ChannelScaleBackward, Dropout, MaxPool, MaxPoolBackward, SumBackward};
use super::super::memory::{At, Block};
use super::super::norm::{ActivationBackward, GradientSums, NormalizeBackward, Region};
use super::super::plan::{ConvLayer, Layer, weight_splits};
use super::super::profile::Phase;
use super::super::simd::{Kernel, Simd, dispatch};
use super::super::statistics::{MergeBackward, MergeBias};
use super::cut::{Cut, chunk_region};
use super::{Pass, dropout_key};
use anmok_graph::ValueId;

impl Pass<'_> {
    /// Logit gradients (already at the last value's place in `gradients`) to parameter gradients.
    pub fn backward(&mut self, backward: &mut Block, gradients: &mut Block, accumulate: bool, key: u64) {
        let (grads, flat) = (backward.at(), gradients.at());
        let plan = self.plan;
        let at = |value: ValueId| unsafe { grads.add(plan.gradients[value]) };
        for (index, layer) in plan.layers.iter().enumerate().rev() {
            let inputs = &plan.backward[index].inputs;
            if plan.gradients[layer.output()] == usize::MAX {
                continue;
            }
            let begin = self.now();
            let dy = at(layer.output());
            // SAFETY (all layers): as in `forward`; a gradient lives as long as the plan says, and inputs that several
            // layers read are written by the first on the way back and added to by the others.
            match layer {
                Layer::Conv(conv) => {
                    self.backward_epilogue(conv, dy, flat, accumulate);
                    self.took(index, Phase::BackwardNorm, begin);
                    let begin = self.now();
                    self.backward_conv(conv, dy, inputs[0].map(|add| (at(conv.input), add)), flat, accumulate);
                    self.took(index, Phase::Backward, begin);
                    continue;
                }
                Layer::AveragePool { input, .. } => {
                    let Some(accumulate) = inputs[0] else { continue };
                    let (dx, shape) = (at(*input), self.graph.shape(*input));
                    self.image_tasks(|images| AveragePoolBackward { dy, dx, shape, images, accumulate });
                }
                Layer::MaxPool { input, .. } => {
                    let Some(accumulate) = inputs[0] else { continue };
                    let kernel = self.max_pool(layer, at(*input), dy);
                    self.image_tasks(|images| MaxPoolBackward { forward: MaxPool { images, ..kernel() }, accumulate });
                }
                Layer::Scale { map, scale, .. } => {
                    let (x, factor, shape) = (self.value(*map), self.value(*scale), self.graph.shape(*map));
                    let (dx, dscale) = (inputs[0].map_or(At::NONE, |_| at(*map)), inputs[1].map_or(At::NONE, |_| at(*scale)));
                    let (accumulate_x, accumulate_scale) = (inputs[0] == Some(true), inputs[1] == Some(true));
                    self.image_tasks(|images| ChannelScaleBackward {
                        x,
                        scale: factor,
                        dy,
                        dx,
                        dscale,
                        shape,
                        images,
                        accumulate_x,
                        accumulate_scale,
                    });
                }
                Layer::Sum { a, b, output, activation } => self.backward_sum(*a, *b, *output, *activation, dy, inputs, at),
                Layer::Dropout { input, p, node, .. } => {
                    let Some(accumulate) = inputs[0] else { continue };
                    let (to, p, key) = (at(*input), *p, dropout_key(key, *node));
                    let floats = self.n * self.graph.shape(*input).elements();
                    self.float_tasks(floats, |first, count| Dropout { from: dy, to, first, count, p, key, accumulate });
                }
            }
            self.took(index, Phase::Backward, begin);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one variant of `Layer`")]
    fn backward_sum(
        &mut self,
        a: ValueId,
        b: ValueId,
        output: ValueId,
        activation: Option<anmok_graph::Activation>,
        dy: At,
        inputs: &[Option<bool>],
        at: impl Fn(ValueId) -> At,
    ) {
        let (da, db) = (inputs[0].map_or(At::NONE, |_| at(a)), inputs[1].map_or(At::NONE, |_| at(b)));
        let (accumulate_a, accumulate_b) = (inputs[0] == Some(true), inputs[1] == Some(true));
        let (a, b) = (self.value(a), self.value(b));
        let floats = self.n * self.graph.shape(output).elements();
        let further = |at: At, floats: usize| if at.is_some() { unsafe { at.add(floats) } } else { at };
        self.float_tasks(floats, |first, count| SumBackward {
            a: further(a, first),
            b: further(b, first),
            dy: further(dy, first),
            da: further(da, first),
            db: further(db, first),
            count,
            activation,
            accumulate_a,
            accumulate_b,
        });
    }

    fn backward_conv(&mut self, conv: &ConvLayer, dy: At, input: Option<(At, bool)>, flat: At, accumulate: bool) {
        if conv.method == Method::Depthwise {
            self.backward_depthwise(conv, dy, input, flat, accumulate);
            return;
        }
        let g = &conv.g;
        let (n, chunk, scratch, scratch_len) = (self.n, conv.chunk, self.scratch, self.plan.scratch);
        let chunks = n.div_ceil(chunk);

        // The input gradient: tasks of images and input channels.
        let weight = conv.weight.map_or(At::NONE, |(_, offset)| unsafe { self.parameters.add(offset) });
        let unit = match conv.method {
            Method::Windows | Method::Copy => g.in_c,
            _ => self.level.panel(),
        };
        let columns = Cut::new(g.in_c, unit, chunks, self.pool.threads());
        let input_tasks = if input.is_some() { chunks * columns.cuts } else { 0 };

        // The weight gradient: tasks of blocks, and of parts of the batch where there are few blocks.
        let trained = conv.weight.filter(|&(index, _)| self.plan.slots[index].trainable);
        let splits = weight_splits(conv, n);
        let weight_tasks = if trained.is_some() { conv.weight_blocks * splits } else { 0 };
        let weight_len = g.out_c * g.depth();
        let part_stride = weight_len.next_multiple_of(16);
        let gradient = trained.map_or(At::NONE, |(_, offset)| unsafe { flat.add(offset) });
        let x = self.value(conv.input);
        let partials = self.partials;

        let level = self.level;
        self.pool.run(input_tasks + weight_tasks, &|index, thread| {
            let scratch = unsafe { scratch.add(thread * scratch_len) };
            if let Some((dx, add)) = input.filter(|_| index < input_tasks) {
                let (part, cut) = (index / columns.cuts, index % columns.cuts);
                let first_image = part * chunk;
                let (first_col, end) = columns.range(cut);
                let kernel = BackwardInput {
                    method: &conv.method,
                    g,
                    dz: dy,
                    weight,
                    dx,
                    first_image,
                    images: (n - first_image).min(chunk),
                    first_col,
                    cols: end - first_col,
                    scratch,
                    accumulate: add,
                };
                unsafe { dispatch(level, kernel) };
            } else {
                let task = index - input_tasks;
                let (split, block) = (task % splits, task / splits);
                let first_image = n * split / splits;
                let kernel = BackwardWeight {
                    method: &conv.method,
                    g,
                    x,
                    dz: dy,
                    dw: if splits == 1 { gradient } else { unsafe { partials.add(split * part_stride) } },
                    first_image,
                    images: n * (split + 1) / splits - first_image,
                    block,
                    scratch,
                    accumulate: accumulate && splits == 1,
                };
                unsafe { dispatch(level, kernel) };
            }
        });
        if weight_tasks > 0 && splits > 1 {
            self.add_parts(weight_len, splits, gradient, accumulate);
        }
    }

    /// A depthwise layer's way back: tasks of images and channels, each with both gradients while its part of the maps is
    /// in cache.
    fn backward_depthwise(&mut self, conv: &ConvLayer, dy: At, input: Option<(At, bool)>, flat: At, accumulate: bool) {
        let Some((index, offset)) = conv.weight else { return };
        let (g, n) = (&conv.g, self.n);
        let (weight, gradient) = unsafe { (self.parameters.add(offset), flat.add(offset)) };
        let trained = self.plan.slots[index].trainable;
        let (x, partials) = (self.value(conv.input), self.partials);
        let splits = weight_splits(conv, n);
        let part_stride = (g.out_c * g.depth()).next_multiple_of(16);
        self.tasks(conv.weight_blocks * splits, |index, _| {
            let (split, block) = (index / conv.weight_blocks, index % conv.weight_blocks);
            let first_image = n * split / splits;
            depthwise::Backward {
                g,
                x,
                dz: dy,
                weight,
                dx: input.map_or(At::NONE, |(dx, _)| dx),
                dw: match () {
                    _ if !trained => At::NONE,
                    _ if splits == 1 => gradient,
                    // SAFETY: the partials have room for every part of every layer.
                    _ => unsafe { partials.add(split * part_stride) },
                },
                first_image,
                images: n * (split + 1) / splits - first_image,
                block,
                accumulate_dx: input.is_some_and(|(_, add)| add),
                accumulate_dw: accumulate && splits == 1,
            }
        });
        if trained && splits > 1 {
            self.add_parts(g.out_c * g.depth(), splits, gradient, accumulate);
        }
    }

    /// Sums the parts of a weight gradient of `len` floats.
    fn add_parts(&mut self, len: usize, splits: usize, to: At, accumulate: bool) {
        let (parts, part_stride) = (self.partials, len.next_multiple_of(16));
        self.float_tasks(len, |first, count| AddParts { parts, part_stride, splits, to, first, count, accumulate });
    }

    /// Turns the output's gradient, in place, into that of the convolution's own result, with the gradients of gamma, beta
    /// and bias on the way.
    fn backward_epilogue(&mut self, conv: &ConvLayer, dy: At, flat: At, accumulate: bool) {
        let channels = conv.g.out_c;
        let (n, chunk, positions, activation) = (self.n, conv.chunk, conv.g.out_positions(), conv.activation);
        let chunks = n.div_ceil(chunk);
        let z = unsafe { self.forward.add(conv.z) };
        let parts = self.parts(conv);
        let bias = conv.bias.map_or(At::NONE, |(_, offset)| unsafe { flat.add(offset) });
        let columns = Cut::new(channels, 4 * self.level.lanes(), chunks, self.pool.threads());
        let tasks = chunks * columns.cuts;
        let region = |index: usize| {
            let part = index / columns.cuts;
            (part, columns.region(index % columns.cuts, chunk_region(part, chunk, n, positions, channels)))
        };
        // One chunk: each task can finish its columns without waiting for the others.
        let whole = chunks == 1;
        if let Some(norm) = &conv.norm {
            let c = self.coefficients(norm, channels);
            let (scale, shift, mean, mean_d, slope) = (c.scale, c.shift, c.mean, c.mean_d, c.slope);
            // SAFETY: the plan's places; the sums have room for two vectors per chunk.
            let (gamma, beta) = unsafe { (flat.add(norm.gamma), flat.add(norm.beta)) };
            let merge = MergeBackward { parts, c, gamma, beta, bias, accumulate, first: 0, cols: 0 };
            let backward = |region: Region| NormalizeBackward { z, dy, scale, shift, mean, mean_d, slope, region, activation };
            self.tasks(tasks, |index, _| {
                let (part, region) = region(index);
                let (sum_d, sum_dz) = unsafe { parts.part(part) };
                let finish = (MergeBackward { first: region.first_col, cols: region.cols, ..merge }, backward(region));
                let sums = GradientSums { z, dy, scale, shift, mean, sum_d, sum_dz, region, activation };
                (sums, whole.then_some(finish))
            });
            if !whole {
                self.channel_tasks(channels, |first, cols| MergeBackward { first, cols, ..merge });
                self.tasks(tasks, |index, _| backward(region(index).1));
            }
        } else if bias.is_some() || activation.is_some() {
            let merge = MergeBias { parts, bias, accumulate, first: 0, cols: 0 };
            self.tasks(tasks, |index, _| {
                let (part, region) = region(index);
                let sum_d = if bias.is_some() { unsafe { parts.part(part).0 } } else { At::NONE };
                let finish = MergeBias { first: region.first_col, cols: region.cols, ..merge };
                let backward = ActivationBackward { z, dy, sum_d, region, activation };
                (backward, (whole && bias.is_some()).then_some(finish))
            });
            if !whole && bias.is_some() {
                self.channel_tasks(channels, |first, cols| MergeBias { first, cols, ..merge });
            }
        }
    }
}

/// Sums the parts of a split weight gradient, in order.
struct AddParts {
    parts: At,
    part_stride: usize,
    splits: usize,
    to: At,
    first: usize,
    count: usize,
    accumulate: bool,
}

impl Kernel for AddParts {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        unsafe {
            for i in (self.first..self.first + self.count).step_by(S::LANES) {
                let left = self.first + self.count - i;
                let mut sum = if self.accumulate { S::load_upto(self.to.ptr().add(i), left) } else { S::splat(0.0) };
                for split in 0..self.splits {
                    sum = S::add(sum, S::load_upto(self.parts.ptr().add(split * self.part_stride + i), left));
                }
                S::store_upto(self.to.ptr().add(i), sum, left);
            }
        }
    }
}
