//! The digest that holds a checkpoint's state and tensors together.

use anmok_graph::{NamedTensor, TensorData};
use sha2::{Digest, Sha256};

/// SHA-256 in hexadecimal over the state's text and, in their order, name, shape and elements of all tensors, each with
/// its length before it, so that no two contents have the same bytes.
pub fn digest(state: &str, tensors: &[NamedTensor]) -> String {
    let mut hash = Sha256::new();
    let text = |hash: &mut Sha256, text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    text(&mut hash, state);
    for tensor in tensors {
        text(&mut hash, &tensor.name);
        hash.update((tensor.shape.len() as u64).to_le_bytes());
        tensor.shape.iter().for_each(|&side| hash.update((side as u64).to_le_bytes()));
        match &tensor.data {
            TensorData::F32(values) => elements(&mut hash, b"f32", values, f32::to_le_bytes),
            TensorData::I64(values) => elements(&mut hash, b"i64", values, i64::to_le_bytes),
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn elements<T: Copy, const N: usize>(hash: &mut Sha256, kind: &[u8; 3], values: &[T], bytes: fn(T) -> [u8; N]) {
    hash.update(kind);
    // In pieces: the digest of a few bytes at a time would cost more than the writing.
    let mut buffer = Vec::with_capacity(N << 12);
    for piece in values.chunks(1 << 12) {
        buffer.clear();
        piece.iter().for_each(|&value| buffer.extend_from_slice(&bytes(value)));
        hash.update(&buffer);
    }
}
