//! From a graph to a list of layers with a place in memory for everything: made once, walked at every step.
//!
//! A convolution (or Linear) takes the BatchNorm and the activation that follow it into one layer, a sum the activation
//! that follows it. Every tensor's address, the reuse of gradient memory, and which gradients are needed at all (frozen
//! parameters need none) are settled here.

use super::conv::{Geometry, Method, Panel, WeightOrder, packed_len, panels, weight_blocks};
use super::depthwise;
use super::memory::{Layout, Lifetime, share};
use super::simd::Level;
use crate::EngineError;
use anmok_graph::{Activation, Graph, Op, Shape, ValueId};

/// One parameter's place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    /// Offset in the flat arrays.
    pub offset: usize,
    /// Floats.
    pub len: usize,
    /// Order of a convolution's weights.
    pub order: WeightOrder,
    /// `[out, in / groups, k * k]` of a convolution's weights; `[len, 1, 1]` of anything else.
    pub dims: [usize; 3],
    pub trainable: bool,
    /// Whether weight decay reaches it.
    pub decays: bool,
}

/// A BatchNorm within a layer.
#[derive(Debug, Clone)]
pub(crate) struct Norm {
    /// Index of its node.
    pub node: usize,
    /// Which BatchNorm of the network: index of its batch counter.
    pub index: usize,
    pub eps: f64,
    pub momentum: f64,
    /// Parameters: offsets in the flat arrays.
    pub gamma: usize,
    pub beta: usize,
    /// Running mean and variance: offsets in the buffers.
    pub running_mean: usize,
    pub running_var: usize,
    /// Offset in the coefficients: `[5, channels]`, see `statistics.rs`.
    pub coefficients: usize,
}

/// A convolution or Linear with what follows it.
#[derive(Debug, Clone)]
pub(crate) struct ConvLayer {
    /// The node that begins the layer.
    pub first_node: usize,
    pub method: Method,
    pub g: Geometry,
    pub input: ValueId,
    pub output: ValueId,
    /// Index and offset of the weight in the flat arrays.
    pub weight: Option<(usize, usize)>,
    pub bias: Option<(usize, usize)>,
    pub norm: Option<Norm>,
    pub activation: Option<Activation>,
    /// The convolution's own result in the forward block; the output's place where nothing follows.
    pub z: usize,
    /// Packed weights: offset in the packed block.
    pub packed: usize,
    /// Columns of a panel of theirs.
    pub panel: usize,
    /// What inference adds to each output channel (bias and BatchNorm): offset in the coefficients.
    pub shift: usize,
    /// Images per chunk of statistics.
    pub chunk: usize,
    /// Blocks of the weight gradient.
    pub weight_blocks: usize,
}

/// What a layer computes.
#[derive(Debug, Clone)]
pub(crate) enum Layer {
    Conv(Box<ConvLayer>),
    AveragePool { input: ValueId, output: ValueId },
    MaxPool { input: ValueId, output: ValueId, kernel: usize, stride: usize, padding: usize, winners: usize },
    Scale { map: ValueId, scale: ValueId, output: ValueId },
    Sum { a: ValueId, b: ValueId, output: ValueId, activation: Option<Activation> },
    Dropout { input: ValueId, output: ValueId, p: f32, node: usize },
}

impl Layer {
    pub fn inputs(&self) -> Vec<ValueId> {
        match self {
            Layer::Conv(conv) => vec![conv.input],
            Layer::AveragePool { input, .. } | Layer::MaxPool { input, .. } | Layer::Dropout { input, .. } => vec![*input],
            Layer::Scale { map, scale, .. } => vec![*map, *scale],
            Layer::Sum { a, b, .. } => vec![*a, *b],
        }
    }

    pub fn output(&self) -> ValueId {
        match self {
            Layer::Conv(conv) => conv.output,
            Layer::AveragePool { output, .. }
            | Layer::MaxPool { output, .. }
            | Layer::Scale { output, .. }
            | Layer::Sum { output, .. }
            | Layer::Dropout { output, .. } => *output,
        }
    }
}

/// What a layer must do on the way back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backward {
    /// Per input: whether its gradient is wanted, and if so whether another layer has already put its part there.
    pub inputs: Vec<Option<bool>>,
}

/// Where everything lies, in floats, for batches of up to `max_batch` images.
pub(crate) struct Plan {
    pub layers: Vec<Layer>,
    pub backward: Vec<Backward>,
    pub slots: Vec<Slot>,
    /// Flat parameters (and gradients, moments, averages).
    pub parameters: usize,
    /// Running means and variances.
    pub buffers: usize,
    /// Number of BatchNorms.
    pub norms: usize,
    /// Offset of each value's map in the forward block (`usize::MAX`: inside a layer, nowhere).
    pub values: Vec<usize>,
    pub forward: usize,
    /// Offset of each value's gradient in the backward block.
    pub gradients: Vec<usize>,
    pub backward_floats: usize,
    pub packed: usize,
    /// All panels of all packed weights that training needs, and then those that only inference does.
    pub panels: Vec<Panel>,
    /// How many training needs.
    pub training_panels: usize,
    pub coefficients: usize,
    /// Floats of per-chunk sums, and of split weight gradients.
    pub partials: usize,
    /// Floats of window scratch per thread.
    pub scratch: usize,
}

/// Rows of a chunk: enough for the matrix kernel's tiles, few enough that the chunk is in cache when its statistics are
/// taken. Layers of many channels take as many rows as may be: small maps are then one chunk, which needs no merging and
/// is cut by columns. A function of the shape alone: the chunks decide the bits of the statistics.
fn images_per_chunk(shape: Shape) -> usize {
    let rows = if shape.channels >= 128 { 256 } else { (8192 / shape.channels).clamp(64, 256) };
    (rows / shape.positions()).max(1)
}

/// The columns of a panel where the threads share out the columns of one image: a vector fewer than the matrix kernel can take, if
/// the thread with most columns has fewer then. No result depends on it.
fn shared_panel(level: Level, columns: usize, threads: usize) -> usize {
    let widest = level.panel();
    let most = |width: &usize| (columns.div_ceil(*width).div_ceil(threads) * width).min(columns);
    [widest, widest - level.lanes()].into_iter().filter(|width| *width >= 2 * level.lanes()).min_by_key(most).unwrap_or(widest)
}

/// Into how many parts of images a weight gradient is split, so that small ones keep several threads busy too. A
/// function of shape and batch, not of the number of threads.
pub(crate) fn weight_splits(conv: &ConvLayer, images: usize) -> usize {
    if conv.method == Method::Depthwise {
        return depthwise::splits(conv.weight_blocks, images);
    }
    let rows = images * conv.g.out_positions();
    (8usize.div_ceil(conv.weight_blocks.max(1))).min(rows / 512).clamp(1, images)
}

/// The most weight gradient parts for any batch up to `max_batch` (the parts of a batch only grow with it).
fn most_partials(conv: &ConvLayer, max_batch: usize) -> usize {
    let splits = weight_splits(conv, max_batch);
    if splits > 1 { splits * conv.weight.map_or(0, |_| conv.g.out_c * conv.g.depth()).next_multiple_of(16) } else { 0 }
}

/// What the plan needs to know about training.
pub(crate) struct TrainPlan<'a> {
    pub trainable: &'a [bool],
    pub decay_norm_and_bias: bool,
}

impl Plan {
    pub fn new(graph: &Graph, max_batch: usize, level: Level, threads: usize, train: Option<TrainPlan<'_>>) -> Result<Plan, EngineError> {
        let single = max_batch == 1 && train.is_none();
        let (slots, parameters) = place_parameters(graph, level, single, train.as_ref())?;
        let mut plan = Plan {
            layers: Vec::new(),
            backward: Vec::new(),
            slots,
            parameters,
            buffers: 0,
            norms: 0,
            values: vec![usize::MAX; graph.nodes.len() + 1],
            forward: 0,
            gradients: vec![usize::MAX; graph.nodes.len() + 1],
            backward_floats: 0,
            packed: 0,
            panels: Vec::new(),
            training_panels: 0,
            coefficients: 0,
            partials: 0,
            scratch: 0,
        };
        plan.find_layers(graph, level, threads, single)?;
        plan.place_forward(graph, max_batch, train.is_some());
        if train.is_some() {
            plan.place_backward(graph, max_batch);
        }
        Ok(plan)
    }

    fn find_layers(&mut self, graph: &Graph, level: Level, threads: usize, single: bool) -> Result<(), EngineError> {
        let mut readers = vec![Vec::new(); graph.nodes.len() + 1];
        for (index, node) in graph.nodes.iter().enumerate() {
            for &input in &node.inputs {
                readers[input].push(index);
            }
        }
        if let Some(unread) = (1..graph.nodes.len()).find(|&value| readers[value].is_empty()) {
            return Err(EngineError::Unsupported(format!("the output of {} is not used by anything", graph.nodes[unread - 1].name)));
        }
        let (mut buffers, mut packed, mut coefficients) = (Layout::default(), Layout::default(), Layout::default());
        let mut taken = vec![false; graph.nodes.len()];
        for index in 0..graph.nodes.len() {
            if taken[index] {
                continue;
            }
            let node = &graph.nodes[index];
            // The node that alone reads what `last` computes, to be taken into the same layer.
            let follower = |last: usize| match readers[last + 1][..] {
                [only] if graph.nodes[only].inputs.len() == 1 => Some(only),
                _ => None,
            };
            let mut last = index;
            let mut norm_node = None;
            let mut activation = None;
            if let Op::BatchNorm2d { .. } = node.op {
                norm_node = Some(index);
            } else if let Op::Activation(kind) = node.op {
                activation = Some(kind);
            }
            let is_conv = matches!(node.op, Op::Conv2d { .. } | Op::Linear { .. });
            if is_conv && let Some(next) = follower(last).filter(|&n| matches!(graph.nodes[n].op, Op::BatchNorm2d { .. })) {
                norm_node = Some(next);
                last = next;
            }
            if (is_conv || norm_node.is_some() || matches!(node.op, Op::Add))
                && let Some(next) = follower(last)
                && let Op::Activation(kind) = graph.nodes[next].op
            {
                activation = Some(kind);
                last = next;
            }
            for followed in [norm_node, Some(last)].into_iter().flatten() {
                taken[followed] = true;
            }
            let output = last + 1;
            let input = node.inputs[0];
            let layer = match node.op {
                Op::GlobalAvgPool => Layer::AveragePool { input, output },
                Op::MaxPool2d { kernel, stride, padding } => Layer::MaxPool { input, output, kernel, stride, padding, winners: usize::MAX },
                Op::ChannelScale => Layer::Scale { map: input, scale: node.inputs[1], output },
                Op::Add => Layer::Sum { a: input, b: node.inputs[1], output, activation },
                Op::Dropout { p } => Layer::Dropout { input, output, p: p as f32, node: index },
                Op::Conv2d { .. } | Op::Linear { .. } | Op::BatchNorm2d { .. } | Op::Activation(_) => {
                    let (g, method) = geometry(graph, index, single);
                    let norm = norm_node.map(|node| self.place_norm(graph, node, &mut buffers, &mut coefficients));
                    let slot = |suffix: &str| {
                        let found = graph.parameters_of(index).find(|(_, p)| is_conv && p.name.ends_with(suffix));
                        found.map(|(i, _)| (i, self.slots[i].offset))
                    };
                    let (weight, bias) = (slot(".weight"), slot(".bias"));
                    let place = if weight.is_some() { packed.take(packed_len(&g)) } else { 0 };
                    self.scratch = self.scratch.max(method.scratch(&g));
                    let shift = coefficients.take(g.out_c);
                    let weight_blocks = weight_blocks(&method, &g, level.lanes(), level.panel());
                    let chunk = images_per_chunk(graph.shape(index + 1));
                    // Not for 1x1 convolutions and Linear: they were slower with it, most being one row, which has few sums at once.
                    let is_shared = single && matches!(method, Method::Taps(_) | Method::Framed(_));
                    let panel = if is_shared { shared_panel(level, g.out_c, threads) } else { level.panel() };
                    Layer::Conv(Box::new(ConvLayer {
                        first_node: index,
                        method,
                        g,
                        input,
                        output,
                        weight,
                        bias,
                        norm,
                        activation,
                        z: usize::MAX,
                        packed: place,
                        panel,
                        shift,
                        chunk,
                        weight_blocks,
                    }))
                }
            };
            self.layers.push(layer);
        }
        for training in [true, false] {
            for (index, layer) in self.layers.iter().enumerate() {
                if let Layer::Conv(conv) = layer
                    && conv.weight.is_some()
                    && conv.method.packs() == training
                {
                    self.panels.extend(panels(index, &conv.method, &conv.g, conv.panel));
                }
            }
            if training {
                self.training_panels = self.panels.len();
            }
        }
        self.buffers = buffers.len();
        self.packed = packed.len();
        self.coefficients = coefficients.len();
        Ok(())
    }

    fn place_norm(&mut self, graph: &Graph, node: usize, buffers: &mut Layout, coefficients: &mut Layout) -> Norm {
        let Op::BatchNorm2d { channels, eps, momentum } = graph.nodes[node].op else { unreachable!("a BatchNorm node") };
        let offsets: Vec<usize> = graph.parameters_of(node).map(|(i, _)| self.slots[i].offset).collect();
        let index = self.norms;
        self.norms += 1;
        Norm {
            node,
            index,
            eps,
            momentum,
            gamma: offsets[0],
            beta: offsets[1],
            running_mean: buffers.take(channels),
            running_var: buffers.take(channels),
            coefficients: coefficients.take(COEFFICIENTS * channels.next_multiple_of(16)),
        }
    }

    /// Forward buffers. In training everything is kept for the way back; otherwise buffers are reused.
    fn place_forward(&mut self, graph: &Graph, max_batch: usize, training: bool) {
        let end = self.layers.len();
        let mut last_use = vec![0; graph.nodes.len() + 1];
        for (time, layer) in self.layers.iter().enumerate() {
            for input in layer.inputs() {
                last_use[input] = time;
            }
        }
        last_use[graph.nodes.len()] = end;
        let floats = |value: ValueId| graph.shape(value).elements() * max_batch;
        let mut lifetimes = vec![Lifetime { from: 0, to: if training { end } else { last_use[0] }, floats: floats(0) }];
        let mut owners = vec![(0, false)];
        for (time, layer) in self.layers.iter().enumerate() {
            let output = layer.output();
            lifetimes.push(Lifetime { from: time, to: if training { end } else { last_use[output] }, floats: floats(output) });
            owners.push((output, false));
            let extra = match layer {
                Layer::Conv(conv) => conv.norm.is_some() || conv.activation.is_some(),
                Layer::MaxPool { .. } => true,
                _ => false,
            };
            if training && extra {
                lifetimes.push(Lifetime { from: time, to: end, floats: floats(output) });
                owners.push((output, true));
            }
        }
        let (offsets, total) = share(&lifetimes);
        let mut extras = vec![usize::MAX; graph.nodes.len() + 1];
        for (&(value, extra), &offset) in owners.iter().zip(&offsets) {
            if extra { extras[value] = offset } else { self.values[value] = offset }
        }
        for layer in &mut self.layers {
            let output = layer.output();
            let place = if extras[output] == usize::MAX { self.values[output] } else { extras[output] };
            match layer {
                Layer::Conv(conv) => conv.z = place,
                Layer::MaxPool { winners, .. } => *winners = extras[output],
                _ => {}
            }
        }
        self.forward = total;
    }

    /// Which gradients are needed, where they lie, and the scratch of the reductions.
    fn place_backward(&mut self, graph: &Graph, max_batch: usize) {
        let mut wanted = vec![false; graph.nodes.len() + 1];
        for layer in &self.layers {
            let learns = graph_parameters(layer, graph).any(|index| self.slots[index].trainable);
            wanted[layer.output()] = learns || layer.inputs().iter().any(|&input| wanted[input]);
        }
        let mut begun = vec![None; graph.nodes.len() + 1];
        let mut ended = vec![0; graph.nodes.len() + 1];
        begun[graph.nodes.len()] = Some(0);
        self.backward = vec![Backward::default(); self.layers.len()];
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let time = self.layers.len() - index;
            for input in layer.inputs() {
                let already = begun[input].is_some();
                self.backward[index].inputs.push(wanted[input].then_some(already));
                if wanted[input] && !already {
                    begun[input] = Some(time);
                }
            }
            ended[layer.output()] = time;
        }
        let values: Vec<ValueId> = (1..=graph.nodes.len()).filter(|&v| begun[v].is_some()).collect();
        let lifetimes: Vec<Lifetime> = values
            .iter()
            .map(|&v| Lifetime { from: begun[v].unwrap_or(0), to: ended[v], floats: graph.shape(v).elements() * max_batch })
            .collect();
        let (offsets, total) = share(&lifetimes);
        for (&value, offset) in values.iter().zip(offsets) {
            self.gradients[value] = offset;
        }
        self.backward_floats = total;
        self.partials = self
            .layers
            .iter()
            .map(|layer| match layer {
                Layer::Conv(conv) => {
                    let chunks = max_batch.div_ceil(conv.chunk);
                    (2 * chunks * conv.g.out_c.next_multiple_of(16)).max(most_partials(conv, max_batch))
                }
                _ => 0,
            })
            .max()
            .unwrap_or(0);
    }
}

/// Vectors of `[channels]` that a BatchNorm keeps between its passes; see `statistics.rs` for their names.
pub(crate) const COEFFICIENTS: usize = 5;

fn graph_parameters<'a>(layer: &'a Layer, graph: &'a Graph) -> impl Iterator<Item = usize> + 'a {
    let own = match layer {
        Layer::Conv(conv) => [conv.weight.map(|w| w.0), conv.bias.map(|b| b.0)],
        _ => [None, None],
    };
    let norm = match layer {
        Layer::Conv(conv) => conv.norm.as_ref().map(|norm| norm.node),
        _ => None,
    };
    let of_norm = norm.into_iter().flat_map(|node| graph.parameters_of(node).map(|(index, _)| index));
    own.into_iter().flatten().chain(of_norm)
}

fn place_parameters(graph: &Graph, level: Level, single: bool, train: Option<&TrainPlan<'_>>) -> Result<(Vec<Slot>, usize), EngineError> {
    if let Some(train) = train
        && train.trainable.len() != graph.parameters.len()
    {
        let (got, expected) = (train.trainable.len(), graph.parameters.len());
        return Err(EngineError::Unsupported(format!("{got} trainable flags for {expected} parameters")));
    }
    let mut layout = Layout::default();
    let slots = graph
        .parameters
        .iter()
        .enumerate()
        .map(|(index, parameter)| {
            let is_weight = parameter.shape.len() > 1;
            let (order, dims) = match parameter.shape[..] {
                [out, inputs, ref kernel @ ..] => {
                    let (g, method) = geometry(graph, parameter.node, single);
                    (method.weight_order(&g, level.panel()), [out, inputs, kernel.iter().product()])
                }
                _ => (WeightOrder::Torch, [parameter.elements(), 1, 1]),
            };
            Slot {
                offset: layout.take(parameter.elements()),
                len: parameter.elements(),
                order,
                dims,
                trainable: train.is_none_or(|t| t.trainable[index]),
                decays: train.is_none_or(|t| t.decay_norm_and_bias || is_weight),
            }
        })
        .collect();
    Ok((slots, layout.len()))
}

/// The convolution that a node is, a Linear and a lone BatchNorm or activation included, and how to work it out.
fn geometry(graph: &Graph, node: usize, single: bool) -> (Geometry, Method) {
    let node = &graph.nodes[node];
    let (input, output) = (graph.shape(node.inputs[0]), node.output);
    let mut g = Geometry {
        in_h: input.height,
        in_w: input.width,
        in_c: input.channels,
        out_h: output.height,
        out_w: output.width,
        out_c: output.channels,
        kernel: 1,
        stride: 1,
        padding: 0,
        groups: 1,
    };
    match node.op {
        Op::Conv2d { kernel, stride, padding, groups, .. } => {
            (g.kernel, g.stride, g.padding, g.groups) = (kernel, stride, padding, groups);
        }
        Op::Linear { .. } => {}
        _ => return (g, Method::Copy),
    }
    let method = Method::choose(&g, single);
    (g, method)
}
