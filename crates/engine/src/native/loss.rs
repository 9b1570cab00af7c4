//! Softmax cross-entropy with label smoothing and mixed labels, and its gradient.

use crate::{BatchOutcome, Targets};

/// `torch.nn.CrossEntropyLoss(label_smoothing=...)`, mean over the batch; with a mix, `weight` times the loss of the first
/// labels plus `1 - weight` times that of the second. `logits` is `[n, classes]`. `gradient` becomes the
/// gradient of `scale` times the loss. Sums are in double precision: they cost nothing here, and the loss is what users read.
pub(crate) fn cross_entropy(
    logits: &[f32],
    classes: usize,
    targets: Targets<'_>,
    smoothing: f32,
    scale: f32,
    gradient: &mut [f32],
) -> BatchOutcome {
    let n = targets.labels.len();
    let smoothing = f64::from(smoothing);
    let (mut loss, mut correct) = (0.0, 0);
    for (image, logits) in logits.chunks_exact(classes).take(n).enumerate() {
        let label = targets.labels[image] as usize;
        let (other, weight) = match targets.mix {
            Some((others, weights)) => (others[image] as usize, f64::from(weights[image])),
            None => (label, 1.0),
        };
        let mut best = 0;
        for (class, &logit) in logits.iter().enumerate() {
            if logit > logits[best] {
                best = class;
            }
        }
        correct += usize::from(best == label && !logits[best].is_nan());
        let top = f64::from(logits[best]);
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - top).exp()).sum();
        let log_sum = top + sum.ln();
        let mean: f64 = logits.iter().map(|&logit| f64::from(logit)).sum::<f64>() / classes as f64;
        let sharp = log_sum - weight * f64::from(logits[label]) - (1.0 - weight) * f64::from(logits[other]);
        loss += (1.0 - smoothing) * sharp + smoothing * (log_sum - mean);
        let factor = f64::from(scale) / n as f64;
        for (class, slot) in gradient[image * classes..][..classes].iter_mut().enumerate() {
            let probability = (f64::from(logits[class]) - log_sum).exp();
            let mut target = smoothing / classes as f64;
            if class == label {
                target += (1.0 - smoothing) * weight;
            }
            if class == other {
                target += (1.0 - smoothing) * (1.0 - weight);
            }
            *slot = ((probability - target) * factor) as f32;
        }
    }
    BatchOutcome { loss: loss / n as f64, correct }
}
