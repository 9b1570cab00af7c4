//! Real PyTorch reads what is written here, and the other way round. Needs a Python with torch and torchvision:
//!
//!     ANMOK_TEST_PYTHON=/path/to/python cargo test -p anmok-formats --test torch_interop

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anmok_formats::torch;
use anmok_graph::zoo::{NAMES, ZooOptions, build};

#[test]
#[allow(clippy::disallowed_methods, reason = "the test asks for a program of the machine it runs on")]
fn torchvision_loads_the_zoo_strictly_and_gives_it_back() {
    let Some(python) = std::env::var_os("ANMOK_TEST_PYTHON") else {
        // Straight to the terminal, past the test harness's capture.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED torchvision_loads_the_zoo_strictly_and_gives_it_back: ANMOK_TEST_PYTHON names no Python with torch and torchvision"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(format!("{name}.pth"));
    let states: Vec<_> = NAMES.iter().map(|name| build(name, &ZooOptions::default()).unwrap().initial_state(3)).collect();
    for (name, state) in NAMES.iter().zip(&states) {
        torch::write(&path(name), state).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch_interop.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).lines().collect::<Vec<_>>(),
        [
            "mobilenet_v3_large: 312 tensors, 4214842 parameters",
            "mobilenet_v3_small: 244 tensors, 1528106 parameters",
            "resnet18: 122 tensors, 11181642 parameters"
        ]
    );
    for (name, state) in NAMES.iter().zip(&states) {
        assert!(torch::read(&path(&format!("{name}.back"))).unwrap() == *state, "{name}");
    }
}
