//! `anmok bench`: what is told, not how fast it is.

use super::sandbox::Sandbox;
use serde_json::Value as Json;

const FEW: &str = "--steps 2 --warmup 1 --threads 2 --json";

#[track_caller]
fn number(json: &Json, key: &str) -> f64 {
    json[key].as_f64().filter(|number| number.is_finite()).unwrap_or_else(|| panic!("{key} is no number in {json:#}"))
}

/// The times are ordered as their names say, and the rate is theirs.
#[track_caller]
fn check_times(measured: &Json) {
    let ms = &measured["ms"];
    let ordered = ["min", "p10", "median", "p90", "max"].map(|key| number(ms, key));
    assert!(ordered[0] > 0.0 && ordered.is_sorted(), "{ms:#}");
    assert!((ordered[0]..=ordered[4]).contains(&number(ms, "mean")), "{ms:#}");
    assert!(number(measured, "images_per_second") > 0.0);
    if cfg!(target_os = "linux") {
        assert!(number(measured, "peak_resident_bytes") > 1e6);
    }
}

#[track_caller]
fn sum(list: &Json, key: &str) -> f64 {
    list.as_array().unwrap_or_else(|| panic!("no list: {list:#}")).iter().map(|entry| number(entry, key)).sum()
}

#[test]
fn training_steps_are_timed() {
    let sandbox = Sandbox::new();
    let json = sandbox.run(&format!("bench train --batch 4 --optimizer sgd --simd portable {FEW}")).ok().json();
    check_times(&json);
    for (key, expected) in
        [("bench", "train"), ("model", "mobilenet_v3_small"), ("stem", "imagenet"), ("level", "portable"), ("optimizer", "sgd")]
    {
        assert_eq!(json[key], expected);
    }
    for (key, expected) in [("batch", 4), ("threads", 2), ("steps", 2), ("warmup", 1), ("classes", 10), ("image_size", 32), ("passes", 1)] {
        assert_eq!(json[key], expected, "{key}");
    }
    let median = number(&json["ms"], "median");
    assert!((number(&json, "images_per_second") * median / 1e3 - 4.0).abs() < 1e-6, "{json:#}");
    // The first step lies before the timed one.
    assert!(number(&json, "first_step_ms") > 0.0);

    let json = sandbox.run(&format!("bench train --model resnet18 --batch 2 --image-size 16 --classes 3 --accumulate 2 {FEW}")).ok().json();
    assert_eq!((&json["model"], &json["classes"], &json["passes"]), (&"resnet18".into(), &3.into(), &2.into()));
    let said = sandbox.run("bench train --batch 2 --steps 1 --warmup 0").ok();
    assert!(said.out.contains("training step of mobilenet_v3_small") && said.out.contains("images/s"), "{}", said.out);
    assert!(!said.out.contains('\x1b') && said.err.is_empty(), "{said:#?}");
    assert_eq!(std::fs::read_dir(sandbox.path("")).unwrap().count(), 0, "nothing is written");
}

#[test]
fn settings_reach_a_benchmark_from_everywhere() {
    let sandbox = Sandbox::new();
    sandbox.write("mine.toml", "optimizer = \"adamw\"\nstem = \"cifar\"\n");
    let said = sandbox.run_with(&format!("bench train --recipe mine.toml {FEW}"), &[("BATCH_SIZE", "3")]).ok();
    let json = said.json();
    assert_eq!((&json["optimizer"], &json["stem"], &json["batch"]), (&"adamw".into(), &"cifar".into(), &3.into()));
}

#[test]
fn inference_is_timed_for_each_batch_size() {
    let sandbox = Sandbox::new();
    let json = sandbox.run(&format!("bench infer --batch 1,3 {FEW}")).ok().json();
    let batches: Vec<u64> = json.as_array().unwrap().iter().map(|measured| measured["batch"].as_u64().unwrap()).collect();
    assert_eq!(batches, [1, 3]);
    for measured in json.as_array().unwrap() {
        check_times(measured);
        assert_eq!((&measured["bench"], &measured["optimizer"], &measured["steps"]), (&"infer".into(), &Json::Null, &2.into()));
    }
    assert!(number(&json[0], "first_step_ms") > 0.0 && json[1]["first_step_ms"].is_null());
    let text = sandbox.run("bench infer --batch 2 --seconds 0.01").ok().out;
    assert!(text.contains("inference of mobilenet_v3_small"), "{text}");
}

#[test]
fn layers_add_up_to_the_step() {
    let sandbox = Sandbox::new();
    let json = sandbox.run(&format!("bench layers --batch 4 {FEW}")).ok().json();
    assert!(number(&json["machine"], "gflops") > 0.0 && sum(&json["machine"]["copying"], "gb_per_second") > 0.0);
    assert!((sum(&json["layers"], "share") + sum(&json["parts"], "share") - 1.0).abs() < 1e-6, "{json:#}");
    assert!((sum(&json["kinds"], "share") - sum(&json["layers"], "share")).abs() < 1e-6);
    let layers = json["layers"].as_array().unwrap();
    assert_eq!(sum(&json["kinds"], "layers") as usize, layers.len());
    assert_eq!(layers[0]["name"], "features.0.0");
    for layer in layers {
        for direction in ["forward", "backward"] {
            let pass = &layer[direction];
            let limit = ["of_peak_flops", "of_copying"].map(|key| number(pass, key)).into_iter().fold(0.0, f64::max);
            assert!((number(pass, "of_limit") - limit).abs() < 1e-9 && number(pass, "us") >= number(pass, "norm_us"), "{layer:#}");
        }
    }
    // Two gradients, each with the work of the forward pass; the first layer has one of them.
    let work = |layer: &Json, direction: &str| number(&layer[direction], "us") * number(&layer[direction], "gflops");
    let gradients = |name: &str| {
        let layer = layers.iter().find(|layer| layer["name"] == name).unwrap();
        work(layer, "backward") / work(layer, "forward")
    };
    assert!((gradients("features.0.0") - 1.0).abs() < 1e-6 && (gradients("classifier.3") - 2.0).abs() < 1e-6);
    assert!(json["parts"].as_array().unwrap().iter().any(|part| part["name"] == "update" && number(part, "us") > 0.0));

    let json = sandbox.run(&format!("bench layers --infer --batch 1 --top 3 --sort time {FEW}")).ok().json();
    let costs: Vec<f64> = json["layers"].as_array().unwrap().iter().map(|layer| number(layer, "share")).collect();
    assert!(costs.len() == 3 && costs[0] >= costs[1] && costs[1] >= costs[2], "{costs:?}");
    assert!(json["layers"][0]["backward"].is_null() && json["task"] == "infer");
    let text = sandbox.run("bench layers --batch 2 --steps 1 --warmup 0 --top 2").ok().out;
    for part in ["further layers", "depthwise", "beside the layers", "this machine:"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn batches_are_made() {
    let sandbox = Sandbox::new();
    let json = sandbox.run("bench data FashionMNIST-sample --batch 7 --limit-train 10 --steps 3 --json").ok().json();
    check_times(&json);
    assert_eq!((&json["images"], &json["batch"], &json["steps"], &json["augmented"]), (&10.into(), &7.into(), &3.into(), &true.into()));
    let text = sandbox.run("bench data FashionMNIST-sample --use-augmentation false --steps 1").ok().out;
    assert!(text.contains("not augmented"), "{text}");
    sandbox.run("bench data").fails(1, &["CIFAR10 is not in data", "anmok data fetch CIFAR10", "FashionMNIST-sample"]);
}

#[test]
fn what_cannot_be_timed_is_refused() {
    let sandbox = Sandbox::new();
    sandbox
        .run("bench train --model mobilenet_v3_smal")
        .fails(2, &["model_name = mobilenet_v3_smal", "did you mean `mobilenet_v3_small`?"]);
    sandbox.run("bench train --optimizer adm").fails(2, &["did you mean adam?"]);
    sandbox.run("bench train --image-size 8").fails(2, &["8x8 images", "16 to 4096 pixels"]);
    sandbox.run("bench train --batch 0").fails(2, &["batch_size = 0", "1 to 65536"]);
    sandbox.run("bench train --batch 1 --steps 1").fails(1, &["use a batch of at least 2 images"]);
    sandbox.run("bench train --steps 0").fails(2, &["--steps"]);
    sandbox.run("bench train --seconds -1").fails(2, &["above 0"]);
    sandbox.run("bench train --batch 2 --batch-size 3").fails(2, &["cannot be used with"]);
    sandbox.run("bench infer --batch 1,0").fails(2, &["--batch"]);
    sandbox.run("bench layers --sort size").fails(2, &["run, time"]);
    sandbox.run("bench tain").fails(2, &["similar subcommand exists: 'train'"]);
}
