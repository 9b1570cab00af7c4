//! The plain reference: every op written as its definition, in double precision, NCHW, without any thought of speed.
//! Used only in tests; an engine that disagrees with it is wrong.

use anmok_graph::{Activation, Graph, NamedTensor, Op, Shape};
use std::collections::HashMap;

/// Values of a map for all images: `[n][channels][height][width]`, flat.
type Map = Vec<f64>;

/// A network's tensors by name, in double precision.
pub type State = HashMap<String, Vec<f64>>;

/// What one pass gives.
pub struct Pass {
    /// `[n, classes]`.
    pub logits: Vec<f64>,
    /// By parameter name (training only).
    pub gradients: State,
    /// Running mean and variance after the pass (training only).
    pub running: State,
}

/// The tensors of a state dict.
pub fn state(tensors: &[NamedTensor]) -> State {
    tensors.iter().filter_map(|t| Some((t.name.clone(), t.as_f32()?.iter().map(|&v| f64::from(v)).collect()))).collect()
}

fn act(kind: Activation, u: f64) -> (f64, f64) {
    let gate = (u + 3.0).clamp(0.0, 6.0) / 6.0;
    match kind {
        Activation::Relu => (u.max(0.0), f64::from(u8::from(u > 0.0))),
        Activation::Hardsigmoid => (gate, if u > -3.0 && u < 3.0 { 1.0 / 6.0 } else { 0.0 }),
        Activation::Hardswish => (
            u * gate,
            if u <= -3.0 {
                0.0
            } else if u < 3.0 {
                u / 3.0 + 0.5
            } else {
                1.0
            },
        ),
    }
}

struct Window {
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Window {
    /// Calls `visit(out position, tap, in position)` for every tap inside the image.
    fn each(&self, input: Shape, output: Shape, mut visit: impl FnMut(usize, usize, usize)) {
        for oy in 0..output.height {
            for ox in 0..output.width {
                for ky in 0..self.kernel {
                    for kx in 0..self.kernel {
                        let (y, x) = (oy * self.stride + ky, ox * self.stride + kx);
                        if y >= self.padding && x >= self.padding && y - self.padding < input.height && x - self.padding < input.width {
                            let from = (y - self.padding) * input.width + x - self.padding;
                            visit(oy * output.width + ox, ky * self.kernel + kx, from);
                        }
                    }
                }
            }
        }
    }
}

struct NormSaved {
    mean: Vec<f64>,
    inverse_std: Vec<f64>,
}

/// Runs `graph` on `images` (`[n, height, width, channels]`, as engines take them). `training` gives the labels, and with
/// them batch statistics and gradients of the mean cross-entropy; dropout must have `p = 0`.
pub fn run(graph: &Graph, state: &State, images: &[f32], n: usize, training: Option<&[u32]>) -> Pass {
    let mut values: Vec<Map> = vec![to_planes(images, graph.input, n)];
    let mut norms: HashMap<usize, NormSaved> = HashMap::new();
    let mut running = State::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let input = graph.shape(node.inputs[0]);
        let x = &values[node.inputs[0]];
        let output = node.output;
        let tensor = |suffix: &str| &state[&format!("{}.{suffix}", node.name)];
        let mut y = vec![0.0; n * output.elements()];
        match node.op {
            Op::Conv2d { kernel, stride, padding, groups, bias, .. } => {
                let (per_in, per_out) = (input.channels / groups, output.channels / groups);
                let weight = tensor("weight");
                Window { kernel, stride, padding }.each(input, output, |to, tap, from| {
                    for image in 0..n {
                        for out in 0..output.channels {
                            let mut sum = 0.0;
                            for c in 0..per_in {
                                let channel = out / per_out * per_in + c;
                                sum += x[(image * input.channels + channel) * input.positions() + from]
                                    * weight[(out * per_in + c) * kernel * kernel + tap];
                            }
                            y[(image * output.channels + out) * output.positions() + to] += sum;
                        }
                    }
                });
                if bias {
                    add_bias(&mut y, tensor("bias"), output, n);
                }
            }
            Op::Linear { in_features, out_features, bias } => {
                let weight = tensor("weight");
                for image in 0..n {
                    for out in 0..out_features {
                        y[image * out_features + out] =
                            (0..in_features).map(|i| x[image * in_features + i] * weight[out * in_features + i]).sum();
                    }
                }
                if bias {
                    add_bias(&mut y, tensor("bias"), output, n);
                }
            }
            Op::BatchNorm2d { channels, eps, momentum } => {
                let rows = (n * output.positions()) as f64;
                let mut saved = NormSaved { mean: vec![0.0; channels], inverse_std: vec![0.0; channels] };
                let (mut means, mut variances) = (tensor("running_mean").clone(), tensor("running_var").clone());
                for c in 0..channels {
                    let (mut mean, mut variance) = (means[c], variances[c]);
                    if training.is_some() {
                        mean = elements(output, n, c).map(|i| x[i]).sum::<f64>() / rows;
                        let squares: f64 = elements(output, n, c).map(|i| (x[i] - mean).powi(2)).sum();
                        variance = squares / rows;
                        means[c] = (1.0 - momentum) * means[c] + momentum * mean;
                        variances[c] = (1.0 - momentum) * variances[c] + momentum * squares / (rows - 1.0);
                    }
                    saved.mean[c] = mean;
                    saved.inverse_std[c] = 1.0 / (variance + eps).sqrt();
                    for i in elements(output, n, c) {
                        y[i] = (x[i] - mean) * saved.inverse_std[c] * tensor("weight")[c] + tensor("bias")[c];
                    }
                }
                running.insert(format!("{}.running_mean", node.name), means);
                running.insert(format!("{}.running_var", node.name), variances);
                norms.insert(index, saved);
            }
            Op::Activation(kind) => y = x.iter().map(|&u| act(kind, u).0).collect(),
            Op::MaxPool2d { kernel, stride, padding } => {
                y.fill(f64::NEG_INFINITY);
                Window { kernel, stride, padding }.each(input, output, |to, _, from| {
                    for plane in 0..n * input.channels {
                        let slot = &mut y[plane * output.positions() + to];
                        *slot = slot.max(x[plane * input.positions() + from]);
                    }
                });
            }
            Op::GlobalAvgPool => {
                for plane in 0..n * input.channels {
                    y[plane] = x[plane * input.positions()..][..input.positions()].iter().sum::<f64>() / input.positions() as f64;
                }
            }
            Op::Dropout { p } => {
                assert_eq!(p, 0.0, "the reference has no randomness");
                y.copy_from_slice(x);
            }
            Op::Add => y = x.iter().zip(&values[node.inputs[1]]).map(|(a, b)| a + b).collect(),
            Op::ChannelScale => {
                let scale = &values[node.inputs[1]];
                for (i, slot) in y.iter_mut().enumerate() {
                    *slot = x[i] * scale[i / input.positions()];
                }
            }
        }
        values.push(y);
    }
    let logits = values[graph.nodes.len()].clone();
    let gradients = training.map_or_else(State::new, |labels| backward(graph, state, &values, &norms, labels, n));
    Pass { logits, gradients, running }
}

fn backward(graph: &Graph, state: &State, values: &[Map], norms: &HashMap<usize, NormSaved>, labels: &[u32], n: usize) -> State {
    let classes = graph.classes();
    let mut d: Vec<Map> = values.iter().map(|v| vec![0.0; v.len()]).collect();
    for image in 0..n {
        let row = &values[graph.nodes.len()][image * classes..][..classes];
        let sum: f64 = row.iter().map(|v| v.exp()).sum();
        for class in 0..classes {
            let target = f64::from(u8::from(labels[image] as usize == class));
            d[graph.nodes.len()][image * classes + class] = (row[class].exp() / sum - target) / n as f64;
        }
    }
    let mut gradients = State::new();
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        let dy = d[index + 1].clone();
        let (source, input, output) = (node.inputs[0], graph.shape(node.inputs[0]), node.output);
        let x = &values[source];
        let weight = state.get(&format!("{}.weight", node.name));
        let mut put = |suffix: &str, value: Vec<f64>| gradients.insert(format!("{}.{suffix}", node.name), value);
        match node.op {
            Op::Conv2d { kernel, stride, padding, groups, bias, .. } => {
                let (per_in, per_out) = (input.channels / groups, output.channels / groups);
                let weight = weight.expect("a weight");
                let mut dw = vec![0.0; weight.len()];
                Window { kernel, stride, padding }.each(input, output, |to, tap, from| {
                    for image in 0..n {
                        for out in 0..output.channels {
                            let slope = dy[(image * output.channels + out) * output.positions() + to];
                            for c in 0..per_in {
                                let channel = out / per_out * per_in + c;
                                let at = (image * input.channels + channel) * input.positions() + from;
                                let w = (out * per_in + c) * kernel * kernel + tap;
                                dw[w] += slope * x[at];
                                d[source][at] += slope * weight[w];
                            }
                        }
                    }
                });
                put("weight", dw);
                if bias {
                    put("bias", channel_sums(&dy, output, n));
                }
            }
            Op::Linear { in_features, out_features, bias } => {
                let weight = weight.expect("a weight");
                let mut dw = vec![0.0; weight.len()];
                for image in 0..n {
                    for out in 0..out_features {
                        let slope = dy[image * out_features + out];
                        for i in 0..in_features {
                            dw[out * in_features + i] += slope * x[image * in_features + i];
                            d[source][image * in_features + i] += slope * weight[out * in_features + i];
                        }
                    }
                }
                put("weight", dw);
                if bias {
                    put("bias", channel_sums(&dy, output, n));
                }
            }
            Op::BatchNorm2d { channels, .. } => {
                let (saved, gamma) = (&norms[&index], weight.expect("a weight"));
                let rows = (n * output.positions()) as f64;
                let (mut d_gamma, d_beta) = (vec![0.0; channels], channel_sums(&dy, output, n));
                for c in 0..channels {
                    let hat = |i: usize| (x[i] - saved.mean[c]) * saved.inverse_std[c];
                    d_gamma[c] = elements(output, n, c).map(|i| dy[i] * hat(i)).sum();
                    for i in elements(output, n, c) {
                        d[source][i] += gamma[c] * saved.inverse_std[c] * (dy[i] - d_beta[c] / rows - hat(i) * d_gamma[c] / rows);
                    }
                }
                put("weight", d_gamma);
                put("bias", d_beta);
            }
            Op::Activation(kind) => {
                for i in 0..x.len() {
                    d[source][i] += dy[i] * act(kind, x[i]).1;
                }
            }
            Op::MaxPool2d { kernel, stride, padding } => {
                let mut won = vec![false; dy.len()];
                Window { kernel, stride, padding }.each(input, output, |to, _, from| {
                    for plane in 0..n * input.channels {
                        let (to, from) = (plane * output.positions() + to, plane * input.positions() + from);
                        if !won[to] && x[from] == values[index + 1][to] {
                            won[to] = true;
                            d[source][from] += dy[to];
                        }
                    }
                });
            }
            Op::GlobalAvgPool => {
                for i in 0..x.len() {
                    d[source][i] += dy[i / input.positions()] / input.positions() as f64;
                }
            }
            Op::Dropout { .. } => d[source].iter_mut().zip(&dy).for_each(|(d, dy)| *d += dy),
            Op::Add => {
                for &source in &node.inputs {
                    d[source].iter_mut().zip(&dy).for_each(|(d, dy)| *d += dy);
                }
            }
            Op::ChannelScale => {
                for (i, &slope) in dy.iter().enumerate() {
                    let plane = i / input.positions();
                    d[source][i] += slope * values[node.inputs[1]][plane];
                    d[node.inputs[1]][plane] += slope * x[i];
                }
            }
        }
    }
    gradients
}

/// The elements of channel `c` over all images.
fn elements(shape: Shape, n: usize, c: usize) -> impl Iterator<Item = usize> {
    (0..n).flat_map(move |image| (0..shape.positions()).map(move |p| (image * shape.channels + c) * shape.positions() + p))
}

fn channel_sums(map: &Map, shape: Shape, n: usize) -> Vec<f64> {
    (0..shape.channels).map(|c| elements(shape, n, c).map(|i| map[i]).sum()).collect()
}

fn add_bias(map: &mut Map, bias: &[f64], shape: Shape, n: usize) {
    for (c, &bias) in bias.iter().enumerate() {
        for i in elements(shape, n, c) {
            map[i] += bias;
        }
    }
}

fn to_planes(images: &[f32], shape: Shape, n: usize) -> Map {
    let mut map = vec![0.0; n * shape.elements()];
    for image in 0..n {
        for position in 0..shape.positions() {
            for c in 0..shape.channels {
                map[(image * shape.channels + c) * shape.positions() + position] =
                    f64::from(images[(image * shape.positions() + position) * shape.channels + c]);
            }
        }
    }
    map
}
