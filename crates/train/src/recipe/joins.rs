//! From a recipe to the options of the other crates, and the numbers that are logged about the network.

use std::path::Path;

use anmok_data::{Augmentation, Dataset, LoaderOptions, OpenOptions};
use anmok_engine::{Rule, TrainOptions};
use anmok_graph::zoo::{self, ZooOptions};
use anmok_graph::{Graph, NamedTensor, TensorData};

use super::{Optimizer, Recipe, RecipeError, Stem, trainable};

impl From<Stem> for zoo::Stem {
    fn from(stem: Stem) -> Self {
        match stem {
            Stem::Imagenet => Self::Imagenet,
            Stem::Cifar => Self::Cifar,
        }
    }
}

impl Recipe {
    /// How to open the recipe's data set; `data_dir` is DATA_DIR.
    pub fn open_options(&self, data_dir: &Path) -> OpenOptions {
        OpenOptions { image_channels: self.image_channels, image_size: self.image_size, ..OpenOptions::new(data_dir) }
    }

    /// The network for a data set.
    pub fn zoo_options(&self, data: &Dataset) -> ZooOptions {
        let shape = data.shape();
        ZooOptions {
            classes: data.classes().len(),
            channels: shape.channels,
            height: shape.height,
            width: shape.width,
            stem: self.stem.into(),
            width_multiplier: self.width_multiplier,
            dropout: self.dropout,
            batch_norm_momentum: self.batch_norm_momentum,
        }
    }

    /// The network that the recipe trains on a data set.
    pub fn graph(&self, data: &Dataset) -> Result<Graph, RecipeError> {
        Ok(zoo::build(&self.model_name, &self.zoo_options(data))?)
    }

    /// How an engine is set up to train `graph`. Errors are about the freeze patterns.
    pub fn train_options(&self, graph: &Graph) -> Result<TrainOptions, RecipeError> {
        let &Self { beta1, beta2, eps, .. } = self;
        Ok(TrainOptions {
            rule: match self.optimizer {
                Optimizer::Sgd => Rule::Sgd { momentum: self.momentum, nesterov: self.nesterov },
                Optimizer::Adam => Rule::Adam { beta1, beta2, eps },
                Optimizer::Adamw => Rule::AdamW { beta1, beta2, eps },
            },
            weight_decay: self.weight_decay,
            decay_norm_and_bias: self.decay_norm_and_bias,
            trainable: trainable(graph, &self.freeze)?,
            ema_decay: (self.ema_decay > 0.0).then_some(self.ema_decay as f32),
        })
    }

    /// How the training images are walked and augmented.
    pub fn loader_options(&self) -> LoaderOptions {
        LoaderOptions { batch_size: self.batch_size, drop_last: self.drop_last, seed: self.seed, augmentation: self.augmentation() }
    }

    /// What happens to a training image: nothing at all without `use_augmentation`.
    pub fn augmentation(&self) -> Augmentation {
        if !self.use_augmentation {
            return Augmentation::NONE;
        }
        Augmentation {
            crop_padding: self.crop_padding,
            flip: self.flip,
            cutout: self.cutout,
            random_erasing: self.random_erasing,
            mixup: self.mixup,
            cutmix: self.cutmix,
            rand_augment: self.rand_augment,
            rand_augment_magnitude: self.rand_augment_magnitude,
        }
    }

    /// The weights that a new run starts from: drawn by `seed`, or read from `initial_weights`.
    pub fn initial_weights(&self, graph: &Graph) -> Result<InitialWeights, RecipeError> {
        let drawn = graph.initial_state(self.seed);
        match &self.initial_weights {
            None => Ok(InitialWeights { state: drawn, replaced: vec![] }),
            Some(file) => {
                let tensors = anmok_formats::read_weights(Path::new(file)).map_err(RecipeError::InitialWeights)?;
                adopt(graph, drawn, tensors, file)
            }
        }
    }
}

/// Where a run starts.
#[derive(Debug, Clone, PartialEq)]
pub struct InitialWeights {
    /// A whole state dict, for [`anmok_engine::Engine::load_model_state`].
    pub state: Vec<NamedTensor>,
    /// The classifier's tensors that the file has in another shape and that were drawn anew. Tell the user.
    pub replaced: Vec<String>,
}

/// The tensors of a file in place of the drawn ones. Only the last layer may have another shape, the number of classes;
/// anything else that is missing, surplus or misshapen is a file of another network. Files without
/// `num_batches_tracked` (PyTorch before 0.4.1, and many converters) are taken: it counts, it does not compute.
fn adopt(graph: &Graph, drawn: Vec<NamedTensor>, file: Vec<NamedTensor>, path: &str) -> Result<InitialWeights, RecipeError> {
    let does_not_fit = |problem: String| RecipeError::WeightsDoNotFit { file: path.to_owned(), model: graph.name.clone(), problem };
    let last_layer = graph.parameters.iter().map(|parameter| parameter.node).max();
    let in_last_layer = |name: &str| graph.parameters.iter().any(|p| Some(p.node) == last_layer && p.name == name);
    let mut file: std::collections::BTreeMap<String, NamedTensor> = file.into_iter().map(|t| (t.name.clone(), t)).collect();
    let (mut state, mut replaced) = (vec![], vec![]);
    for own in drawn {
        match file.remove(&own.name) {
            Some(theirs) if theirs.shape == own.shape && same_kind(&theirs.data, &own.data) => state.push(theirs),
            Some(theirs) if in_last_layer(&own.name) && theirs.shape.get(1..) == own.shape.get(1..) => {
                replaced.push(own.name.clone());
                state.push(own);
            }
            Some(theirs) => return Err(does_not_fit(format!("`{}` has shape {:?}, not {:?}", own.name, theirs.shape, own.shape))),
            None if own.name.ends_with(".num_batches_tracked") => state.push(own),
            None => return Err(does_not_fit(format!("`{}` is missing", own.name))),
        }
    }
    match file.into_keys().next() {
        Some(surplus) => Err(does_not_fit(format!("`{surplus}` has no place in it"))),
        None => Ok(InitialWeights { state, replaced }),
    }
}

fn same_kind(a: &TensorData, b: &TensorData) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// How many numbers are learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterCounts {
    /// All.
    pub total: usize,
    /// Those that training moves.
    pub trainable: usize,
    /// Those it leaves alone.
    pub frozen: usize,
}

impl ParameterCounts {
    /// Of a network under these options.
    pub fn of(graph: &Graph, options: &TrainOptions) -> Self {
        let total = graph.parameter_count();
        let flagged = graph.parameters.iter().zip(&options.trainable).filter(|(_, flag)| **flag);
        let trainable = flagged.map(|(parameter, _)| parameter.elements()).sum();
        Self { total, trainable, frozen: total - trainable }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(classes: usize) -> Graph {
        zoo::build("mobilenet_v3_small", &ZooOptions { classes, ..ZooOptions::default() }).unwrap()
    }

    fn names(tensors: &[NamedTensor]) -> Vec<&str> {
        tensors.iter().map(|t| t.name.as_str()).collect()
    }

    #[test]
    fn weights_of_another_number_of_classes_keep_the_backbone() {
        let (hundred, ten) = (graph(100).initial_state(1), graph(10).initial_state(2));
        let adopted = adopt(&graph(10), ten.clone(), hundred.clone(), "w.pth").unwrap();
        assert_eq!(adopted.replaced, ["classifier.3.weight", "classifier.3.bias"]);
        assert_eq!(names(&adopted.state), names(&ten));
        assert_eq!(adopted.state[0], hundred[0]);
        assert_eq!(adopted.state.last(), ten.last());
        let same = adopt(&graph(100), graph(100).initial_state(3), hundred.clone(), "w.pth").unwrap();
        assert_eq!((same.state, same.replaced.len()), (hundred, 0));
    }

    #[test]
    fn weights_of_another_network_are_refused_by_name() {
        let small = graph(10);
        let problem = |file: Vec<NamedTensor>| adopt(&small, small.initial_state(0), file, "w.pth").unwrap_err().to_string();
        let mut file = small.initial_state(1);
        file.remove(3);
        assert_eq!(problem(file), "w.pth does not fit mobilenet_v3_small: `features.0.1.running_mean` is missing");
        let mut file = small.initial_state(1);
        file.push(NamedTensor::f32("extra", &[1], vec![0.0]));
        assert_eq!(problem(file), "w.pth does not fit mobilenet_v3_small: `extra` has no place in it");
        let mut file = small.initial_state(1);
        file[0] = NamedTensor::f32("features.0.0.weight", &[2], vec![0.0; 2]);
        assert_eq!(problem(file), "w.pth does not fit mobilenet_v3_small: `features.0.0.weight` has shape [2], not [16, 3, 3, 3]");
        let mut file = small.initial_state(1);
        file.retain(|t| !t.name.ends_with("num_batches_tracked"));
        assert!(adopt(&small, small.initial_state(0), file, "w.pth").is_ok());
    }

    #[test]
    fn options_and_counts_follow_the_recipe() {
        let recipe = Recipe {
            optimizer: Optimizer::Sgd,
            nesterov: true,
            ema_decay: 0.99,
            freeze: vec!["features.*".into()],
            use_augmentation: false,
            ..Recipe::default()
        };
        let graph = graph(10);
        let options = recipe.train_options(&graph).unwrap();
        assert_eq!(options.rule, Rule::Sgd { momentum: 0.9, nesterov: true });
        assert_eq!(options.ema_decay, Some(0.99));
        let counts = ParameterCounts::of(&graph, &options);
        assert_eq!((counts.total, counts.trainable, counts.frozen), (1_528_106, 601_098, 927_008));
        assert_eq!(recipe.augmentation(), Augmentation::NONE);
    }
}
