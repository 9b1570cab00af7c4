//! What must be refused: each with a message that says what, where and what to do, and nothing overwritten.

use super::sandbox::{Sandbox, TINY, wait};
use std::path::Path;

#[test]
fn data_files() {
    let sandbox = Sandbox::new();
    sandbox.run("train").fails(1, &["CIFAR10 is not in data", "anmok data fetch CIFAR10", "FashionMNIST-sample"]);
    assert!(!sandbox.path("artifacts").exists(), "no run was made");

    // A record is a label and 3,072 pixels.
    let records = |label: u8| (0..10_000).flat_map(|_| std::iter::once(label).chain(std::iter::repeat_n(0, 3072))).collect::<Vec<u8>>();
    let whole = records(3);
    for batch in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        sandbox.write(&format!("data/cifar-10-batches-bin/{batch}.bin"), &whole);
    }
    sandbox.run("data verify CIFAR10").fails(1, &["not the published data"]);
    sandbox.write("data/cifar-10-batches-bin/data_batch_2.bin", &whole[..whole.len() - 100]);
    sandbox.run("train --dataset CIFAR10").fails(1, &["data_batch_2.bin", "byte"]);
    let mut labels = whole.clone();
    labels[3073 * 5] = 10;
    sandbox.write("data/cifar-10-batches-bin/data_batch_2.bin", labels);
    sandbox.run("train --dataset CIFAR10").fails(1, &["data_batch_2.bin", &format!("{}", 3073 * 5), "10"]);

    sandbox.run("train --dataset CIFAR12").fails(2, &["dataset = CIFAR12 (flag --dataset)", "CIFAR10"]);
    sandbox.write("pictures/cat/one.png", "this is no picture");
    sandbox.write("pictures/dog/two.png", "nor is this");
    sandbox.run("train --dataset pictures").fails(1, &["one.png", "not an image that can be read"]);
}

#[test]
fn hosts_that_do_not_answer() {
    let sandbox = Sandbox::new();
    // Port 9 of this machine: refused at once.
    let said = sandbox.run("data fetch CIFAR10 --data-mirror http://127.0.0.1:9/");
    said.fails(1, &["cannot download http://127.0.0.1:9/", "data_mirror", "FashionMNIST-sample"]);
    sandbox.run("data fetch FashionMNIST-sample").fails(1, &["need no fetching"]);
}

#[test]
fn batches() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("--batch-size 0").fails(2, &["batch_size = 0 (flag --batch-size)", "1 to 65536"]);
    sandbox.train_tiny("--batch-size 100000").fails(2, &["batch_size = 100000", "1 to 65536"]);
    sandbox.train_tiny("--batch-size many").fails(2, &["batch_size = \"many\" (flag --batch-size): must be a whole number"]);
    sandbox
        .train_tiny("--batch-size 65536 --stem cifar --model-name resnet18")
        .fails(1, &["batch of 65536 images through resnet18", "choose a smaller batch"]);
    sandbox.train_tiny("--limit-train 33").fails(1, &["batch of one image"]);
}

#[test]
fn settings_are_judged_together_and_before_the_data() {
    let sandbox = Sandbox::new();
    let absent = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
    // CIFAR10 is not there: that would be exit code 1.
    let simd = format!("simd = {absent} (flag --simd): this machine has no {absent}");
    sandbox.run(&format!("train --simd {absent}")).fails(2, &[&simd]);
    sandbox.write("two.toml", "epochz = 3\nbatch_size = 0\n");
    sandbox.run("train --recipe two.toml").fails(2, &["epochz (recipe two.toml, line 1)", "batch_size = 0 (recipe two.toml, line 2)"]);
    sandbox.run("runs list --durability half").fails(2, &["durability = \"half\"", "normal, full"]);
    // An empty name of a file is none: `.env` is read as ever.
    sandbox.write(".env", "ANMOK_DURABILITY=whole\n");
    sandbox.run_with("runs list", &[("ANMOK_ENV_FILE", "")]).fails(2, &["ANMOK_DURABILITY in .env"]);
    sandbox.run("runs list --durability full --env-file none").ok();
}

#[test]
fn pictures_and_weights() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("--epochs 1").ok();
    let run_id = sandbox.only_run();
    let folder = format!("artifacts/0/{run_id}/artifacts");
    sandbox.write("text.png", "no picture");
    let said = sandbox.run(&format!("predict text.png missing.jpg {folder}/pictures/reliability.png"));
    let said = said.fails(1, &["text.png is not an image that can be read", "missing.jpg", "2 of 3 files could not be read"]);
    assert!(said.out.contains("reliability.png"), "the picture that can be read is answered: {}", said.out);
    sandbox.run("predict").fails(2, &["FILE"]);

    sandbox.run("evaluate --weights missing.pth").fails(1, &["missing.pth"]);
    sandbox.write("noise.pth", [7; 100]);
    sandbox.run("evaluate --weights noise.pth").fails(1, &["noise.pth"]);
    sandbox.run(&format!("evaluate --weights {folder}/model/model.safetensors --model-name resnet18")).fails(1, &["do not fit resnet18"]);
    sandbox.run("evaluate --run-id 00000000").fails(2, &["no run has the id or name \"00000000\""]);
    sandbox.run("runs show nothing").fails(2, &["no run has the id or name"]);
    sandbox.run_args(&["runs", "list", "--filter", "metrics.loss >"]).fails(2, &["error:"]);
    sandbox.run(&format!("evaluate --run-id {run_id} --weights x.pth")).fails(2, &["cannot be used with"]);
}

#[test]
fn checkpoints() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("--epochs 1").ok();
    let run_id = sandbox.only_run();
    let path = format!("checkpoints/{run_id}/last.safetensors");
    let whole = sandbox.read(&path);

    sandbox.run(&format!("train --resume {run_id} --epochs 2 --model-name resnet18")).fails(1, &["mobilenet_v3_small", "resnet18"]);
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    sandbox.write(&path, &flipped);
    sandbox.run(&format!("train --resume {run_id} --epochs 2")).fails(1, &[&path, "is damaged"]);
    assert!(sandbox.read(&path) == flipped, "the damaged file was left as it is");
    sandbox.write(&path, &whole[..whole.len() / 2]);
    sandbox.run(&format!("train --resume {run_id} --epochs 2")).fails(1, &[&path]);

    // As the message says: without the damaged file, the copy among the artifacts is taken.
    std::fs::remove_file(sandbox.path(&path)).unwrap();
    sandbox.run(&format!("train --resume {run_id} --epochs 2")).ok();
}

#[test]
fn folders_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    sandbox.train_tiny("--log-dir file/logs").fails(1, &["cannot write the log file file/logs/training.log", "--log-dir"]);
    sandbox.train_tiny("--checkpoint-dir file/checkpoints").fails(1, &["cannot write the folder file/checkpoints", "--checkpoint-dir"]);
    let runs = sandbox.run("runs list --json").ok().json();
    assert!(runs.as_array().unwrap().iter().all(|run| run["info"]["status"] == "FAILED"), "{runs:#}");
    sandbox.train_tiny("--tracking-uri sqlite:///file/x.db").fails(1, &["file/x.db"]);
}

/// A limit on the size of files stands in for a full disk, which a test cannot make without being root.
#[test]
fn files_that_cannot_be_written_to_their_end() {
    let sandbox = Sandbox::new();
    let program = env!("CARGO_BIN_EXE_anmok");
    let script = format!("trap '' XFSZ; ulimit -f 4000; exec '{program}' {TINY}");
    let child = sandbox.command("sh").args(["-c", &script]).spawn().unwrap();
    wait(child).fails(1, &["checkpoint was not saved", "last.safetensors"]);
    let runs = sandbox.run("runs list --json").ok().json();
    assert_eq!(runs[0]["info"]["status"], "FAILED");
    let left: Vec<_> = walk(&sandbox.path("checkpoints"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors" || e == "tmp"))
        .collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new(), "no half-written file is left");
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn databases() {
    let sandbox = Sandbox::new();
    sandbox.write("notes.db", "these are my notes, not a database".repeat(100));
    let before = sandbox.read("notes.db");
    sandbox.train_tiny("--tracking-uri sqlite:///notes.db").fails(1, &["notes.db is not an SQLite database", "left as it is"]);
    assert!(sandbox.read("notes.db") == before);
    sandbox.train_tiny("--tracking-uri http://localhost:5000").fails(1, &["http"]);
    sandbox.train_tiny("--tracking-uri ./mlruns").fails(1, &["mlruns"]);
}

#[test]
fn a_loss_that_is_not_finite() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("--optimizer sgd --learning-rate 1000000 --schedule constant").fails(1, &["is not finite", "learning_rate"]);
    let run_id = sandbox.only_run();
    let shown = sandbox.run(&format!("runs show {run_id} --json")).ok().json();
    assert_eq!(shown["info"]["status"], "FAILED");
}

#[test]
fn failures_are_json_too_where_the_log_is() {
    let sandbox = Sandbox::new();
    let said = sandbox.train_tiny("--optimizer sgd --learning-rate 1000000 --schedule constant --log-format json").fails(1, &[]);
    let lines: Vec<serde_json::Value> =
        said.err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let last = lines.last().unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(last["message"].as_str().unwrap().contains("is not finite"), "{last}");
    let run_id = sandbox.only_run();
    let log = String::from_utf8(sandbox.read(&format!("artifacts/0/{run_id}/artifacts/logs/training.log"))).unwrap();
    assert!(log.contains("is not finite"), "the run's log has the failure: {log}");
}
