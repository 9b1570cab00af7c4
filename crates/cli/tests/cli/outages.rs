//! A run that logs to MLflow's own server, which hangs, is killed and comes back: nothing is missing and nothing is there twice.
//!
//! Outages take two seconds. `ANMOK_TEST_OUTAGE_SECONDS=120` makes them longer, and the run with them.

use super::mlflow_python::python;
use super::resuming::{signal, until};
use super::sandbox::{Sandbox, TINY, wait};
use super::tracking_server::{Content, content, run_id};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// MLflow's server with one worker, on a database that outlives it.
struct Official {
    python: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Official {
    fn new(python: PathBuf, sandbox: &Sandbox) -> Self {
        let folder = sandbox.path("mlflow");
        std::fs::create_dir(&folder).unwrap();
        // It must come back where it was. Nobody else is given the port meanwhile, as a rule.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { python, folder, port, process: None }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn start(&mut self) {
        let path = std::env::join_paths(
            self.python.parent().map(PathBuf::from).into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let port = self.port.to_string();
        let mut command = Command::new(&self.python);
        command.args(["-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", &port]);
        command.args(["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "files"]);
        command.env_clear().env("PATH", path.unwrap()).env("MLFLOW_DISABLE_TELEMETRY", "true");
        command.env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false");
        // A group of its own, so that its workers end with it.
        command.current_dir(&self.folder).process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let health = format!("{}/health", self.url());
        until("MLflow's server", || ureq::get(&health).call().is_ok());
    }

    fn signal(&self, name: &str) {
        let group = self.process.as_ref().unwrap().id();
        assert!(Command::new("sh").args(["-c", &format!("kill -{name} -{group}")]).status().unwrap().success());
    }

    fn kill(&mut self) {
        self.signal("KILL");
        self.process.take().unwrap().wait().unwrap();
    }
}

impl Drop for Official {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

#[test]
fn nothing_is_lost_or_doubled_though_mlflows_server_and_the_run_are_killed() {
    let Some(python) = python("outages::nothing_is_lost_or_doubled_though_mlflows_server_and_the_run_are_killed") else { return };
    let seconds: u64 = std::env::var("ANMOK_TEST_OUTAGE_SECONDS").map_or(2, |text| text.parse().expect("whole seconds"));
    let outage = || std::thread::sleep(Duration::from_secs(seconds));
    // About three epochs a second.
    let run = format!("{TINY} --epochs {} --seed 5 --log-every 1 --checkpoint-every 1 --run-name", 60 + 12 * seconds);

    let (here, there) = (Sandbox::new(), Sandbox::new());
    there.run(&format!("{run} in-a-file")).ok();
    let expected = content(&there, &run_id(&there, "in-a-file", ""), "");

    let mut server = Official::new(python, &here);
    server.start();
    let store = format!("--tracking-uri {}", server.url());
    let points = |at_least: usize| {
        let runs = here.run(&format!("runs list --json {store}")).ok().json();
        let Some(id) = runs[0]["info"]["run_id"].as_str() else { return false };
        content(&here, id, &store).points.len() >= at_least
    };
    let mut train = here.start(&format!("{run} on-a-server {store}"));
    until("the first point", || points(1));

    // It takes connections and does not answer.
    server.signal("STOP");
    outage();
    server.signal("CONT");
    let before = content(&here, &run_id(&here, "on-a-server", &store), &store).points.len();
    until("what was logged meanwhile", || points(before + 10));

    // It is gone and comes back. The run stands still only while Python starts.
    server.kill();
    outage();
    signal(&train, "STOP");
    server.start();
    signal(&train, "CONT");
    until("what was logged meanwhile", || points(before + 20));
    assert_eq!(train.try_wait().unwrap(), None, "the run was to outlive the outages");

    train.kill().unwrap();
    wait(train);
    let id = run_id(&here, "on-a-server", &store);
    let before = content(&here, &id, &store).points.len();
    let train = here.start(&format!("train --resume {id} {store}"));
    until("the second sitting", || points(before + 10));
    // For good, until the run has ended.
    server.kill();
    let said = wait(train).ok();
    assert!(said.err.contains("anmok sync"), "{}", said.err);
    server.start();
    here.run("sync").ok();
    let found = content(&here, &id, &store);
    let missing: Vec<_> = expected.points.iter().filter(|point| !found.points.contains(point)).collect();
    let extra = found.points.len() + missing.len() - expected.points.len();
    assert_eq!((missing, extra), (vec![], 0), "missing points, and how many are there beyond those expected");
    let rest = |content: Content| Content { points: vec![], ..content };
    assert_eq!(rest(found), rest(expected));
}
