//! The networks by name, exactly torchvision's: parameter names, shapes, order, initial distributions.
//!
//! One file per paper. A new network is such a file, a name in [`NAMES`] and a case in [`build`].

mod mobilenet_v3;
mod resnet;

use crate::{Graph, GraphError, Shape};

/// The names [`build`] knows.
pub const NAMES: &[&str] = &["mobilenet_v3_small", "mobilenet_v3_large", "resnet18"];

/// Sides of the images [`build`] takes, in pixels. Below, the networks' strides (32 in all) leave nothing to look at;
/// above, one activation map outgrows the memory of the machines this is for.
pub const IMAGE_SIDES: std::ops::RangeInclusive<usize> = 16..=4096;

/// Strides of the first layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stem {
    /// torchvision's, made for 224 x 224: 32 pixels become one.
    #[default]
    Imagenet,
    /// For 32 x 32 images. MobileNetV3: stride 1 in the stem and in the first block that has stride 2. ResNet: a 3x3
    /// stem of stride 1 and no max-pool. Parameter names stay as they are; only ResNet's `conv1.weight` changes shape.
    Cifar,
}

/// What can be chosen about a network of the zoo. The default is torchvision's network for ten classes of 32 x 32 RGB images.
#[derive(Debug, Clone, PartialEq)]
pub struct ZooOptions {
    /// Number of classes (logits).
    pub classes: usize,
    /// Channels of the input image.
    pub channels: usize,
    /// Rows of the input image.
    pub height: usize,
    /// Columns of the input image.
    pub width: usize,
    /// Strides of the first layers.
    pub stem: Stem,
    /// Multiplies the channels of every layer, each rounded to a multiple of 8 by torchvision's `_make_divisible`.
    /// (torchvision has no width for ResNet18; here its stages are rounded by the same rule.)
    pub width_multiplier: f64,
    /// Probability of the dropout before MobileNetV3's last layer. ResNet has no dropout and ignores it.
    pub dropout: f64,
    /// Weight of the new batch in BatchNorm's running statistics; `None` is the network's own (MobileNetV3 0.01, ResNet 0.1).
    pub batch_norm_momentum: Option<f64>,
}

impl Default for ZooOptions {
    fn default() -> Self {
        Self {
            classes: 10,
            channels: 3,
            height: 32,
            width: 32,
            stem: Stem::Imagenet,
            width_multiplier: 1.0,
            dropout: 0.2,
            batch_norm_momentum: None,
        }
    }
}

/// Why a network cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ZooError {
    /// No network has this name.
    #[error("unknown model `{name}`: did you mean `{nearest}`? The models are {}", NAMES.join(", "))]
    UnknownName {
        /// What was asked for.
        name: String,
        /// The name that differs from it least.
        nearest: &'static str,
    },
    /// A value outside what the option allows.
    #[error("{option} is {value}: it must be {allowed}")]
    Option {
        /// The field of [`ZooOptions`].
        option: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// The layers do not fit together.
    #[error("cannot build {name}: {source}")]
    Graph {
        /// The network.
        name: &'static str,
        /// The layer and the shapes.
        source: GraphError,
    },
}

/// Builds the network called `name`. Errors name the option that is out of range and what is allowed.
pub fn build(name: &str, options: &ZooOptions) -> Result<Graph, ZooError> {
    check(options)?;
    let (name, graph) = match name {
        "mobilenet_v3_small" => (NAMES[0], mobilenet_v3::small(options)),
        "mobilenet_v3_large" => (NAMES[1], mobilenet_v3::large(options)),
        "resnet18" => (NAMES[2], resnet::resnet18(options)),
        _ => return Err(ZooError::UnknownName { name: name.to_owned(), nearest: nearest(name) }),
    };
    graph.map_err(|source| ZooError::Graph { name, source })
}

fn check(options: &ZooOptions) -> Result<(), ZooError> {
    let &ZooOptions { classes, channels, height, width, stem: _, width_multiplier, dropout, batch_norm_momentum } = options;
    let check = |option, value: &dyn std::fmt::Display, ok: bool, allowed| {
        if ok { Ok(()) } else { Err(ZooError::Option { option, value: value.to_string(), allowed }) }
    };
    check("classes", &classes, (1..=100_000).contains(&classes), "1 to 100000")?;
    check("channels", &channels, (1..=1024).contains(&channels), "1 to 1024")?;
    check("height", &height, IMAGE_SIDES.contains(&height), "16 to 4096 pixels")?;
    check("width", &width, IMAGE_SIDES.contains(&width), "16 to 4096 pixels")?;
    // Negated comparisons, so that NaN is refused as well.
    check("width_multiplier", &width_multiplier, width_multiplier > 0.0 && width_multiplier <= 16.0, "more than 0 and at most 16")?;
    check("dropout", &dropout, (0.0..1.0).contains(&dropout), "0 or more and less than 1")?;
    let momentum = batch_norm_momentum.unwrap_or(0.1);
    check("batch_norm_momentum", &momentum, (0.0..=1.0).contains(&momentum), "0 to 1")
}

fn input(options: &ZooOptions) -> Shape {
    Shape::new(options.channels, options.height, options.width)
}

/// torchvision's `_make_divisible(channels, 8)`: the nearest multiple of 8, but never more than 10 % below.
fn make_divisible(channels: f64) -> usize {
    let rounded = ((channels + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * channels { rounded + 8 } else { rounded }
}

/// The known name with the least edit distance (Levenshtein), ignoring case and taking `-` for `_`.
fn nearest(name: &str) -> &'static str {
    // A longer name is no name: cut it, so that the work stays bounded.
    let name: String = name.chars().take(64).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect();
    let distance = |known: &str| {
        let mut row: Vec<usize> = (0..=known.len()).collect();
        for (i, a) in name.chars().enumerate() {
            let mut diagonal = std::mem::replace(&mut row[0], i + 1);
            for (j, b) in known.chars().enumerate() {
                let substituted = diagonal + usize::from(a != b);
                diagonal = row[j + 1];
                row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
            }
        }
        row[known.len()]
    };
    NAMES.iter().copied().min_by_key(|known| distance(known)).unwrap_or(NAMES[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn make_divisible_is_torchvisions() {
        // [torchvision.models._utils._make_divisible(v, 8) for v in (0.1, 4, 11.9, 12, 18, 22, 60.0, 67.5, 112 * 0.75)]
        let values = [0.1, 4.0, 11.9, 12.0, 18.0, 22.0, 60.0, 67.5, 112.0 * 0.75];
        assert_eq!(values.map(make_divisible), [8, 8, 16, 16, 24, 24, 64, 64, 88]);
    }

    #[test]
    fn an_unknown_name_is_met_with_the_nearest_and_the_list() {
        let error = |name| build(name, &ZooOptions::default()).unwrap_err().to_string();
        assert_eq!(
            error("MobileNetV3-Large"),
            "unknown model `MobileNetV3-Large`: did you mean `mobilenet_v3_large`? The models are mobilenet_v3_small, mobilenet_v3_large, resnet18"
        );
        assert!(error("resnet50").contains("`resnet18`?"));
        assert!(error(&"x".repeat(100_000)).contains("did you mean"));
    }
}
