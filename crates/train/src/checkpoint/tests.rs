//! What is read is what was written, or an error; never a panic, never something else.

use anmok_formats::FormatError;

use super::*;
use crate::history::{EpochRecord, History};
use crate::recipe::Recipe;
use crate::schedule::Plateau;

pub(super) fn checkpoint() -> Checkpoint {
    let record = EpochRecord {
        epoch: 1,
        train_loss: 0.1 + 0.2,
        train_accuracy: 1.0 / 3.0,
        val_loss: Some(f64::NAN),
        val_accuracy: Some(0.5),
        learning_rate: 5e-324,
        epoch_seconds: 1.5,
        engine_seconds: 1.25,
        images_per_second: f64::MAX,
    };
    Checkpoint {
        state: CheckpointState {
            version: FORMAT_VERSION,
            run_id: "a1b2".into(),
            recipe: Recipe { freeze: vec!["features.*".into()], ..Recipe::default() },
            classes: 3,
            data_digest: "00ff".into(),
            level: "portable".into(),
            position: Position { epoch: 1, batch: 2, step: 9, pass: 18 },
            sums: EpochSums { loss: 1e-300, correct: 7, images: 32, seconds: 0.25, engine_seconds: 0.2, other_seconds: 0.1 },
            plateau: Plateau::default(),
            history: History { epochs: vec![record] },
            best: Some(Best { epoch: 1, val_accuracy: 0.5, val_loss: f64::INFINITY }),
            seconds: 2.5,
        },
        model: vec![NamedTensor::f32("a.weight", &[2, 2], vec![1.0, -0.0, f32::MIN_POSITIVE, 3.5]), NamedTensor::i64_scalar("a.count", 5)],
        training: vec![
            NamedTensor::f32("optimizer.m.a.weight", &[2, 2], vec![0.5; 4]),
            NamedTensor::f32("ema.a.weight", &[2, 2], vec![2.0; 4]),
        ],
        best: Some(Arc::new(vec![NamedTensor::f32("a.weight", &[2, 2], vec![9.0; 4]), NamedTensor::i64_scalar("a.count", 4)])),
    }
}

/// NaN is equal to nothing, so states are compared as their text, which keeps every bit.
fn same(a: &Checkpoint, b: &Checkpoint) -> bool {
    a.state.to_json() == b.state.to_json() && (&a.model, &a.training, &a.best) == (&b.model, &b.training, &b.best)
}

fn bytes(checkpoint: Checkpoint) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    checkpoint.save(&folder.path().join(LAST)).unwrap();
    std::fs::read(folder.path().join(LAST)).unwrap()
}

/// As [`Checkpoint::load_file`], without the file.
fn load(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    let path = Path::new(LAST);
    let contents =
        safetensors::decode(bytes).map_err(|problem| CheckpointError::Read(FormatError::Content { path: path.into(), problem }))?;
    Checkpoint::from_contents(contents, path)
}

#[test]
fn a_checkpoint_comes_back_with_every_bit() {
    let file = bytes(checkpoint());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(LAST), &file).unwrap();
    let back = Checkpoint::load_file(&folder.path().join(LAST)).unwrap();
    assert!(same(&back, &checkpoint()), "{back:?}");
    assert_eq!(bytes(back), file);
}

#[test]
fn without_a_best_model_there_is_none() {
    let mut early = checkpoint();
    early.best = None;
    early.state.best = None;
    assert!(same(&load(&bytes(early.clone())).unwrap(), &early));
}

/// The digest covers state and tensors, so a flipped bit is found wherever it is; only the white space around the
/// header may differ without being found, and then nothing else does.
#[test]
fn every_flipped_bit_is_found_or_harmless() {
    let (file, original) = (bytes(checkpoint()), checkpoint());
    let mut harmless = 0;
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut spoilt = file.clone();
            spoilt[at] ^= 1 << bit;
            match load(&spoilt) {
                Err(_) => {}
                Ok(loaded) => {
                    assert!(same(&loaded, &original), "bit {bit} of byte {at} changed the checkpoint unnoticed");
                    harmless += 1;
                }
            }
        }
    }
    assert!(harmless < 64, "{harmless} of {} flips went through", file.len() * 8);
}

#[test]
fn every_truncation_and_every_surplus_byte_is_an_error() {
    let file = bytes(checkpoint());
    for length in 0..file.len() {
        assert!(load(&file[..length]).is_err(), "{length} of {} bytes", file.len());
    }
    let longer: Vec<u8> = file.iter().copied().chain([0]).collect();
    assert!(load(&longer).is_err());
}

#[test]
fn parts_of_two_checkpoints_are_not_a_checkpoint() {
    let (mut first, mut second) = (checkpoint(), checkpoint());
    second.state.position.step += 1;
    second.model[0] = NamedTensor::f32("a.weight", &[2, 2], vec![7.0; 4]);
    // The tensors of one under the state of the other.
    std::mem::swap(&mut first.model, &mut second.model);
    let (tensors, _) = first.encode();
    let (_, metadata) = checkpoint().encode();
    let folder = tempfile::tempdir().unwrap();
    safetensors::write(&folder.path().join(LAST), &tensors, &metadata).unwrap();
    let error = Checkpoint::load_file(&folder.path().join(LAST)).unwrap_err().to_string();
    assert!(error.contains("last.safetensors is damaged: its contents do not have the digest"), "{error}");
}

#[test]
fn other_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let error = Checkpoint::load_file(&folder.path().join(LAST)).unwrap_err().to_string();
    assert!(error.contains("no checkpoint at") && error.contains("last.safetensors"), "{error}");

    let weights = folder.path().join("weights.safetensors");
    safetensors::write(&weights, &checkpoint().model, &BTreeMap::new()).unwrap();
    let error = Checkpoint::load_file(&weights).unwrap_err().to_string();
    assert!(error.contains("holds tensors but no checkpoint"), "{error}");

    std::fs::write(&weights, "not tensors").unwrap();
    let error = Checkpoint::load_file(&weights).unwrap_err().to_string();
    assert!(error.contains("the checkpoint cannot be read"), "{error}");

    let mut newer = checkpoint();
    newer.state.version = FORMAT_VERSION + 1;
    let error = load(&bytes(newer)).unwrap_err().to_string();
    assert!(error.contains("checkpoint format 2 is newer than 1"), "{error}");

    let mut surplus = checkpoint();
    surplus.training.push(NamedTensor::f32("strange", &[1], vec![0.0]));
    let error = load(&bytes(surplus)).unwrap_err().to_string();
    assert!(error.contains("tensor `strange` has no place"), "{error}");
}
