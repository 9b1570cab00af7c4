//! Input to logits.

use super::super::conv::{Epilogue, Forward, Method};
use super::super::layers::{AveragePool, ChannelScale, Dropout, MaxPool, Sum};
use super::super::memory::At;
use super::super::norm::{Normalize, Region};
use super::super::plan::{ConvLayer, Layer, Norm};
use super::super::profile::Phase;
use super::super::statistics::{Coefficients, MergeForward, Parts};
use super::cut::{Cut, chunk_region};
use super::{Mode, Pass, dropout_key};

impl Pass<'_> {
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
            _ => conv.panel,
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
                panel: conv.panel,
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
            (forward, finish)
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
}
