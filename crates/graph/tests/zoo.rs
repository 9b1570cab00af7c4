//! The zoo against torchvision: names, shapes, order, counts, costs, initial distributions.

use std::collections::HashMap;

use anmok_graph::cost::{node_costs, summary};
use anmok_graph::zoo::{NAMES, Stem, ZooError, ZooOptions, build};
use anmok_graph::{Graph, Op, Shape};

fn options(change: impl FnOnce(&mut ZooOptions)) -> ZooOptions {
    let mut options = ZooOptions::default();
    change(&mut options);
    options
}

fn network(name: &str, change: impl FnOnce(&mut ZooOptions)) -> Graph {
    build(name, &options(change)).unwrap()
}

/// Compares a new network's state dict with a golden: each name and shape in order, and each standard deviation within
/// what two samples of that size may differ by.
fn check(golden: &str, name: &str, change: impl FnOnce(&mut ZooOptions)) {
    let state = network(name, change).initial_state(7);
    let expected: Vec<&str> = golden.lines().filter(|line| !line.starts_with('#')).collect();
    let lines = state.iter().map(|tensor| {
        let sides: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        format!("{} {}", tensor.name, if sides.is_empty() { "scalar".to_owned() } else { sides.join("x") })
    });
    let lines: Vec<String> = lines.collect();
    let expected_lines: Vec<&str> = expected.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(lines, expected_lines, "{name}");

    for (tensor, line) in state.iter().zip(expected) {
        let torch_std: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        let Some(values) = tensor.as_f32() else { continue };
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let std = (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt();
        // The relative error of a sample's deviation is about 1 / sqrt(2 n); both are samples; 6 sigma over all tensors.
        let tolerance = 6.0 * (1.0 / n).sqrt() * torch_std;
        assert!((std - torch_std).abs() <= tolerance, "{name} {}: std {std}, torch {torch_std} +- {tolerance}", tensor.name);
        if torch_std > 0.0 {
            assert!(mean.abs() < 6.0 * torch_std / n.sqrt(), "{name} {}: mean {mean}", tensor.name);
        } else {
            let constant = if tensor.name.ends_with("weight") || tensor.name.ends_with("running_var") { 1.0 } else { 0.0 };
            assert!(values.iter().all(|&v| v == constant), "{name} {}: {:?}", tensor.name, &values[..1]);
        }
    }
}

#[test]
fn state_dicts_are_torchvisions() {
    check(include_str!("golden/mobilenet_v3_small.txt"), "mobilenet_v3_small", |_| ());
    check(include_str!("golden/mobilenet_v3_large.txt"), "mobilenet_v3_large", |_| ());
    check(include_str!("golden/resnet18.txt"), "resnet18", |_| ());
}

#[test]
fn state_dicts_of_the_variants_are_torchvisions() {
    check(include_str!("golden/mobilenet_v3_small_half_width.txt"), "mobilenet_v3_small", |o| o.width_multiplier = 0.5);
    check(include_str!("golden/mobilenet_v3_large_half_width.txt"), "mobilenet_v3_large", |o| o.width_multiplier = 0.5);
    check(include_str!("golden/mobilenet_v3_small_one_channel_100_classes.txt"), "mobilenet_v3_small", |o| {
        o.channels = 1;
        o.classes = 100;
    });
    check(include_str!("golden/resnet18_cifar_stem.txt"), "resnet18", |o| o.stem = Stem::Cifar);
    // MobileNetV3's CIFAR stem changes strides only.
    check(include_str!("golden/mobilenet_v3_small.txt"), "mobilenet_v3_small", |o| o.stem = Stem::Cifar);
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let count = |name, classes| network(name, |o| o.classes = classes).parameter_count();
    assert_eq!([count("mobilenet_v3_small", 10), count("resnet18", 10)], [1_528_106, 11_181_642]);
    // torchvision's weights' `num_params`.
    assert_eq!(
        [count("mobilenet_v3_small", 1000), count("mobilenet_v3_large", 1000), count("resnet18", 1000)],
        [2_542_856, 5_483_032, 11_689_512]
    );
}

/// Total multiply-adds in millions.
fn millions(name: &str, stem: Stem, side: usize, classes: usize) -> f64 {
    let graph = network(name, |o| *o = ZooOptions { classes, stem, height: side, width: side, ..o.clone() });
    summary(&graph).total.multiply_adds as f64 / 1e6
}

#[test]
fn multiply_adds_are_the_published_ones() {
    for (name, at_224, at_32, cifar) in
        [("mobilenet_v3_small", 56.5, 2.17, 17.5), ("mobilenet_v3_large", 216.6, 7.1, 66.5), ("resnet18", 1814.1, 37.0, 555.4)]
    {
        let close =
            |found: f64, expected: f64, digit: f64| assert!((found - expected).abs() <= digit / 2.0, "{name}: {found}, not {expected}");
        close(millions(name, Stem::Imagenet, 224, 1000), at_224, 0.1);
        close(millions(name, Stem::Imagenet, 32, 10), at_32, if at_32 < 3.0 { 0.01 } else { 0.1 });
        close(millions(name, Stem::Cifar, 32, 10), cifar, 0.1);
    }
}

#[test]
fn multiply_adds_by_kind_of_layer() {
    let graph = network("mobilenet_v3_small", |_| ());
    let mut thousands: HashMap<&str, u64> = HashMap::new();
    for (node, cost) in graph.nodes.iter().zip(node_costs(&graph)) {
        let kind = match node.op {
            Op::Linear { .. } => "linear",
            Op::Conv2d { bias: true, .. } => "squeeze-excite",
            Op::Conv2d { kernel: 1, .. } => "pointwise",
            Op::Conv2d { groups: 1, .. } => "stem",
            Op::Conv2d { .. } => "depthwise",
            _ => "none",
        };
        *thousands.entry(kind).or_default() += cost.multiply_adds;
    }
    let found = ["pointwise", "linear", "squeeze-excite", "depthwise", "stem", "none"].map(|kind| (thousands[kind] as f64 / 1e3).round());
    assert_eq!(found, [848.0, 600.0, 459.0, 152.0, 111.0, 0.0]);
}

#[test]
fn the_summary_names_each_layer_with_its_attributes() {
    let summary = summary(&network("mobilenet_v3_small", |_| ()));
    let rows: Vec<String> = summary.rows[..10]
        .iter()
        .map(|r| format!("{} | {} | {} | {} | {}", r.name, r.kind, r.output, r.cost.parameters, r.cost.multiply_adds))
        .collect();
    assert_eq!(
        rows,
        [
            "features.0.0 | Conv2d(3, 16, kernel=3, stride=2, padding=1) | 16x16x16 | 432 | 110592",
            "features.0.1 | BatchNorm2d(16, eps=0.001, momentum=0.01) | 16x16x16 | 32 | 0",
            "features.0.2 | Hardswish | 16x16x16 | 0 | 0",
            "features.1.block.0.0 | Conv2d(16, 16, kernel=3, stride=2, padding=1, groups=16) | 16x8x8 | 144 | 9216",
            "features.1.block.0.1 | BatchNorm2d(16, eps=0.001, momentum=0.01) | 16x8x8 | 32 | 0",
            "features.1.block.0.2 | ReLU | 16x8x8 | 0 | 0",
            "features.1.block.1.avgpool | AdaptiveAvgPool2d(1) | 16x1x1 | 0 | 0",
            "features.1.block.1.fc1 | Conv2d(16, 8, kernel=1, bias) | 8x1x1 | 136 | 128",
            "features.1.block.1.activation | ReLU | 8x1x1 | 0 | 0",
            "features.1.block.1.fc2 | Conv2d(8, 16, kernel=1, bias) | 16x1x1 | 144 | 128",
        ]
    );
    assert_eq!(summary.total.parameters, 1_528_106);
    assert_eq!(summary.total.activations, summary.rows.iter().map(|r| r.output.elements()).sum::<usize>());
}

#[test]
fn maps_have_the_expected_sizes() {
    let last_map = |name, stem, side| {
        let graph = network(name, |o| *o = ZooOptions { stem, height: side, width: side, ..o.clone() });
        let pool = graph.nodes.iter().position(|node| node.name == "avgpool").unwrap();
        graph.shape(graph.nodes[pool].inputs[0])
    };
    assert_eq!(last_map("mobilenet_v3_small", Stem::Imagenet, 32), Shape::new(576, 1, 1));
    assert_eq!(last_map("mobilenet_v3_small", Stem::Cifar, 32), Shape::new(576, 4, 4));
    assert_eq!(last_map("mobilenet_v3_large", Stem::Cifar, 32), Shape::new(960, 4, 4));
    assert_eq!(last_map("resnet18", Stem::Imagenet, 224), Shape::new(512, 7, 7));
    assert_eq!(last_map("resnet18", Stem::Cifar, 32), Shape::new(512, 4, 4));
    let oblong = network("mobilenet_v3_small", |o| o.width = 65);
    assert_eq!(oblong.nodes[0].output, Shape::new(16, 16, 33));
}

#[test]
fn batch_norm_and_dropout_are_torchvisions_unless_chosen() {
    let norms = |graph: &Graph| {
        let norms = graph.nodes.iter().filter_map(|node| match node.op {
            Op::BatchNorm2d { eps, momentum, .. } => Some((eps, momentum)),
            _ => None,
        });
        let mut norms: Vec<_> = norms.collect();
        norms.dedup();
        norms
    };
    assert_eq!(norms(&network("mobilenet_v3_large", |_| ())), [(0.001, 0.01)]);
    assert_eq!(norms(&network("resnet18", |_| ())), [(1e-5, 0.1)]);
    assert_eq!(norms(&network("mobilenet_v3_small", |o| o.batch_norm_momentum = Some(0.1))), [(0.001, 0.1)]);
    let dropouts = |p| network("mobilenet_v3_small", |o| o.dropout = p).nodes.iter().filter(|n| n.op == Op::Dropout { p }).count();
    assert_eq!([dropouts(0.2), dropouts(0.0)], [1, 1]);
}

/// Every convolution is followed by its BatchNorm and that by its activation, without a node between: engines fuse them.
#[test]
fn convolutions_norms_and_activations_stand_together() {
    for name in NAMES {
        let graph = network(name, |_| ());
        for (index, node) in graph.nodes.iter().enumerate() {
            match node.op {
                Op::BatchNorm2d { .. } => {
                    assert!(matches!(graph.nodes[index - 1].op, Op::Conv2d { bias: false, .. }), "{name} {}", node.name);
                    assert_eq!(node.inputs, [index]);
                }
                Op::Activation(_) | Op::Dropout { .. } => assert_eq!(node.inputs, [index], "{name} {}", node.name),
                _ => {}
            }
        }
        let mut names: Vec<_> = graph.nodes.iter().map(|node| &node.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), graph.nodes.len(), "{name}: node names are unique");
    }
}

#[test]
fn the_initial_state_is_a_function_of_the_seed() {
    let graph = network("mobilenet_v3_small", |_| ());
    assert_eq!(graph.initial_state(1), graph.initial_state(1));
    let (one, two) = (graph.initial_state(1), graph.initial_state(2));
    for (one, two) in one.iter().zip(&two) {
        // Weights of convolutions and Linear layers are drawn; vectors and counters start at a constant.
        assert_eq!(one.data != two.data, one.shape.len() > 1, "{}", one.name);
    }
}

#[test]
fn options_out_of_range_are_errors() {
    fn refused(name: &str, option: &str, change: impl Fn(&mut ZooOptions)) {
        match build(name, &options(change)) {
            Err(ZooError::Option { option: found, .. }) => assert_eq!(found, option),
            other => panic!("{option}: {other:?}"),
        }
    }
    for name in NAMES {
        for classes in [0, usize::MAX] {
            refused(name, "classes", |o| o.classes = classes);
        }
        for channels in [0, 1025, usize::MAX] {
            refused(name, "channels", |o| o.channels = channels);
        }
        for side in [0, 8, 15, 4097, usize::MAX] {
            refused(name, "height", |o| o.height = side);
            refused(name, "width", |o| o.width = side);
        }
        for multiplier in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 16.5, 1e300] {
            refused(name, "width_multiplier", |o| o.width_multiplier = multiplier);
        }
        for dropout in [f64::NAN, -0.1, 1.0] {
            refused(name, "dropout", |o| o.dropout = dropout);
        }
        for momentum in [f64::NAN, -0.1, 1.1] {
            refused(name, "batch_norm_momentum", |o| o.batch_norm_momentum = Some(momentum));
        }
    }
    let message = build("resnet18", &options(|o| o.height = 8)).unwrap_err().to_string();
    assert_eq!(message, "height is 8: it must be 16 to 4096 pixels");
}

#[test]
fn every_network_builds_at_the_edges_of_its_options() {
    for name in NAMES {
        for stem in [Stem::Imagenet, Stem::Cifar] {
            for (side, channels, width_multiplier) in [(16, 1, 1e-9), (17, 3, 0.35), (33, 4, 1.4), (4096, 1024, 16.0)] {
                let graph = network(name, |o| *o = ZooOptions { stem, height: side, width: side, channels, width_multiplier, ..o.clone() });
                assert_eq!(graph.classes(), 10);
                assert!(summary(&graph).total.multiply_adds > 0);
            }
        }
    }
}
