//! The Python with MLflow, for tests against MLflow's own server.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The Python to use: the one that `ANMOK_TEST_MLFLOW` names, or that of `scripts/mlflow-python.sh` if it is there with all that
/// `scripts/mlflow-requirements.txt` asks for. Without one the test is skipped.
pub fn python(test: &str) -> Option<PathBuf> {
    let python = named().or_else(installed);
    if python.is_none() {
        skip(test, "there is no Python with MLflow; `make test` or scripts/mlflow-python.sh makes one in .test-env/mlflow");
    }
    python
}

fn named() -> Option<PathBuf> {
    std::env::var_os("ANMOK_TEST_MLFLOW").map(PathBuf::from)
}

fn installed() -> Option<PathBuf> {
    let folder = root().join(".test-env/mlflow");
    let installed = std::fs::read(folder.join("installed")).ok()?;
    let wanted = std::fs::read(root().join("scripts/mlflow-requirements.txt")).ok()?;
    (installed == wanted).then(|| folder.join("bin/python"))
}

/// Says so past the capture of the test harness: a skipped test must be seen.
pub fn skip(test: &str, words: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{test} cannot run: {words}");
    writeln!(std::io::stderr(), "SKIPPED {test}: {words}").ok();
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
