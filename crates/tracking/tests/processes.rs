//! Several processes on one database, one of them killed: the test runs itself again as the writing process.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "the writing process is told by variables, and tells by printing")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anmok_protocol::{Batch, Metric, RunTag};
use anmok_tracking::{NewRun, PageRequest, RunStore, StoreOptions, open};

/// A process that was told a database writes to it, and says what was acknowledged.
const DATABASE: &str = "ANMOK_TEST_DATABASE";
const STEPS: &str = "ANMOK_TEST_STEPS";

/// Not a test of its own: what [`writing`] starts.
#[test]
fn writing_process() {
    let Ok(path) = std::env::var(DATABASE) else { return };
    let steps: i64 = std::env::var(STEPS).unwrap().parse().unwrap();
    let store = new_store(Path::new(&path));
    let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
    println!("run {run_id}");
    for step in 1..=steps {
        let metrics = vec![Metric::new("loss", step as f64, step, step), Metric::new("accuracy", 0.5, step, step)];
        store.log_batch(&run_id, &Batch { metrics, tags: vec![RunTag::new("step", step.to_string())], ..Batch::default() }).unwrap();
        println!("step {step}");
    }
}

fn writing(database: &Path, steps: i64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["writing_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(DATABASE, database)
        .env(STEPS, steps.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The run's id and the acknowledged steps, as they come.
fn acknowledged(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).filter_map(|line| {
        let line = line.strip_prefix("test writing_process ... ").unwrap_or(&line);
        Some(line.strip_prefix("run ").or(line.strip_prefix("step "))?.to_string())
    })
}

#[test]
fn two_processes_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("anmok.db");
    let mut children: Vec<Child> = (0..2).map(|_| writing(&database, 400)).collect();
    for child in &mut children {
        let lines: Vec<String> = acknowledged(child).collect();
        assert!(child.wait().unwrap().success());
        assert_eq!(lines.last().map(String::as_str), Some("400"));
        assert_eq!(complete(&database, &lines[0], 400), 400);
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    for after in [1, 7, 40, 150, 300] {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("anmok.db");
        let mut child = writing(&database, 1_000_000);
        let mut lines = acknowledged(&mut child);
        let run_id = lines.next().unwrap();
        let mut last: i64 = lines.by_ref().nth(after - 1).unwrap().parse().unwrap();
        // On Unix this is SIGKILL.
        child.kill().unwrap();
        for line in lines {
            last = line.parse().unwrap();
        }
        child.wait().unwrap();
        let stored = complete(&database, &run_id, last);
        // One more can be stored than was told.
        assert!(stored == last || stored == last + 1, "{stored} stored, {last} acknowledged");
    }
}

/// Every step up to the last is there once, in all tables alike, at least up to `acknowledged`.
fn complete(database: &Path, run_id: &str, acknowledged: i64) -> i64 {
    let store = new_store(database);
    let steps = |key: &str| -> Vec<i64> {
        store.metric_history(run_id, key, &PageRequest::default()).unwrap().items.iter().map(|point| point.step).collect()
    };
    let loss = steps("loss");
    assert_eq!(loss, (1..=loss.len() as i64).collect::<Vec<_>>());
    assert_eq!(loss, steps("accuracy"), "a batch is stored wholly or not at all");
    let last = loss.len() as i64;
    assert!(last >= acknowledged, "{last} of {acknowledged} acknowledged steps are there");
    let data = store.run(run_id).unwrap().unwrap().data;
    assert_eq!(data.tag("step").map(|step| step.parse::<i64>().unwrap()), Some(last));
    assert_eq!(data.metric("loss"), Some(last as f64));
    last
}

fn new_store(path: &Path) -> Box<dyn RunStore> {
    open(&format!("sqlite:///{}", path.display()), &StoreOptions::default()).unwrap()
}
