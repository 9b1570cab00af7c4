//! MobileNetV3 ("Searching for MobileNetV3", Howard et al., ICCV 2019) as `torchvision.models.mobilenetv3` has it.

use super::{Stem, ZooOptions, input, make_divisible};
use crate::{Activation, Builder, Graph, GraphError, Init, Op, ValueId};
use Activation::{Hardswish as HS, Relu as RE};

/// A row of the paper's table 1 or 2.
struct InvertedResidual {
    kernel: usize,
    expanded: usize,
    out: usize,
    squeeze_excite: bool,
    activation: Activation,
    stride: usize,
}

const fn row(kernel: usize, expanded: usize, out: usize, squeeze_excite: bool, activation: Activation, stride: usize) -> InvertedResidual {
    InvertedResidual { kernel, expanded, out, squeeze_excite, activation, stride }
}

const STEM_CHANNELS: usize = 16;

const SMALL: [InvertedResidual; 11] = [
    row(3, 16, 16, true, RE, 2),
    row(3, 72, 24, false, RE, 2),
    row(3, 88, 24, false, RE, 1),
    row(5, 96, 40, true, HS, 2),
    row(5, 240, 40, true, HS, 1),
    row(5, 240, 40, true, HS, 1),
    row(5, 120, 48, true, HS, 1),
    row(5, 144, 48, true, HS, 1),
    row(5, 288, 96, true, HS, 2),
    row(5, 576, 96, true, HS, 1),
    row(5, 576, 96, true, HS, 1),
];

const LARGE: [InvertedResidual; 15] = [
    row(3, 16, 16, false, RE, 1),
    row(3, 64, 24, false, RE, 2),
    row(3, 72, 24, false, RE, 1),
    row(5, 72, 40, true, RE, 2),
    row(5, 120, 40, true, RE, 1),
    row(5, 120, 40, true, RE, 1),
    row(3, 240, 80, false, HS, 2),
    row(3, 200, 80, false, HS, 1),
    row(3, 184, 80, false, HS, 1),
    row(3, 184, 80, false, HS, 1),
    row(3, 480, 112, true, HS, 1),
    row(3, 672, 112, true, HS, 1),
    row(5, 672, 160, true, HS, 2),
    row(5, 960, 160, true, HS, 1),
    row(5, 960, 160, true, HS, 1),
];

pub(super) fn small(options: &ZooOptions) -> Result<Graph, GraphError> {
    network("mobilenet_v3_small", &SMALL, 1024, options)
}

pub(super) fn large(options: &ZooOptions) -> Result<Graph, GraphError> {
    network("mobilenet_v3_large", &LARGE, 1280, options)
}

fn network(name: &str, rows: &[InvertedResidual], last_channels: usize, options: &ZooOptions) -> Result<Graph, GraphError> {
    let channels = |unscaled: usize| make_divisible(unscaled as f64 * options.width_multiplier);
    let mut layers = Layers { builder: Builder::new(name, input(options)), momentum: options.batch_norm_momentum.unwrap_or(0.01) };
    let stem_stride = if options.stem == Stem::Cifar { 1 } else { 2 };
    let mut value = layers.conv_norm("features.0", 0, channels(STEM_CHANNELS), 3, stem_stride, 1, Some(HS))?;

    // The CIFAR stem also takes the first stride of 2 away: with it, 32x32 images end in 4x4 maps.
    let unstrided = if options.stem == Stem::Cifar { rows.iter().position(|row| row.stride == 2) } else { None };
    for (index, row) in rows.iter().enumerate() {
        let scaled = InvertedResidual {
            expanded: channels(row.expanded),
            out: channels(row.out),
            stride: if unstrided == Some(index) { 1 } else { row.stride },
            ..*row
        };
        value = layers.inverted_residual(&format!("features.{}", index + 1), value, &scaled)?;
    }
    let last = 6 * layers.builder.shape(value).channels;
    value = layers.conv_norm(&format!("features.{}", rows.len() + 1), value, last, 1, 1, 1, Some(HS))?;
    layers.classifier(value, channels(last_channels), options)
}

struct Layers {
    builder: Builder,
    momentum: f64,
}

impl Layers {
    /// torchvision's `Conv2dNormActivation`: convolution without bias and "same" padding, BatchNorm, activation.
    #[expect(clippy::too_many_arguments, reason = "the attributes of one layer, as torchvision passes them")]
    fn conv_norm(
        &mut self,
        path: &str,
        input: ValueId,
        out_channels: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
        activation: Option<Activation>,
    ) -> Result<ValueId, GraphError> {
        let in_channels = self.builder.shape(input).channels;
        let conv = Op::Conv2d { in_channels, out_channels, kernel, stride, padding: kernel / 2, groups, bias: false };
        let value = self.builder.add(&format!("{path}.0"), conv, &[input])?;
        let norm = Op::BatchNorm2d { channels: out_channels, eps: 0.001, momentum: self.momentum };
        let value = self.builder.add(&format!("{path}.1"), norm, &[value])?;
        match activation {
            Some(activation) => self.builder.add(&format!("{path}.2"), Op::Activation(activation), &[value]),
            None => Ok(value),
        }
    }

    /// Expand (unless there is nothing to expand), depthwise, squeeze-excite, project; added to the input where the
    /// shapes agree (the paper's rule, so that a block whose stride is taken away by the stem gains the connection).
    fn inverted_residual(&mut self, path: &str, input: ValueId, row: &InvertedResidual) -> Result<ValueId, GraphError> {
        let in_channels = self.builder.shape(input).channels;
        let mut value = input;
        let mut layer = 0;
        let mut next = || {
            layer += 1;
            format!("{path}.block.{}", layer - 1)
        };
        if row.expanded != in_channels {
            value = self.conv_norm(&next(), value, row.expanded, 1, 1, 1, Some(row.activation))?;
        }
        value = self.conv_norm(&next(), value, row.expanded, row.kernel, row.stride, row.expanded, Some(row.activation))?;
        if row.squeeze_excite {
            value = self.squeeze_excite(&next(), value)?;
        }
        value = self.conv_norm(&next(), value, row.out, 1, 1, 1, None)?;
        if row.stride == 1 && in_channels == row.out {
            value = self.builder.add(&format!("{path}.add"), Op::Add, &[value, input])?;
        }
        Ok(value)
    }

    /// torchvision's `SqueezeExcitation`: each channel times a number in [0, 1] worked out from the means of all channels.
    fn squeeze_excite(&mut self, path: &str, map: ValueId) -> Result<ValueId, GraphError> {
        let channels = self.builder.shape(map).channels;
        let squeezed = make_divisible((channels / 4) as f64);
        let conv =
            |in_channels, out_channels| Op::Conv2d { in_channels, out_channels, kernel: 1, stride: 1, padding: 0, groups: 1, bias: true };
        let mut add = |name: &str, op, inputs: &[ValueId]| self.builder.add(&format!("{path}.{name}"), op, inputs);
        let mean = add("avgpool", Op::GlobalAvgPool, &[map])?;
        let squeeze = add("fc1", conv(channels, squeezed), &[mean])?;
        let squeeze = add("activation", Op::Activation(Activation::Relu), &[squeeze])?;
        let excite = add("fc2", conv(squeezed, channels), &[squeeze])?;
        let excite = add("scale_activation", Op::Activation(Activation::Hardsigmoid), &[excite])?;
        add("scale", Op::ChannelScale, &[map, excite])
    }

    fn classifier(mut self, map: ValueId, hidden: usize, options: &ZooOptions) -> Result<Graph, GraphError> {
        let in_features = self.builder.shape(map).channels;
        let linear = |in_features, out_features| Op::Linear { in_features, out_features, bias: true };
        let inits = [Init::Normal { std: 0.01 }, Init::Constant(0.0)];
        let value = self.builder.add("avgpool", Op::GlobalAvgPool, &[map])?;
        let value = self.builder.add_with_init("classifier.0", linear(in_features, hidden), &[value], inits)?;
        let value = self.builder.add("classifier.1", Op::Activation(HS), &[value])?;
        let value = self.builder.add("classifier.2", Op::Dropout { p: options.dropout }, &[value])?;
        self.builder.add_with_init("classifier.3", linear(hidden, options.classes), &[value], inits)?;
        Ok(self.builder.finish())
    }
}
