//! safetensors (<https://github.com/huggingface/safetensors>): the length of a JSON header, the header, the data.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use anmok_graph::{NamedTensor, TensorData};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;

use crate::dtype::{Dtype, size_in_bytes, write_elements};
use crate::error::{DecodeError, EncodeError, FormatError, Quoted, check_tensors};
use crate::{atomic_write, decode_file};

/// The longest header that is read or written, in bytes: some 100,000 tensors.
pub const MAX_HEADER_BYTES: u64 = 16 << 20;

/// The header's key for the strings that are not tensors.
const METADATA: &str = "__metadata__";

/// Most dimensions of a tensor (PyTorch's own limit).
const MAX_RANK: usize = 64;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contents {
    /// The tensors, in the header's order.
    pub tensors: Vec<NamedTensor>,
    /// Free strings by key (`__metadata__`).
    pub metadata: BTreeMap<String, String>,
}

/// Writes tensors and metadata to a file, atomically. Equal arguments give equal bytes, and [`read`] gives the tensors
/// back in the same order.
pub fn write(path: &Path, tensors: &[NamedTensor], metadata: &BTreeMap<String, String>) -> Result<(), FormatError> {
    let header = header(tensors, metadata).map_err(|problem| FormatError::State { path: path.into(), problem })?;
    atomic_write(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        for tensor in in_data_order(tensors) {
            write_elements(&tensor.data, writer)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Reads a file. `F16`, `BF16` and `F64` become `f32`; element types other than those, `F32` and `I64` are an error.
pub fn read(path: &Path) -> Result<Contents, FormatError> {
    decode_file(path, decode)
}

/// Decodes the bytes of a file. Offsets in errors count from the start of the file.
pub fn decode(bytes: &[u8]) -> Result<Contents, DecodeError> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(DecodeError::damaged(bytes.len(), "the file ends before the header's length"));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(DecodeError::Limit { what: format!("the header has {length} bytes"), limit: MAX_HEADER_BYTES });
    }
    let Some((header, data)) = rest.split_at_checked(length as usize) else {
        return Err(DecodeError::damaged(bytes.len(), format!("the file ends inside the header of {length} bytes")));
    };
    let header: Header =
        serde_json::from_slice(header).map_err(|error| DecodeError::damaged(8, format!("the header is not valid: {error}")))?;
    check_layout(&header.tensors, 8 + length as usize, data.len())?;
    let tensors = header.tensors.into_iter().map(|(name, info)| {
        let dtype = info.dtype(&name)?;
        // In range: check_layout has followed the tensors from end to end.
        let data = dtype.decode(&data[info.data_offsets.0..info.data_offsets.1]);
        Ok(NamedTensor { name, shape: info.shape, data })
    });
    Ok(Contents { tensors: tensors.collect::<Result<_, _>>()?, metadata: header.metadata })
}

/// 8-byte elements first, so that every tensor is aligned to its element size (PyTorch's reader insists).
fn in_data_order(tensors: &[NamedTensor]) -> impl Iterator<Item = &NamedTensor> {
    let wide = |tensor: &&NamedTensor| matches!(tensor.data, TensorData::I64(_));
    tensors.iter().filter(wide).chain(tensors.iter().filter(move |tensor| !wide(tensor)))
}

/// The JSON header, in the order of `tensors`, padded with spaces to a multiple of 8 bytes.
fn header(tensors: &[NamedTensor], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, EncodeError> {
    check_tensors(tensors)?;
    let mut offset = 0;
    let mut offsets = std::collections::HashMap::new();
    for tensor in in_data_order(tensors) {
        let bytes = size_in_bytes(&tensor.data);
        offsets.insert(tensor.name.as_str(), (offset, offset + bytes));
        offset += bytes;
    }
    let mut header = Vec::new();
    let write = |header: &mut Vec<u8>| -> Result<(), serde_json::Error> {
        let mut json = serde_json::Serializer::new(header);
        let mut map = serde::Serializer::serialize_map(&mut json, None)?;
        if !metadata.is_empty() {
            map.serialize_entry(METADATA, metadata)?;
        }
        for tensor in tensors {
            let dtype = if matches!(tensor.data, TensorData::I64(_)) { "I64" } else { "F32" };
            let info = TensorInfo { dtype: dtype.into(), shape: tensor.shape.clone(), data_offsets: offsets[tensor.name.as_str()] };
            map.serialize_entry(&tensor.name, &info)?;
        }
        map.end()
    };
    if tensors.iter().any(|tensor| tensor.name == METADATA) {
        return Err(EncodeError::ReservedName(METADATA.into()));
    }
    // Strings and numbers into memory: there is nothing that could fail but the header's size.
    write(&mut header).map_err(|error| EncodeError::Limit { what: format!("the header ({error})"), limit: MAX_HEADER_BYTES })?;
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() as u64 > MAX_HEADER_BYTES {
        return Err(EncodeError::Limit { what: format!("a header of {} bytes", header.len()), limit: MAX_HEADER_BYTES });
    }
    Ok(header)
}

/// The format's rule: sorted by their place, the tensors fill the data without gap or overlap.
fn check_layout(tensors: &[(String, TensorInfo)], data_start: usize, data_bytes: usize) -> Result<(), DecodeError> {
    let mut sorted: Vec<&(String, TensorInfo)> = tensors.iter().collect();
    sorted.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    for (name, info) in sorted {
        let damaged = |problem: String| DecodeError::damaged(8, format!("the header's entry {} {problem}", Quoted(name)));
        let TensorInfo { shape, data_offsets, .. } = info;
        if shape.len() > MAX_RANK {
            return Err(damaged(format!("has {} dimensions, more than {MAX_RANK}", shape.len())));
        }
        let size = info.dtype(name)?.size();
        let bytes = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side)).and_then(|n| n.checked_mul(size));
        let place = format!("lies at {}..{}", data_offsets.0, data_offsets.1);
        if data_offsets.0 != end {
            return Err(damaged(format!("{place}, where {end} was to come next: tensors overlap or leave a gap")));
        }
        if data_offsets.1.checked_sub(data_offsets.0) != bytes || bytes.is_none() {
            return Err(damaged(format!("{place}, which is not the size of {} {shape:?}", Quoted(&info.dtype))));
        }
        if data_offsets.1 > data_bytes {
            let problem = format!("the file ends inside {}, which {place} of the data", Quoted(name));
            return Err(DecodeError::damaged(data_start + data_bytes, problem));
        }
        end = data_offsets.1;
    }
    if end != data_bytes {
        return Err(DecodeError::damaged(data_start + end, format!("{} bytes follow the last tensor", data_bytes - end)));
    }
    Ok(())
}

#[derive(serde::Serialize, serde::Deserialize)]
struct TensorInfo {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

impl TensorInfo {
    fn dtype(&self, name: &str) -> Result<Dtype, DecodeError> {
        match self.dtype.as_str() {
            "F16" => Ok(Dtype::F16),
            "BF16" => Ok(Dtype::BF16),
            "F32" => Ok(Dtype::F32),
            "F64" => Ok(Dtype::F64),
            "I64" => Ok(Dtype::I64),
            other => Err(DecodeError::Unsupported {
                what: format!("the tensor {} has elements of type {}", Quoted(name), Quoted(other)),
                remedy: "convert it to F32 or I64 (F16, BF16 and F64 are read too)",
            }),
        }
    }
}

/// The header, in its own order and with every name there once. serde's maps would let the last of two win.
struct Header {
    tensors: Vec<(String, TensorInfo)>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with an entry per tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header { tensors: vec![], metadata: BTreeMap::new() };
                let mut names = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format_args!("the name {} is there twice", Quoted(&name))));
                    }
                    if name == METADATA {
                        header.metadata = map.next_value::<Strings>()?.0;
                    } else {
                        header.tensors.push((name, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// String to string, every key there once.
struct Strings(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Strings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strings, A::Error> {
                let mut strings = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if strings.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("the metadata key {} is there twice", Quoted(&key))));
                    }
                    strings.insert(key, value);
                }
                Ok(Strings(strings))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
