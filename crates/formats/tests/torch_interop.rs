//! Real PyTorch reads what is written here, and the other way round. Needs a Python with torch and torchvision:
//!
//!     ANMOK_TEST_PYTHON=/path/to/python cargo test -p anmok-formats --test torch_interop

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anmok_formats::torch;
use anmok_graph::zoo::{NAMES, ZooOptions, build};
use anmok_graph::{NamedTensor, TensorData};

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
    let odd = [
        NamedTensor::f32("이름 \u{1F600}", &[], vec![-0.0]),
        NamedTensor { name: "n".into(), shape: vec![1, 2], data: TensorData::I64(vec![i64::MIN, i64::MAX]) },
        NamedTensor::f32("empty", &[2, 0, 300], vec![]),
        NamedTensor::f32("long", &[70_000], (0..70_000).map(|i| i as f32).collect()),
    ];
    std::fs::create_dir(folder.path().join("odd")).unwrap();
    torch::write(&path("odd/odd"), &odd).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch_interop.py");
    let output = Command::new(python).env("PYTHONIOENCODING", "utf-8").arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).lines().collect::<Vec<_>>(),
        [
            "mobilenet_v3_large: 312 tensors, 4214842 parameters",
            "mobilenet_v3_small: 244 tensors, 1528106 parameters",
            "resnet18: 122 tensors, 11181642 parameters",
            "odd: ['이름 \u{1F600} () torch.float32', 'n (1, 2) torch.int64', 'empty (2, 0, 300) torch.float32', 'long (70000,) torch.float32']"
        ]
    );
    assert!(torch::read(&path("odd/odd.back")).unwrap() == odd);
    for (name, state) in NAMES.iter().zip(&states) {
        assert!(torch::read(&path(&format!("{name}.back"))).unwrap() == *state, "{name}");
    }
}
