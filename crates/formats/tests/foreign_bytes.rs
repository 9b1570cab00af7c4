//! No bytes make a reader panic, and damage is noticed.

use anmok_formats::{DecodeError, safetensors, torch};
use anmok_graph::NamedTensor;
use proptest::prelude::*;

const STATE_DICT: &[u8] = include_bytes!("golden/state_dict.pth");
const CHECKPOINT: &[u8] = include_bytes!("golden/checkpoint.pth");

fn safetensors_file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

const HEADER: &str = r#"{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]},"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}"#;

#[test]
fn a_torch_file_with_a_flipped_bit_is_an_error_or_gives_the_same_tensors() {
    for file in [STATE_DICT, CHECKPOINT] {
        let expected = torch::decode(file).unwrap();
        let mut bytes = file.to_vec();
        let mut errors = 0;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                match torch::decode(&bytes) {
                    Ok(tensors) => assert!(tensors == expected, "bit {bit} of byte {at}"),
                    Err(_) => errors += 1,
                }
                bytes[at] ^= 1 << bit;
            }
        }
        // The rest is padding and headers that are not needed.
        assert!(errors > bytes.len() * 2, "{errors} of {} noticed", bytes.len() * 8);
    }
}

#[test]
fn a_torch_file_cut_short_is_an_error() {
    for file in [STATE_DICT, CHECKPOINT] {
        for length in 0..file.len() {
            assert!(matches!(torch::decode(&file[..length]), Err(DecodeError::Damaged { .. })), "{length} bytes");
        }
        let error = torch::decode(&file[..file.len() / 2]).unwrap_err().to_string();
        assert!(error.contains("cut short"), "{error}");
    }
}

#[test]
fn a_safetensors_file_cut_short_or_too_long_is_an_error() {
    let file = safetensors_file(HEADER, &[0; 16]);
    assert_eq!(safetensors::decode(&file).unwrap().tensors[0], NamedTensor::f32("w", &[2, 1], vec![0.0; 2]));
    for length in 0..file.len() {
        assert!(matches!(safetensors::decode(&file[..length]), Err(DecodeError::Damaged { .. })), "{length} bytes");
    }
    let error = safetensors::decode(&[&file[..], &[0]].concat()).unwrap_err().to_string();
    assert_eq!(error, format!("damaged at byte {}: 1 bytes follow the last tensor", file.len()));
}

#[test]
fn safetensors_headers_that_break_the_rules() {
    let check = |header: &str, expected: &str| {
        let error = safetensors::decode(&safetensors_file(header, &[0; 16])).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let entry = |name: &str, shape: &str, from: &str, to: &str| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let join = |entries: &[String]| format!("{{{}}}", entries.join(","));
    check(&join(&[entry("w", "[2]", "0", "8"), entry("w", "[2]", "8", "16")]), "the name `w` is there twice");
    check(&join(&[entry("w", "[2]", "0", "8"), entry("w", "[2]", "0", "8")]), "the name `w` is there twice");
    check(&join(&[entry("w", "[2]", "0", "8"), entry("v", "[3]", "4", "16")]), "tensors overlap or leave a gap");
    check(&join(&[entry("w", "[2]", "0", "8"), entry("v", "[1]", "12", "16")]), "tensors overlap or leave a gap");
    check(&join(&[entry("w", "[3]", "0", "16")]), "`w` lies at 0..16, which is not the size of `F32` [3]");
    check(&join(&[entry("w", "[2]", "8", "0")]), "tensors overlap or leave a gap");
    check(&join(&[entry("w", "[5]", "0", "20")]), "the file ends inside `w`");
    check(&join(&[entry("w", "[2]", "0", "8")]), "8 bytes follow the last tensor");
    // Sizes that overflow, alone and in the sum (the safetensors crate 0.8 panics on the second).
    check(&join(&[entry("w", "[4294967296,4294967296,4294967296]", "0", "16")]), "not the size of");
    check(&join(&[entry("w", "[4611686018427387903]", "0", "18446744073709551612")]), "the file ends inside `w`");
    check(&join(&[entry("w", "[18446744073709551615,2,0]", "0", "0")]), "not the size of");
    check(&join(&[entry("w", "[18446744073709551616]", "0", "0")]), "the header is not valid");
    check(&join(&[entry("w", "[-1]", "0", "0")]), "the header is not valid");
    check(&join(&[entry("w", &format!("[{}]", vec!["1"; 65].join(",")), "0", "4")]), "65 dimensions");
    check(r#"{"__metadata__":{"a":"b","a":"c"}}"#, "the metadata key `a` is there twice");
    check(r#"{"__metadata__":{},"__metadata__":{}}"#, "the name `__metadata__` is there twice");
    check(r#"{"__metadata__":{"a":1}}"#, "the header is not valid");
    check(&"[".repeat(100_000), "the header is not valid");
    check(&format!(r#"{{"w":{{"dtype":{}"#, "[".repeat(100_000)), "the header is not valid");
    check(&join(&[entry(&"x".repeat(100_000), "[3]", "0", "16")]), "x...`");
}

#[test]
fn a_huge_safetensors_header_is_refused_unread() {
    for length in [safetensors::MAX_HEADER_BYTES + 1, u64::MAX] {
        let error = safetensors::decode(&[&length.to_le_bytes()[..], b"{"].concat()).unwrap_err();
        assert!(matches!(error, DecodeError::Limit { .. }), "{error}");
    }
}

/// A few places of a file overwritten, and the file cut or lengthened.
fn damage(file: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    (edits, any::<prop::sample::Index>(), prop::bool::weighted(0.2), proptest::collection::vec(any::<u8>(), 0..20)).prop_map(
        move |(edits, cut, is_cut, tail)| {
            let mut bytes = file.clone();
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if is_cut {
                bytes.truncate(cut.index(bytes.len()));
                bytes.extend(tail);
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        // Random bytes cannot be a whole file with a checksum or an exact header.
        prop_assert!(torch::decode(&bytes).is_err());
        prop_assert!(safetensors::decode(&bytes).is_err());
    }

    #[test]
    fn any_header(header in r#"\{("[a-z_]{0,3}":(\{("(dtype|shape|data_offsets)":("F32"|"I64"|\[([0-9]{1,20}(,[0-9]{1,20})?)?\]),?){0,3}\}|null|1),?){0,3}\}?"#) {
        let file = safetensors_file(&header, &[0; 8]);
        if let Ok(contents) = safetensors::decode(&file) {
            let elements: usize = contents.tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum();
            prop_assert!(elements <= 2);
        }
    }

    #[test]
    fn a_damaged_torch_file(bytes in damage(STATE_DICT.to_vec())) {
        if let Ok(tensors) = torch::decode(&bytes) {
            prop_assert_eq!(tensors, torch::decode(STATE_DICT).unwrap());
        }
    }

    #[test]
    fn a_damaged_safetensors_file(bytes in damage(safetensors_file(HEADER, &[0; 16]))) {
        if let Ok(contents) = safetensors::decode(&bytes) {
            let elements: usize = contents.tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum();
            prop_assert!(elements <= 8);
        }
    }
}
