//! Archives made by hand: pickles that PyTorch would never write.

use proptest::prelude::*;

use super::*;

/// An archive with this pickle and these storages (`data/0`, `data/1`, ...), all checksums right.
fn archive(pickle: &[u8], storages: &[&[u8]]) -> Vec<u8> {
    let names = ["data.pkl".to_owned()].into_iter().chain((0..storages.len()).map(|index| format!("data/{index}")));
    let contents: Vec<&[u8]> = [pickle].into_iter().chain(storages.iter().copied()).collect();
    let mut plan = zip::Plan::new("x");
    for (name, contents) in names.zip(&contents) {
        plan.add(&name, contents.len(), crc32fast::hash(contents));
    }
    let mut bytes = vec![];
    plan.finish().unwrap().write(&mut bytes, |index, writer| writer.write_all(contents[index])).unwrap();
    bytes
}

/// `{name: tensor, ...}`, the tensors views of `data/0` with `elements` floats: (name, offset, shape, strides).
fn views(elements: usize, views: &[(&str, i32, &[i32], &[i32])]) -> Vec<u8> {
    fn text(text: &str) -> Vec<u8> {
        [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
    }
    fn tuple(sides: &[i32]) -> Vec<u8> {
        [b"(", &sides.iter().flat_map(|side| [b"J", &side.to_le_bytes()[..]].concat()).collect::<Vec<u8>>()[..], b"t"].concat()
    }
    let mut pickle = b"\x80\x02}(".to_vec();
    for (name, offset, shape, strides) in views {
        pickle.extend(text(name));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle.extend([text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text("0"), text("cpu")].concat());
        pickle.extend([b"J", &(elements as i32).to_le_bytes()[..], b"tQJ", &offset.to_le_bytes()[..]].concat());
        pickle.extend([tuple(shape), tuple(strides), b"\x89NtR".to_vec()].concat());
    }
    pickle.extend(b"u.");
    pickle
}

fn decode_views(of: &[(&str, i32, &[i32], &[i32])]) -> Result<Vec<NamedTensor>, DecodeError> {
    let floats: Vec<u8> = [0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    decode(&archive(&views(6, of), &[&floats]))
}

#[test]
fn views_are_gathered() {
    let floats = |shape, strides, offset| decode_views(&[("w", offset, shape, strides)]).unwrap()[0].as_f32().unwrap().to_vec();
    assert_eq!(floats(&[2, 3], &[3, 1], 0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(floats(&[3, 2], &[1, 3], 0), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(floats(&[2], &[2], 1), [1.0, 3.0]);
    assert_eq!(floats(&[2, 2], &[1, 1], 3), [3.0, 4.0, 4.0, 5.0]);
    // The stride of a side of 1 means nothing.
    assert_eq!(floats(&[1, 2, 1], &[i32::MAX, 1, 77], 4), [4.0, 5.0]);
    assert!(floats(&[0, i32::MAX], &[7, 7], 1000).is_empty());
    assert_eq!(floats(&[], &[], 5), [5.0]);
}

#[test]
fn views_beyond_their_storage_are_damage() {
    for (offset, shape, strides) in [
        (1, &[6][..], &[1][..]),
        (6, &[], &[]),
        (-1, &[1], &[1]),
        (0, &[2], &[6]),
        (0, &[2], &[-1]),
        (0, &[-2], &[1]),
        (0, &[2, 3], &[1]),
        (0, &[i32::MAX; 3], &[i32::MAX; 3]),
        (0, &[1; 65], &[1; 65]),
    ] {
        let error = decode_views(&[("w", offset, shape, strides)]).unwrap_err();
        assert!(matches!(error, DecodeError::Damaged { .. }), "{error}");
    }
    let error = decode(&archive(&views(5, &[("w", 0, &[5], &[1])]), &[&[0; 24]])).unwrap_err().to_string();
    assert!(error.contains("the tensor `w` wants 5 elements of the storage `0`, which has 24 bytes"), "{error}");
    let error = decode(&archive(&views(5, &[("w", 0, &[5], &[1])]), &[])).unwrap_err().to_string();
    assert!(error.contains("the storage `0` is missing"), "{error}");
}

/// A stride of 0 makes any size out of one element, and a shared storage any number of tensors.
#[test]
fn a_small_file_cannot_ask_for_much_memory() {
    let big: &[i32] = &[1 << 20, 1 << 10];
    assert!(matches!(decode_views(&[("w", 0, big, &[0, 0])]), Err(DecodeError::Limit { .. })));
    let names: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let many: Vec<(&str, i32, &[i32], &[i32])> = names.iter().map(|name| (&name[..], 0, &[30_000][..], &[0][..])).collect();
    assert!(matches!(decode_views(&many), Err(DecodeError::Limit { .. })));
    let empty: Vec<(&str, i32, &[i32], &[i32])> = names.iter().map(|name| (&name[..], 0, &[0; 60][..], &[0; 60][..])).collect();
    assert_eq!(decode_views(&empty).unwrap().len(), 1000);
}

#[test]
fn a_name_is_there_once() {
    let error = decode_views(&[("w", 0, &[1], &[1]), ("w", 1, &[1], &[1])]).unwrap_err().to_string();
    assert!(error.contains("the tensor `w` is there twice"), "{error}");
    // Only where all names have the prefix is it DataParallel's.
    let names = |of| decode_views(of).unwrap().into_iter().map(|tensor| tensor.name).collect::<Vec<_>>();
    assert_eq!(names(&[("module.w", 0, &[], &[]), ("w", 0, &[], &[])]), ["module.w", "w"]);
    assert_eq!(names(&[("module.w", 0, &[], &[]), ("module.module.v", 0, &[], &[])]), ["w", "module.v"]);
}

#[test]
fn pickles_that_want_more_than_data_are_refused_by_name() {
    let check = |pickle: &[u8], expected: &str| {
        let error = decode(&archive(pickle, &[])).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(b"\x80\x02cos\nsystem\n(X\x02\0\0\0lstR.", "`os.system`, which is not loaded");
    check(b"\x80\x02cbuiltins\neval\n.", "`builtins.eval`");
    check(b"\x80\x02ctorch\nload\n.", "`torch.load`");
    check(b"\x80\x02(S'ls'\nios\nsystem\n.", "the opcode 0x53");
    check(b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.", "a call that no state dict makes");
    check(b"\x80\x02X\x04\0\0\0nameQ.", "a tuple should be");
    check(b"\x80\x02)R.", "more than there is on the stack");
    check(b"\x80\x02K\x01(0.", "more than there is on the stack");
    check(b"\x80\x02t.", "a mark");
    check(b"\x80\x02h\x07.", "the object 7, which is not there");
    check(b"\x80\x02}(K\x01u.", "a key without a value");
    check(b"\x80\x02K\x01}s.", "more than there is on the stack");
    check(b"\x80\x02X\xff\xff\xff\xffabc", "it ends too early");
    check(b"\x80\x02cos", "a name without an end");
    check(b"\x80\x02", "it ends too early");
    check(b"", "it ends too early");
    check(b"\x80\x02}q\0(X\x05\0\0\0modelh\0u.", "the entry `model` is a dict");
}

/// Nesting by recursion would end the process here.
#[test]
fn depth_is_no_danger() {
    let deep = [&b"\x80\x02N"[..], &[b'\x85'; 1_000_000], b"."].concat();
    let error = decode(&archive(&deep, &[])).unwrap_err().to_string();
    assert!(error.contains("it holds a tuple and no state dict"), "{error}");
    let endless = [&b"\x80\x02"[..], &b"N0".repeat(3_000_000)].concat();
    assert!(matches!(decode(&archive(&endless, &[])), Err(DecodeError::Limit { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any sequence of known opcodes, their operands and the known names.
    #[test]
    fn any_pickle(parts in proptest::collection::vec(prop_oneof![
        4 => proptest::sample::select(&b"(.0NQR]abesut})\x85\x86\x87\x88\x89"[..]).prop_map(|opcode| vec![opcode]),
        1 => (proptest::sample::select(&b"Khq"[..]), 0..4u8).prop_map(|(opcode, operand)| vec![opcode, operand]),
        1 => any::<i32>().prop_map(|value| [b"J", &value.to_le_bytes()[..]].concat()),
        1 => proptest::collection::vec(any::<u8>(), 0..12).prop_map(|long| [&[0x8a, long.len() as u8][..], &long].concat()),
        1 => proptest::sample::select(&["storage", "0", "cpu", "model"][..])
            .prop_map(|text| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()),
        1 => proptest::sample::select(&[
            "ccollections\nOrderedDict\n", "ctorch._utils\n_rebuild_tensor_v2\n", "ctorch._utils\n_rebuild_parameter\n",
            "ctorch\nFloatStorage\n"][..]).prop_map(|text| text.as_bytes().to_vec()),
    ], 0..60)) {
        let pickle = [&b"\x80\x02"[..], &parts.concat()].concat();
        if let Ok(tensors) = decode(&archive(&pickle, &[&[0; 8]])) {
            prop_assert!(tensors.is_empty(), "a whole tensor by chance: {:?}", tensors);
        }
    }

    /// A valid pickle with a few bytes changed, and its checksum made right again.
    #[test]
    fn a_changed_pickle(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let mut pickle = views(6, &[("w", 0, &[2, 3], &[3, 1]), ("v", 1, &[2], &[2])]);
        for (at, byte) in edits {
            let at = at.index(pickle.len());
            pickle[at] = byte;
        }
        if let Ok(tensors) = decode(&archive(&pickle, &[&[0; 24]])) {
            let elements: usize = tensors.iter().map(|tensor| tensor.as_f32().map_or(0, <[f32]>::len)).sum();
            prop_assert!(elements <= EXPANSION_OF_THE_SAMPLE);
        }
    }
}

/// Eight times the sample archive's size and the fixed allowance, in floats.
const EXPANSION_OF_THE_SAMPLE: usize = (8 * 2048 + (1 << 20)) / 4;
