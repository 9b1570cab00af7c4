//! Nodes, shapes, parameters and buffers; the builder that infers shapes.

use crate::{Activation, Init, NamedTensor, Op};

/// Shape of a map per image. Vectors are maps of `1 x 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Channels (features).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// A shape from its three sides.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// Positions of the map: height times width.
    pub const fn positions(self) -> usize {
        self.height * self.width
    }

    /// Elements per image.
    pub const fn elements(self) -> usize {
        self.channels * self.height * self.width
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// Names a value: 0 is the input image, `i + 1` the output of node `i`.
pub type ValueId = usize;

/// One op in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The module path in torchvision, for example `features.1.block.0.0`; ops without a module have a descriptive path.
    pub name: String,
    /// What is computed.
    pub op: Op,
    /// The values it reads, in the op's order.
    pub inputs: Vec<ValueId>,
    /// The shape of its output.
    pub output: Shape,
}

/// A learned tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name in the state dict.
    pub name: String,
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// How it starts.
    pub init: Init,
    /// The node it belongs to.
    pub node: usize,
}

impl Parameter {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A tensor that training moves but no gradient reaches: BatchNorm's running statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    /// Name in the state dict.
    pub name: String,
    /// PyTorch's shape; empty for `num_batches_tracked`.
    pub shape: Vec<usize>,
    /// The value of every element at the start.
    pub initial: f32,
    /// The node it belongs to.
    pub node: usize,
}

/// What does not fit when a network is built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{node}: {problem}")]
pub struct GraphError {
    /// The node being added.
    pub node: String,
    /// What is wrong, with the shapes.
    pub problem: String,
}

/// A network: ops in topological order, the last node being the logits `[classes, 1, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Name in the zoo.
    pub name: String,
    /// Shape of one input image.
    pub input: Shape,
    /// The ops, each after those it reads.
    pub nodes: Vec<Node>,
    /// Learned tensors in state-dict order.
    pub parameters: Vec<Parameter>,
    /// Running statistics in state-dict order.
    pub buffers: Vec<Buffer>,
}

impl Graph {
    /// Shape of a value.
    pub fn shape(&self, value: ValueId) -> Shape {
        if value == 0 { self.input } else { self.nodes[value - 1].output }
    }

    /// Number of classes: channels of the last value.
    pub fn classes(&self) -> usize {
        self.shape(self.nodes.len()).channels
    }

    /// Elements of all parameters together.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(Parameter::elements).sum()
    }

    /// Index and description of the parameters of a node, in PyTorch's order (weight, bias).
    pub fn parameters_of(&self, node: usize) -> impl Iterator<Item = (usize, &Parameter)> {
        self.parameters.iter().enumerate().filter(move |(_, p)| p.node == node)
    }

    /// The state dict of a new network: parameters drawn from their distributions by `seed`, then buffers, in the order
    /// in which torchvision's `state_dict()` lists them.
    pub fn initial_state(&self, seed: u64) -> Vec<NamedTensor> {
        let parameters = self.parameters.iter().enumerate().map(|(index, p)| {
            (
                p.node,
                NamedTensor::f32(&p.name, &p.shape, p.init.draw(&[seed, u64::from_be_bytes(*b"initial."), index as u64], p.elements())),
            )
        });
        let buffers = self.buffers.iter().map(|b| {
            let tensor = if b.shape.is_empty() {
                NamedTensor::i64_scalar(&b.name, b.initial as i64)
            } else {
                NamedTensor::f32(&b.name, &b.shape, vec![b.initial; b.shape.iter().product()])
            };
            (b.node, tensor)
        });
        let mut state: Vec<_> = parameters.chain(buffers).collect();
        state.sort_by_key(|(node, _)| *node); // stable: weight, bias, then the node's buffers
        state.into_iter().map(|(_, tensor)| tensor).collect()
    }
}

/// Adds nodes one by one, infers each shape and refuses what does not fit.
#[derive(Debug)]
pub struct Builder {
    graph: Graph,
}

impl Builder {
    /// Starts a network. The input is value 0.
    pub fn new(name: &str, input: Shape) -> Self {
        Self { graph: Graph { name: name.to_owned(), input, nodes: vec![], parameters: vec![], buffers: vec![] } }
    }

    /// Shape of a value added so far.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.graph.shape(value)
    }

    /// Adds an op whose parameters (if it has any) start at torchvision's common defaults: convolutions Kaiming-normal
    /// by fan-out with zero bias, BatchNorm 1 and 0, Linear uniform by fan-in. Returns the new value.
    pub fn add(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId, GraphError> {
        let inits = match op {
            Op::Conv2d { out_channels, kernel, .. } => {
                // PyTorch works fan-out out from the weight's shape alone, so `groups` does not divide it.
                let fan_out = (out_channels as f64 * (kernel * kernel) as f64).max(1.0);
                [Init::Normal { std: (2.0 / fan_out).sqrt() }, Init::Constant(0.0)]
            }
            Op::Linear { in_features, .. } => [Init::Uniform { bound: 1.0 / (in_features.max(1) as f64).sqrt() }; 2],
            _ => [Init::Constant(1.0), Init::Constant(0.0)],
        };
        self.add_with_init(name, op, inputs, inits)
    }

    /// Adds an op with its own initial distributions for weight and bias.
    pub fn add_with_init(&mut self, name: &str, op: Op, inputs: &[ValueId], inits: [Init; 2]) -> Result<ValueId, GraphError> {
        let output = self.infer(&op, inputs).map_err(|problem| GraphError { node: name.to_owned(), problem })?;
        let node = self.graph.nodes.len();
        let mut parameter = |suffix: &str, shape: Vec<usize>, init| {
            self.graph.parameters.push(Parameter { name: format!("{name}.{suffix}"), shape, init, node });
        };
        match op {
            Op::Conv2d { in_channels, out_channels, kernel, groups, bias, .. } => {
                parameter("weight", vec![out_channels, in_channels / groups, kernel, kernel], inits[0]);
                if bias {
                    parameter("bias", vec![out_channels], inits[1]);
                }
            }
            Op::Linear { in_features, out_features, bias } => {
                parameter("weight", vec![out_features, in_features], inits[0]);
                if bias {
                    parameter("bias", vec![out_features], inits[1]);
                }
            }
            Op::BatchNorm2d { channels, .. } => {
                parameter("weight", vec![channels], inits[0]);
                parameter("bias", vec![channels], inits[1]);
                for (suffix, shape, initial) in
                    [("running_mean", vec![channels], 0.0), ("running_var", vec![channels], 1.0), ("num_batches_tracked", vec![], 0.0)]
                {
                    self.graph.buffers.push(Buffer { name: format!("{name}.{suffix}"), shape, initial, node });
                }
            }
            Op::Activation(Activation::Relu | Activation::Hardswish | Activation::Hardsigmoid)
            | Op::MaxPool2d { .. }
            | Op::GlobalAvgPool
            | Op::Dropout { .. }
            | Op::Add
            | Op::ChannelScale => {}
        }
        self.graph.nodes.push(Node { name: name.to_owned(), op, inputs: inputs.to_vec(), output });
        Ok(node + 1)
    }

    fn infer(&self, op: &Op, inputs: &[ValueId]) -> Result<Shape, String> {
        let arity = if matches!(op, Op::Add | Op::ChannelScale) { 2 } else { 1 };
        if inputs.len() != arity {
            return Err(format!("takes {arity} inputs, got {}", inputs.len()));
        }
        if let Some(unknown) = inputs.iter().find(|&&v| v > self.graph.nodes.len()) {
            return Err(format!("reads value {unknown}, which does not exist yet"));
        }
        let input = self.shape(inputs[0]);
        let window = |kernel: usize, stride: usize, padding: usize| {
            let side = |n: usize| padding.checked_mul(2)?.checked_add(n)?.checked_sub(kernel).map(|rest| rest / stride + 1);
            if kernel == 0 || stride == 0 {
                return Err("kernel and stride must be at least 1".to_owned());
            }
            match (side(input.height), side(input.width)) {
                (Some(h), Some(w)) => Ok((h, w)),
                _ => Err(format!("a {kernel}x{kernel} window with padding {padding} does not fit into {input}")),
            }
        };
        let expect = |channels: usize| {
            if channels == input.channels { Ok(()) } else { Err(format!("expects {channels} channels, the input is {input}")) }
        };
        match *op {
            Op::Conv2d { in_channels, out_channels, kernel, stride, padding, groups, .. } => {
                expect(in_channels)?;
                if groups == 0 || out_channels == 0 || in_channels % groups != 0 || out_channels % groups != 0 {
                    return Err(format!("{groups} groups do not divide {in_channels} -> {out_channels} channels"));
                }
                let (h, w) = window(kernel, stride, padding)?;
                Ok(Shape::new(out_channels, h, w))
            }
            Op::BatchNorm2d { channels, .. } => expect(channels).map(|()| input),
            Op::Activation(_) | Op::Dropout { .. } => Ok(input),
            Op::MaxPool2d { kernel, stride, padding } => {
                if padding > kernel / 2 {
                    return Err(format!("padding {padding} is more than half of the {kernel}x{kernel} window"));
                }
                let (h, w) = window(kernel, stride, padding)?;
                Ok(Shape::new(input.channels, h, w))
            }
            Op::GlobalAvgPool => Ok(Shape::new(input.channels, 1, 1)),
            Op::Linear { in_features, out_features, .. } => {
                expect(in_features)?;
                if input.positions() != 1 || out_features == 0 {
                    return Err(format!("needs a 1x1 map and at least one output, the input is {input}"));
                }
                Ok(Shape::new(out_features, 1, 1))
            }
            Op::Add => {
                let other = self.shape(inputs[1]);
                if other == input { Ok(input) } else { Err(format!("cannot add {other} to {input}")) }
            }
            Op::ChannelScale => {
                let scale = self.shape(inputs[1]);
                if scale == Shape::new(input.channels, 1, 1) { Ok(input) } else { Err(format!("cannot scale {input} by {scale}")) }
            }
        }
    }

    /// The finished network.
    pub fn finish(self) -> Graph {
        self.graph
    }
}
