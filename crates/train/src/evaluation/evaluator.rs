//! Gathers predictions batch by batch and works out the report. In float64 and in the order of the images, so that the
//! same logits give the same bits.

use std::cmp::Ordering;

use super::report::{Calibration, CalibrationBin, ClassReport, EvaluationReport, Mistake};

/// Bins of the reliability diagram, as in Guo et al.
const BINS: usize = 15;

/// Logits and labels that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A class that the model does not have.
    #[error("image {index} of the {split} set has label {label}, but the model has {classes} classes")]
    Label {
        /// The set of images.
        split: String,
        /// Number of the image, from 0.
        index: u64,
        /// Its label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// Not one row of logits per label.
    #[error("{logits} logits for {labels} images of {classes} classes")]
    Shape {
        /// Length of the logits.
        logits: usize,
        /// Number of labels.
        labels: usize,
        /// Number of classes.
        classes: usize,
    },
}

/// An evaluation in progress. Logits with a NaN among them predict nothing: the image counts, as no hit, and is in no
/// column of the confusion matrix.
#[derive(Debug, Clone)]
pub struct Evaluator {
    split: String,
    class_names: Vec<String>,
    images: u64,
    loss_sum: f64,
    in_top5: u64,
    confusion: Vec<Vec<u64>>,
    /// Images by class; more than the confusion matrix has where logits were NaN.
    support: Vec<u64>,
    bins: Vec<BinSums>,
    mistakes: Vec<Mistake>,
    worst: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct BinSums {
    count: u64,
    correct: u64,
    confidence: f64,
}

impl Evaluator {
    /// Starts with no images. `worst` is how many mistakes to keep.
    pub fn new(split: &str, class_names: &[String], worst: usize) -> Self {
        let classes = class_names.len();
        Self {
            split: split.to_owned(),
            class_names: class_names.to_vec(),
            images: 0,
            loss_sum: 0.0,
            in_top5: 0,
            confusion: vec![vec![0; classes]; classes],
            support: vec![0; classes],
            bins: vec![BinSums::default(); BINS],
            mistakes: vec![],
            worst,
        }
    }

    /// Takes the next images: `logits` is `[n, classes]`, `labels` `[n]`. An error leaves out the whole batch.
    pub fn add(&mut self, logits: &[f32], labels: &[u32]) -> Result<(), EvaluationError> {
        let classes = self.class_names.len();
        if classes == 0 || logits.len() != labels.len() * classes {
            return Err(EvaluationError::Shape { logits: logits.len(), labels: labels.len(), classes });
        }
        if let Some(at) = labels.iter().position(|&label| label as usize >= classes) {
            let index = self.images + at as u64;
            return Err(EvaluationError::Label { split: self.split.clone(), index, label: labels[at], classes });
        }
        for (row, &label) in logits.chunks_exact(classes).zip(labels) {
            self.add_image(row, label);
        }
        Ok(())
    }

    fn add_image(&mut self, row: &[f32], label: u32) {
        let truth = label as usize;
        let predicted = argmax(row);
        let is_prediction = !row.iter().any(|logit| logit.is_nan());
        let hit = is_prediction && predicted == truth;
        let total = log_sum_exp(row);
        let probability = |class: usize| {
            let p = (f64::from(row[class]) - total).exp();
            // A network gone wrong gives NaN; its confidence counts as none, its loss stays NaN.
            if p.is_nan() { 0.0 } else { p }
        };
        let loss = total - f64::from(row[truth]);
        let confidence = probability(predicted);

        self.loss_sum += loss;
        self.in_top5 += u64::from(is_prediction && rank(row, truth) < 5);
        self.confusion[truth][predicted] += u64::from(is_prediction);
        self.support[truth] += 1;
        let bin = &mut self.bins[((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
        bin.count += 1;
        bin.correct += u64::from(hit);
        bin.confidence += confidence;
        if is_prediction && !hit {
            self.mistakes.push(Mistake {
                index: self.images,
                label,
                predicted: predicted as u32,
                confidence,
                label_probability: probability(truth),
                loss,
            });
            if self.mistakes.len() > 2 * self.worst + 1024 {
                self.keep_worst();
            }
        }
        self.images += 1;
    }

    fn keep_worst(&mut self) {
        self.mistakes.sort_by(|a, b| b.loss.total_cmp(&a.loss).then(a.index.cmp(&b.index)));
        self.mistakes.truncate(self.worst);
    }

    /// Images seen so far.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Mean loss so far; 0 without images.
    pub fn loss(&self) -> f64 {
        if self.images == 0 { 0.0 } else { self.loss_sum / self.images as f64 }
    }

    /// Share of right predictions so far; 0 without images.
    pub fn accuracy(&self) -> f64 {
        let correct: u64 = (0..self.confusion.len()).map(|class| self.confusion[class][class]).sum();
        ratio(correct, self.images)
    }

    /// The report on all images taken.
    pub fn finish(mut self) -> EvaluationReport {
        self.keep_worst();
        let classes: Vec<ClassReport> = (0..self.class_names.len()).map(|class| self.class_report(class)).collect();
        let mean = |rate: fn(&ClassReport) -> f64| classes.iter().map(rate).sum::<f64>() / classes.len().max(1) as f64;
        EvaluationReport {
            images: self.images,
            loss: self.loss(),
            accuracy: self.accuracy(),
            top5_accuracy: ratio(self.in_top5, self.images),
            macro_precision: mean(|c| c.precision),
            macro_recall: mean(|c| c.recall),
            macro_f1: mean(|c| c.f1),
            calibration: calibration(&self.bins, self.images),
            classes,
            split: self.split,
            confusion: self.confusion,
            worst_mistakes: self.mistakes,
        }
    }

    fn class_report(&self, class: usize) -> ClassReport {
        let hits = self.confusion[class][class];
        let support = self.support[class];
        let predicted: u64 = self.confusion.iter().map(|row| row[class]).sum();
        ClassReport {
            name: self.class_names[class].clone(),
            precision: ratio(hits, predicted),
            recall: ratio(hits, support),
            f1: ratio(2 * hits, support + predicted),
            support,
            predicted,
        }
    }
}

fn calibration(bins: &[BinSums], images: u64) -> Calibration {
    let mut error = 0.0;
    let edge = |i: usize| i as f64 / bins.len() as f64;
    let bins = bins.iter().enumerate().map(|(i, sums)| {
        let count = sums.count.max(1) as f64;
        let (accuracy, confidence) = (ratio(sums.correct, sums.count), sums.confidence / count);
        error += ratio(sums.count, images) * (accuracy - confidence).abs();
        CalibrationBin { lower: edge(i), upper: edge(i + 1), count: sums.count, accuracy, confidence }
    });
    let bins = bins.collect();
    Calibration { expected_calibration_error: error, bins }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The first of the highest logits, as `torch.argmax` on a CPU. Among NaNs nothing is highest: what comes out is no prediction.
pub fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (class, &logit) in row.iter().enumerate() {
        if logit > row[best] {
            best = class;
        }
    }
    best
}

/// How many classes come before `class`; equal logits by number, and everything before a NaN.
fn rank(row: &[f32], class: usize) -> usize {
    let before = |j: usize| match row[j].partial_cmp(&row[class]) {
        Some(Ordering::Less) => false,
        Some(Ordering::Equal) => j < class,
        // No order: one of the two is a NaN, which must not pass for a hit.
        Some(Ordering::Greater) | None => true,
    };
    (0..row.len()).filter(|&j| j != class && before(j)).count()
}

fn log_sum_exp(row: &[f32]) -> f64 {
    let top = f64::from(row[argmax(row)]);
    if !top.is_finite() {
        return f64::NAN;
    }
    top + row.iter().map(|&logit| (f64::from(logit) - top).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anmok_random::Stream;

    fn names(classes: usize) -> Vec<String> {
        (0..classes).map(|class| format!("class {class}")).collect()
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    /// Three classes, predictions 0 0 1 1 2 0 for labels 0 0 0 1 1 2. Worked out by hand with the formulas of scikit-learn's
    /// `precision_recall_fscore_support(..., zero_division=0)`.
    #[test]
    fn rates_by_class_as_scikit_learn_has_them() {
        let mut evaluator = Evaluator::new("test", &names(3), 10);
        let predicted = [0, 0, 1, 1, 2, 0];
        let logits: Vec<f32> = predicted.iter().flat_map(|&p| (0..3).map(move |class| if class == p { 2.0 } else { 0.0 })).collect();
        evaluator.add(&logits[..6], &[0, 0]).unwrap();
        evaluator.add(&logits[6..], &[0, 1, 1, 2]).unwrap();
        let report = evaluator.finish();
        near(report.accuracy, 3.0 / 6.0);
        near(report.top5_accuracy, 1.0);
        assert_eq!(report.confusion, [[2, 1, 0], [0, 1, 1], [1, 0, 0]]);
        for (class, (precision, recall, f1, support)) in
            [(2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 3), (0.5, 0.5, 0.5, 2), (0.0, 0.0, 0.0, 1)].into_iter().enumerate()
        {
            let c = &report.classes[class];
            near(c.precision, precision);
            near(c.recall, recall);
            near(c.f1, f1);
            assert_eq!(c.support, support);
        }
        near(report.macro_f1, (2.0 / 3.0 + 0.5) / 3.0);
        // Softmax of (2, 0, 0): e^2 / (e^2 + 2). All six lie in one bin, half of them right.
        let confidence = 2f64.exp() / (2f64.exp() + 2.0);
        near(report.calibration.expected_calibration_error, confidence - 0.5);
        near(report.loss, -0.5 * confidence.ln() - 0.5 * ((1.0 - confidence) / 2.0).ln());
        let filled: Vec<_> = report.calibration.bins.iter().filter(|bin| bin.count > 0).collect();
        assert_eq!((filled.len(), filled[0].count), (1, 6));
        assert!(filled[0].lower < confidence && confidence <= filled[0].upper);
        assert_eq!(
            report.worst_mistakes.iter().map(|m| (m.index, m.label, m.predicted)).collect::<Vec<_>>(),
            [(2, 0, 1), (4, 1, 2), (5, 2, 0)]
        );
    }

    #[test]
    fn the_worst_mistakes_are_the_highest_losses() {
        let mut evaluator = Evaluator::new("test", &names(2), 2);
        // All are class 0 and predicted 1 with growing, then falling confidence.
        for margin in [1.0, 3.0, 9.0, 2.0] {
            evaluator.add(&[0.0, margin], &[0]).unwrap();
        }
        let report = evaluator.finish();
        assert_eq!(report.worst_mistakes.iter().map(|m| m.index).collect::<Vec<_>>(), [2, 1]);
        near(report.worst_mistakes[1].confidence, 1.0 / (1.0 + (-3f64).exp()));
        near(report.worst_mistakes[1].label_probability, 1.0 / (1.0 + 3f64.exp()));
    }

    #[test]
    fn top_five() {
        let mut evaluator = Evaluator::new("test", &names(7), 0);
        let row = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0];
        for label in [0, 4, 5, 6] {
            evaluator.add(&row, &[label]).unwrap();
        }
        near(evaluator.finish().top5_accuracy, 0.5);
        // All equal: the lower numbers come first, so exactly five of seven labels are in.
        let mut evaluator = Evaluator::new("test", &names(7), 0);
        (0..7).for_each(|label| evaluator.add(&[0.0; 7], &[label]).unwrap());
        near(evaluator.finish().top5_accuracy, 5.0 / 7.0);
    }

    #[test]
    fn labels_and_shapes_that_do_not_fit_are_errors() {
        let mut evaluator = Evaluator::new("test", &names(3), 1);
        evaluator.add(&[0.0; 3], &[2]).unwrap();
        let error = evaluator.add(&[0.0; 6], &[0, 3]).unwrap_err().to_string();
        assert_eq!(error, "image 2 of the test set has label 3, but the model has 3 classes");
        assert!(matches!(evaluator.add(&[0.0; 5], &[0, 1]), Err(EvaluationError::Shape { .. })));
        assert_eq!(evaluator.images(), 1);
    }

    #[test]
    fn a_broken_network_gives_a_report_not_a_panic() {
        for row in [[f32::NAN; 3], [f32::INFINITY, 0.0, 0.0], [f32::NEG_INFINITY; 3], [0.0, f32::NAN, 1.0]] {
            let mut evaluator = Evaluator::new("test", &names(3), 4);
            evaluator.add(&row, &[1]).unwrap();
            let report = evaluator.finish();
            assert!(report.loss.is_nan() && report.accuracy == 0.0, "{row:?}: {report:?}");
            let text = serde_json::to_string(&report).unwrap();
            assert!(serde_json::from_str::<EvaluationReport>(&text).unwrap().loss.is_nan());
        }
    }

    /// The first class is where `argmax` starts, and where it stays among NaNs.
    #[test]
    fn a_nan_is_no_hit_for_any_label() {
        for row in [[f32::NAN; 3], [f32::NAN, 0.0, 1.0], [9.0, f32::NAN, 1.0], [0.0, f32::NAN, 1.0]] {
            let mut evaluator = Evaluator::new("test", &names(3), 4);
            evaluator.add(&row.repeat(3), &[0, 1, 2]).unwrap();
            assert_eq!(evaluator.accuracy(), 0.0, "{row:?}");
            let report = evaluator.finish();
            assert!(report.loss.is_nan(), "{row:?}");
            assert_eq!((report.accuracy, report.top5_accuracy, report.macro_recall), (0.0, 0.0, 0.0), "{row:?}");
            assert_eq!(report.classes.iter().map(|class| class.support).collect::<Vec<_>>(), [1, 1, 1]);
            assert_eq!((report.calibration.bins[0].count, report.calibration.bins[0].accuracy), (3, 0.0));
        }
    }

    #[test]
    fn without_images_everything_is_zero() {
        let report = Evaluator::new("test", &names(3), 4).finish();
        assert_eq!((report.loss, report.accuracy, report.calibration.expected_calibration_error), (0.0, 0.0, 0.0));
    }

    #[test]
    fn sums_match_for_random_predictions() {
        for seed in 0..20 {
            let mut random = Stream::new(&[seed]);
            let (classes, images) = (2 + random.below(12) as usize, 1 + random.below(300) as usize);
            let logits: Vec<f32> = (0..images * classes).map(|_| (random.normal() * 3.0) as f32).collect();
            let labels: Vec<u32> = (0..images).map(|_| random.below(classes as u64) as u32).collect();
            let mut whole = Evaluator::new("test", &names(classes), 5);
            whole.add(&logits, &labels).unwrap();
            let mut parts = Evaluator::new("test", &names(classes), 5);
            for (row, label) in logits.chunks(classes).zip(&labels) {
                parts.add(row, &[*label]).unwrap();
            }
            let report = whole.finish();
            assert_eq!(report, parts.finish(), "batches must not matter");

            assert_eq!(report.confusion.iter().flatten().sum::<u64>(), images as u64);
            assert_eq!(report.classes.iter().map(|c| c.support).sum::<u64>(), images as u64);
            assert_eq!(report.classes.iter().map(|c| c.predicted).sum::<u64>(), images as u64);
            assert_eq!(report.calibration.bins.iter().map(|b| b.count).sum::<u64>(), images as u64);
            // Micro averages: all of them are the accuracy.
            near(report.classes.iter().map(|c| c.recall * c.support as f64).sum::<f64>() / images as f64, report.accuracy);
            near(report.calibration.bins.iter().map(|b| b.accuracy * b.count as f64).sum::<f64>() / images as f64, report.accuracy);
            assert!(report.accuracy <= report.top5_accuracy);
            assert!((0.0..=1.0).contains(&report.calibration.expected_calibration_error));
            assert!(report.worst_mistakes.is_sorted_by(|a, b| a.loss >= b.loss));
            for bin in report.calibration.bins.iter().filter(|bin| bin.count > 0) {
                assert!(bin.lower <= bin.confidence + 1e-12 && bin.confidence <= bin.upper + 1e-12, "{bin:?}");
            }
        }
    }
}
