//! The weights as forward reads them: packed, in inference with BatchNorm folded in.

use super::super::conv::Pack;
use super::super::memory::At;
use super::super::plan::{ConvLayer, Layer};
use super::{Packing, Pass};

impl Pass<'_> {
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
}
