//! What is wrong with a recipe: every setting outside its range, and every two that exclude each other, at once.

use std::fmt;

use anmok_graph::zoo;

use super::{Recipe, Schedule, spelling::nearest};

/// A setting that cannot be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The recipe's key.
    pub setting: &'static str,
    /// Its value, as text.
    pub value: String,
    /// What is wrong, for example ``no model has this name: did you mean `resnet18`?``
    pub message: String,
    /// What may stand there, for example `1 to 65536`.
    pub allowed: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: {} (allowed: {})", self.setting, self.value, self.message, self.allowed)
    }
}

/// The largest whole number a recipe can hold: TOML's integers are signed.
const LARGEST_SEED: u64 = i64::MAX as u64;

struct Checks(Vec<Problem>);

impl Checks {
    fn check(&mut self, ok: bool, setting: &'static str, value: impl fmt::Display, message: &str, allowed: &str) {
        if !ok {
            self.0.push(Problem { setting, value: value.to_string(), message: message.to_owned(), allowed: allowed.to_owned() });
        }
    }

    /// Whole numbers from `low` to `high`.
    fn whole(&mut self, setting: &'static str, value: usize, low: usize, high: usize) {
        let message = if value < low { "too small" } else { "too large" };
        self.check((low..=high).contains(&value), setting, value, message, &format!("{low} to {high}"));
    }

    /// Numbers in a range; a NaN is in none.
    fn number(&mut self, setting: &'static str, value: f64, fits: bool, allowed: &str) {
        let message = if value.is_finite() { "out of range" } else { "not a finite number" };
        self.check(fits && value.is_finite(), setting, value, message, allowed);
    }

    fn share(&mut self, setting: &'static str, value: f64) {
        self.number(setting, value, (0.0..=1.0).contains(&value), "0 to 1");
    }

    fn share_below_one(&mut self, setting: &'static str, value: f64) {
        self.number(setting, value, (0.0..1.0).contains(&value), "0 or more and less than 1");
    }
}

impl Recipe {
    /// Everything that is wrong with the recipe by itself, without looking at files: an empty list is a recipe that can
    /// be tried. What depends on the network or the data (freeze patterns, a batch of one image) is checked when they are there.
    pub fn problems(&self) -> Vec<Problem> {
        let mut checks = Checks(vec![]);
        self.check_model(&mut checks);
        self.check_data(&mut checks);
        self.check_augmentation(&mut checks);
        self.check_optimization(&mut checks);
        self.check_schedule(&mut checks);
        checks.0
    }

    fn check_model(&self, c: &mut Checks) {
        let hint = nearest(&self.model_name, zoo::NAMES.iter().copied(), 1);
        let message = match hint.first() {
            Some(name) => format!("no model has this name: did you mean `{name}`?"),
            None => "no model has this name".to_owned(),
        };
        c.check(zoo::NAMES.contains(&self.model_name.as_str()), "model_name", &self.model_name, &message, &zoo::NAMES.join(", "));
        let width = self.width_multiplier;
        c.number("width_multiplier", width, width > 0.0 && width <= 16.0, "more than 0 and at most 16");
        c.share_below_one("dropout", self.dropout);
        if let Some(momentum) = self.batch_norm_momentum {
            c.share("batch_norm_momentum", momentum);
        }
        if let Some(file) = &self.initial_weights {
            c.check(!file.is_empty(), "initial_weights", "\"\"", "no file is named", "a .safetensors or .pth file, or nothing at all");
        }
        c.check(
            self.freeze.iter().all(|p| !p.is_empty()),
            "freeze",
            format!("{:?}", self.freeze),
            "an empty pattern",
            "patterns with * and ?",
        );
    }

    fn check_data(&self, c: &mut Checks) {
        c.check(!self.dataset.is_empty(), "dataset", "\"\"", "no data set is named", "a name or a folder with one sub-folder per class");
        if let Some(side) = self.image_size {
            c.whole("image_size", side, *zoo::IMAGE_SIDES.start(), *zoo::IMAGE_SIDES.end());
        }
        c.check(
            matches!(self.image_channels, 1 | 3),
            "image_channels",
            self.image_channels,
            "images are grey or RGB",
            "1 (grey) or 3 (RGB)",
        );
        c.share_below_one("validation_split", self.validation_split);
        c.check(self.split_seed <= LARGEST_SEED, "split_seed", self.split_seed, "too large", &format!("0 to {LARGEST_SEED}"));
        c.check(self.seed <= LARGEST_SEED, "seed", self.seed, "too large", &format!("0 to {LARGEST_SEED}"));
    }

    fn check_augmentation(&self, c: &mut Checks) {
        c.whole("crop_padding", self.crop_padding, 0, 256);
        c.share("flip", self.flip);
        c.whole("cutout", self.cutout, 0, *zoo::IMAGE_SIDES.end());
        c.share("random_erasing", self.random_erasing);
        c.number("mixup", self.mixup, (0.0..=100.0).contains(&self.mixup), "0 (off) to 100");
        c.number("cutmix", self.cutmix, (0.0..=100.0).contains(&self.cutmix), "0 (off) to 100");
        c.whole("rand_augment", self.rand_augment, 0, 16);
        c.whole("rand_augment_magnitude", self.rand_augment_magnitude, 0, 30);
    }

    fn check_optimization(&self, c: &mut Checks) {
        c.whole("epochs", self.epochs, 1, 1_000_000);
        c.whole("batch_size", self.batch_size, 1, 65_536);
        c.whole("accumulate", self.accumulate, 1, 65_536);
        let rate = self.learning_rate;
        c.number("learning_rate", rate, rate > 0.0 && rate <= 1e6, "more than 0, at most 1e6 (usual: 0.001 for Adam, 0.1 for SGD)");
        c.share_below_one("momentum", self.momentum);
        c.check(
            !(self.nesterov && self.momentum == 0.0),
            "nesterov",
            self.nesterov,
            "Nesterov's variant needs a momentum",
            "true with momentum above 0, or false",
        );
        c.share_below_one("beta1", self.beta1);
        c.share_below_one("beta2", self.beta2);
        c.number("eps", self.eps, (1e-30..=1.0).contains(&self.eps), "1e-30 to 1");
        c.number("weight_decay", self.weight_decay, (0.0..=1e6).contains(&self.weight_decay), "0 (off) or more");
        c.share_below_one("label_smoothing", self.label_smoothing);
        c.number("clip_norm", self.clip_norm, (0.0..=1e30).contains(&self.clip_norm), "0 (off) or more");
        c.share_below_one("ema_decay", self.ema_decay);
        c.check(
            self.early_stopping == 0 || self.validation_split != 0.0,
            "early_stopping",
            self.early_stopping,
            "there is no validation accuracy to watch: validation_split is 0",
            "0, or a validation_split above 0",
        );
    }

    fn check_schedule(&self, c: &mut Checks) {
        c.check(
            self.schedule != Schedule::Plateau || self.validation_split != 0.0,
            "schedule",
            "plateau",
            "there is no validation loss to watch: validation_split is 0",
            "another schedule, or a validation_split above 0",
        );
        let (warmup, epochs) = (self.warmup_epochs, self.epochs as f64);
        c.number("warmup_epochs", warmup, (0.0..=epochs).contains(&warmup), "0 to the number of epochs");
        c.check(
            !(self.schedule == Schedule::OneCycle && warmup == epochs && warmup != 0.0),
            "warmup_epochs",
            warmup,
            "one_cycle would only rise",
            "less than the number of epochs",
        );
        c.share("final_learning_rate", self.final_learning_rate);
        c.whole("step_epochs", self.step_epochs, 1, 1_000_000);
        c.number("gamma", self.gamma, self.gamma > 0.0 && self.gamma <= 1.0, "more than 0 and at most 1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_recipe_is_fine() {
        assert_eq!(Recipe::default().problems(), []);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let recipe = Recipe {
            model_name: "mobilenet-v3-smal".into(),
            batch_size: 0,
            epochs: 0,
            learning_rate: f64::NAN,
            seed: u64::MAX,
            dropout: 1.0,
            image_channels: 4,
            ..Recipe::default()
        };
        let problems = recipe.problems();
        let settings: Vec<_> = problems.iter().map(|p| p.setting).collect();
        assert_eq!(settings, ["model_name", "dropout", "image_channels", "seed", "epochs", "batch_size", "learning_rate"]);
        assert_eq!(
            problems[0].to_string(),
            "model_name = mobilenet-v3-smal: no model has this name: did you mean `mobilenet_v3_small`? \
             (allowed: mobilenet_v3_small, mobilenet_v3_large, resnet18)"
        );
        assert_eq!(problems[5].to_string(), "batch_size = 0: too small (allowed: 1 to 65536)");
    }

    #[test]
    fn what_needs_validation_says_so() {
        let recipe = Recipe { validation_split: 0.0, early_stopping: 3, schedule: Schedule::Plateau, ..Recipe::default() };
        let settings: Vec<_> = recipe.problems().into_iter().map(|p| p.setting).collect();
        assert_eq!(settings, ["early_stopping", "schedule"]);
    }

    #[test]
    fn every_number_out_of_its_range_is_found() {
        type Spoil = fn(&mut Recipe);
        let spoilt: [(&str, Spoil); 22] = [
            ("width_multiplier", |r| r.width_multiplier = 0.0),
            ("dropout", |r| r.dropout = -0.1),
            ("batch_norm_momentum", |r| r.batch_norm_momentum = Some(2.0)),
            ("initial_weights", |r| r.initial_weights = Some(String::new())),
            ("freeze", |r| r.freeze = vec![String::new()]),
            ("dataset", |r| r.dataset = String::new()),
            ("image_size", |r| r.image_size = Some(3)),
            ("validation_split", |r| r.validation_split = 1.0),
            ("flip", |r| r.flip = 1.5),
            ("mixup", |r| r.mixup = f64::INFINITY),
            ("rand_augment_magnitude", |r| r.rand_augment_magnitude = 31),
            ("batch_size", |r| r.batch_size = 1 << 40),
            ("accumulate", |r| r.accumulate = 0),
            ("momentum", |r| r.momentum = 1.0),
            ("beta2", |r| r.beta2 = 1.0),
            ("eps", |r| r.eps = 0.0),
            ("weight_decay", |r| r.weight_decay = -1.0),
            ("label_smoothing", |r| r.label_smoothing = 1.0),
            ("ema_decay", |r| r.ema_decay = 1.0),
            ("warmup_epochs", |r| r.warmup_epochs = 21.0),
            ("step_epochs", |r| r.step_epochs = 0),
            ("gamma", |r| r.gamma = 0.0),
        ];
        for (setting, spoil) in spoilt {
            let mut recipe = Recipe::default();
            spoil(&mut recipe);
            let problems = recipe.problems();
            assert_eq!(problems.iter().map(|p| p.setting).collect::<Vec<_>>(), [setting], "{problems:?}");
        }
    }
}
