//! Draws every report picture with made-up numbers into a folder: `cargo run -p anmok-train --example pictures -- FOLDER`.
//! Look at them after every change of `src/pictures/`.

use std::error::Error;
use std::path::Path;

use anmok_random::Stream;
use anmok_train::evaluation::{EvaluationError, Evaluator};
use anmok_train::pictures::{self, Comparison, ImageView, MetricKind, MetricPanel, Picture, Sample, Subject};
use anmok_train::{EpochRecord, EvaluationReport, History};

const CIFAR10: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const KOREAN: [&str; 6] = ["비행기", "자동차", "고양이", "강아지", "아주 길고 자세하게 쓴 분류 이름 하나", "트럭 & <승합차>"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: pictures FOLDER")?;
    let folder = Path::new(&folder);
    let names = |names: &[&str]| names.iter().map(|name| String::from(*name)).collect::<Vec<_>>();
    let many = |n: usize| (0..n).map(|i| format!("{}_{i}", CIFAR10[i % 10])).collect::<Vec<_>>();

    let cases = [
        ("cifar10", "mobilenet_v3_small", names(&CIFAR10), 1000, 0.72),
        ("cifar100", "resnet18", many(100), 100, 0.61),
        ("korean", "mobilenet_v3_large", names(&KOREAN), 240, 0.85),
        ("40-classes", "resnet18", many(40), 50, 0.93),
        ("20-classes", "resnet18", many(20), 1200, 0.55),
        ("1000-classes", "resnet18", many(1000), 50, 0.68),
        ("digits", "mobilenet_v3_small", (0..10).map(|i| i.to_string()).collect(), 12_000, 0.997),
        ("two-classes", "mobilenet_v3_small", names(&["defect", "fine"]), 50, 0.9),
        ("one-class", "mobilenet_v3_small", names(&["only"]), 5, 1.0),
        ("nothing", "mobilenet_v3_small", vec![], 0, 0.0),
    ];
    for (case, model, classes, per_class, accuracy) in cases {
        let folder = folder.join(case);
        std::fs::create_dir_all(&folder)?;
        let report = report(&classes, per_class, accuracy)?;
        let subject = Subject { model, dataset: case };
        let pixels: Vec<_> = (0..report.worst_mistakes.len()).map(|i| picture_of(i as u64)).collect();
        let images: Vec<_> = pixels.iter().map(|pixels| view(pixels)).collect();
        let samples: Vec<_> = (0..classes.len().min(12) * 10).map(|i| (picture_of(i as u64), classes[i / 10].as_str())).collect();
        let samples: Vec<_> = samples.iter().map(|(pixels, label)| Sample { image: view(pixels), label }).collect();
        save(&folder, &pictures::confusion_matrix(&subject, &report))?;
        save(&folder, &pictures::class_accuracy(&subject, &report))?;
        save(&folder, &pictures::reliability_diagram(&subject, &report))?;
        save(&folder, &pictures::worst_mistakes(&subject, &report, &images))?;
        save(&folder, &pictures::sample_grid(case, &format!("{} of {} images", samples.len(), report.images), &samples))?;
    }
    let histories = [
        ("20-epochs", history(20, |_, _| ())),
        ("200-epochs", history(200, |_, _| ())),
        ("one-epoch", history(1, |_, _| ())),
        ("no-epoch", history(0, |_, _| ())),
        (
            "not-a-number",
            history(20, |i, record| {
                if i > 12 {
                    (record.train_loss, record.val_loss) = (f64::NAN, Some(f64::NAN))
                }
            }),
        ),
        (
            "diverged",
            history(20, |i, record| {
                if i > 12 {
                    record.train_loss *= 40_f64.powi(i as i32 - 12)
                }
            }),
        ),
        ("no-validation", history(20, |_, record| (record.val_loss, record.val_accuracy) = (None, None))),
    ];
    for (case, history) in histories {
        let folder = folder.join(case);
        std::fs::create_dir_all(&folder)?;
        save(&folder, &pictures::training_curves(&Subject { model: "mobilenet_v3_small", dataset: "CIFAR10" }, &history))?;
    }
    for (case, runs) in [("two-runs", 2), ("nine-runs", 9), ("no-runs", 0)] {
        let folder = folder.join(case);
        std::fs::create_dir_all(&folder)?;
        save(&folder, &comparison(runs))?;
    }
    Ok(())
}

fn save(folder: &Path, picture: &Picture) -> Result<(), Box<dyn Error>> {
    picture.save(folder)?;
    Ok(())
}

/// The evaluation of an overconfident model that mostly confuses a class with its neighbours.
fn report(names: &[String], per_class: usize, accuracy: f64) -> Result<EvaluationReport, EvaluationError> {
    let n = names.len();
    let mut draws = Stream::new(&[n as u64, per_class as u64]);
    let mut evaluator = Evaluator::new("test", names, 40);
    for label in 0..n {
        let own = (accuracy + 0.25 * (1.0 - accuracy) * draws.normal()).clamp(0.0, 1.0);
        for _ in 0..per_class {
            let near = (label ^ (1 + draws.below(7) as usize)) % n;
            let far = draws.below(n as u64) as usize;
            let wrong = if draws.uniform() < 0.8 { near } else { far };
            let (class, low) = if draws.uniform_f64() < own { (label, 0.45) } else { (wrong, 0.2) };
            let confidence = (low + (1.0 - low) * draws.uniform_f64().powf(0.35)).clamp(0.0, 0.9995);
            let mut logits = vec![0.0; n];
            logits[class] = (confidence / (1.0 - confidence) * n as f64).ln() as f32;
            evaluator.add(&logits, &[label as u32])?;
        }
    }
    Ok(evaluator.finish())
}

fn history(epochs: u64, change: impl Fn(u64, &mut EpochRecord)) -> History {
    let mut draws = Stream::new(&[epochs]);
    let record = |epoch: u64| {
        let t = epoch as f64 / epochs as f64;
        let mut record = EpochRecord {
            epoch,
            train_loss: 0.45 + 1.6 * (-4.0 * t).exp() + 0.01 * draws.normal(),
            train_accuracy: 0.85 - 0.5 * (-4.0 * t).exp() + 0.005 * draws.normal(),
            val_loss: Some(0.62 + 1.4 * (-4.5 * t).exp() + 0.05 * t + 0.03 * draws.normal()),
            val_accuracy: Some(0.80 - 0.45 * (-4.5 * t).exp() + 0.01 * draws.normal()),
            learning_rate: 0.0005 * (1.0 + (std::f64::consts::PI * t).cos()),
            epoch_seconds: 9.0,
            engine_seconds: 8.0,
            images_per_second: 5000.0,
        };
        change(epoch, &mut record);
        record
    };
    History { epochs: (1..=epochs).map(record).collect() }
}

fn comparison(runs: usize) -> Picture {
    let names: Vec<_> = (0..runs).map(|i| format!("{} lr=0.00{} (run 4f1c{i:02})", CIFAR10[i % 10], i + 1)).collect();
    let curves = |value: &dyn Fn(&EpochRecord) -> f64| {
        let points = |i: usize| {
            history(20 + i as u64, |_, _| ()).epochs.iter().map(|r| (r.epoch as f64, value(r) * (1.0 + 0.03 * i as f64))).collect()
        };
        (0..runs).map(points).collect::<Vec<_>>()
    };
    let panel = |metric, kind, curves| MetricPanel { metric, kind, step_label: "epoch", curves };
    let metrics = vec![
        panel("val_accuracy", MetricKind::Share, curves(&|r| r.val_accuracy.unwrap_or(f64::NAN) * 0.8)),
        panel("val_loss", MetricKind::Loss, curves(&|r| r.val_loss.unwrap_or(f64::NAN))),
        panel("learning_rate", MetricKind::Number, curves(&|r| r.learning_rate)),
    ];
    pictures::run_comparison(&Comparison { runs: names.iter().map(String::as_str).collect(), metrics })
}

/// A made-up 32 x 32 image: two colours and a disc.
fn picture_of(seed: u64) -> Vec<u8> {
    let mut draws = Stream::new(&[99, seed]);
    let mut color = || [draws.below(256) as u8, draws.below(256) as u8, draws.below(256) as u8];
    let (sky, ground, disc) = (color(), color(), color());
    let (center_x, center_y) = (8 + draws.below(16) as i32, 8 + draws.below(16) as i32);
    let pixel = |i: i32| {
        let (x, y) = (i % 32, i / 32);
        let inside = (x - center_x).pow(2) + (y - center_y).pow(2) < 49;
        if inside {
            disc
        } else if y < 20 {
            sky
        } else {
            ground
        }
    };
    (0..32 * 32).flat_map(pixel).collect()
}

fn view(pixels: &[u8]) -> ImageView<'_> {
    ImageView { pixels, height: 32, width: 32, channels: 3 }
}
