//! The ops a network is made of. Attributes are PyTorch's, with its names.

/// An elementwise function that follows a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(x, 0)` (`torch.nn.ReLU`).
    Relu,
    /// `x * clamp(x + 3, 0, 6) / 6` (`torch.nn.Hardswish`).
    Hardswish,
    /// `clamp(x + 3, 0, 6) / 6` (`torch.nn.Hardsigmoid`).
    Hardsigmoid,
}

/// One operation. Maps are `[channels, height, width]` per image; the memory layout is each engine's own affair.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// `torch.nn.Conv2d` without dilation; weight `[out_channels, in_channels / groups, kernel, kernel]`.
    Conv2d {
        /// Channels of the input map.
        in_channels: usize,
        /// Channels of the output map.
        out_channels: usize,
        /// Side of the square kernel.
        kernel: usize,
        /// Step of the window in both directions.
        stride: usize,
        /// Zeros added on every side.
        padding: usize,
        /// 1 for a full convolution, `in_channels` for a depthwise one.
        groups: usize,
        /// Whether a bias `[out_channels]` is added.
        bias: bool,
    },
    /// `torch.nn.BatchNorm2d`: normalises by batch statistics in training, by running statistics in evaluation.
    BatchNorm2d {
        /// Channels of the map.
        channels: usize,
        /// Added to the variance.
        eps: f64,
        /// Weight of the new batch in the running statistics.
        momentum: f64,
    },
    /// An elementwise [`Activation`].
    Activation(Activation),
    /// `torch.nn.MaxPool2d`.
    MaxPool2d {
        /// Side of the square window.
        kernel: usize,
        /// Step of the window.
        stride: usize,
        /// Border that never wins.
        padding: usize,
    },
    /// `torch.nn.AdaptiveAvgPool2d(1)`: the mean of each channel, a `1 x 1` map.
    GlobalAvgPool,
    /// `torch.nn.Linear` on a `1 x 1` map; weight `[out_features, in_features]`.
    Linear {
        /// Channels of the input.
        in_features: usize,
        /// Channels of the output.
        out_features: usize,
        /// Whether a bias `[out_features]` is added.
        bias: bool,
    },
    /// `torch.nn.Dropout`: in training zeroes each element with probability `p` and scales the rest by `1 / (1 - p)`.
    Dropout {
        /// Probability of a zero.
        p: f64,
    },
    /// Sum of two maps of one shape (a residual connection).
    Add,
    /// First input `[c, h, w]` times the second `[c, 1, 1]`, channel by channel (squeeze-excite).
    ChannelScale,
}

impl std::fmt::Display for Op {
    /// The op with its attributes in PyTorch's words; defaults (stride 1, no padding, one group) are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Op::Conv2d { in_channels, out_channels, kernel, stride, padding, groups, bias } => {
                write!(f, "Conv2d({in_channels}, {out_channels}, kernel={kernel}")?;
                if stride != 1 {
                    write!(f, ", stride={stride}")?;
                }
                if padding != 0 {
                    write!(f, ", padding={padding}")?;
                }
                if groups != 1 {
                    write!(f, ", groups={groups}")?;
                }
                f.write_str(if bias { ", bias)" } else { ")" })
            }
            Op::BatchNorm2d { channels, eps, momentum } => write!(f, "BatchNorm2d({channels}, eps={eps}, momentum={momentum})"),
            Op::Activation(Activation::Relu) => f.write_str("ReLU"),
            Op::Activation(Activation::Hardswish) => f.write_str("Hardswish"),
            Op::Activation(Activation::Hardsigmoid) => f.write_str("Hardsigmoid"),
            Op::MaxPool2d { kernel, stride, padding } => write!(f, "MaxPool2d(kernel={kernel}, stride={stride}, padding={padding})"),
            Op::GlobalAvgPool => f.write_str("AdaptiveAvgPool2d(1)"),
            Op::Linear { in_features, out_features, bias } => {
                write!(f, "Linear({in_features}, {out_features}{})", if bias { "" } else { ", no bias" })
            }
            Op::Dropout { p } => write!(f, "Dropout(p={p})"),
            Op::Add => f.write_str("Add"),
            Op::ChannelScale => f.write_str("ChannelScale"),
        }
    }
}
