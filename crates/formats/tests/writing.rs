//! What is written can be read back, by us and by the safetensors crate; equal weights give equal files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anmok_formats::error::EncodeError;
use anmok_formats::{Format, FormatError, read_weights, safetensors, sniff, torch};
use anmok_graph::zoo::{NAMES, ZooOptions, build};
use anmok_graph::{NamedTensor, TensorData};

fn sample() -> Vec<NamedTensor> {
    vec![
        NamedTensor::f32("a.weight", &[2, 3], vec![1.0, -2.0, f32::MIN_POSITIVE, f32::MAX, 0.0, -0.0]),
        NamedTensor::i64_scalar("a.num_batches_tracked", i64::MIN),
        NamedTensor::f32("scalar", &[], vec![f32::INFINITY]),
        NamedTensor::f32("empty", &[3, 0, 2], vec![]),
        NamedTensor { name: "이름 \"\n\0".into(), shape: vec![2], data: TensorData::I64(vec![1, i64::MAX]) },
    ]
}

fn metadata() -> BTreeMap<String, String> {
    [("format", "pt"), ("epoch", "3"), ("recipe", "a = \"b\"\n"), ("", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

#[test]
fn both_formats_give_back_what_they_took() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    for tensors in [sample(), vec![]] {
        safetensors::write(&path, &tensors, &metadata()).unwrap();
        assert_eq!(safetensors::read(&path).unwrap(), safetensors::Contents { tensors: tensors.clone(), metadata: metadata() });
        assert_eq!((sniff(&path).unwrap(), read_weights(&path).unwrap()), (Format::Safetensors, tensors.clone()));
        torch::write(&path, &tensors).unwrap();
        assert_eq!(torch::read(&path).unwrap(), tensors);
        assert_eq!((sniff(&path).unwrap(), read_weights(&path).unwrap()), (Format::Torch, tensors));
    }
}

#[test]
fn the_networks_of_the_zoo_go_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let state = build(name, &ZooOptions::default()).unwrap().initial_state(1);
        safetensors::write(&folder.path().join("s"), &state, &metadata()).unwrap();
        torch::write(&folder.path().join("t"), &state).unwrap();
        assert!(read_weights(&folder.path().join("s")).unwrap() == state, "{name}");
        assert!(read_weights(&folder.path().join("t")).unwrap() == state, "{name}");
    }
}

#[test]
fn equal_weights_give_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |write: &dyn Fn(&Path)| {
        let path = folder.path().join("weights");
        write(&path);
        fs::read(path).unwrap()
    };
    let safetensors = |path: &Path| safetensors::write(path, &sample(), &metadata()).unwrap();
    let torch = |path: &Path| torch::write(path, &sample()).unwrap();
    assert_eq!(bytes(&safetensors), bytes(&safetensors));
    assert_eq!(bytes(&torch), bytes(&torch));
}

/// PyTorch maps storages at multiples of 64 bytes.
#[test]
fn storages_are_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    let needle = f32::from_bits(0x1234_5678);
    let tensors: Vec<_> = (1..40).map(|n| NamedTensor::f32("n".repeat(n), &[n], vec![needle; n])).collect();
    torch::write(&path, &tensors).unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut at = 0;
    for n in 1..40 {
        let pattern = needle.to_le_bytes().repeat(n);
        at += bytes[at..].windows(pattern.len()).position(|window| window == pattern).unwrap();
        assert_eq!(at % 64, 0, "the storage of {n} elements");
        at += pattern.len();
    }
}

#[test]
fn the_reference_implementation_reads_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    safetensors::write(&path, &sample(), &metadata()).unwrap();
    let bytes = fs::read(&path).unwrap();
    let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let found: BTreeMap<_, _> = header.metadata().clone().unwrap().into_iter().collect();
    assert_eq!(found, metadata());
    let file = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), sample().len());
    for tensor in sample() {
        let view = file.tensor(&tensor.name).unwrap();
        assert_eq!(view.shape(), tensor.shape);
        let (dtype, expected): (_, Vec<u8>) = match &tensor.data {
            TensorData::F32(values) => (::safetensors::Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            TensorData::I64(values) => (::safetensors::Dtype::I64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        };
        assert_eq!((view.dtype(), view.data()), (dtype, &expected[..]));
        let element = if dtype == ::safetensors::Dtype::I64 { 8 } else { 4 };
        let place = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert!(view.data().is_empty() || place.is_multiple_of(element), "{}: not aligned", tensor.name);
    }
}

#[test]
fn what_the_reference_implementation_writes_is_read() {
    use ::safetensors::Dtype::{BF16, F16, F32, F64, I64, U8};
    use ::safetensors::tensor::{TensorView, serialize};
    let bytes = |dtype| match dtype {
        F16 => [0x3c00u16, 0xc000].iter().flat_map(|v| v.to_le_bytes()).collect(),
        BF16 => [0x3f80u16, 0xc000].iter().flat_map(|v| v.to_le_bytes()).collect(),
        F32 => [1.0f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect(),
        F64 => [1.0f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect(),
        I64 => [1i64, -2].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>(),
        _ => vec![1, 2],
    };
    let file = |dtype| serialize([("w", TensorView::new(dtype, vec![1, 2], &bytes(dtype)).unwrap())], None).unwrap();
    for dtype in [F16, BF16, F32, F64] {
        let contents = safetensors::decode(&file(dtype)).unwrap();
        assert_eq!(contents.tensors, [NamedTensor::f32("w", &[1, 2], vec![1.0, -2.0])], "{dtype:?}");
        assert!(contents.metadata.is_empty());
    }
    let integers = NamedTensor { name: "w".into(), shape: vec![1, 2], data: TensorData::I64(vec![1, -2]) };
    assert_eq!(safetensors::decode(&file(I64)).unwrap().tensors, [integers]);
    let error = safetensors::decode(&file(U8)).unwrap_err().to_string();
    assert_eq!(error, "the tensor `w` has elements of type `U8`: convert it to F32 or I64 (F16, BF16 and F64 are read too)");
}

#[test]
fn tensors_that_make_no_file_are_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    let check = |tensors: &[NamedTensor], expected: &EncodeError, formats: &[Format]| {
        for format in formats {
            let result = match format {
                Format::Safetensors => safetensors::write(&path, tensors, &BTreeMap::new()),
                Format::Torch => torch::write(&path, tensors),
            };
            match result {
                Err(FormatError::State { problem, .. }) => assert_eq!(&problem, expected),
                other => panic!("{other:?}"),
            }
            assert!(!path.exists());
        }
    };
    let both = [Format::Safetensors, Format::Torch];
    let one = NamedTensor::f32("w", &[1], vec![0.0]);
    check(&[one.clone(), one.clone()], &EncodeError::DuplicateName("w".into()), &both);
    let wrong = NamedTensor { name: "w".into(), shape: vec![2], data: TensorData::F32(vec![0.0]) };
    check(&[wrong], &EncodeError::Shape { name: "w".into(), shape: vec![2], elements: 1 }, &both);
    let overflow = NamedTensor { name: "w".into(), shape: vec![usize::MAX, 2, 0], data: TensorData::F32(vec![]) };
    check(&[overflow], &EncodeError::Shape { name: "w".into(), shape: vec![usize::MAX, 2, 0], elements: 0 }, &both);
    let reserved = NamedTensor::f32("__metadata__", &[1], vec![0.0]);
    check(&[reserved], &EncodeError::ReservedName("__metadata__".into()), &[Format::Safetensors]);
}
