//! Every figure, for ordinary and for degenerate input: a well-formed SVG, a PNG of the right size, nothing over the edge.

use super::drawing::{Anchor, Drawing, Shape};
use super::*;
use crate::evaluation::Evaluator;
use crate::{EpochRecord, EvaluationReport, History};

const SUBJECT: Subject<'static> = Subject { model: "mobilenet_v3_small", dataset: "CIFAR10" };

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("class {i}")).collect()
}

/// Ten images of each class, of which every fourth is taken for the next class.
fn report(names: &[String]) -> EvaluationReport {
    let n = names.len();
    let mut evaluator = Evaluator::new("test", names, 12);
    for image in 0..10 * n {
        let label = image / 10;
        let mut logits = vec![0.0; n];
        logits[if image % 4 == 0 { (label + 1) % n } else { label }] = 2.0 + (image % 5) as f32;
        evaluator.add(&logits, &[label as u32]).unwrap();
    }
    evaluator.finish()
}

fn history(epochs: u64) -> History {
    let record = |epoch: u64| EpochRecord {
        epoch,
        train_loss: 2.0 / epoch as f64,
        train_accuracy: 1.0 - 0.6 / epoch as f64,
        val_loss: Some(2.1 / epoch as f64),
        val_accuracy: Some(0.9 - 0.6 / epoch as f64),
        learning_rate: 0.001 / epoch as f64,
        epoch_seconds: 1.0,
        engine_seconds: 0.9,
        images_per_second: 1000.0,
    };
    History { epochs: (1..=epochs).map(record).collect() }
}

const PIXELS: [u8; 32 * 32 * 3] = [90; 32 * 32 * 3];
const IMAGE: ImageView<'static> = ImageView { pixels: &PIXELS, height: 32, width: 32, channels: 3 };

/// Checks what holds for every picture and returns its texts, one a line.
fn check(picture: &Picture) -> String {
    nothing_leaves_the_sheet(&picture.drawing);
    let svg = picture.svg();
    let document = roxmltree::Document::parse(&svg).expect("the SVG is well-formed");
    let (width, height) = picture.size();
    assert_eq!(document.root_element().attribute("viewBox"), Some(format!("0 0 {width} {height}").as_str()));
    assert!(!svg.contains("NaN") && !svg.contains("inf\""), "coordinates are finite");

    let png = picture.png().unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
    assert_eq!((reader.info().width, reader.info().height), (2 * width, 2 * height));
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    assert!(pixels.iter().any(|&byte| byte < 100), "something dark is drawn");

    let texts = document.descendants().filter(|node| node.has_tag_name("text")).filter_map(|node| node.text());
    texts.collect::<Vec<_>>().join("\n")
}

fn nothing_leaves_the_sheet(drawing: &Drawing) {
    let inside = |x: f64, y: f64, what: &str| {
        let fits = (-0.5..=drawing.width + 0.5).contains(&x) && (-0.5..=drawing.height + 0.5).contains(&y);
        assert!(fits, "{what} reaches ({x}, {y}) on a sheet of {} x {}", drawing.width, drawing.height);
    };
    for shape in &drawing.shapes {
        match shape {
            Shape::Rect { frame, .. } | Shape::Image { frame, .. } => {
                inside(frame.x, frame.y, "a rectangle");
                inside(frame.right(), frame.bottom(), "a rectangle");
            }
            Shape::Circle { center, .. } => inside(center.0, center.1, "a circle"),
            Shape::Line { points, .. } => points.iter().for_each(|&(x, y)| inside(x, y, "a line")),
            Shape::Text { at, content, style } => {
                let width = style.width(content);
                let start = match style.anchor {
                    Anchor::Start => 0.0,
                    Anchor::Middle => -width / 2.0,
                    Anchor::End => -width,
                };
                let (sin, cos) = style.angle.to_radians().sin_cos();
                for along in [start, start + width] {
                    inside(at.0 + along * cos, at.1 + along * sin, content);
                }
            }
        }
    }
}

fn assert_has(texts: &str, expected: &[&str]) {
    for text in expected {
        assert!(texts.lines().any(|line| line.contains(text)), "{text:?} is missing from:\n{texts}");
    }
}

#[test]
fn the_pictures_of_an_evaluation_say_what_was_found() {
    let report = report(&names(10));
    let images = vec![IMAGE; report.worst_mistakes.len()];
    let accuracy = format!("accuracy {:.1} %", report.accuracy * 100.0);
    let subtitle = format!("mobilenet_v3_small on CIFAR10 · test, n = 100 · {accuracy}");
    assert_has(&check(&confusion_matrix(&SUBJECT, &report)), &["Confusion matrix", &subtitle, "class 9", "70.0 %", "recall", "precision"]);
    assert_has(&check(&class_accuracy(&SUBJECT, &report)), &["class 0", "mean 75.0 %", "80.0 %"]);
    let error = format!("expected calibration error {:.2} %", report.calibration.expected_calibration_error * 100.0);
    assert_has(&check(&reliability_diagram(&SUBJECT, &report)), &[&error, "mean accuracy 75.0 %", "share of images"]);
    assert_has(&check(&worst_mistakes(&SUBJECT, &report, &images)), &["12 of 25 mistakes", "class 0", "→ class 1", "confidence 97.8 %"]);
}

#[test]
fn the_same_numbers_give_the_same_bytes() {
    let report = report(&names(10));
    let images = vec![IMAGE; report.worst_mistakes.len()];
    let all = || {
        [
            confusion_matrix(&SUBJECT, &report),
            class_accuracy(&SUBJECT, &report),
            reliability_diagram(&SUBJECT, &report),
            worst_mistakes(&SUBJECT, &report, &images),
            training_curves(&SUBJECT, &history(9)),
        ]
    };
    for (first, second) in all().iter().zip(&all()) {
        assert_eq!(first.svg(), second.svg());
        assert_eq!(first.png().unwrap(), second.png().unwrap());
    }
}

#[test]
fn any_number_of_classes_gives_a_picture() {
    for n in [0, 1, 2, 5, 13, 31] {
        let report = report(&names(n));
        check(&confusion_matrix(&SUBJECT, &report));
        check(&class_accuracy(&SUBJECT, &report));
    }
    assert_has(&check(&confusion_matrix(&SUBJECT, &report(&names(100)))), &["The most frequent confusions", "class 0 → class 1"]);
    assert_has(&check(&confusion_matrix(&SUBJECT, &report(&names(121)))), &["the 100 classes of 121 with the lowest recall"]);
    assert_has(&check(&class_accuracy(&SUBJECT, &report(&names(300)))), &["the 200 lowest of 300 classes"]);
}

#[test]
fn an_empty_evaluation_gives_pictures_that_say_so() {
    let nothing = Evaluator::new("test", &names(3), 12).finish();
    check(&confusion_matrix(&SUBJECT, &nothing));
    assert_has(&check(&class_accuracy(&SUBJECT, &nothing)), &["no images"]);
    assert_has(&check(&reliability_diagram(&SUBJECT, &nothing)), &["no images"]);
    assert_has(&check(&worst_mistakes(&SUBJECT, &nothing, &[])), &["no mistakes"]);
    assert_has(&check(&sample_grid("CIFAR10", "", &[])), &["no images"]);
}

#[test]
fn numbers_that_are_not_numbers_are_left_out() {
    let mut broken = report(&names(4));
    broken.accuracy = f64::NAN;
    broken.macro_recall = f64::NAN;
    broken.calibration.expected_calibration_error = f64::NAN;
    broken.calibration.bins.iter_mut().for_each(|bin| (bin.accuracy, bin.confidence) = (f64::NAN, f64::INFINITY));
    broken.classes.iter_mut().for_each(|class| (class.recall, class.precision) = (f64::NAN, f64::NEG_INFINITY));
    // A report from a file may disagree with itself.
    broken.confusion.truncate(2);
    broken.worst_mistakes[0].predicted = 99;
    check(&confusion_matrix(&SUBJECT, &broken));
    check(&class_accuracy(&SUBJECT, &broken));
    assert_has(&check(&reliability_diagram(&SUBJECT, &broken)), &["expected calibration error –"]);
    assert_has(&check(&worst_mistakes(&SUBJECT, &broken, &[IMAGE; 3])), &["→ class 99"]);

    let mut history = history(6);
    (history.epochs[2].train_loss, history.epochs[4].val_loss) = (f64::NAN, Some(f64::INFINITY));
    let picture = training_curves(&SUBJECT, &history);
    assert_has(&check(&picture), &["2 values are not finite"]);
    history.epochs.iter_mut().for_each(|record| (record.train_loss, record.val_loss) = (f64::NAN, None));
    assert_has(&check(&training_curves(&SUBJECT, &history)), &["no values"]);
}

#[test]
fn training_curves_mark_the_best_epoch() {
    let mut history = history(9);
    history.epochs[6].val_accuracy = Some(0.9512);
    assert_has(&check(&training_curves(&SUBJECT, &history)), &["Loss", "Accuracy", "Learning rate", "training", "validation", "9 epochs"]);
    assert_has(&check(&training_curves(&SUBJECT, &history)), &["best 95.12 % at epoch 7"]);
}

#[test]
fn few_epochs_no_validation_and_exploding_losses_are_drawn() {
    assert_has(&check(&training_curves(&SUBJECT, &history(0))), &["no finished epoch yet"]);
    assert_has(&check(&training_curves(&SUBJECT, &history(1))), &["1 epoch", "best 30.00 % at epoch 1"]);
    let mut without = history(5);
    without.epochs.iter_mut().for_each(|record| (record.val_loss, record.val_accuracy) = (None, None));
    assert!(!check(&training_curves(&SUBJECT, &without)).contains("validation"));
    let mut exploding = history(8);
    exploding.epochs[6].train_loss = 1e30;
    exploding.epochs[7].train_loss = f64::MAX;
    assert_has(&check(&training_curves(&SUBJECT, &exploding)), &["Loss (logarithmic)"]);
}

#[test]
fn names_are_escaped_shortened_and_composed() {
    let names = ["<b>&\"'", "a name so long that no margin has room for all of it, whatever the layout", "\u{1112}\u{1161}\u{11ab}\u{0}"];
    let names: Vec<String> = names.map(String::from).to_vec();
    let report = report(&names);
    let subject = Subject { model: "<script>alert(1)</script>", dataset: &"long ".repeat(100) };
    let images = vec![IMAGE; report.worst_mistakes.len()];
    for picture in [confusion_matrix(&subject, &report), class_accuracy(&subject, &report), worst_mistakes(&subject, &report, &images)] {
        assert!(!picture.svg().contains("<b>") && !picture.svg().contains("<script>"));
        assert_has(&check(&picture), &["<b>&\"'", "a name so", "…", "한", "<script>alert(1)</script> on long"]);
    }
}

#[test]
fn images_whose_bytes_do_not_fit_their_sides_are_named() {
    let sample = |height, width, channels| Sample { image: ImageView { pixels: &PIXELS, height, width, channels }, label: "frog" };
    let wrong = [sample(32, 32, 1), sample(31, 32, 3), sample(0, 0, 3), sample(usize::MAX, 2, 3), sample(16, 32, 6)];
    let texts = check(&sample_grid("CIFAR10", "training images", &wrong));
    assert_eq!(texts.lines().filter(|line| *line == "no image").count(), wrong.len());
    let right = [sample(32, 32, 3), sample(96, 32, 1), sample(1, 1024, 3)];
    assert!(!check(&sample_grid("CIFAR10", "training images", &right)).contains("no image"));
}

#[test]
fn pixels_of_a_sample_keep_their_colours() {
    let pixels = [255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30];
    let image = ImageView { pixels: &pixels, height: 2, width: 2, channels: 3 };
    let png = sample_grid("t", "s", &[Sample { image, label: "four" }]).png().unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
    let mut sheet = vec![0; reader.output_buffer_size().unwrap()];
    let width = reader.next_frame(&mut sheet).unwrap().width as usize;
    // The image covers 96 points from (28, 88) on; looked at in the middle of each quarter, in pixels.
    let at = |x: usize, y: usize| &sheet[(y * width + x) * 3..][..3];
    let (left, right, top, bottom) = (2 * 52, 2 * 100, 2 * 112, 2 * 160);
    assert_eq!(
        [at(left, top), at(right, top), at(left, bottom), at(right, bottom)],
        [&pixels[..3], &pixels[3..6], &pixels[6..9], &pixels[9..]]
    );
}

#[test]
fn runs_are_compared_in_panels_and_a_table() {
    let curve = |shift: f64| (1..=10).map(|i| (f64::from(i), shift + 0.05 * f64::from(i))).collect::<Curve>();
    let names: Vec<String> = (0..30).map(|i| format!("run {i} with & in its name")).collect();
    let metric = |metric, kind, runs: usize| {
        let curves = (0..runs).map(|i| if i == 1 { vec![] } else { curve(0.01 * i as f64) }).collect();
        MetricPanel { metric, kind, step_label: "epoch", curves }
    };
    let comparison = |runs: usize| Comparison {
        runs: names[..runs].iter().map(String::as_str).collect(),
        metrics: vec![metric("val_accuracy", MetricKind::Share, runs), metric("val_loss", MetricKind::Loss, runs)],
    };
    assert_has(&check(&run_comparison(&comparison(3))), &["val_accuracy", "best val_loss", "run 2 with & in", "52.00 %", "0.0500", "–"]);
    assert_has(&check(&run_comparison(&comparison(30))), &["the first 21 of 30 runs"]);
    for runs in [0, 1, 2] {
        check(&run_comparison(&comparison(runs)));
    }
    check(&run_comparison(&Comparison { runs: vec!["only"], metrics: vec![] }));
    let many = (0..8).map(|_| metric("train_loss", MetricKind::Number, 2)).collect();
    assert_has(
        &check(&run_comparison(&Comparison { runs: vec!["a", "b"], metrics: many })),
        &["the first 6 of 8 metrics", "last train_loss"],
    );
}

#[test]
fn saving_names_the_file_that_could_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let picture = training_curves(&SUBJECT, &history(3));
    let [svg, png] = picture.save(folder.path()).unwrap();
    assert_eq!(std::fs::read_to_string(svg).unwrap(), picture.svg());
    assert_eq!(std::fs::read(png).unwrap(), picture.png().unwrap());
    let error = picture.save(&folder.path().join("missing")).unwrap_err().to_string();
    assert!(error.contains("training_curves.svg") && error.contains("check that the folder exists"), "{error}");
}
