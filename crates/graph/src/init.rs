//! How a parameter starts: PyTorch's distributions, drawn from counter-based randomness.

/// The initial distribution of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Every element the same.
    Constant(f32),
    /// Normal with mean 0; `std` already worked out (Kaiming fan-out: `sqrt(2 / (out_channels * k * k))` whatever the groups, as `torch.nn.init.kaiming_normal_` has it).
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Uniform in `[-bound, bound)` (`torch.nn.Linear`'s default has `bound = 1 / sqrt(in_features)`).
    Uniform {
        /// Half the width.
        bound: f64,
    },
}

impl Init {
    /// The initial values of the parameter named by `words` (seed, index of the parameter): the same for every engine.
    pub fn draw(self, words: &[u64], elements: usize) -> Vec<f32> {
        let mut stream = anmok_random::Stream::new(words);
        match self {
            Init::Constant(value) => vec![value; elements],
            Init::Normal { std } => (0..elements).map(|_| (stream.normal() * std) as f32).collect(),
            Init::Uniform { bound } => (0..elements).map(|_| ((stream.uniform_f64() * 2.0 - 1.0) * bound) as f32).collect(),
        }
    }
}
