//! Weights on disk: safetensors and PyTorch's `.pth`, both as plain lists of [`NamedTensor`](anmok_graph::NamedTensor).
//!
//! Every file is foreign until it is checked: readers work on bytes, return [`DecodeError`] with the place and the
//! reason, and never panic or recurse by what the file says. Memory is bounded: by a small multiple of the file's size
//! (at most [`MAX_FILE_BYTES`]) and, for a `.pth` file's pickle, some hundred bytes for each of its opcodes, of which no
//! more than 4 million are run: half a gigabyte at the very worst. Files are written whole or not at all ([`atomic_write`]).
//!
//! Both containers are read and written here rather than by the crates of that name. `safetensors` 0.8 writes its
//! metadata in random order (the same weights, another digest), lets the last of two tensors with one name win, and
//! overflows on a forged offset; it remains the reference in the tests. `zip` brings ten crates and decompression,
//! and PyTorch only ever stores.
//!
//! - [`safetensors`]: the format of checkpoints and of `model.safetensors`
//! - [`torch`]: state dicts that `torch.load(weights_only=True)` takes, and those that `torch.save` made
//! - [`atomic`]: files that are there whole or not at all
//! - [`error`]: what goes wrong

pub mod atomic;
mod dtype;
pub mod error;
pub mod safetensors;
pub mod torch;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anmok_graph::NamedTensor;

pub use atomic::{WriteError, atomic_write};
pub use error::{DecodeError, FormatError};

/// The largest file that is read. Files are read into memory whole.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// The formats of weight files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// [`safetensors`].
    Safetensors,
    /// A zip file of `torch.save` (PyTorch 1.6 and later): [`torch`].
    Torch,
}

/// Tells the format of a file by its first bytes, whatever its name.
pub fn sniff(path: &Path) -> Result<Format, FormatError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(|problem| FormatError::Read { path: path.into(), problem })?;
    file.take(SNIFFED_BYTES as u64).read_to_end(&mut start).map_err(|problem| FormatError::Read { path: path.into(), problem })?;
    format_of(&start).map_err(|problem| FormatError::Content { path: path.into(), problem })
}

/// The tensors of a weight file of either format, in the file's order.
pub fn read_weights(path: &Path) -> Result<Vec<NamedTensor>, FormatError> {
    decode_file(path, |bytes| match format_of(bytes)? {
        Format::Safetensors => Ok(safetensors::decode(bytes)?.tensors),
        Format::Torch => torch::decode(bytes),
    })
}

const SNIFFED_BYTES: usize = 32;

/// What `torch.save` wrote before PyTorch 1.6: a pickle of the number 0x1950a86a20f9469cfc6c, then more pickles.
const LEGACY_TORCH: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

fn format_of(bytes: &[u8]) -> Result<Format, DecodeError> {
    if bytes.starts_with(b"PK\x03\x04") {
        return Ok(Format::Torch);
    }
    if bytes.starts_with(LEGACY_TORCH) {
        return Err(DecodeError::Unsupported {
            what: "a PyTorch file of the format before 1.6, which is not a zip file".into(),
            remedy: "convert it in Python with torch.save(torch.load(FILE), FILE)",
        });
    }
    if let Some((length, rest)) = bytes.split_first_chunk::<8>()
        && u64::from_le_bytes(*length) <= safetensors::MAX_HEADER_BYTES
        && rest.starts_with(b"{")
    {
        return Ok(Format::Safetensors);
    }
    let start = bytes[..bytes.len().min(16)].escape_ascii();
    Err(DecodeError::Unsupported {
        what: format!("neither a safetensors file nor a PyTorch zip file (it begins with `{start}`)"),
        remedy: "give a file written by safetensors or by torch.save(model.state_dict(), FILE)",
    })
}

/// Reads a whole file of bounded size and decodes it; errors carry the path.
fn decode_file<T>(path: &Path, decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>) -> Result<T, FormatError> {
    let read = |problem| FormatError::Read { path: path.into(), problem };
    let content = |problem| FormatError::Content { path: path.into(), problem };
    let file = File::open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    if !metadata.is_file() {
        return Err(read(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let too_large = |size| DecodeError::Limit { what: format!("the file has {size} bytes"), limit: MAX_FILE_BYTES };
    if metadata.len() > MAX_FILE_BYTES {
        return Err(content(too_large(metadata.len())));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(metadata.len() as usize).map_err(|_| read(std::io::ErrorKind::OutOfMemory.into()))?;
    // The file may grow while it is read: the limit holds all the same.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(content(too_large(bytes.len() as u64)));
    }
    decode(&bytes).map_err(content)
}
