//! Between the flat arrays and the state dict: PyTorch's names, shapes and order of weights.

use super::conv::WeightOrder;
use super::plan::{Layer, Plan, Slot};
use crate::EngineError;
use anmok_graph::{Graph, NamedTensor, TensorData};

/// Calls `visit` for every weight of a slot, in the slot's own order, with its index there and in PyTorch's order.
fn each_weight(slot: &Slot, mut visit: impl FnMut(usize, usize)) {
    let [outs, inputs, taps] = slot.dims;
    let torch = |out, input, tap| (out * inputs + input) * taps + tap;
    let mut index = 0;
    let mut next = |torch| {
        visit(index, torch);
        index += 1;
    };
    // Loops: taking an index apart by divisions took some 35 ms per checkpoint of MobileNetV3-Small.
    match slot.order {
        WeightOrder::Torch => (0..slot.len).for_each(next),
        WeightOrder::TapsThenIn => {
            for out in 0..outs {
                for tap in 0..taps {
                    (0..inputs).for_each(|input| next(torch(out, input, tap)));
                }
            }
        }
        WeightOrder::TapsThenChannels => {
            for tap in 0..taps {
                (0..outs).for_each(|out| next(torch(out, 0, tap)));
            }
        }
        WeightOrder::InPanels { width } => {
            for first in (0..inputs).step_by(width) {
                let panel = first..(first + width).min(inputs);
                for tap in 0..taps {
                    for out in 0..outs {
                        panel.clone().for_each(|input| next(torch(out, input, tap)));
                    }
                }
            }
        }
    }
}

/// A parameter-shaped array in PyTorch's order.
pub(crate) fn to_torch(slot: &Slot, flat: &[f32]) -> Vec<f32> {
    let (flat, mut values) = (&flat[slot.offset..][..slot.len], vec![0.0; slot.len]);
    each_weight(slot, |index, torch| values[torch] = flat[index]);
    values
}

/// The reverse of [`to_torch`].
pub(crate) fn from_torch(slot: &Slot, values: &[f32], flat: &mut [f32]) {
    let flat = &mut flat[slot.offset..][..slot.len];
    each_weight(slot, |index, torch| flat[index] = values[torch]);
}

/// Where each BatchNorm's running statistics lie: (node, channels, offset of the mean, offset of the variance, counter).
fn norms(plan: &Plan) -> impl Iterator<Item = (usize, usize, usize, usize, usize)> + '_ {
    plan.layers.iter().filter_map(|layer| match layer {
        Layer::Conv(conv) => conv.norm.as_ref().map(|n| (n.node, conv.g.out_c, n.running_mean, n.running_var, n.index)),
        _ => None,
    })
}

/// Starting values of the buffers: mean 0, variance 1.
pub(crate) fn initial_buffers(plan: &Plan, buffers: &mut [f32]) {
    for (_, channels, _, variance, _) in norms(plan) {
        buffers[variance..][..channels].fill(1.0);
    }
}

/// The state dict, in torchvision's order.
pub(crate) fn read(graph: &Graph, plan: &Plan, parameters: &[f32], buffers: &[f32], counters: &[i64]) -> Vec<NamedTensor> {
    let mut state: Vec<(usize, NamedTensor)> = Vec::new();
    for (slot, parameter) in plan.slots.iter().zip(&graph.parameters) {
        state.push((parameter.node, NamedTensor::f32(&parameter.name, &parameter.shape, to_torch(slot, parameters))));
    }
    for (node, channels, mean, variance, counter) in norms(plan) {
        let name = |suffix: &str| format!("{}.{suffix}", graph.nodes[node].name);
        state.push((node, NamedTensor::f32(name("running_mean"), &[channels], buffers[mean..][..channels].to_vec())));
        state.push((node, NamedTensor::f32(name("running_var"), &[channels], buffers[variance..][..channels].to_vec())));
        state.push((node, NamedTensor::i64_scalar(name("num_batches_tracked"), counters[counter])));
    }
    state.sort_by_key(|(node, _)| *node); // stable: a node's parameters before its buffers
    state.into_iter().map(|(_, tensor)| tensor).collect()
}

/// Checks that `state` holds exactly the tensors of `expected`, name for name and shape for shape.
pub(crate) fn check(expected: &[NamedTensor], state: &[NamedTensor]) -> Result<(), EngineError> {
    let find = |name: &str| state.iter().find(|t| t.name == name);
    for tensor in expected {
        let Some(found) = find(&tensor.name) else {
            return Err(EngineError::State(format!("the state lacks {} {:?}: is it of another network?", tensor.name, tensor.shape)));
        };
        if found.shape != tensor.shape {
            return Err(EngineError::State(format!(
                "{} has shape {:?} in the state, and {:?} in this network: another number of classes or channels?",
                tensor.name, found.shape, tensor.shape
            )));
        }
        if std::mem::discriminant(&found.data) != std::mem::discriminant(&tensor.data) {
            return Err(EngineError::State(format!("{} has the wrong element type in the state", tensor.name)));
        }
    }
    if let Some(surplus) = state.iter().find(|t| !expected.iter().any(|e| e.name == t.name)) {
        return Err(EngineError::State(format!("the state has {}, which this network has not: is it of another network?", surplus.name)));
    }
    if let Some(double) = state.iter().enumerate().find(|(i, t)| state[..*i].iter().any(|other| other.name == t.name)) {
        return Err(EngineError::State(format!("the state has {} twice", double.1.name)));
    }
    Ok(())
}

/// Takes over a checked state dict.
pub(crate) fn write(graph: &Graph, plan: &Plan, state: &[NamedTensor], parameters: &mut [f32], buffers: &mut [f32], counters: &mut [i64]) {
    let find = |name: &str| state.iter().find(|t| t.name == name).map(|t| &t.data);
    for (slot, parameter) in plan.slots.iter().zip(&graph.parameters) {
        if let Some(TensorData::F32(values)) = find(&parameter.name) {
            from_torch(slot, values, parameters);
        }
    }
    for (node, channels, mean, variance, counter) in norms(plan) {
        let name = |suffix: &str| format!("{}.{suffix}", graph.nodes[node].name);
        for (offset, suffix) in [(mean, "running_mean"), (variance, "running_var")] {
            if let Some(TensorData::F32(values)) = find(&name(suffix)) {
                buffers[offset..][..channels].copy_from_slice(values);
            }
        }
        if let Some(TensorData::I64(values)) = find(&name("num_batches_tracked")) {
            counters[counter] = values.first().copied().unwrap_or(0);
        }
    }
}
