//! PyTorch's `.pth`: a zip file with a pickle that describes the tensors and one entry per storage.
//!
//! Reading follows `torch.load(weights_only=True)`: the pickle is run by an interpreter that knows the few opcodes and
//! the few Python names a state dict needs, and calls nothing. Any other name is refused, by name.

mod pickle;
mod state_dict;
#[cfg(test)]
mod tests;
mod zip;

use std::path::Path;

use anmok_graph::{NamedTensor, TensorData};

use crate::dtype::{size_in_bytes, write_elements};
use crate::error::{DecodeError, FormatError, check_tensors};
use crate::{atomic_write, decode_file};
use zip::Archive;

/// Writes a state dict, atomically: `torch.load(path)` gives an `OrderedDict` of tensors on the CPU, in this order, and
/// `model.load_state_dict(torch.load(path))` takes it. Equal tensors give equal bytes.
pub fn write(path: &Path, tensors: &[NamedTensor]) -> Result<(), FormatError> {
    let state = |problem| FormatError::State { path: path.into(), problem };
    check_tensors(tensors).map_err(state)?;
    let storages: Vec<(&str, usize)> = tensors.iter().map(|tensor| (storage_class(tensor), elements(tensor))).collect();
    let pickle = pickle::write_state_dict(tensors, &storages).map_err(state)?;

    let mut plan = zip::Plan::new("archive");
    plan.add("data.pkl", pickle.len(), crc32fast::hash(&pickle));
    plan.add("byteorder", BYTE_ORDER.len(), crc32fast::hash(BYTE_ORDER));
    for (index, tensor) in tensors.iter().enumerate() {
        let mut checksum = Checksum(crc32fast::Hasher::new());
        // A hasher takes every byte it is given.
        let _ = write_elements(&tensor.data, &mut checksum);
        plan.add(&format!("data/{index}"), size_in_bytes(&tensor.data), checksum.0.finalize());
    }
    plan.add("version", VERSION.len(), crc32fast::hash(VERSION));
    let plan = plan.finish().map_err(state)?;

    atomic_write(path, |writer| {
        plan.write(writer, |index, writer| match index {
            0 => writer.write_all(&pickle),
            1 => writer.write_all(BYTE_ORDER),
            _ => match tensors.get(index - 2) {
                Some(tensor) => write_elements(&tensor.data, writer),
                None => writer.write_all(VERSION),
            },
        })
    })?;
    Ok(())
}

/// Reads a state dict, or the one inside a checkpoint (under `state_dict`, `model_state_dict` or `model`), in the file's
/// order. The prefix `module.` that DataParallel puts before every name is taken off. Tensors of half, bfloat16 and
/// double precision become `f32`; views of shared storages become tensors of their own.
pub fn read(path: &Path) -> Result<Vec<NamedTensor>, FormatError> {
    decode_file(path, decode)
}

/// Decodes the bytes of a file. Offsets in errors count from the start of the file.
pub fn decode(bytes: &[u8]) -> Result<Vec<NamedTensor>, DecodeError> {
    let archive = Archive::new(bytes)?;
    if archive.find("constants.pkl").is_some() {
        return Err(DecodeError::Unsupported {
            what: "a TorchScript archive, a program with its weights".into(),
            remedy: "save the weights alone in Python: torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)",
        });
    }
    let Some(pickle) = archive.find("data.pkl") else {
        return Err(DecodeError::Unsupported {
            what: "a zip file without `data.pkl`".into(),
            remedy: "give a file written by torch.save(model.state_dict(), FILE)",
        });
    };
    if let Some(order) = archive.find("byteorder") {
        let order = archive.contents(order)?;
        if order.trim_ascii() != BYTE_ORDER {
            return Err(DecodeError::Unsupported {
                what: format!("the byte order is `{}`", order[..order.len().min(16)].escape_ascii()),
                remedy: "save the file again on a little-endian machine",
            });
        }
    }
    let (objects, root) = pickle::read(archive.contents(pickle)?, pickle.start)?;
    state_dict::tensors(&objects, root, &archive)
}

const BYTE_ORDER: &[u8] = b"little";

/// The version of PyTorch's container, which torch.save has written since 1.6.
const VERSION: &[u8] = b"3\n";

fn storage_class(tensor: &NamedTensor) -> &'static str {
    match tensor.data {
        TensorData::F32(_) => "FloatStorage",
        TensorData::I64(_) => "LongStorage",
    }
}

fn elements(tensor: &NamedTensor) -> usize {
    match &tensor.data {
        TensorData::F32(values) => values.len(),
        TensorData::I64(values) => values.len(),
    }
}

struct Checksum(crc32fast::Hasher);

impl std::io::Write for Checksum {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
