//! ResNet-18 ("Deep Residual Learning for Image Recognition", He et al., CVPR 2016) as `torchvision.models.resnet` has it.

use super::{Stem, ZooOptions, input, make_divisible};
use crate::{Activation, Builder, Graph, GraphError, Op, ValueId};

/// Channels of the four stages; each has two basic blocks, and each but the first halves the map.
const STAGES: [usize; 4] = [64, 128, 256, 512];
const BLOCKS: usize = 2;

pub(super) fn resnet18(options: &ZooOptions) -> Result<Graph, GraphError> {
    let channels = STAGES.map(|unscaled| make_divisible(unscaled as f64 * options.width_multiplier));
    let mut layers = Layers { builder: Builder::new("resnet18", input(options)), momentum: options.batch_norm_momentum.unwrap_or(0.1) };
    let (kernel, stride) = if options.stem == Stem::Cifar { (3, 1) } else { (7, 2) };
    let mut value = layers.conv_norm("conv1", "bn1", 0, channels[0], kernel, stride)?;
    value = layers.builder.add("relu", Op::Activation(Activation::Relu), &[value])?;
    if options.stem == Stem::Imagenet {
        value = layers.builder.add("maxpool", Op::MaxPool2d { kernel: 3, stride: 2, padding: 1 }, &[value])?;
    }
    for (stage, &channels) in channels.iter().enumerate() {
        for block in 0..BLOCKS {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            value = layers.basic_block(&format!("layer{}.{block}", stage + 1), value, channels, stride)?;
        }
    }
    let in_features = layers.builder.shape(value).channels;
    value = layers.builder.add("avgpool", Op::GlobalAvgPool, &[value])?;
    layers.builder.add("fc", Op::Linear { in_features, out_features: options.classes, bias: true }, &[value])?;
    Ok(layers.builder.finish())
}

struct Layers {
    builder: Builder,
    momentum: f64,
}

impl Layers {
    fn conv_norm(
        &mut self,
        conv: &str,
        norm: &str,
        input: ValueId,
        out_channels: usize,
        kernel: usize,
        stride: usize,
    ) -> Result<ValueId, GraphError> {
        let in_channels = self.builder.shape(input).channels;
        let op = Op::Conv2d { in_channels, out_channels, kernel, stride, padding: kernel / 2, groups: 1, bias: false };
        let value = self.builder.add(conv, op, &[input])?;
        self.builder.add(norm, Op::BatchNorm2d { channels: out_channels, eps: 1e-5, momentum: self.momentum }, &[value])
    }

    /// torchvision's `BasicBlock`: two 3x3 convolutions, and the input (through a strided 1x1 convolution where its shape
    /// differs) added before the last ReLU.
    fn basic_block(&mut self, path: &str, input: ValueId, channels: usize, stride: usize) -> Result<ValueId, GraphError> {
        let relu = Op::Activation(Activation::Relu);
        let at = |name: &str| format!("{path}.{name}");
        let value = self.conv_norm(&at("conv1"), &at("bn1"), input, channels, 3, stride)?;
        // torchvision applies one module `relu` twice; nodes have names of their own.
        let value = self.builder.add(&at("relu1"), relu.clone(), &[value])?;
        let value = self.conv_norm(&at("conv2"), &at("bn2"), value, channels, 3, 1)?;
        let shortcut = if stride != 1 || self.builder.shape(input).channels != channels {
            self.conv_norm(&at("downsample.0"), &at("downsample.1"), input, channels, 1, stride)?
        } else {
            input
        };
        let value = self.builder.add(&at("add"), Op::Add, &[value, shortcut])?;
        self.builder.add(&at("relu2"), relu, &[value])
    }
}
