//! The learning rate as a function of the recipe and the step: PyTorch's schedulers in closed form.
//!
//! A scheduler object with state (PyTorch's way) was refused: a resumed run must have the same bits, and what has no
//! state cannot be restored wrongly. Only plateau depends on what happened; its state is a value of its own, [`Plateau`].

use serde::{Deserialize, Serialize};

use crate::exact;
use crate::recipe::{Recipe, Schedule};

/// `OneCycleLR`'s `div_factor`: the rise starts at the peak over this.
const ONE_CYCLE_START: f64 = 25.0;
/// `OneCycleLR`'s `pct_start`, where the recipe names no warmup.
const ONE_CYCLE_RISE: f64 = 0.3;
/// `ReduceLROnPlateau`'s relative `threshold`: less than this is no improvement.
const PLATEAU_THRESHOLD: f64 = 1e-4;
/// `ReduceLROnPlateau`'s `eps`: a smaller change of the rate is not made.
const PLATEAU_EPS: f64 = 1e-8;

/// The learning rate of one optimizer step.
///
/// `step` counts the optimizer steps of the whole run from 0; `steps_per_epoch` is at least 1. Step and cosine count
/// whole epochs after the warmup, as `SequentialLR([warmup, scheduler])` does; a warmup of 1.5 epochs counts as two.
pub fn learning_rate(recipe: &Recipe, step: u64, steps_per_epoch: u64, plateau: &Plateau) -> f64 {
    let peak = recipe.learning_rate;
    if recipe.schedule == Schedule::OneCycle {
        return one_cycle(recipe, step, steps_per_epoch);
    }
    let warmup_steps = recipe.warmup_epochs * steps_per_epoch as f64;
    let warmup = if (step + 1) as f64 >= warmup_steps { 1.0 } else { (step + 1) as f64 / warmup_steps };
    let epoch = (step / steps_per_epoch.max(1)) as f64;
    let since_warmup = (epoch - recipe.warmup_epochs.ceil()).max(0.0);
    let rate = match recipe.schedule {
        Schedule::Constant | Schedule::OneCycle => peak,
        Schedule::Step => peak * recipe.gamma.powi((since_warmup as usize / recipe.step_epochs.max(1)) as i32),
        Schedule::Cosine => {
            let length = (recipe.epochs as f64 - recipe.warmup_epochs.ceil()).max(1.0);
            half_cosine(peak, peak * recipe.final_learning_rate, (since_warmup / length).min(1.0))
        }
        Schedule::Plateau => peak * plateau.scale,
    };
    rate * warmup
}

fn half_cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * ((std::f64::consts::PI * share).cos() + 1.0) / 2.0
}

fn one_cycle(recipe: &Recipe, step: u64, steps_per_epoch: u64) -> f64 {
    let peak = recipe.learning_rate;
    let total = recipe.epochs as f64 * steps_per_epoch as f64;
    if total <= 1.0 {
        // Start, peak and end are one step: the end's rate, 0 by default, would train nothing.
        return peak;
    }
    let rise = if recipe.warmup_epochs > 0.0 { recipe.warmup_epochs / recipe.epochs as f64 } else { ONE_CYCLE_RISE };
    // PyTorch puts the peak on step `rise * total - 1` and the end on the last step.
    let (top, end) = (rise * total - 1.0, total - 1.0);
    let step = (step as f64).min(end);
    if step <= top {
        let share = if top > 0.0 { step / top } else { 1.0 };
        half_cosine(peak / ONE_CYCLE_START, peak, share)
    } else {
        half_cosine(peak, peak * recipe.final_learning_rate, (step - top) / (end - top))
    }
}

/// What `ReduceLROnPlateau(mode="min", factor=gamma, patience=step_epochs)` remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// The rate over the peak.
    pub scale: f64,
    /// The best validation loss so far.
    #[serde(with = "exact")]
    pub best: f64,
    /// Epochs since then.
    pub bad_epochs: usize,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { scale: 1.0, best: f64::INFINITY, bad_epochs: 0 }
    }
}

impl Plateau {
    /// Takes the validation loss of an epoch; the scale falls when it has not improved for too long.
    pub fn observe(&mut self, recipe: &Recipe, val_loss: f64) {
        if val_loss < self.best * (1.0 - PLATEAU_THRESHOLD) {
            self.best = val_loss;
            self.bad_epochs = 0;
            return;
        }
        self.bad_epochs += 1;
        if self.bad_epochs > recipe.step_epochs {
            let lower = (self.scale * recipe.gamma).max(recipe.final_learning_rate);
            if recipe.learning_rate * (self.scale - lower) > PLATEAU_EPS {
                self.scale = lower;
            }
            self.bad_epochs = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates of a run with peak 0.4, judged to twelve digits: PyTorch works them out one from the other, we each from
    /// the step alone, so the last digits differ.
    ///
    /// Goldens: PyTorch 2.15, `torch.optim.lr_scheduler as S`, `o = torch.optim.SGD([p], lr=0.4)`, printing
    /// `o.param_groups[0]['lr']` before each step; the line that made each stands with it.
    fn check(recipe: Recipe, steps_per_epoch: u64, golden: &[f64]) {
        let recipe = Recipe { learning_rate: 0.4, ..recipe };
        for (step, &expected) in golden.iter().enumerate() {
            let rate = learning_rate(&recipe, step as u64, steps_per_epoch, &Plateau::default());
            assert!((rate - expected).abs() < 1e-12, "step {step}: {rate}, PyTorch {expected}");
        }
    }

    #[test]
    fn constant() {
        check(Recipe { schedule: Schedule::Constant, ..Recipe::default() }, 3, &[0.4; 10]);
    }

    #[test]
    fn step() {
        // S.StepLR(o, 3, 0.1)
        let golden = [0.4, 0.4, 0.4, 0.04000000000000001, 0.04000000000000001, 0.04000000000000001, 0.004000000000000001];
        check(Recipe { schedule: Schedule::Step, step_epochs: 3, ..Recipe::default() }, 1, &golden);
    }

    #[test]
    fn cosine_moves_once_per_epoch() {
        // S.CosineAnnealingLR(o, 7, eta_min=0.04), stepped once per epoch
        let golden = [
            0.4,
            0.38217439622243543,
            0.33222816433457203,
            0.2600537681121366,
            0.17994623188786343,
            0.10777183566542797,
            0.05782560377756457,
        ];
        let recipe = Recipe { epochs: 7, final_learning_rate: 0.1, ..Recipe::default() };
        check(recipe.clone(), 1, &golden);
        let four_steps: Vec<f64> = golden.iter().flat_map(|&rate| [rate; 4]).collect();
        check(recipe, 4, &four_steps);
    }

    #[test]
    fn warmup_then_cosine() {
        // S.SequentialLR(o, [S.LambdaLR(o, lambda s: min(1, (s + 1) / 6)),
        //                    S.LambdaLR(o, lambda s: (1 + math.cos(math.pi * (s // 3) / 4)) / 2)], [6])
        let golden = [
            0.06666666666666667,
            0.13333333333333333,
            0.2,
            0.26666666666666666,
            0.33333333333333337,
            0.4,
            0.4,
            0.4,
            0.4,
            0.3414213562373095,
            0.3414213562373095,
            0.3414213562373095,
            0.2,
            0.2,
            0.2,
            0.05857864376269051,
            0.05857864376269051,
            0.05857864376269051,
        ];
        check(Recipe { epochs: 6, warmup_epochs: 2.0, ..Recipe::default() }, 3, &golden);
    }

    #[test]
    fn one_cycle() {
        // S.OneCycleLR(o, 0.4, total_steps=12, pct_start=1/4, div_factor=25, final_div_factor=1/(25*0.01), cycle_momentum=False)
        let golden = [
            0.016000000000000014,
            0.20800000000000002,
            0.4,
            0.3880591389156099,
            0.35367679973755767,
            0.30100000000000005,
            0.23638233917805226,
            0.16761766082194782,
            0.10300000000000005,
            0.05032320026244237,
            0.015940861084390155,
            0.004,
        ];
        let recipe = Recipe { schedule: Schedule::OneCycle, epochs: 4, warmup_epochs: 1.0, final_learning_rate: 0.01, ..Recipe::default() };
        check(recipe, 3, &golden);
    }

    #[test]
    fn one_cycle_by_default_rises_for_three_tenths() {
        // S.OneCycleLR(o, 0.4, total_steps=12, div_factor=25, final_div_factor=math.inf, cycle_momentum=False)
        let golden = [
            0.016000000000000014,
            0.1399158616878332,
            0.3517140636488515,
            0.3977661652450257,
            0.37320508075688774,
            0.3246979603717467,
            0.25895103488218085,
            0.18505398128271516,
            0.11322325217648839,
            0.05338962563403478,
            0.013825250271159174,
            0.0,
        ];
        check(Recipe { schedule: Schedule::OneCycle, epochs: 4, ..Recipe::default() }, 3, &golden);
        // S.OneCycleLR(o, 0.4, total_steps=1, ...) would divide by zero; a run of one step trains at the peak.
        let one_step = Recipe { schedule: Schedule::OneCycle, epochs: 1, ..Recipe::default() };
        let rate = learning_rate(&one_step, 0, 1, &Plateau::default());
        assert!(rate > 0.0 && rate == one_step.learning_rate, "{rate}");
    }

    #[test]
    fn plateau() {
        // S.ReduceLROnPlateau(o, factor=0.5, patience=1, min_lr=0.04), s.step(loss) after each epoch
        let losses = [1.0, 0.9, 0.9, 0.89995, 0.95, 0.5, 0.6, 0.7, 0.8, 0.9, 0.9, 0.9];
        let golden = [0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05];
        let recipe = Recipe {
            schedule: Schedule::Plateau,
            learning_rate: 0.4,
            gamma: 0.5,
            step_epochs: 1,
            final_learning_rate: 0.1,
            ..Recipe::default()
        };
        let mut state = Plateau::default();
        for (epoch, (loss, expected)) in losses.into_iter().zip(golden).enumerate() {
            let rate = learning_rate(&recipe, epoch as u64, 1, &state);
            assert!((rate - expected).abs() < 1e-12, "epoch {epoch}: {rate}, PyTorch {expected}");
            state.observe(&recipe, loss);
        }
    }

    #[test]
    fn no_schedule_leaves_its_bounds() {
        for schedule in [Schedule::Constant, Schedule::Step, Schedule::Cosine, Schedule::OneCycle, Schedule::Plateau] {
            for warmup_epochs in [0.0, 0.3, 1.5, 4.0] {
                for epochs in [1, 4, 5] {
                    for steps_per_epoch in [1, 2, 7] {
                        let recipe = Recipe { schedule, warmup_epochs, epochs, learning_rate: 0.5, ..Recipe::default() };
                        if !recipe.problems().is_empty() {
                            continue;
                        }
                        for step in 0..epochs as u64 * steps_per_epoch + 3 {
                            let rate = learning_rate(&recipe, step, steps_per_epoch, &Plateau::default());
                            assert!((0.0..=0.5).contains(&rate), "{schedule:?} {warmup_epochs} {epochs} {steps_per_epoch} {step}: {rate}");
                        }
                    }
                }
            }
        }
    }
}
