//! Where the time of a step goes, layer by layer: measured while the engine works, when asked for.

use super::conv::{FREQUENCIES, Geometry, Method, multiplications};
use super::plan::{Layer, Plan};
use anmok_graph::Graph;
use std::time::{Duration, Instant};

/// A part of a layer's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The operation itself; for a convolution with the statistics of the BatchNorm behind it, or in inference with all
    /// that follows it.
    Forward,
    /// Normalisation and activation (training).
    ForwardNorm,
    /// The gradient through activation and normalisation.
    BackwardNorm,
    /// The gradients of inputs and weights.
    Backward,
}

/// Number of [`Phase`]s.
const PHASES: usize = 4;

/// A part of a step that belongs to no layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The images' copy to the network's input.
    Input,
    /// The weights' copy in the order that the matrix kernel reads, or their folding with BatchNorm.
    Weights,
    /// Loss and the logits' gradient.
    Loss,
    /// Optimizer and moving average.
    Update,
}

/// All [`Part`]s, in the order of a step.
pub const PARTS: [Part; 4] = [Part::Input, Part::Weights, Part::Loss, Part::Update];

/// What a layer must do at least, for one image: multiplications by padding are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Floating-point operations (a multiply-add is two).
    pub flops: f64,
    /// Bytes of the maps that are read and written, each counted once per pass over them.
    pub map_bytes: f64,
    /// Bytes of weights, once per batch.
    pub weight_bytes: f64,
}

/// One layer's time and work.
#[derive(Debug, Clone)]
pub struct LayerProfile {
    /// Name of the node that begins the layer.
    pub name: String,
    /// What is computed and how, such as `conv 3x3 s2 (taps)`.
    pub kind: String,
    /// The output map.
    pub output: String,
    /// Summed time by [`Phase`].
    times: [Duration; PHASES],
    /// Work of the operation forward, per image. Backward of a layer with weights is twice that.
    pub forward: Work,
    /// Whether the layer has weights.
    pub has_weights: bool,
}

impl LayerProfile {
    /// Time spent in `phase` since profiling began.
    pub fn time(&self, phase: Phase) -> Duration {
        self.times[phase as usize]
    }
}

/// Times since profiling began.
#[derive(Debug, Clone)]
pub struct Profile {
    /// In the order of the forward pass.
    pub layers: Vec<LayerProfile>,
    parts: [Duration; PARTS.len()],
}

impl Profile {
    pub(crate) fn new(graph: &Graph, plan: &Plan) -> Self {
        Self { layers: plan.layers.iter().map(|layer| describe(graph, layer)).collect(), parts: Default::default() }
    }

    /// Time spent in `part` since profiling began.
    pub fn part(&self, part: Part) -> Duration {
        self.parts[part as usize]
    }

    pub(crate) fn add_layer(&mut self, layer: usize, phase: Phase, since: Instant) {
        self.layers[layer].times[phase as usize] += since.elapsed();
    }

    pub(crate) fn add_part(&mut self, part: Part, since: Instant) {
        self.parts[part as usize] += since.elapsed();
    }
}

fn describe(graph: &Graph, layer: &Layer) -> LayerProfile {
    let output = graph.shape(layer.output());
    let in_elements: usize = layer.inputs().iter().map(|&input| graph.shape(input).elements()).sum();
    let maps = 4.0 * (in_elements + output.elements()) as f64;
    let work = |flops: usize, weight_bytes: f64| Work { flops: flops as f64, map_bytes: maps, weight_bytes };
    let elements = output.elements();
    let (first, kind, forward, has_weights) = match layer {
        Layer::Conv(conv) => {
            let weights = if conv.weight.is_some() { weights_read(&conv.g, &conv.method) } else { 0 };
            (
                conv.first_node,
                conv_kind(&conv.g, &conv.method),
                work(2 * multiply_adds(&conv.g, &conv.method), 4.0 * weights as f64),
                weights > 0,
            )
        }
        Layer::AveragePool { input, .. } => {
            (layer.output() - 1, "average pool".to_owned(), work(graph.shape(*input).elements(), 0.0), false)
        }
        Layer::MaxPool { kernel, .. } => {
            (layer.output() - 1, format!("max pool {kernel}x{kernel}"), work(elements * kernel * kernel, 0.0), false)
        }
        Layer::Scale { .. } => (layer.output() - 1, "channel scale".to_owned(), work(elements, 0.0), false),
        Layer::Sum { .. } => (layer.output() - 1, "sum".to_owned(), work(elements, 0.0), false),
        Layer::Dropout { .. } => (layer.output() - 1, "dropout".to_owned(), work(elements, 0.0), false),
    };
    LayerProfile {
        name: graph.nodes[first].name.clone(),
        kind,
        output: output.to_string(),
        times: Default::default(),
        forward,
        has_weights,
    }
}

fn conv_kind(g: &Geometry, method: &Method) -> String {
    let size = format!("{0}x{0}{1}", g.kernel, if g.stride > 1 { format!(" s{}", g.stride) } else { String::new() });
    match method {
        Method::Pointwise if g.out_positions() == 1 => "linear".to_owned(),
        Method::Pointwise => "conv 1x1".to_owned(),
        Method::Taps(_) => format!("conv {size} (taps)"),
        Method::Winograd => format!("conv {size} (winograd)"),
        Method::Framed(_) => format!("conv {size} (framed)"),
        Method::Windows => format!("conv {size} (windows)"),
        Method::Depthwise => format!("depthwise {size}"),
        Method::Copy => "norm".to_owned(),
    }
}

/// The weights that are read, however many images there are: those of taps that meet the map somewhere (on a map of 1x1 it is one
/// of nine), in Winograd's form where that is what is read.
fn weights_read(g: &Geometry, method: &Method) -> usize {
    if *method == Method::Winograd {
        return FREQUENCIES * g.in_c * g.out_c;
    }
    g.met(g.in_h, g.out_h) * g.met(g.in_w, g.out_w) * g.group_in() * g.out_c
}

/// Multiply-adds per image, those with padding left out; those that are really made where Winograd saves some (its
/// additions before and after are not counted).
fn multiply_adds(g: &Geometry, method: &Method) -> usize {
    if *method == Method::Copy {
        return 0;
    }
    if *method == Method::Winograd {
        return multiplications(g) * g.in_c * g.out_c;
    }
    let inside = |size: usize, out: usize| -> usize { (0..out).map(|at| g.inside(at, size).len()).sum() };
    inside(g.in_h, g.out_h) * inside(g.in_w, g.out_w) * g.group_in() * g.out_c
}
