//! Files saved by real PyTorch (`golden/make_files.py`), and what reading them gives.

use std::path::{Path, PathBuf};

use anmok_formats::{DecodeError, Format, FormatError, read_weights, sniff, torch};
use anmok_graph::{NamedTensor, TensorData};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The script's `ramp`: 0, 0.5, 1, ...
fn ramp(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32 / 2.0).collect()
}

fn integers(name: &str, shape: &[usize], data: Vec<i64>) -> NamedTensor {
    NamedTensor { name: name.into(), shape: shape.to_vec(), data: TensorData::I64(data) }
}

#[test]
fn a_state_dict_with_every_element_type_and_view() {
    let base = ramp(12);
    let transposed = (0..3).flat_map(|column| (0..4).map(move |row| (row * 3 + column) as f32 / 2.0)).collect();
    let expected = [
        NamedTensor::f32("conv.weight", &[2, 1, 3, 3], ramp(18)),
        integers("bn.num_batches_tracked", &[], vec![-(1 << 40)]),
        integers("counts", &[5], vec![0, 1, 2, 3, 4]),
        NamedTensor::f32("half", &[2, 3], ramp(6)),
        NamedTensor::f32("bfloat", &[2, 3], ramp(6)),
        NamedTensor::f32("double", &[2, 3], ramp(6)),
        NamedTensor::f32("empty", &[0, 3], vec![]),
        NamedTensor::f32("scalar", &[], vec![2.5]),
        NamedTensor::f32("transposed", &[3, 4], transposed),
        NamedTensor::f32("column", &[4], vec![0.5, 2.0, 3.5, 5.0]),
        NamedTensor::f32("tail", &[5], base[7..].to_vec()),
        NamedTensor::f32("channels_last", &[1, 2, 2, 3], ramp(12)),
        NamedTensor::f32("expanded", &[3, 2], [0.0, 0.5].repeat(3)),
        NamedTensor::f32("tied", &[4, 3], base),
    ];
    assert_eq!(sniff(&golden("state_dict.pth")).unwrap(), Format::Torch);
    assert_eq!(read_weights(&golden("state_dict.pth")).unwrap(), expected);
}

#[test]
fn the_state_dict_inside_a_checkpoint_without_data_parallels_prefix() {
    let plus_one = |n| ramp(n).into_iter().map(|x| x + 1.0).collect();
    let expected = [
        NamedTensor::f32("0.weight", &[1, 2], plus_one(2)),
        NamedTensor::f32("0.bias", &[1], plus_one(1)),
        NamedTensor::f32("1.weight", &[1], plus_one(1)),
        NamedTensor::f32("1.bias", &[1], plus_one(1)),
        NamedTensor::f32("1.running_mean", &[1], plus_one(1)),
        NamedTensor::f32("1.running_var", &[1], plus_one(1)),
        NamedTensor::i64_scalar("1.num_batches_tracked", 1),
    ];
    assert_eq!(torch::read(&golden("checkpoint.pth")).unwrap(), expected);
    assert_eq!(torch::read(&golden("parameter.pth")).unwrap(), [NamedTensor::f32("weight", &[2, 2], ramp(4))]);
}

#[test]
fn what_is_not_a_state_dict_is_refused_with_the_remedy() {
    let check = |name: &str, part: &str, remedy: &str| match read_weights(&golden(name)) {
        Err(error @ FormatError::Content { problem: DecodeError::Unsupported { .. }, .. }) => {
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(part) && text.contains(remedy), "{text}");
        }
        other => panic!("{name}: {other:?}"),
    };
    check("legacy.pth", "before 1.6", "torch.save(torch.load(FILE), FILE)");
    check("module.pth", "`torch.nn.modules.linear.Linear`", "torch.save(model.state_dict(), FILE)");
    check("namespace.pth", "`argparse.Namespace`", "torch.save(model.state_dict(), FILE)");
    check("int32.pth", "the tensor `w` lies in a `IntStorage`", "float32 or int64");
    check("unknown_key.pth", "under `state_dict`, `model_state_dict`, `model`: the entry `weights` is a dict", "state_dict()");
    check("tensor.pth", "it holds a tensor and no state dict", "state_dict()");
    check("protocol_4.pth", "pickle protocol 4", "protocol 2");
    check("torchscript.pth", "TorchScript", "torch.jit.load");
    check("compressed.pth", "compressed", "torch.save");
    check("make_files.py", "neither a safetensors file nor a PyTorch zip file (it begins with `\\\"\\\"\\\"Writes", "safetensors");
}

#[test]
fn files_that_are_not_there_or_no_files_are_named() {
    let error = read_weights(&golden("missing.pth")).unwrap_err();
    assert!(error.to_string().starts_with("cannot read ") && error.to_string().contains("missing.pth: No such file"), "{error}");
    let error = read_weights(&golden("")).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let error = read_weights(empty.path()).unwrap_err();
    assert!(error.to_string().contains("neither a safetensors file nor a PyTorch zip file (it begins with ``)"), "{error}");
}

/// A file that grew a terabyte of nothing must not be read into memory.
#[test]
fn a_huge_file_is_refused_before_it_is_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(anmok_formats::MAX_FILE_BYTES + 1).unwrap();
    let error = read_weights(file.path()).unwrap_err();
    assert!(matches!(error, FormatError::Content { problem: DecodeError::Limit { .. }, .. }), "{error}");
}
