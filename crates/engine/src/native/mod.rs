//! The native CPU engine: a static plan over flat memory, walked by a few threads.
//!
//! A step is: pack the weights, forward layer by layer, loss, backward layer by layer, update. Maps are
//! `[n, height, width, channels]`. See `plan` for what is decided once, `run` for the walk, `conv`, `depthwise`, `gemm`,
//! `norm` and `layers` for the arithmetic, `simd` for the instruction levels and `pool` for the threads.
//!
//! Results are the same bits for any number of threads: sums over images are cut by the problem alone.

mod conv;
mod depthwise;
mod gemm;
mod layers;
mod loss;
pub mod machine;
mod memory;
mod norm;
pub mod optimizer;
mod plan;
mod pool;
pub mod profile;
mod run;
mod simd;
mod state;
mod statistics;

pub use simd::Level;

use crate::{BatchOutcome, Engine, EngineError, EngineInfo, Rule, Targets, TrainOptions, TrainPass, Update, UpdateOutcome, Weights};
use anmok_graph::{Graph, NamedTensor, TensorData};
use memory::Block;
use optimizer::{AverageKernel, Step, UpdateKernel, moments};
use plan::{Plan, TrainPlan};
use pool::Pool;
use profile::{Part, Profile};
use run::{Arrays, FLOATS_PER_TASK, Mode, Packing, Pass, one_value_per_channel};
use simd::{Kernel, Simd, dispatch};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How a native engine is set up.
#[derive(Debug, Clone, Default)]
pub struct NativeOptions {
    /// Threads; 0 is one per available core.
    pub threads: usize,
    /// Most images in one pass; 0 is 64. Larger batches are inferred in parts, and refused in training. 1 without training is for
    /// latency: single images go through kernels of their own, whose results differ from a batch's by rounding.
    pub max_batch: usize,
    /// Instruction level; `None` is the machine's best.
    pub level: Option<Level>,
    /// What training needs; `None` is an engine that only infers (and takes less memory).
    pub train: Option<TrainOptions>,
}

/// What an engine that trains keeps besides the weights.
struct Training {
    options: TrainOptions,
    gradients: Block,
    backward: Block,
    first: Option<Block>,
    second: Option<Block>,
    average: Option<Average>,
    /// Optimizer steps so far.
    steps: u64,
    /// What one task of an update takes: offset, length, whether weight decay reaches it.
    pieces: Vec<(usize, usize, bool)>,
    /// The sums of squares of the pieces' gradients, as bits (clipping).
    squares: Vec<AtomicU64>,
}

/// The moving average of weights and buffers.
struct Average {
    decay: f32,
    parameters: Block,
    buffers: Block,
}

/// The native CPU engine.
pub struct NativeEngine {
    graph: Graph,
    plan: Plan,
    pool: Pool,
    level: Level,
    max_batch: usize,
    parameters: Block,
    buffers: Block,
    counters: Vec<i64>,
    packed: Block,
    /// Whose weights are packed and how, if they are still in step.
    packed_of: Option<(Weights, Packing)>,
    coefficients: Block,
    forward: Block,
    partials: Block,
    scratch: Block,
    training: Option<Training>,
    profile: Option<Profile>,
}

impl NativeEngine {
    /// An engine for `graph`, with all memory laid out for `max_batch` images. The weights are zero until
    /// [`Engine::load_model_state`].
    pub fn new(graph: Graph, options: NativeOptions) -> Result<Self, EngineError> {
        let level = options.level.unwrap_or_else(Level::best);
        if !Level::available().contains(&level) {
            let names: Vec<_> = Level::available().iter().map(|l| l.name()).collect();
            return Err(EngineError::Unsupported(format!("this machine has no {}; it has {}", level.name(), names.join(", "))));
        }
        let max_batch = if options.max_batch == 0 { 64 } else { options.max_batch };
        let most = graph.nodes.iter().map(|n| n.output.elements()).chain([graph.input.elements()]).max().unwrap_or(0);
        if most.saturating_mul(max_batch) > (1 << 34) / 4 {
            return Err(EngineError::Batch(format!(
                "a batch of {max_batch} images needs {} GiB for its largest map alone: choose a smaller batch",
                most.saturating_mul(max_batch) >> 28
            )));
        }
        let threads = if options.threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { options.threads };
        let pool = Pool::new(threads);
        let train_plan = options.train.as_ref().map(|t| TrainPlan { trainable: &t.trainable, decay_norm_and_bias: t.decay_norm_and_bias });
        let plan = Plan::new(&graph, max_batch, level, pool.threads(), train_plan)?;
        let mut buffers = Block::zeroed(plan.buffers);
        state::initial_buffers(&plan, buffers.as_mut_slice());
        let training = options.train.map(|options| Training::new(options, &plan));
        Ok(Self {
            max_batch,
            level,
            parameters: Block::zeroed(plan.parameters),
            buffers,
            counters: vec![0; plan.norms],
            packed: Block::zeroed(plan.packed),
            packed_of: None,
            coefficients: Block::zeroed(plan.coefficients),
            forward: Block::zeroed(plan.forward),
            partials: Block::zeroed(plan.partials),
            scratch: Block::zeroed(plan.scratch * pool.threads()),
            training,
            profile: None,
            graph,
            plan,
            pool,
        })
    }

    fn check_images(&self, images: &[f32]) -> Result<usize, EngineError> {
        let elements = self.graph.input.elements();
        if images.is_empty() || !images.len().is_multiple_of(elements) {
            return Err(EngineError::Batch(format!(
                "{} floats are not a number of images of {} ({elements} floats each)",
                images.len(),
                self.graph.input
            )));
        }
        Ok(images.len() / elements)
    }

    /// One forward pass over images that are copied to the input's place.
    fn run_forward(&mut self, images: &[f32], n: usize, mode: Mode, weights: Weights) {
        let begin = Instant::now();
        let input = &mut self.forward.as_mut_slice()[self.plan.values[0]..][..images.len()];
        let (to, from) = (memory::At::write(input), memory::At::read(images));
        let tasks = images.len().div_ceil(FLOATS_PER_TASK);
        self.pool.run(tasks, &|index, _| {
            let first = index * FLOATS_PER_TASK;
            let count = (images.len() - first).min(FLOATS_PER_TASK);
            // SAFETY: both have so many floats, and the tasks do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(from.add(first).ptr().cast_const(), to.add(first).ptr(), count) };
        });
        took(&mut self.profile, Part::Input, begin);
        let begin = Instant::now();
        let (parameters, buffers) = match (weights, self.training.as_mut().and_then(|t| t.average.as_mut())) {
            (Weights::Ema, Some(average)) => (&mut average.parameters, &mut average.buffers),
            _ => (&mut self.parameters, &mut self.buffers),
        };
        let arrays = Arrays {
            parameters,
            buffers,
            packed: &mut self.packed,
            coefficients: &mut self.coefficients,
            forward: &mut self.forward,
            partials: &mut self.partials,
            scratch: &mut self.scratch,
            profile: self.profile.as_mut(),
        };
        let mut pass = Pass::new(&self.graph, &self.plan, &mut self.pool, self.level, n, arrays);
        let packing = mode.packing();
        if self.packed_of != Some((weights, packing)) {
            pass.pack(packing);
            self.packed_of = Some((weights, packing));
        }
        pass.took_part(Part::Weights, begin);
        pass.forward(mode);
    }

    fn check_targets(&self, n: usize, targets: Targets<'_>) -> Result<(), EngineError> {
        let classes = self.graph.classes();
        let lists = [Some(targets.labels), targets.mix.map(|(labels, _)| labels)];
        for labels in lists.into_iter().flatten() {
            if labels.len() != n {
                return Err(EngineError::Batch(format!("{} labels for {n} images", labels.len())));
            }
            if let Some((image, label)) = labels.iter().enumerate().find(|&(_, &label)| label as usize >= classes) {
                return Err(EngineError::Batch(format!("label {label} of image {image} in a network of {classes} classes")));
            }
        }
        match targets.mix {
            Some((_, weights)) if weights.len() != n => Err(EngineError::Batch(format!("{} mixing weights for {n} images", weights.len()))),
            _ => Ok(()),
        }
    }
}

impl Training {
    fn new(options: TrainOptions, plan: &Plan) -> Self {
        let (first, second) = moments(&options.rule);
        let mut segments: Vec<(usize, usize, bool)> = Vec::new();
        for slot in plan.slots.iter().filter(|slot| slot.trainable) {
            let len = slot.len.next_multiple_of(memory::ALIGN);
            match segments.last_mut() {
                Some((offset, length, decays)) if *offset + *length == slot.offset && *decays == slot.decays => *length += len,
                _ => segments.push((slot.offset, len, slot.decays)),
            }
        }
        let cut = |(offset, len, decays): (usize, usize, bool)| {
            let starts = (0..len).step_by(FLOATS_PER_TASK);
            starts.map(move |first| (offset + first, (len - first).min(FLOATS_PER_TASK), decays))
        };
        let pieces: Vec<_> = segments.into_iter().flat_map(cut).collect();
        Self {
            gradients: Block::zeroed(plan.parameters),
            backward: Block::zeroed(plan.backward_floats),
            first: first.then(|| Block::zeroed(plan.parameters)),
            second: second.then(|| Block::zeroed(plan.parameters)),
            average: options.ema_decay.map(|decay| {
                let mut buffers = Block::zeroed(plan.buffers);
                state::initial_buffers(plan, buffers.as_mut_slice());
                Average { decay, parameters: Block::zeroed(plan.parameters), buffers }
            }),
            steps: 0,
            squares: pieces.iter().map(|_| AtomicU64::new(0)).collect(),
            pieces,
            options,
        }
    }

    /// The moments, with the names under which they are saved.
    fn moments(&self) -> impl Iterator<Item = (&'static str, &Block)> {
        self.moment_names().into_iter().zip([&self.first, &self.second]).filter_map(|(name, block)| Some((name, block.as_ref()?)))
    }

    /// The same, to change.
    fn moments_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Block)> {
        let names = self.moment_names();
        names.into_iter().zip([&mut self.first, &mut self.second]).filter_map(|(name, block)| Some((name, block.as_mut()?)))
    }

    fn moment_names(&self) -> [&'static str; 2] {
        match self.options.rule {
            Rule::Sgd { .. } => ["momentum_buffer", ""],
            Rule::Adam { .. } | Rule::AdamW { .. } => ["exp_avg", "exp_avg_sq"],
        }
    }
}

/// Adds the time since `begin` to a part of the step, where anyone wants it.
fn took(profile: &mut Option<Profile>, part: Part, begin: Instant) {
    if let Some(profile) = profile {
        profile.add_part(part, begin);
    }
}

fn not_training() -> EngineError {
    EngineError::Unsupported("this engine was made for inference only".to_owned())
}

impl Engine for NativeEngine {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn info(&self) -> EngineInfo {
        EngineInfo { device: "cpu".to_owned(), level: self.level.name().to_owned(), threads: self.pool.threads() }
    }

    fn spread(&mut self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        self.pool.run(tasks, &|index, _| task(index));
    }

    fn train_pass(&mut self, images: &[f32], targets: Targets<'_>, pass: TrainPass) -> Result<BatchOutcome, EngineError> {
        let n = self.check_images(images)?;
        self.check_targets(n, targets)?;
        if self.training.is_none() {
            return Err(not_training());
        }
        if n > self.max_batch {
            return Err(EngineError::Batch(format!("a batch of {n} images in an engine for {}", self.max_batch)));
        }
        if let Some((node, shape)) = one_value_per_channel(&self.graph, &self.plan, n) {
            let (channels, height, width) = (shape.channels, shape.height, shape.width);
            return Err(EngineError::OneValuePerChannel { node, batch: n, channels, height, width });
        }
        let key = anmok_random::key(&[pass.seed, u64::from_be_bytes(*b"dropout."), pass.pass]);
        self.run_forward(images, n, Mode::Train { key }, Weights::Live);
        self.counters.iter_mut().for_each(|count| *count += 1);

        let begin = Instant::now();
        let classes = self.graph.classes();
        let last = self.graph.nodes.len();
        let Some(training) = self.training.as_mut() else { return Err(not_training()) };
        let logits = &self.forward.as_slice()[self.plan.values[last]..][..n * classes];
        let gradient = &mut training.backward.as_mut_slice()[self.plan.gradients[last]..][..n * classes];
        let outcome = loss::cross_entropy(logits, classes, targets, pass.label_smoothing, pass.loss_scale, gradient);
        took(&mut self.profile, Part::Loss, begin);
        let arrays = Arrays {
            parameters: &mut self.parameters,
            buffers: &mut self.buffers,
            packed: &mut self.packed,
            coefficients: &mut self.coefficients,
            forward: &mut self.forward,
            partials: &mut self.partials,
            scratch: &mut self.scratch,
            profile: self.profile.as_mut(),
        };
        Pass::new(&self.graph, &self.plan, &mut self.pool, self.level, n, arrays).backward(
            &mut training.backward,
            &mut training.gradients,
            pass.accumulate,
            key,
        );
        Ok(outcome)
    }

    fn update(&mut self, update: Update) -> Result<UpdateOutcome, EngineError> {
        let begin = Instant::now();
        let Some(training) = self.training.as_mut() else { return Err(not_training()) };
        let level = self.level;
        let pieces = &training.pieces;
        let mut scale = 1.0;
        let gradient_norm = update.clip_norm.map(|most| {
            let norm = gradient_norm(&mut self.pool, level, training.gradients.as_slice(), pieces, &training.squares);
            // torch.nn.utils.clip_grad_norm_
            scale = (f64::from(most) / (norm + 1e-6)).min(1.0) as f32;
            norm as f32
        });
        training.steps += 1;
        let step = Step {
            rule: training.options.rule,
            learning_rate: update.learning_rate,
            weight_decay: training.options.weight_decay,
            count: training.steps,
            gradient_scale: scale,
        };
        let parameters = self.parameters.at();
        let gradients = training.gradients.at();
        let first = training.first.as_mut().map_or(memory::At::NONE, Block::at);
        let second = training.second.as_mut().map_or(memory::At::NONE, Block::at);
        let further = |at: memory::At, floats| if at.is_some() { unsafe { at.add(floats) } } else { at };
        self.pool.run(pieces.len(), &|index, _| {
            let (offset, count, decays) = pieces[index];
            let step = Step { weight_decay: if decays { step.weight_decay } else { 0.0 }, ..step };
            let kernel = UpdateKernel {
                step,
                parameters: further(parameters, offset),
                gradients: further(gradients, offset),
                first: further(first, offset),
                second: further(second, offset),
                count,
            };
            // SAFETY: the pieces lie within the flat arrays and do not overlap.
            unsafe { dispatch(level, kernel) }
        });
        if let Some(average) = &mut training.average {
            // Young averages follow faster, or the random start would weigh on them for an epoch
            // (tf.train.ExponentialMovingAverage's num_updates).
            let decay = average.decay.min((1.0 + training.steps as f32) / (10.0 + training.steps as f32));
            let pairs =
                [(&mut average.parameters, parameters, self.plan.parameters), (&mut average.buffers, self.buffers.at(), self.plan.buffers)];
            for (average, value, floats) in pairs {
                let average = average.at();
                self.pool.run(floats.div_ceil(FLOATS_PER_TASK), &|index, _| {
                    let first = index * FLOATS_PER_TASK;
                    let count = (floats - first).min(FLOATS_PER_TASK);
                    // SAFETY: both arrays have `floats` floats, and the tasks do not overlap.
                    unsafe { dispatch(level, AverageKernel { average: average.add(first), value: value.add(first), decay, count }) }
                });
            }
        }
        self.packed_of = None;
        took(&mut self.profile, Part::Update, begin);
        Ok(UpdateOutcome { gradient_norm })
    }

    fn infer(&mut self, images: &[f32], weights: Weights, logits: &mut [f32]) -> Result<(), EngineError> {
        let n = self.check_images(images)?;
        let classes = self.graph.classes();
        if logits.len() != n * classes {
            return Err(EngineError::Batch(format!("room for {} logits, {n} images need {}", logits.len(), n * classes)));
        }
        self.average_if(weights)?;
        let elements = self.graph.input.elements();
        let place = self.plan.values[self.graph.nodes.len()];
        for (images, logits) in images.chunks(self.max_batch * elements).zip(logits.chunks_mut(self.max_batch * classes)) {
            self.run_forward(images, images.len() / elements, Mode::Evaluate, weights);
            logits.copy_from_slice(&self.forward.as_slice()[place..][..logits.len()]);
        }
        Ok(())
    }

    fn model_state(&self, weights: Weights) -> Result<Vec<NamedTensor>, EngineError> {
        let (parameters, buffers) = match self.average_if(weights)? {
            Some(average) => (&average.parameters, &average.buffers),
            None => (&self.parameters, &self.buffers),
        };
        Ok(state::read(&self.graph, &self.plan, parameters.as_slice(), buffers.as_slice(), &self.counters))
    }

    fn load_model_state(&mut self, new: &[NamedTensor]) -> Result<(), EngineError> {
        state::check(&self.model_state(Weights::Live)?, new)?;
        let (parameters, buffers) = (self.parameters.as_mut_slice(), self.buffers.as_mut_slice());
        state::write(&self.graph, &self.plan, new, parameters, buffers, &mut self.counters);
        if let Some(average) = self.training.as_mut().and_then(|t| t.average.as_mut()) {
            average.parameters.as_mut_slice().copy_from_slice(self.parameters.as_slice());
            average.buffers.as_mut_slice().copy_from_slice(self.buffers.as_slice());
        }
        self.packed_of = None;
        Ok(())
    }

    fn training_state(&self) -> Vec<NamedTensor> {
        let Some(training) = self.training.as_ref() else { return Vec::new() };
        let mut state = vec![NamedTensor::i64_scalar("optimizer.step", training.steps as i64)];
        for (kind, block) in training.moments() {
            for (slot, parameter) in self.plan.slots.iter().zip(&self.graph.parameters).filter(|(slot, _)| slot.trainable) {
                let name = format!("optimizer.{kind}.{}", parameter.name);
                state.push(NamedTensor::f32(name, &parameter.shape, state::to_torch(slot, block.as_slice())));
            }
        }
        if let Some(average) = &training.average {
            let parts = state::read(&self.graph, &self.plan, average.parameters.as_slice(), average.buffers.as_slice(), &self.counters);
            state.extend(parts.into_iter().filter(|t| t.as_f32().is_some()).map(|t| NamedTensor { name: format!("ema.{}", t.name), ..t }));
        }
        state
    }

    fn load_training_state(&mut self, new: &[NamedTensor]) -> Result<(), EngineError> {
        state::check(&self.training_state(), new)?;
        let Some(training) = self.training.as_mut() else { return Ok(()) };
        let find = |name: &str| new.iter().find(|t| t.name == name).map(|t| &t.data);
        if let Some(TensorData::I64(steps)) = find("optimizer.step") {
            training.steps = steps.first().map_or(0, |&count| count.max(0) as u64);
        }
        for (kind, block) in training.moments_mut() {
            for (slot, parameter) in self.plan.slots.iter().zip(&self.graph.parameters) {
                if let Some(TensorData::F32(values)) = find(&format!("optimizer.{kind}.{}", parameter.name)) {
                    state::from_torch(slot, values, block.as_mut_slice());
                }
            }
        }
        if let Some(average) = &mut training.average {
            let parts: Vec<NamedTensor> = new
                .iter()
                .filter_map(|t| t.name.strip_prefix("ema.").map(|name| NamedTensor { name: name.to_owned(), ..t.clone() }))
                .collect();
            let (parameters, buffers) = (average.parameters.as_mut_slice(), average.buffers.as_mut_slice());
            state::write(&self.graph, &self.plan, &parts, parameters, buffers, &mut self.counters);
        }
        self.packed_of = None;
        Ok(())
    }

    fn gradients(&self) -> Vec<NamedTensor> {
        let Some(training) = &self.training else { return Vec::new() };
        let flat = training.gradients.as_slice();
        let named = self.plan.slots.iter().zip(&self.graph.parameters);
        named.map(|(slot, p)| NamedTensor::f32(&p.name, &p.shape, state::to_torch(slot, flat))).collect()
    }
}

impl NativeEngine {
    /// Begins to measure where the time goes (anew, if it did already), or stops.
    pub fn set_profiling(&mut self, on: bool) {
        self.profile = on.then(|| Profile::new(&self.graph, &self.plan));
    }

    /// The times since [`Self::set_profiling`]; nothing when it is off.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// The moving average if it is asked for: an error where none is kept.
    fn average_if(&self, weights: Weights) -> Result<Option<&Average>, EngineError> {
        match weights {
            Weights::Live => Ok(None),
            Weights::Ema => {
                let average = self.training.as_ref().and_then(|t| t.average.as_ref());
                average
                    .map(Some)
                    .ok_or_else(|| EngineError::Unsupported("no moving average of the weights is kept (ema_decay is off)".to_owned()))
            }
        }
    }
}

/// The root of the sum of squares of the gradients in `pieces`, summed per piece and then in order.
fn gradient_norm(pool: &mut Pool, level: Level, gradients: &[f32], pieces: &[(usize, usize, bool)], sums: &[AtomicU64]) -> f64 {
    pool.run(pieces.len(), &|index, _| {
        let (offset, count, _) = pieces[index];
        let mut sum = 0.0;
        let kernel = SumOfSquares { values: &gradients[offset..offset + count], sum: &mut sum };
        // SAFETY: a slice, and the engine's own level.
        unsafe { dispatch(level, kernel) };
        sums[index].store(sum.to_bits(), Ordering::Relaxed);
    });
    sums.iter().map(|sum| f64::from_bits(sum.load(Ordering::Relaxed))).sum::<f64>().sqrt()
}

struct SumOfSquares<'a> {
    values: &'a [f32],
    sum: &'a mut f64,
}

impl Kernel for SumOfSquares<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // Blocks of vectors, each block's lanes added up in double precision.
        for block in self.values.chunks(S::LANES * 64) {
            let mut lanes = [0.0f32; 16];
            unsafe {
                let mut squares = S::splat(0.0);
                for i in (0..block.len()).step_by(S::LANES) {
                    let value = S::load_upto(block.as_ptr().add(i), block.len() - i);
                    squares = S::fma(value, value, squares);
                }
                S::store(lanes.as_mut_ptr(), squares);
            }
            *self.sum += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
        }
    }
}
