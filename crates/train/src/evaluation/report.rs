//! What an evaluation found, as it is saved (`evaluation.json`), drawn and logged.

use serde::{Deserialize, Serialize};

use crate::exact;

/// The numbers of one model on one set of images. Rates and shares are in `[0, 1]`; classes are in the data set's order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationReport {
    /// Which images: `test`, `validation`, or a file's or folder's name.
    pub split: String,
    /// Number of images.
    pub images: u64,
    /// Mean cross-entropy, without label smoothing (`torch.nn.CrossEntropyLoss`).
    #[serde(with = "exact")]
    pub loss: f64,
    /// Share of images whose highest logit is their label.
    pub accuracy: f64,
    /// Share of images whose label is among the five highest logits (always 1 with five classes or fewer).
    pub top5_accuracy: f64,
    /// Mean precision over the classes (scikit-learn: `average="macro", zero_division=0`).
    pub macro_precision: f64,
    /// Mean recall over the classes.
    pub macro_recall: f64,
    /// Mean F1 over the classes: logged as `test_f1`.
    pub macro_f1: f64,
    /// One entry per class.
    pub classes: Vec<ClassReport>,
    /// Counts, `[true class][predicted class]`. An image whose logits have a NaN is in none.
    pub confusion: Vec<Vec<u64>>,
    /// How far confidence can be trusted.
    pub calibration: Calibration,
    /// Wrong predictions, the highest loss first.
    pub worst_mistakes: Vec<Mistake>,
}

/// One class. A rate whose denominator is 0 is 0, as scikit-learn's `zero_division=0`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// Of the images predicted as this class, the share that are.
    pub precision: f64,
    /// Of this class's images, the share that were found: the class's accuracy.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Images of this class.
    pub support: u64,
    /// Images predicted as this class.
    pub predicted: u64,
}

/// Expected calibration error (Guo et al., "On Calibration of Modern Neural Networks", 2017) and its bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Mean of |accuracy - confidence| over the bins, weighted by their counts.
    pub expected_calibration_error: f64,
    /// Bins of equal width over the confidence, `(lower, upper]`, from 0 to 1.
    pub bins: Vec<CalibrationBin>,
}

/// One bin of the reliability diagram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Lower edge, outside (in the first bin, inside).
    pub lower: f64,
    /// Upper edge, inside.
    pub upper: f64,
    /// Images in it.
    pub count: u64,
    /// Share of them predicted rightly; 0 when the bin is empty.
    pub accuracy: f64,
    /// Mean softmax probability of the predicted class; 0 when the bin is empty.
    pub confidence: f64,
}

/// One wrong prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Number of the image in its split, from 0.
    pub index: u64,
    /// Its class.
    pub label: u32,
    /// The class predicted.
    pub predicted: u32,
    /// Softmax probability of the predicted class.
    pub confidence: f64,
    /// Softmax probability of the true class.
    pub label_probability: f64,
    /// Cross-entropy of this image.
    #[serde(with = "exact")]
    pub loss: f64,
}
