//! Walking the plan: forward, backward, weight packing.

use super::conv::{BackwardInput, BackwardWeight, Epilogue, Forward, Method, Pack};
use super::depthwise;
use super::layers::{
    AveragePool, AveragePoolBackward, ChannelScale, ChannelScaleBackward, Dropout, Images, MaxPool, MaxPoolBackward, Sum, SumBackward,
};
use super::memory::{At, Block};
use super::norm::{ActivationBackward, GradientSums, Normalize, NormalizeBackward, Region};
use super::plan::{ConvLayer, Layer, Norm, Plan, weight_splits};
use super::pool::Pool;
use super::profile::{Part, Phase, Profile};
use super::simd::{Kernel, Level, Simd, dispatch};
use super::statistics::{Coefficients, MergeBackward, MergeBias, MergeForward, Parts};
use anmok_graph::{Graph, Shape, ValueId};
use std::time::Instant;

/// Floats of an elementwise task: some microseconds of work, and both operands within the first-level caches.
pub(crate) const FLOATS_PER_TASK: usize = 16384;

/// What a forward pass is for.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// Batch statistics, dropout; the running statistics move.
    Train {
        /// Names the pass for dropout.
        key: u64,
    },
    /// Running statistics.
    Evaluate,
}

impl Mode {
    pub fn packing(self) -> Packing {
        match self {
            Mode::Train { .. } => Packing::Plain,
            Mode::Evaluate => Packing::Folded,
        }
    }
}

/// What forward's copy of the weights holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// The weights.
    Plain,
    /// The weights with BatchNorm's running statistics folded in.
    Folded,
}

/// The arrays that a pass works on.
pub(crate) struct Arrays<'a> {
    pub parameters: &'a mut Block,
    pub buffers: &'a mut Block,
    pub packed: &'a mut Block,
    pub coefficients: &'a mut Block,
    pub forward: &'a mut Block,
    pub partials: &'a mut Block,
    pub scratch: &'a mut Block,
    /// Times are added here, when asked for.
    pub profile: Option<&'a mut Profile>,
}

/// Addresses and sizes that the layers share during one pass over `n` images.
pub(crate) struct Pass<'a> {
    pub graph: &'a Graph,
    pub plan: &'a Plan,
    pub pool: &'a mut Pool,
    pub level: Level,
    pub n: usize,
    parameters: At,
    buffers: At,
    packed: At,
    coefficients: At,
    forward: At,
    partials: At,
    scratch: At,
    profile: Option<&'a mut Profile>,
}

impl<'a> Pass<'a> {
    pub fn new(graph: &'a Graph, plan: &'a Plan, pool: &'a mut Pool, level: Level, n: usize, arrays: Arrays<'a>) -> Self {
        Self {
            graph,
            plan,
            pool,
            level,
            n,
            parameters: arrays.parameters.at(),
            buffers: arrays.buffers.at(),
            packed: arrays.packed.at(),
            coefficients: arrays.coefficients.at(),
            forward: arrays.forward.at(),
            partials: arrays.partials.at(),
            scratch: arrays.scratch.at(),
            profile: arrays.profile,
        }
    }

    /// The time, where anyone wants it.
    fn now(&self) -> Option<Instant> {
        self.profile.as_ref().map(|_| Instant::now())
    }

    fn took(&mut self, layer: usize, phase: Phase, since: Option<Instant>) {
        if let (Some(profile), Some(since)) = (self.profile.as_deref_mut(), since) {
            profile.add_layer(layer, phase, since);
        }
    }

    /// Adds the time since `begin` to a part of the step that is no layer's, where anyone wants it.
    pub fn took_part(&mut self, part: Part, begin: Instant) {
        if let Some(profile) = self.profile.as_deref_mut() {
            profile.add_part(part, begin);
        }
    }

    fn value(&self, value: ValueId) -> At {
        unsafe { self.forward.add(self.plan.values[value]) }
    }

    /// Runs `kernel(index)` for `count` tasks.
    fn tasks<K: Kernel>(&mut self, count: usize, kernel: impl Fn(usize, usize) -> K + Sync) {
        let level = self.level;
        // SAFETY: the engine checked the level; each call below states why its addresses are valid and its tasks apart.
        self.pool.run(count, &|index, thread| unsafe { dispatch(level, kernel(index, thread)) });
    }

    /// Cuts the images into tasks of whole images, about four a thread.
    fn image_tasks<K: Kernel>(&mut self, kernel: impl Fn(Images) -> K + Sync) {
        let n = self.n;
        let count = n.min(self.pool.threads() * 4);
        self.tasks(count, move |index, _| {
            let (first, end) = (n * index / count, n * (index + 1) / count);
            kernel(Images { first, count: end - first })
        });
    }

    /// Cuts `floats` into tasks.
    fn float_tasks<K: Kernel>(&mut self, floats: usize, kernel: impl Fn(usize, usize) -> K + Sync) {
        self.tasks(floats.div_ceil(FLOATS_PER_TASK), move |index, _| {
            let first = index * FLOATS_PER_TASK;
            kernel(first, (floats - first).min(FLOATS_PER_TASK))
        });
    }

    /// Brings the packed weights in step with the parameters (and, folded, with the running statistics).
    pub fn pack(&mut self, packing: Packing) {
        let plan = self.plan;
        let folded = packing == Packing::Folded;
        if folded {
            for layer in &plan.layers {
                if let Layer::Conv(conv) = layer {
                    self.fold(conv);
                }
            }
        }
        let panels = if folded { &plan.panels[..] } else { &plan.panels[..plan.training_panels] };
        let (parameters, packed, coefficients) = (self.parameters, self.packed, self.coefficients);
        self.tasks(panels.len(), |index, _| {
            let panel = panels[index];
            let Layer::Conv(conv) = &plan.layers[panel.layer] else { unreachable!("a panel of a convolution") };
            // SAFETY: the plan gave both matrices their room, and each task writes its own panel.
            unsafe {
                let from = conv.weight.map_or(At::NONE, |(_, offset)| parameters.add(offset));
                let scale = match &conv.norm {
                    Some(norm) if folded => coefficients.add(norm.coefficients),
                    _ => At::NONE,
                };
                Pack { method: &conv.method, g: &conv.g, from, to: packed.add(conv.packed), scale, panel }
            }
        });
    }

    /// Scale and shift of a layer in inference: BatchNorm by its running statistics, and the bias.
    fn fold(&self, conv: &ConvLayer) {
        let channels = conv.g.out_c;
        // SAFETY: the plan's places, each of so many channels.
        unsafe {
            let shift = self.coefficients.add(conv.shift).ptr();
            let bias = conv.bias.map(|(_, offset)| self.parameters.add(offset).ptr().cast_const());
            let bias = |channel: usize| bias.map_or(0.0, |bias| f64::from(*bias.add(channel)));
            let Some(norm) = &conv.norm else {
                for channel in 0..channels {
                    *shift.add(channel) = bias(channel) as f32;
                }
                return;
            };
            let c = self.coefficients(norm, channels);
            for channel in 0..channels {
                let mean = f64::from(*self.buffers.add(norm.running_mean).ptr().add(channel));
                let variance = f64::from(*self.buffers.add(norm.running_var).ptr().add(channel));
                let gamma = *self.parameters.add(norm.gamma).ptr().add(channel);
                let beta = *self.parameters.add(norm.beta).ptr().add(channel);
                let scale = (f64::from(gamma) / (variance + norm.eps).sqrt()) as f32;
                *c.scale.ptr().add(channel) = scale;
                *shift.add(channel) = (f64::from(beta) + (bias(channel) - mean) * f64::from(scale)) as f32;
            }
        }
    }

    /// Input to logits.
    pub fn forward(&mut self, mode: Mode) {
        let plan = self.plan;
        for (index, layer) in plan.layers.iter().enumerate() {
            let begin = self.now();
            // SAFETY (all layers): the plan gave every value room for `max_batch >= n` images, and the tasks cut images or
            // columns, so that no two write one float.
            match layer {
                Layer::Conv(conv) => {
                    self.forward_conv(conv, mode, index);
                    continue;
                }
                Layer::AveragePool { input, output } => {
                    let (x, y, shape) = (self.value(*input), self.value(*output), self.graph.shape(*input));
                    self.image_tasks(|images| AveragePool { x, y, shape, images });
                }
                Layer::MaxPool { .. } => {
                    let kernel = self.max_pool(layer, self.forward, At::NONE);
                    self.image_tasks(|images| MaxPool { images, ..kernel() });
                }
                Layer::Scale { map, scale, output } => {
                    let (x, scale, y, shape) = (self.value(*map), self.value(*scale), self.value(*output), self.graph.shape(*map));
                    self.image_tasks(|images| ChannelScale { x, scale, y, shape, images });
                }
                Layer::Sum { a, b, output, activation } => {
                    let (a, b, y, activation) = (self.value(*a), self.value(*b), self.value(*output), *activation);
                    let floats = self.n * self.graph.shape(*output).elements();
                    self.float_tasks(floats, |first, count| unsafe {
                        Sum { a: a.add(first), b: b.add(first), y: y.add(first), count, activation }
                    });
                }
                Layer::Dropout { input, output, p, node } => {
                    let (from, to) = (self.value(*input), self.value(*output));
                    let (p, key) = match mode {
                        Mode::Train { key } => (*p, dropout_key(key, *node)),
                        Mode::Evaluate => (0.0, 0),
                    };
                    let floats = self.n * self.graph.shape(*output).elements();
                    self.float_tasks(floats, |first, count| Dropout { from, to, first, count, p, key, accumulate: false });
                }
            }
            self.took(index, Phase::Forward, begin);
        }
    }

    /// The kernel of a max-pool layer, its output at `y` (or at its place in the forward block).
    fn max_pool(&self, layer: &Layer, x: At, y: At) -> impl Fn() -> MaxPool + Sync + use<> {
        let Layer::MaxPool { input, output, kernel, stride, padding, winners } = *layer else { unreachable!("a max-pool layer") };
        let backward = y.is_some();
        let x = if backward { x } else { self.value(input) };
        let y = if backward { y } else { self.value(output) };
        let winners = if winners == usize::MAX { At::NONE } else { unsafe { self.forward.add(winners) } };
        let (input, output) = (self.graph.shape(input), self.graph.shape(output));
        move || MaxPool { x, y, winners, input, output, kernel, stride, padding, images: Images { first: 0, count: 0 } }
    }

    fn coefficients(&self, norm: &Norm, channels: usize) -> Coefficients {
        let at = |which: usize| unsafe { self.coefficients.add(norm.coefficients + which * channels.next_multiple_of(16)) };
        Coefficients { scale: at(0), shift: at(1), mean: at(2), mean_d: at(3), slope: at(4) }
    }

    fn forward_conv(&mut self, conv: &ConvLayer, mode: Mode, index: usize) {
        let begin = self.now();
        let g = &conv.g;
        let channels = g.out_c;
        let chunks = self.n.div_ceil(conv.chunk);
        let coefficients = conv.norm.as_ref().map(|norm| self.coefficients(norm, channels));
        let training = matches!(mode, Mode::Train { .. });
        let (x, y) = (self.value(conv.input), self.value(conv.output));
        let z = if training { unsafe { self.forward.add(conv.z) } } else { y };
        let training_norm = conv.norm.as_ref().filter(|_| training);
        let copied = conv.method == Method::Copy;
        let weight = match (&conv.method, conv.weight) {
            (Method::Depthwise, Some((_, offset))) if training => unsafe { self.parameters.add(offset) },
            (_, None) => At::NONE,
            _ => unsafe { self.packed.add(conv.packed) },
        };
        // Inference: all that follows is in the weights, in this vector and in the activation.
        let shift = unsafe { self.coefficients.add(conv.shift) };
        let has_bias = conv.bias.is_some() || (!training && conv.norm.is_some());
        let bias = match conv.bias {
            _ if copied || !has_bias => At::NONE,
            Some((_, offset)) if training => unsafe { self.parameters.add(offset) },
            _ => shift,
        };
        let unit = match conv.method {
            Method::Windows => channels,
            Method::Depthwise | Method::Copy => 4 * self.level.lanes(),
            _ => self.level.panel(),
        };
        let columns = Cut::new(channels, unit, chunks, self.pool.threads());
        let (n, chunk, scratch, scratch_len) = (self.n, conv.chunk, self.scratch, self.plan.scratch);
        let activation = conv.activation;
        let parts = self.parts(conv);
        let scale = coefficients.map_or(At::NONE, |c| c.scale);
        let region = |part: usize, cut: usize| columns.region(cut, chunk_region(part, chunk, n, g.out_positions(), channels));
        let normalize = coefficients
            .filter(|_| training_norm.is_some())
            .map(|c| move |region: Region| Normalize { z, y, scale: c.scale, shift: c.shift, region, activation });
        let merge = training_norm.zip(coefficients).map(|(norm, c)| self.merge_forward(norm, parts, c));
        // One chunk: each task can finish its columns without waiting for the others.
        let whole = chunks == 1;
        self.tasks(chunks * columns.cuts, |index, thread| {
            let (part, cut) = (index / columns.cuts, index % columns.cuts);
            let here = region(part, cut);
            // SAFETY: the partial sums have room for two vectors per chunk, `scratch` for every thread.
            let epilogue = unsafe {
                match activation {
                    _ if training_norm.is_some() => {
                        let (mean, m2) = parts.part(part);
                        Epilogue::Statistics { mean, m2 }
                    }
                    _ if copied && scale.is_some() => Epilogue::Normalize { y, scale, shift, activation },
                    None => Epilogue::Nothing,
                    Some(activation) if !training => Epilogue::Activate(activation),
                    Some(_) => Epilogue::Normalize { y, scale: At::NONE, shift: At::NONE, activation },
                }
            };
            let first_image = part * chunk;
            let forward = Forward {
                method: &conv.method,
                g,
                x,
                weight,
                bias,
                z,
                first_image,
                images: (n - first_image).min(chunk),
                first_col: here.first_col,
                cols: here.cols,
                scratch: unsafe { scratch.add(thread * scratch_len) },
                epilogue,
            };
            let finish = if whole { merge.zip(normalize.as_ref().map(|normalize| normalize(here))) } else { None };
            let finish = finish.map(|(merge, normalize)| (MergeForward { first: here.first_col, cols: here.cols, ..merge }, normalize));
            ForwardTask { forward, finish }
        });
        self.took(index, Phase::Forward, begin);
        let (Some(merge), Some(normalize)) = (merge, normalize) else { return };
        if whole {
            return;
        }
        let begin = self.now();
        self.channel_tasks(channels, |first, cols| MergeForward { first, cols, ..merge });
        self.tasks(chunks * columns.cuts, |index, _| normalize(region(index / columns.cuts, index % columns.cuts)));
        self.took(index, Phase::ForwardNorm, begin);
    }

    /// The sums of a layer's chunks.
    fn parts(&self, conv: &ConvLayer) -> Parts {
        let positions = conv.g.out_positions();
        Parts {
            at: self.partials,
            stride: conv.g.out_c.next_multiple_of(16),
            count: self.n.div_ceil(conv.chunk),
            rows: conv.chunk * positions,
            total_rows: self.n * positions,
        }
    }

    /// What merges the statistics of a layer's chunks, for no channels yet.
    fn merge_forward(&self, norm: &Norm, parts: Parts, c: Coefficients) -> MergeForward {
        // SAFETY: the plan's places.
        unsafe {
            MergeForward {
                parts,
                gamma: self.parameters.add(norm.gamma),
                beta: self.parameters.add(norm.beta),
                running_mean: self.buffers.add(norm.running_mean),
                running_var: self.buffers.add(norm.running_var),
                c,
                eps: norm.eps,
                momentum: norm.momentum,
                first: 0,
                cols: 0,
            }
        }
    }

    /// Cuts the channels of a merge into tasks.
    fn channel_tasks<K: Kernel>(&mut self, channels: usize, kernel: impl Fn(usize, usize) -> K + Sync) {
        const CHANNELS: usize = 64;
        self.tasks(channels.div_ceil(CHANNELS), move |index, _| {
            let first = index * CHANNELS;
            kernel(first, (channels - first).min(CHANNELS))
        });
    }

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
                NormBackwardTask { sums, finish: whole.then_some(finish) }
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
                ActivationTask {
                    backward: ActivationBackward { z, dy, sum_d, region, activation },
                    finish: (whole && bias.is_some()).then_some(finish),
                }
            });
            if !whole && bias.is_some() {
                self.channel_tasks(channels, |first, cols| MergeBias { first, cols, ..merge });
            }
        }
    }
}

/// Forward for some columns of a chunk, and where that is all rows also what follows.
struct ForwardTask<'a> {
    forward: Forward<'a>,
    finish: Option<(MergeForward, Normalize)>,
}

impl Kernel for ForwardTask<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        unsafe {
            self.forward.run::<S>();
            if let Some((merge, normalize)) = self.finish {
                merge.run::<S>();
                normalize.run::<S>();
            }
        }
    }
}

/// The backward sums of some columns of a chunk, and where that is all rows also what follows.
struct NormBackwardTask {
    sums: GradientSums,
    finish: Option<(MergeBackward, NormalizeBackward)>,
}

impl Kernel for NormBackwardTask {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        unsafe {
            self.sums.run::<S>();
            if let Some((merge, backward)) = self.finish {
                merge.run::<S>();
                backward.run::<S>();
            }
        }
    }
}

/// The same for an activation and a bias.
struct ActivationTask {
    backward: ActivationBackward,
    finish: Option<MergeBias>,
}

impl Kernel for ActivationTask {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        unsafe {
            self.backward.run::<S>();
            if let Some(merge) = self.finish {
                merge.run::<S>();
            }
        }
    }
}

/// A cut of columns, only as far as it takes to keep all threads busy: a column's result does not depend on it.
#[derive(Clone, Copy)]
struct Cut {
    cols: usize,
    unit: usize,
    cuts: usize,
}

impl Cut {
    /// Cuts `cols` columns at multiples of `unit`, for `chunks` chunks of rows.
    fn new(cols: usize, unit: usize, chunks: usize, threads: usize) -> Cut {
        Cut { cols, unit, cuts: (threads * 4).div_ceil(chunks).min(cols.div_ceil(unit)) }
    }

    /// The columns of cut `cut`: (first, end).
    fn range(&self, cut: usize) -> (usize, usize) {
        let units = self.cols.div_ceil(self.unit);
        (units * cut / self.cuts * self.unit, (units * (cut + 1) / self.cuts * self.unit).min(self.cols))
    }

    /// The columns of cut `cut` of some rows.
    fn region(&self, cut: usize, rows: Region) -> Region {
        let (first, end) = self.range(cut);
        Region { first_col: first, cols: end - first, ..rows }
    }
}

fn dropout_key(key: u64, node: usize) -> u64 {
    anmok_random::key(&[key, node as u64])
}

/// The rows of chunk `part`.
fn chunk_region(part: usize, chunk: usize, n: usize, positions: usize, channels: usize) -> Region {
    let first = part * chunk;
    Region { first_row: first * positions, rows: (n - first).min(chunk) * positions, first_col: 0, cols: channels, channels }
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

/// The first BatchNorm that would see one value per channel, with its map's shape.
pub(crate) fn one_value_per_channel(graph: &Graph, plan: &Plan, n: usize) -> Option<(String, Shape)> {
    plan.layers.iter().find_map(|layer| match layer {
        Layer::Conv(conv) => {
            let norm = conv.norm.as_ref()?;
            let shape = graph.nodes[norm.node].output;
            (n * shape.positions() == 1).then(|| (graph.nodes[norm.node].name.clone(), shape))
        }
        _ => None,
    })
}
