//! The update rules, PyTorch's formulas in its order of operations, over flat parameters.

use super::memory::At;
use super::simd::{Kernel, Level, Simd, dispatch};
use crate::Rule;

/// The factors of one step, the same for every parameter.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The rule.
    pub rule: Rule,
    /// The learning rate.
    pub learning_rate: f64,
    /// Weight decay, in the rule's own sense.
    pub weight_decay: f64,
    /// Number of this step, from 1 on (Adam's bias correction; the first step of momentum).
    pub count: u64,
    /// The gradient is multiplied by this first (clipping).
    pub gradient_scale: f32,
}

/// The arrays of one run of parameters, all of one length.
#[derive(Debug)]
pub struct Arrays<'a> {
    /// The parameters.
    pub parameters: &'a mut [f32],
    /// Their gradients.
    pub gradients: &'a [f32],
    /// Momentum, or the first moment. Unused by plain SGD (may be empty).
    pub first: &'a mut [f32],
    /// The second moment. Unused by SGD (may be empty).
    pub second: &'a mut [f32],
}

/// One step on `arrays` (`torch.optim.SGD`, `Adam`, `AdamW`, single-tensor form), on one thread.
pub fn step(level: Level, step: &Step, arrays: Arrays<'_>) {
    assert!(Level::available().contains(&level));
    let len = arrays.parameters.len();
    assert_eq!(len, arrays.gradients.len());
    let (needs_first, needs_second) = step.needs();
    assert!((!needs_first || arrays.first.len() == len) && (!needs_second || arrays.second.len() == len));
    let kernel = UpdateKernel {
        step: *step,
        parameters: At::write(arrays.parameters),
        gradients: At::read(arrays.gradients),
        first: At::write(arrays.first),
        second: At::write(arrays.second),
        count: len,
    };
    // SAFETY: the level is available and the lengths were checked.
    unsafe { dispatch(level, kernel) }
}

impl Step {
    /// Whether the rule keeps a first and a second array.
    pub fn needs(&self) -> (bool, bool) {
        moments(&self.rule)
    }
}

/// Whether a rule keeps a first and a second array.
pub(crate) fn moments(rule: &Rule) -> (bool, bool) {
    match *rule {
        Rule::Sgd { momentum, .. } => (momentum != 0.0, false),
        Rule::Adam { .. } | Rule::AdamW { .. } => (true, true),
    }
}

/// One step on `count` floats.
pub(crate) struct UpdateKernel {
    pub step: Step,
    pub parameters: At,
    pub gradients: At,
    pub first: At,
    pub second: At,
    pub count: usize,
}

impl Kernel for UpdateKernel {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        unsafe {
            match self.step.rule {
                Rule::Sgd { momentum, nesterov } => sgd::<S>(&self, momentum, nesterov),
                Rule::Adam { beta1, beta2, eps } => adam::<S>(&self, beta1, beta2, eps, false),
                Rule::AdamW { beta1, beta2, eps } => adam::<S>(&self, beta1, beta2, eps, true),
            }
        }
    }
}

#[inline(always)]
unsafe fn sgd<S: Simd>(k: &UpdateKernel, momentum: f64, nesterov: bool) {
    unsafe {
        let (decay, rate) = (S::splat(k.step.weight_decay as f32), S::splat(-k.step.learning_rate as f32));
        let (scale, inertia) = (S::splat(k.step.gradient_scale), S::splat(momentum as f32));
        for i in (0..k.count).step_by(S::LANES) {
            let left = k.count - i;
            let parameter = S::load_upto(k.parameters.ptr().add(i), left);
            let mut d = S::mul(S::load_upto(k.gradients.ptr().add(i), left), scale);
            if k.step.weight_decay != 0.0 {
                d = S::fma(decay, parameter, d);
            }
            if momentum != 0.0 {
                let mut buffer = d;
                if k.step.count > 1 {
                    buffer = S::add(S::mul(S::load_upto(k.first.ptr().add(i), left), inertia), d);
                }
                S::store_upto(k.first.ptr().add(i), buffer, left);
                d = if nesterov { S::fma(inertia, buffer, d) } else { buffer };
            }
            S::store_upto(k.parameters.ptr().add(i), S::fma(rate, d, parameter), left);
        }
    }
}

#[inline(always)]
unsafe fn adam<S: Simd>(k: &UpdateKernel, beta1: f64, beta2: f64, eps: f64, decoupled: bool) {
    // The corrections in double precision, as Python works them out.
    let correction1 = 1.0 - beta1.powf(k.step.count as f64);
    let correction2 = 1.0 - beta2.powf(k.step.count as f64);
    let rate = k.step.learning_rate;
    unsafe {
        let step_size = S::splat(-(rate / correction1) as f32);
        let root2 = S::splat(correction2.sqrt() as f32);
        let (keep2, new1, new2) = (S::splat(beta2 as f32), S::splat((1.0 - beta1) as f32), S::splat((1.0 - beta2) as f32));
        let (eps, scale) = (S::splat(eps as f32), S::splat(k.step.gradient_scale));
        let decay = S::splat(k.step.weight_decay as f32);
        let shrink = S::splat((1.0 - rate * k.step.weight_decay) as f32);
        for i in (0..k.count).step_by(S::LANES) {
            let left = k.count - i;
            let mut parameter = S::load_upto(k.parameters.ptr().add(i), left);
            let mut gradient = S::mul(S::load_upto(k.gradients.ptr().add(i), left), scale);
            if k.step.weight_decay != 0.0 {
                if decoupled {
                    parameter = S::mul(parameter, shrink);
                } else {
                    gradient = S::fma(decay, parameter, gradient);
                }
            }
            let first = S::load_upto(k.first.ptr().add(i), left);
            let first = S::fma(S::sub(gradient, first), new1, first);
            let second = S::load_upto(k.second.ptr().add(i), left);
            let second = S::fma(S::mul(gradient, gradient), new2, S::mul(second, keep2));
            let denominator = S::add(S::div(S::sqrt(second), root2), eps);
            S::store_upto(k.first.ptr().add(i), first, left);
            S::store_upto(k.second.ptr().add(i), second, left);
            S::store_upto(k.parameters.ptr().add(i), S::fma(step_size, S::div(first, denominator), parameter), left);
        }
    }
}

/// `average = average * decay + value * (1 - decay)`.
pub(crate) struct AverageKernel {
    pub average: At,
    pub value: At,
    pub decay: f32,
    pub count: usize,
}

impl Kernel for AverageKernel {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        unsafe {
            let new = S::splat(1.0 - self.decay);
            for i in (0..self.count).step_by(S::LANES) {
                let left = self.count - i;
                let average = S::load_upto(self.average.ptr().add(i), left);
                let value = S::load_upto(self.value.ptr().add(i), left);
                S::store_upto(self.average.ptr().add(i), S::fma(S::sub(value, average), new, average), left);
            }
        }
    }
}
