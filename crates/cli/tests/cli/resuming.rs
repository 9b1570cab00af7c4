//! Runs that are stopped, killed, and gone on with.

use super::sandbox::{Said, Sandbox, TINY, wait};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A run long enough to be stopped in.
pub const LONGER: &str = "--epochs 6 --seed 7 --checkpoint-every 1 --log-every 2";

pub fn signal(child: &Child, name: &str) {
    // The shell's own kill: the program of that name is missing on some machines.
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().expect("sh");
    assert!(sent.success());
}

/// Waits until a file is there.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what} has not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn first_checkpoint(sandbox: &Sandbox) {
    until("a checkpoint", || {
        let runs = std::fs::read_dir(sandbox.path("checkpoints"));
        runs.is_ok_and(|mut runs| runs.any(|run| run.is_ok_and(|run| run.path().join("last.safetensors").exists())))
    });
}

pub fn model_of(sandbox: &Sandbox, run_id: &str) -> Vec<u8> {
    sandbox.read(&format!("artifacts/0/{run_id}/artifacts/model/model.safetensors"))
}

/// Every metric that does not depend on the clock, as (key, step, value), from the database by way of `runs show`.
pub fn points(sandbox: &Sandbox, run_id: &str) -> Vec<(String, i64, String)> {
    let shown = sandbox.run(&format!("runs show {run_id} --json --history")).ok().json();
    let history = shown["history"].as_object().unwrap();
    let mut points = vec![];
    for (key, values) in history.iter().filter(|(key, _)| !key.contains("second")) {
        for point in values.as_array().unwrap() {
            points.push((key.clone(), point["step"].as_i64().unwrap(), point["value"].to_string()));
        }
    }
    points
}

fn uninterrupted() -> (Vec<u8>, Vec<(String, i64, String)>) {
    let sandbox = Sandbox::new();
    sandbox.train_tiny(LONGER).ok();
    let run_id = sandbox.only_run();
    (model_of(&sandbox, &run_id), points(&sandbox, &run_id))
}

pub fn status(sandbox: &Sandbox, run_id: &str) -> String {
    sandbox.run(&format!("runs show {run_id} --json")).ok().json()["info"]["status"].as_str().unwrap().to_owned()
}

#[test]
fn whatever_ends_a_run_it_goes_on_to_the_same_bits() {
    let (model, metrics) = uninterrupted();
    let sandbox = Sandbox::new();

    // SIGINT: in good order.
    let child = sandbox.start(&format!("{TINY} {LONGER}"));
    first_checkpoint(&sandbox);
    signal(&child, "INT");
    let said: Said = wait(child).fails(130, &["stopping after this step", "interrupted: run", "anmok train --resume"]);
    assert_eq!(said.out, "");
    let run_id = sandbox.only_run();
    assert_eq!(status(&sandbox, &run_id), "KILLED");

    // SIGTERM, while going on with it.
    let child = sandbox.start("train --resume");
    until("the log", || sandbox.run(&format!("runs show {run_id} --json")).json()["info"]["status"] == "RUNNING");
    signal(&child, "TERM");
    wait(child).fails(143, &[&run_id]);

    // kill -9, three times, at moments of their own.
    for pause in [150, 700, 1200] {
        let mut child = sandbox.start(&format!("train --resume {}", &run_id[..8]));
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    // Without its local files, from the artifacts of an epoch that was finished, or from the start where there are none.
    if sandbox.path(&format!("artifacts/0/{run_id}/artifacts/checkpoints/last.safetensors")).exists() {
        std::fs::remove_dir_all(sandbox.path("checkpoints")).unwrap();
    }
    sandbox.run(&format!("train --resume {run_id}")).ok();
    assert_eq!(status(&sandbox, &run_id), "FINISHED");
    assert_eq!(sandbox.only_run(), run_id);
    assert!(model_of(&sandbox, &run_id) == model, "the weights differ from those of the uninterrupted run");
    assert_eq!(points(&sandbox, &run_id), metrics);

    // There is nothing left to do, but more epochs can be asked for.
    sandbox.run("train --resume").fails(1, &["there is no unfinished run"]);
    sandbox.run(&format!("train --resume {run_id}")).fails(2, &["is finished after 6 epochs", "--epochs"]);
    let said = sandbox.run(&format!("train --resume {run_id} --batch-size 16 --seed 1 --epochs 7"));
    said.fails(2, &["batch_size = 16 (flag --batch-size): cannot change in a resumed run, it was 32", "seed = 1 (flag --seed)"]);
    assert_eq!(status(&sandbox, &run_id), "FINISHED");
    sandbox.run(&format!("train --resume {run_id} --epochs 7")).ok();
    assert_eq!(status(&sandbox, &run_id), "FINISHED");
}

#[test]
fn environment_and_env_file_do_not_change_a_resumed_run() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("--epochs 1").ok();
    let run_id = sandbox.only_run();
    sandbox.write(".env", "BATCH_SIZE=8\n");
    sandbox.run_with(&format!("train --resume {run_id} --epochs 2"), &[("LEARNING_RATE", "7"), ("SEED", "3")]).ok();
    let shown = String::from_utf8(sandbox.read(&format!("artifacts/0/{run_id}/artifacts/recipe.toml"))).unwrap();
    assert!(shown.contains("epochs = 2") && shown.contains("batch_size = 32") && shown.contains("learning_rate = 0.001"), "{shown}");
}

#[test]
fn a_run_that_is_being_trained_is_not_trained_twice() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start(&format!("{TINY} --epochs 50"));
    first_checkpoint(&sandbox);
    sandbox.run("train --resume").fails(1, &["is being trained by another process on this machine"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_second_signal_ends_at_once() {
    let sandbox = Sandbox::new();
    let child = sandbox.start(&format!("{TINY} --epochs 50"));
    first_checkpoint(&sandbox);
    signal(&child, "INT");
    signal(&child, "INT");
    let said = wait(child);
    assert_eq!(said.code, Some(130), "{said:#?}");
    assert_eq!(status(&sandbox, &sandbox.only_run()), "KILLED");
}

#[test]
fn a_run_without_a_checkpoint_does_not_stand_before_one_that_has() {
    let sandbox = Sandbox::new();
    let start = |name: &str| sandbox.start(&format!("{TINY} --epochs 50 --checkpoint-every 1 --run-name {name}"));
    let kill = |mut child: Child| {
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let forget_checkpoints = |run_id: &str| {
        // Whichever of them there are.
        let _ = std::fs::remove_dir_all(sandbox.path(&format!("checkpoints/{run_id}")));
        let _ = std::fs::remove_dir_all(sandbox.path(&format!("artifacts/0/{run_id}/artifacts/checkpoints")));
    };
    let child = start("older");
    first_checkpoint(&sandbox);
    kill(child);
    let older = sandbox.only_run();
    let child = start("newer");
    until("the newer run", || sandbox.run("runs show newer --json").code == Some(0));
    kill(child);
    let newer = sandbox.run("runs show newer --json").ok().json()["info"]["run_id"].as_str().unwrap().to_owned();
    forget_checkpoints(&newer);
    sandbox.run(&format!("train --resume {newer}")).fails(1, &[&newer, "has no checkpoint", "start a new run"]);
    // The older one is found: only it has a seed to compare with.
    sandbox.run("train --resume latest --seed 99").fails(2, &["seed = 99 (flag --seed): cannot change in a resumed run"]);
    forget_checkpoints(&older);
    sandbox.run("train --resume latest").fails(1, &["none of the 2 unfinished runs has a checkpoint"]);
}
