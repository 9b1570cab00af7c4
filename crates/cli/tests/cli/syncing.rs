//! Runs that are recorded without a tracking store or die before they have delivered everything, and `anmok sync`.

use super::resuming::{LONGER, first_checkpoint, points, signal, status, until};
use super::sandbox::{Sandbox, TINY, wait};
use std::path::Path;

/// The folders of journals that are left.
fn journals(sandbox: &Sandbox) -> Vec<String> {
    let entries = std::fs::read_dir(sandbox.path(".anmok/journal")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn tag(sandbox: &Sandbox, run_id: &str, key: &str) -> Option<String> {
    let run = sandbox.run(&format!("runs show {run_id} --json")).ok().json();
    let tags = run["data"]["tags"].as_array().unwrap();
    tags.iter().find(|tag| tag["key"] == key).map(|tag| tag["value"].as_str().unwrap().to_owned())
}

#[test]
fn a_run_that_was_recorded_offline_is_delivered_later_as_if_it_had_never_been() {
    let online = Sandbox::new();
    online.train_tiny("--seed 3").ok();
    assert_eq!(journals(&online), Vec::<String>::new(), "a finished run leaves no journal");
    let expected = points(&online, &online.only_run());

    let sandbox = Sandbox::new();
    let said = sandbox.train_tiny("--seed 3 --offline --run-name away --json").ok();
    assert!(said.err.contains("offline: the run is recorded in .anmok/journal alone"), "{}", said.err);
    let outcome = said.json();
    assert_eq!(outcome["sync_pending"], true);
    assert!(Path::new(&sandbox.path(outcome["model"].as_str().unwrap())).exists(), "{outcome}");
    assert!(!sandbox.path("anmok.db").exists(), "offline, no store is made");
    let offline_id = outcome["run_id"].as_str().unwrap().to_owned();
    assert_eq!(journals(&sandbox), std::slice::from_ref(&offline_id));

    let listed = sandbox.run("runs list").ok();
    assert!(listed.err.contains(&format!("pending: run {offline_id} (away)")) && listed.err.contains("anmok sync"), "{}", listed.err);
    sandbox.run("sync nothing").fails(2, &["nothing of a run \"nothing\" waits"]);
    let synced = sandbox.run("sync away --json").ok().json();
    assert_eq!((synced[0]["state"].as_str(), synced[0]["created"].as_bool()), (Some("delivered"), Some(true)), "{synced}");
    let run_id = sandbox.only_run();
    assert_eq!(synced[0]["delivered_run_id"], *run_id);
    assert_eq!(status(&sandbox, &run_id), "FINISHED");
    assert_eq!(points(&sandbox, &run_id), expected);
    assert_eq!(tag(&sandbox, &run_id, "anmok.source_run_id"), Some(offline_id));
    let files = |sandbox: &Sandbox, run_id: &str| {
        let shown = sandbox.run(&format!("runs show {run_id} --json")).ok().json();
        let paths = shown["artifacts"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap().to_owned());
        paths.collect::<Vec<_>>()
    };
    assert_eq!(files(&sandbox, &run_id), files(&online, &online.only_run()));
    assert_eq!(journals(&sandbox), Vec::<String>::new());
    assert!(sandbox.run("sync").ok().err.contains("Nothing waits"));
    // It goes on like any other run, though its checkpoint has its old name.
    sandbox.run(&format!("train --resume {run_id} --epochs 3")).ok();
    assert_eq!(status(&sandbox, &run_id), "FINISHED");
}

#[test]
fn a_run_is_nested_in_another_and_stays_so_when_both_come_from_offline() {
    let sandbox = Sandbox::new();
    let train = |rest: &str| sandbox.train_tiny(&format!("--json {rest}")).ok().json()["run_id"].as_str().unwrap().to_owned();
    let parent = train("--offline --run-name parent --experiment-name sweep");
    let child = format!("--run-name child --parent-run-id {parent}");
    // Of another experiment by its settings: it comes to its parent's all the same.
    train(&format!("--offline {child}"));
    // Alone it would name a run that is not there.
    let said = sandbox.run("sync child").fails_with_out(1, &["could not be delivered"]);
    assert!(said.contains(&format!("its parent run {parent} waits beside it")), "{said}");
    sandbox.run("sync").ok();
    let shown = |name: &str| sandbox.run(&format!("runs show {name} --json")).ok().json();
    let parent = shown("parent")["info"]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(tag(&sandbox, "child", "mlflow.parentRunId"), Some(parent.clone()));
    assert_eq!(shown("child")["info"]["experiment_id"], shown("parent")["info"]["experiment_id"]);

    train(&format!("--run-name another --parent-run-id {parent}"));
    assert_eq!(tag(&sandbox, "another", "mlflow.parentRunId"), Some(parent));
    assert_eq!(shown("another")["info"]["experiment_id"], shown("parent")["info"]["experiment_id"]);
    sandbox.train_tiny("--parent-run-id 0123").fails(1, &["there is no run 0123 to nest another in", "--parent-run-id"]);
}

#[test]
fn a_run_that_is_killed_offline_goes_on_offline_and_has_every_point_once() {
    let online = Sandbox::new();
    online.train_tiny(LONGER).ok();
    let sandbox = Sandbox::new();
    let mut child = sandbox.start(&format!("{TINY} {LONGER} --offline"));
    first_checkpoint(&sandbox);
    child.kill().unwrap();
    child.wait().unwrap();
    let id = journals(&sandbox).remove(0);
    let mut child = sandbox.start(&format!("train --offline --resume {}", &id[..8]));
    std::thread::sleep(std::time::Duration::from_millis(900));
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.run("train --offline --resume latest").ok();
    sandbox.run("sync").ok();
    let run_id = sandbox.only_run();
    assert_eq!((status(&sandbox, &run_id).as_str(), tag(&sandbox, &run_id, "anmok.attempt").as_deref()), ("FINISHED", Some("3")));
    assert_eq!(points(&sandbox, &run_id), points(&online, &online.only_run()));
}

/// Whoever looks next ends the run of a process that was killed, and leaves those that live alone.
#[test]
fn a_killed_run_is_marked_by_whoever_notices_and_a_living_one_is_not() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start(&format!("{TINY} --epochs 50 --run-name dies"));
    first_checkpoint(&sandbox);
    let run_id = sandbox.only_run();
    until("a sign of life", || tag(&sandbox, &run_id, "anmok.heartbeat").is_some());
    sandbox.run("sync").ok();
    assert_eq!(status(&sandbox, &run_id), "RUNNING", "it lives");
    child.kill().unwrap();
    child.wait().unwrap();
    let listed = sandbox.run("runs list --json").ok().json();
    assert_eq!(listed[0]["info"]["status"], "KILLED", "{listed:#}");
    assert!(listed[0]["info"]["end_time"].as_i64() >= listed[0]["info"]["start_time"].as_i64(), "{listed:#}");
    assert!(tag(&sandbox, &run_id, "anmok.ended_by").unwrap().contains("its process has ended"));
    assert_eq!(journals(&sandbox), std::slice::from_ref(&run_id));
    sandbox.run(&format!("sync {}", &run_id[..6])).ok();
    assert_eq!(journals(&sandbox), Vec::<String>::new());
    assert_eq!(status(&sandbox, &run_id), "KILLED");

    let child = sandbox.start("train --resume dies");
    until("going on", || tag(&sandbox, &run_id, "anmok.attempt").as_deref() == Some("2"));
    until("running", || status(&sandbox, &run_id) == "RUNNING");
    signal(&child, "INT");
    wait(child).fails(130, &["is stopped and its checkpoint saved"]);
    assert!(tag(&sandbox, &run_id, "anmok.attempt.2").unwrap().contains("from_step"));
    assert_eq!(tag(&sandbox, &run_id, "anmok.ended_by"), None, "it has not ended that way after all");
}

#[test]
fn what_is_wrong_with_store_or_journal_is_told_before_anything_is_done() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    let begins = ["training has not begun", "--offline", "anmok sync"];
    sandbox.train_tiny("--tracking-uri sqlite:///file/x.db").fails(1, &begins);
    let said = sandbox.train_tiny("--tracking-uri postgresql://u:secret@127.0.0.1:9/x").fails(1, &begins);
    assert!(!said.err.contains("secret"), "{}", said.err);
    sandbox.train_tiny("--journal-dir file/journal").fails(1, &["file/journal", "--journal-dir"]);
    assert!(!sandbox.path("checkpoints").exists());
    assert!(!sandbox.path("anmok.db").exists(), "nothing was begun");
}

#[test]
fn parameters_that_a_resumed_run_has_otherwise_are_noted_or_refused() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("--epochs 1").ok();
    let run_id = sandbox.only_run();
    let more = format!("train --resume {run_id} --epochs 2");
    sandbox.run(&format!("{more} --param-drift refuse")).fails(2, &["epochs was 1 and is 2", "--param-drift record"]);
    assert_eq!(status(&sandbox, &run_id), "FINISHED");
    let said = sandbox.run(&more).ok();
    assert!(said.err.contains("epochs was 1 and is 2"), "{}", said.err);
    assert_eq!(tag(&sandbox, &run_id, "anmok.drift.epochs").as_deref(), Some("1 -> 2 (anmok.attempt 2)"));
    let shown = sandbox.run(&format!("runs show {run_id} --json")).ok().json();
    let params = shown["data"]["params"].as_array().unwrap();
    assert_eq!(params.iter().find(|param| param["key"] == "epochs").unwrap()["value"], "1", "a param keeps its first value");
}

#[test]
fn the_machine_is_watched_on_request() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("--epochs 8 --system-metrics --system-metrics-interval 1").ok();
    let shown = sandbox.run("runs show latest --json --history").ok().json();
    let memory = shown["history"]["system/system_memory_usage_percentage"].as_array().expect("memory is sampled");
    let steps: Vec<i64> = memory.iter().map(|point| point["step"].as_i64().unwrap()).collect();
    assert_eq!(steps, (0..steps.len() as i64).collect::<Vec<_>>());
    assert!(memory.iter().all(|point| (0.0..=100.0).contains(&point["value"].as_f64().unwrap())));
    assert!(shown["history"]["system/cpu_utilization_percentage"].is_array());
    sandbox.train_tiny("--system-metrics-interval 0").fails(2, &["system_metrics_interval = 0", "at least 1 second"]);
}
