//! A logging process that is killed, or whose disk is full: the test runs itself again as that process.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "the logging process is told by variables, and tells by printing")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anmok_protocol::RunStatus;
use anmok_tracking::delivery::sync::sync;
use anmok_tracking::journal::Folder;
use anmok_tracking::{LogOptions, NewRun, PageRequest, RunStore, RunWriter, StoreOptions, open};

const FOLDER: &str = "ANMOK_TEST_LOG_FOLDER";
const RUN: &str = "ANMOK_TEST_LOG_RUN";

fn store(folder: &Path) -> Arc<dyn RunStore> {
    Arc::from(open(&format!("sqlite:///{}", folder.join("anmok.db").display()), &StoreOptions::default()).unwrap())
}

fn options(folder: &Path) -> LogOptions {
    LogOptions { journals: folder.join("journal"), tracking_uri: "home".into(), listener: Arc::new(|_| ()), heartbeat: true }
}

/// Not a test of its own: what [`logging`] starts. It goes on from the step after the last flush that was acknowledged, as a
/// training run goes on from its checkpoint.
#[test]
fn logging_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let run_id = std::env::var(RUN).unwrap();
    let folder = Path::new(&folder);
    let checkpoint = folder.join("checkpoint");
    let from: i64 = std::fs::read_to_string(&checkpoint).map_or(0, |text| text.parse().unwrap());
    let mut writer = RunWriter::open(store(folder), &run_id, &options(folder)).unwrap();
    println!("begins");
    for step in from + 1..=1_000_000 {
        writer.metrics(step, &[("loss", step as f64), ("accuracy", 0.5)]);
        std::thread::sleep(Duration::from_micros(200));
        if step % 250 == 0 {
            match writer.flush() {
                Ok(()) => {
                    let part = folder.join("checkpoint.part");
                    std::fs::write(&part, step.to_string()).unwrap();
                    std::fs::rename(&part, &checkpoint).unwrap();
                    println!("flushed {step}");
                }
                Err(error) => println!("failed {error}"),
            }
        }
    }
}

fn logging(folder: &Path, run_id: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["logging_process", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).env(RUN, run_id).stdout(Stdio::piped());
    command
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok)
}

/// Killed at moments of their own and gone on with: every step is there once, in the order of one run.
#[test]
fn a_run_that_is_killed_again_and_again_has_every_step_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
    let mut flushed = 0;
    for pause in [0, 3, 17, 90, 130, 260, 410, 650, 990] {
        let mut child = logging(folder.path(), &run_id).spawn().unwrap();
        let mut lines = lines(&mut child);
        assert!(lines.by_ref().any(|line| line.ends_with("begins")));
        std::thread::sleep(Duration::from_millis(pause));
        // On Unix this is SIGKILL.
        child.kill().unwrap();
        for line in lines {
            if let Some((_, step)) = line.split_once("flushed ") {
                flushed = step.parse().unwrap();
            }
        }
        child.wait().unwrap();
    }
    assert!(flushed > 0, "no flush came before a kill");
    let left = Folder::list(&folder.path().join("journal")).unwrap();
    assert_eq!(left.len(), 1);
    let synced = sync(&left[0], store.clone(), "home", Arc::new(|_| ())).unwrap();
    assert!(synced.removed && synced.refused.is_empty(), "{synced:?}");
    for key in ["loss", "accuracy"] {
        let mut steps: Vec<i64> =
            store.metric_history(&run_id, key, &PageRequest::default()).unwrap().items.iter().map(|point| point.step).collect();
        steps.sort_unstable();
        assert_eq!(steps, (1..=steps.len() as i64).collect::<Vec<_>>(), "{key}");
        assert!(steps.len() >= flushed, "{key}: {} of {flushed}", steps.len());
    }
}

/// The flush says that the disk is full, and the process lives.
#[test]
fn a_full_disk_fails_the_flush_and_not_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
    let program = logging(folder.path(), &run_id);
    // A file that may not grow any further stands in for a full disk: 64 blocks of 512 bytes or 1 KiB, by shell.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(program.get_program()).args(program.get_args());
    command.env(FOLDER, folder.path()).env(RUN, &run_id).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let told = lines(&mut child).find(|line| line.contains("failed ")).expect("a flush fails");
    assert!(told.contains("writing the journal"), "{told}");
    child.kill().unwrap();
    child.wait().unwrap();
    let checkpoint: i64 = std::fs::read_to_string(folder.path().join("checkpoint")).unwrap().parse().unwrap();
    // With room again the run goes on from its checkpoint, and has every step once.
    let mut writer = RunWriter::open(store.clone(), &run_id, &options(folder.path())).unwrap();
    for step in checkpoint + 1..=checkpoint + 5000 {
        writer.metrics(step, &[("loss", 1.0)]);
    }
    assert!(writer.finish(RunStatus::Finished).unwrap().pending.is_none());
    let mut steps: Vec<i64> =
        store.metric_history(&run_id, "loss", &PageRequest::default()).unwrap().items.iter().map(|point| point.step).collect();
    steps.sort_unstable();
    assert_eq!(steps, (1..=checkpoint + 5000).collect::<Vec<_>>());
}
