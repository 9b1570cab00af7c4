//! A run from its start to a prediction.

use super::sandbox::{Sandbox, TINY, wait};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

#[test]
fn a_run_is_trained_recorded_evaluated_and_used() {
    let sandbox = Sandbox::new();
    let said = sandbox.train_tiny("--run-name first").ok();
    assert!(said.out.contains("test") && said.out.contains("accuracy") && said.out.contains("model.safetensors"), "{}", said.out);
    assert!(said.err.contains("epoch 1/2  loss") && said.err.contains("epoch 2/2  loss"), "{}", said.err);
    assert!(!said.out.contains('\x1b') && !said.err.contains('\x1b'), "no colours when piped");

    let runs = sandbox.run("runs list --json").ok().json();
    let run = &runs[0];
    assert_eq!((run["info"]["status"].as_str(), run["info"]["run_name"].as_str()), (Some("FINISHED"), Some("first")));
    let value = |list: &str, key: &str| {
        let entries = run["data"][list].as_array().unwrap();
        entries.iter().find(|entry| entry["key"] == key).map(|entry| entry["value"].clone()).unwrap_or_else(|| panic!("{list} {key}"))
    };
    for (key, expected) in
        [("model_name", "mobilenet_v3_small"), ("num_classes", "10"), ("batch_size", "32"), ("total_parameters", "1528106")]
    {
        assert_eq!(value("params", key), expected);
    }
    for key in [
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "batch_loss",
        "best_val_accuracy",
        "test_accuracy",
        "test_f1",
        "images_per_second",
    ] {
        assert!(value("metrics", key).as_f64().unwrap().is_finite(), "{key}");
    }
    assert_eq!(value("tags", "mlflow.source.name"), "anmok train");
    assert_eq!(value("tags", "anmok.version"), env!("CARGO_PKG_VERSION"));
    let inputs = run["inputs"]["dataset_inputs"].as_array().unwrap();
    let part = |context: &str| {
        let found = inputs.iter().find(|input| input["tags"][0]["value"] == context && input["dataset"]["name"] == "FashionMNIST-sample");
        found.unwrap_or_else(|| panic!("no {context} among {inputs:#?}"))["dataset"]["digest"].as_str().unwrap()
    };
    assert!(part("train") != part("validation") && part("validation") != part("test") && part("test") != part("train"), "{inputs:#?}");

    let shown = sandbox.run("runs show latest --json").ok().json();
    let artifacts: Vec<&str> = shown["artifacts"].as_array().unwrap().iter().filter_map(|file| file["path"].as_str()).collect();
    for path in [
        "model/model.safetensors",
        "model/model.pth",
        "pictures/confusion_matrix.png",
        "pictures/training_curves.svg",
        "checkpoints/last.safetensors",
        "report.json",
        "recipe.toml",
        "logs/training.log",
    ] {
        assert!(artifacts.contains(&path), "{path} is not among {artifacts:?}");
    }
    assert!(String::from_utf8(sandbox.read("logs/training.log")).unwrap().contains("INFO epoch 2/2"));
    let text = sandbox.run("runs show first").ok().out;
    assert!(["Metrics", "Parameters", "Tags", "Artifacts", "FINISHED"].iter().all(|word| text.contains(word)), "{text}");

    // The same test images through the same model: the same numbers, now from the artifacts. Each evaluation is a point.
    let report = sandbox.run("evaluate --json").ok().json();
    assert_eq!(report["accuracy"].as_f64(), value("metrics", "test_accuracy").as_f64());
    sandbox.run("evaluate --run-id first").ok();
    let history = sandbox.run("runs show first --json --history").ok().json()["history"].clone();
    let steps = |key: &str| history[key].as_array().unwrap().iter().map(|point| point["step"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(steps("eval_FashionMNIST_sample_accuracy"), [2, 3]);
    assert_eq!(steps("test_accuracy"), [2], "training's own points are left alone");
    let model = said.out.lines().find(|line| line.starts_with("model")).and_then(|line| line.split_whitespace().nth(1)).unwrap();
    let by_file = sandbox.run(&format!("evaluate --weights {model} --json --out report")).ok().json();
    assert_eq!(by_file["confusion"], report["confusion"]);
    assert!(sandbox.path("report/report.json").exists() && sandbox.path("report/reliability.png").exists());
    let torch = sandbox
        .run(&format!("evaluate --weights {} --dataset FashionMNIST-sample --json", model.replace(".safetensors", ".pth")))
        .ok()
        .json();
    assert_eq!(torch["confusion"], report["confusion"]);

    let guesses = sandbox.run("predict --json --top 2 report/reliability.png").ok().json();
    assert_eq!(guesses[0]["predictions"].as_array().map(Vec::len), Some(2));
    let sum: f64 = sandbox.run("predict --json --top 10 report/reliability.png").ok().json()[0]["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|guess| guess["probability"].as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");

    // A second run, and the two side by side.
    sandbox.train_tiny("--run-name second --learning-rate 0.002").ok();
    let compared = sandbox.run("runs compare first second --json").ok().json();
    assert_eq!(compared["differing_params"], serde_json::json!(["learning_rate"]));
    assert!(sandbox.run("runs compare first second").ok().out.contains("learning_rate"));
    let found = sandbox
        .run_args(&["runs", "list", "--json", "--filter", "params.learning_rate = '0.002'", "--order-by", "metrics.test_accuracy DESC"])
        .ok()
        .json();
    assert_eq!((found.as_array().map(Vec::len), found[0]["info"]["run_name"].as_str()), (Some(1), Some("second")));
    assert!(sandbox.run("runs list").ok().out.lines().count() == 3);
}

#[test]
fn a_model_outlives_the_folder_it_was_trained_on() {
    let sandbox = Sandbox::new();
    // Pictures of some program of ours, so that the test needs no encoder.
    sandbox.run("data show FashionMNIST-sample --out drawn").ok();
    let drawn = std::fs::read_dir(sandbox.path("drawn")).unwrap().map(|entry| entry.unwrap().path());
    let picture = std::fs::read(drawn.into_iter().find(|path| path.extension().is_some_and(|e| e == "png")).unwrap()).unwrap();
    for (class, part) in [("cat", "train"), ("dog", "train"), ("cat", "test"), ("dog", "test")] {
        for index in 0..8 {
            sandbox.write(&format!("pictures/{part}/{class}/{index}.png"), &picture);
        }
    }
    sandbox.run("train --dataset pictures --epochs 1 --batch-size 4 --validation-split 0.25 --run-name folder").ok();
    sandbox.run("evaluate --run-id folder").ok();
    let shown = sandbox.run("runs show folder --json").ok().json();
    let artifacts: Vec<&str> = shown["artifacts"].as_array().unwrap().iter().filter_map(|file| file["path"].as_str()).collect();
    assert!(artifacts.contains(&"evaluation/report.json"), "the folder is the model's own data set: {artifacts:?}");

    std::fs::rename(sandbox.path("pictures"), sandbox.path("elsewhere")).unwrap();
    let model = shown["info"]["run_id"].as_str().map(|id| format!("artifacts/0/{id}/artifacts/model/model.safetensors")).unwrap();
    sandbox.run("predict --run-id folder elsewhere/test/cat/0.png").ok();
    sandbox.run(&format!("predict --weights {model} elsewhere/test/cat/0.png")).ok();
    sandbox.run(&format!("evaluate --weights {model} --dataset elsewhere --json")).ok();
    sandbox.run("evaluate --run-id folder").fails(1, &["pictures"]);
    sandbox.run("evaluate --run-id folder --dataset nowhere").fails(2, &["dataset = nowhere (flag --dataset)"]);
}

#[test]
fn json_lines_are_for_machines() {
    let sandbox = Sandbox::new();
    let said = sandbox.train_tiny("--epochs 1 --log-format json --json").ok();
    let lines: Vec<serde_json::Value> =
        said.err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let epoch = lines.iter().find(|line| line["epoch"] == 1).expect("a line for the epoch");
    assert!(epoch["train_loss"].as_f64().is_some() && epoch["timestamp"].is_string() && epoch["level"] == "INFO", "{epoch}");
    let outcome = said.json();
    assert_eq!((outcome["epochs"].as_u64(), outcome["ending"].as_str()), (Some(1), Some("Completed")));
    assert!(outcome["test_accuracy"].as_f64().is_some());
}

#[test]
fn two_processes_share_one_database() {
    let sandbox = Sandbox::new();
    let two = [1, 2].map(|seed| sandbox.start(&format!("{TINY} --seed {seed} --run-name run{seed}")));
    for child in two {
        wait(child).ok();
    }
    let runs = sandbox.run("runs list --json").ok().json();
    let metrics = |run: &serde_json::Value| run["data"]["metrics"].as_array().unwrap().len();
    assert_eq!(runs.as_array().map(Vec::len), Some(2));
    assert!(runs.as_array().unwrap().iter().all(|run| run["info"]["status"] == "FINISHED"));
    assert_eq!(metrics(&runs[0]), metrics(&runs[1]));
}

#[test]
fn prometheus_can_watch() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start(&format!("{TINY} --epochs 50 --metrics-addr 127.0.0.1:0"));
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("metrics for Prometheus at")).expect("the address is printed");
    let address = line.rsplit_once("http://").and_then(|(_, rest)| rest.strip_suffix("/metrics")).unwrap().to_owned();
    let _ = lines.find(|line| line.contains("epoch  1/50")).expect("an epoch");
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = get("/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\nanmok_training_epochs 50\n"), "{answer}");
    assert!(get("/").starts_with("HTTP/1.1 404"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start("model summary mobilenet_v3_large");
    drop(child.stdout.take());
    let said = wait(child).ok();
    assert_eq!(said.err, "");
}

#[test]
fn a_run_outlives_the_reader_of_its_log() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start(TINY);
    drop(child.stderr.take());
    wait(child).ok();
    assert!(String::from_utf8(sandbox.read("logs/training.log")).unwrap().contains("epoch 2/2"));
}

/// The promise of the README, kept in full: without a network, whatever the environment holds for other runs.
#[test]
fn quickstart_learns_on_a_bare_machine() {
    let sandbox = Sandbox::new();
    let said = sandbox.run_with("quickstart", &[("DATASET", "CIFAR10"), ("BATCH_SIZE", "0")]).ok();
    for text in ["model.safetensors", "pictures", "anmok runs show", "anmok train --recipe cifar10-strong"] {
        assert!(said.out.contains(text), "{text} is not in\n{}", said.out);
    }
    let runs = sandbox.run("runs list --json").ok().json();
    let metrics = runs[0]["data"]["metrics"].as_array().unwrap();
    let accuracy = metrics.iter().find(|metric| metric["key"] == "test_accuracy").unwrap()["value"].as_f64().unwrap();
    assert!(accuracy > 0.85, "test accuracy {accuracy}");
}
