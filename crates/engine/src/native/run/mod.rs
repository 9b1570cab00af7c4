//! Walking the plan: [`forward`], [`backward`], and the [`weights`] that forward reads. What they share is here: a pass's
//! addresses, and how work is cut into tasks ([`cut`]).

mod backward;
mod cut;
mod forward;
mod weights;

use super::layers::{Images, MaxPool};
use super::memory::{At, Block};
use super::plan::{ConvLayer, Layer, Norm, Plan};
use super::pool::Pool;
use super::profile::{Part, Phase, Profile};
use super::simd::{Kernel, Level, dispatch};
use super::statistics::{Coefficients, Parts};
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

    /// Cuts the channels of a merge into tasks.
    fn channel_tasks<K: Kernel>(&mut self, channels: usize, kernel: impl Fn(usize, usize) -> K + Sync) {
        const CHANNELS: usize = 64;
        self.tasks(channels.div_ceil(CHANNELS), move |index, _| {
            let first = index * CHANNELS;
            kernel(first, (channels - first).min(CHANNELS))
        });
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
}

fn dropout_key(key: u64, node: usize) -> u64 {
    anmok_random::key(&[key, node as u64])
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
