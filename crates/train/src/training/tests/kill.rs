//! kill -9, for real: a child process trains, is killed at random moments and started again.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use anmok_random::Stream;

use super::*;

/// What the child leaves when it gets to the end.
const RESULT: &str = "result.json";
/// The child's log: one line per metric.
const LOG: &str = "metrics.jsonl";

/// Appends to a file at once: what was logged before the kill is there after it.
struct FileLog(std::fs::File);

impl RunLog for FileLog {
    fn params(&mut self, _: &[(String, String)]) {}

    fn metrics(&mut self, step: u64, metrics: &[(&str, f64)]) {
        let lasting = metrics.iter().filter(|(key, _)| !depends_on_the_clock(key));
        let lines: String = lasting.map(|(key, value)| format!("{key} {step} {:016x}\n", value.to_bits())).collect();
        self.0.write_all(lines.as_bytes()).unwrap();
    }

    fn artifact(&mut self, _: &str, _: &Path) {}
    fn dataset(&mut self, _: &DatasetRecord) {}

    fn flush(&mut self) -> Result<(), RunLogError> {
        Ok(())
    }
}

/// Run by [`killed_at_random_moments_a_run_ends_with_the_same_bits`] in a folder of its own; by itself it does the same
/// where it stands, so it is not among the tests.
#[test]
#[ignore = "the child of another test"]
fn child() {
    let recipe = Recipe { epochs: 6, ..recipe() };
    let graph = softmax::graph(false);
    let mut engine = SoftmaxRegression::new(graph.clone(), recipe.train_options(&graph).unwrap());
    let folder = Path::new("checkpoints");
    let resume = match load(folder) {
        Ok(checkpoint) => Some(checkpoint),
        Err(crate::checkpoint::CheckpointError::Missing { .. }) => None,
        Err(error) => panic!("{error}"),
    };
    let mut log = FileLog(OpenOptions::new().append(true).create(true).open(LOG).unwrap());
    let job = Job {
        engine: &mut engine,
        data: &DATA,
        recipe: &recipe,
        log: &mut log,
        progress: &mut Watcher::new(|_| std::thread::sleep(Duration::from_millis(5))),
        live: &LiveFigures::new(),
        stop: &never(),
        checkpoints: folder,
        run_id: "r1",
        resume,
    };
    let outcome = Run::start(job, Cadence::Every(Duration::from_millis(1))).unwrap().finish().unwrap();
    std::fs::write(RESULT, format!("{:?}", essence(&outcome))).unwrap();
}

fn spawn(folder: &Path) -> Child {
    let test = "training::tests::kill::child";
    let program = std::env::current_exe().unwrap();
    Command::new(program)
        .args(["--exact", test, "--ignored", "--test-threads=1"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lines of the log, and that a (key, step) logged twice has one value.
fn logged(folder: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder.join(LOG)).unwrap_or_default();
    let mut values = BTreeMap::new();
    // The last line may be cut off by the kill; it is logged again.
    for line in text.lines().filter(|line| line.rsplit_once(' ').is_some_and(|(_, bits)| bits.len() == 16)) {
        let (place, bits) = line.rsplit_once(' ').unwrap();
        if let Some(before) = values.insert(place.to_owned(), bits.to_owned()) {
            assert_eq!(before, bits, "{place}");
        }
    }
    values
}

#[test]
fn killed_at_random_moments_a_run_ends_with_the_same_bits() {
    let whole = tempfile::tempdir().unwrap();
    assert!(spawn(whole.path()).wait().unwrap().success());
    let expected = std::fs::read_to_string(whole.path().join(RESULT)).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let log_bytes = || std::fs::metadata(folder.path().join(LOG)).map_or(0, |metadata| metadata.len());
    let whole_bytes = std::fs::metadata(whole.path().join(LOG)).unwrap().len();
    let mut random = Stream::new(&[9]);
    let mut kills = 0;
    while kills < 10 && !folder.path().join(RESULT).exists() {
        // By what it has done, not by the clock, which runs differently on a busy machine: at most a twelfth of a run,
        // so that there is something left to kill; then anywhere within a few steps.
        let enough = log_bytes() + random.below(whole_bytes / 12);
        let mut child = spawn(folder.path());
        while log_bytes() < enough && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(random.below(12_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills >= 3, "the run was over after {kills} kills");
    if !folder.path().join(RESULT).exists() {
        assert!(spawn(folder.path()).wait().unwrap().success());
    }
    assert_eq!(std::fs::read_to_string(folder.path().join(RESULT)).unwrap(), expected);
    assert_eq!(logged(folder.path()), logged(whole.path()));
}
