//! From what a pickle has built to named tensors.

use std::collections::{HashMap, HashSet};

use anmok_graph::NamedTensor;

use super::pickle::{Objects, Tensor, Value, contiguous_strides};
use super::zip::Archive;
use crate::dtype::Dtype;
use crate::error::{DecodeError, Quoted};

/// Where training scripts put the state dict of a checkpoint: Lightning and timm, PyTorch's tutorial, torchvision.
const CHECKPOINT_KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// What DataParallel puts before every name.
const PARALLEL_PREFIX: &str = "module.";

/// Decoded tensors may take this many times the file's size (two bytes become four, and tied weights are there twice)
/// and a little more. Without it a file of a kilobyte could ask for any amount by strides of 0.
const EXPANSION: usize = 8;
const ALLOWANCE: usize = 1 << 20;

const STATE_DICT_REMEDY: &str = "save the weights alone in Python: torch.save(model.state_dict(), FILE)";

/// The tensors of the state dict that `root` is or has.
pub(super) fn tensors(objects: &Objects<'_>, root: Value<'_>, archive: &Archive<'_>) -> Result<Vec<NamedTensor>, DecodeError> {
    let named = entries(objects, root)?;
    let strip = named.iter().all(|(name, _)| name.len() > PARALLEL_PREFIX.len() && name.starts_with(PARALLEL_PREFIX));
    let mut names = HashSet::new();
    let mut reader = Reader { objects, archive, storages: HashMap::new(), budget: memory_limit(archive) };
    let mut tensors = Vec::new();
    for (name, tensor) in named {
        if !names.insert(name) {
            return Err(objects.damaged(format_args!("the tensor {} is there twice", Quoted(name))));
        }
        let name = if strip { &name[PARALLEL_PREFIX.len()..] } else { name };
        tensors.push(reader.tensor(name, tensor)?);
    }
    Ok(tensors)
}

/// Names and tensors of the state dict.
fn entries<'a>(objects: &Objects<'a>, root: Value<'a>) -> Result<Vec<(&'a str, Tensor)>, DecodeError> {
    let unsupported = |what: String| DecodeError::Unsupported { what, remedy: STATE_DICT_REMEDY };
    let Value::Dict(root) = root else {
        return Err(unsupported(format!("it holds {} and no state dict", describe(root))));
    };
    let root = &objects.dicts[root];
    // The last of several entries is the one Python would see.
    let named = |key: &str| root.iter().rev().find(|(k, _)| matches!(k, Value::Text(text) if *text == key));
    let inner = CHECKPOINT_KEYS.into_iter().find_map(|key| match named(key)?.1 {
        Value::Dict(dict) => Some(&objects.dicts[dict]),
        _ => None,
    });
    let dict = inner.unwrap_or(root);
    let entry = |&(key, value): &(Value<'a>, Value<'a>)| match (key, value) {
        (Value::Text(name), Value::Tensor(tensor)) => Ok((name, objects.tensors[tensor])),
        (Value::Text(name), other) => Err(unsupported(format!(
            "neither a state dict nor a checkpoint with one under {}: the entry {} is {}",
            CHECKPOINT_KEYS.map(|key| format!("`{key}`")).join(", "),
            Quoted(name),
            describe(other)
        ))),
        (key, _) => Err(unsupported(format!("a dict with {} for a key and no state dict", describe(key)))),
    };
    dict.iter().map(entry).collect()
}

fn describe(value: Value<'_>) -> &'static str {
    match value {
        Value::None => "None",
        Value::Bool => "a bool",
        Value::Int(_) | Value::Number => "a number",
        Value::Text(_) => "a string",
        Value::Tuple(_) => "a tuple",
        Value::List => "a list",
        Value::Dict(_) => "a dict",
        Value::Global(_) => "a class or function",
        Value::Storage(_) => "a storage",
        Value::Tensor(_) => "a tensor",
    }
}

struct Reader<'a> {
    objects: &'a Objects<'a>,
    archive: &'a Archive<'a>,
    /// Storages by key, their checksums verified.
    storages: HashMap<&'a str, &'a [u8]>,
    /// Bytes that may still be decoded.
    budget: usize,
}

impl<'a> Reader<'a> {
    fn tensor(&mut self, name: &str, tensor: Tensor) -> Result<NamedTensor, DecodeError> {
        let storage = self.objects.storages[tensor.storage];
        let dtype = match storage.class {
            "FloatStorage" => Dtype::F32,
            "DoubleStorage" => Dtype::F64,
            "HalfStorage" => Dtype::F16,
            "BFloat16Storage" => Dtype::BF16,
            "LongStorage" => Dtype::I64,
            other => {
                return Err(DecodeError::Unsupported {
                    what: format!("the tensor {} lies in a {}", Quoted(name), Quoted(other)),
                    remedy: "convert it in Python to float32 or int64 (float64, float16 and bfloat16 are read too)",
                });
            }
        };
        let bytes = self.storage(storage.key)?;
        let objects = self.objects;
        let damaged = |problem: String| objects.damaged(format_args!("the tensor {} {problem}", Quoted(name)));
        let elements = bytes.len() / dtype.size();
        if !bytes.len().is_multiple_of(dtype.size()) || i64::try_from(elements) != Ok(storage.elements) {
            let problem =
                format!("wants {} elements of the storage {}, which has {} bytes", storage.elements, Quoted(storage.key), bytes.len());
            return Err(damaged(problem));
        }
        let (shape, strides) = objects.layout(tensor)?;
        let place = format!("of shape {shape:?}, strides {strides:?} and offset {}", tensor.offset);
        let view = View::new(shape, strides, tensor.offset, elements).ok_or_else(|| damaged(format!("{place} goes beyond its storage")))?;
        // The elements, and what a tensor takes besides (which only counts where a file has very many empty ones).
        let size =
            view.elements.saturating_mul(dtype.decoded_size()) + size_of_val(&view.shape[..]) + size_of::<NamedTensor>() + name.len();
        let Some(budget) = self.budget.checked_sub(size) else {
            let what = format!("with {} the tensors take more bytes of memory", Quoted(name));
            return Err(DecodeError::Limit { what, limit: memory_limit(self.archive) as u64 });
        };
        self.budget = budget;
        Ok(NamedTensor { name: name.to_owned(), data: dtype.decode(&view.gather(bytes, dtype.size())), shape: view.shape })
    }

    fn storage(&mut self, key: &'a str) -> Result<&'a [u8], DecodeError> {
        if let Some(bytes) = self.storages.get(key) {
            return Ok(bytes);
        }
        let entry = self.archive.find(&format!("data/{key}"));
        let entry = entry.ok_or_else(|| self.objects.damaged(format_args!("the storage {} is missing from the archive", Quoted(key))))?;
        let bytes = self.archive.contents(entry)?;
        self.storages.insert(key, bytes);
        Ok(bytes)
    }
}

fn memory_limit(archive: &Archive<'_>) -> usize {
    archive.file_size().saturating_mul(EXPANSION).saturating_add(ALLOWANCE)
}

/// A tensor that lies within its storage.
struct View {
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
    elements: usize,
}

impl View {
    /// `None` where an index would leave the `available` elements, or a number does not fit.
    fn new(shape: Vec<usize>, strides: Vec<usize>, offset: i64, available: usize) -> Option<Self> {
        let offset = usize::try_from(offset).ok()?;
        if shape.len() != strides.len() {
            return None;
        }
        let elements = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side))?;
        let last = shape
            .iter()
            .zip(&strides)
            .try_fold(offset, |sum, (&side, &stride)| sum.checked_add(side.saturating_sub(1).checked_mul(stride)?))?;
        (elements == 0 || last < available).then_some(Self { offset, shape, strides, elements })
    }

    /// The elements in row-major order.
    fn gather<'a>(&self, storage: &'a [u8], element: usize) -> std::borrow::Cow<'a, [u8]> {
        let Self { offset, shape, strides, elements } = self;
        if *elements == 0 {
            return [].as_slice().into();
        }
        let matters = |axis: usize| shape[axis] > 1;
        if contiguous_strides(shape).iter().zip(strides).enumerate().all(|(axis, (a, b))| a == b || !matters(axis)) {
            return storage[offset * element..(offset + elements) * element].into();
        }
        let mut gathered = Vec::with_capacity(elements * element);
        let mut index = vec![0; shape.len()];
        let mut at = *offset;
        for _ in 0..*elements {
            gathered.extend_from_slice(&storage[at * element..(at + 1) * element]);
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= index[axis] * strides[axis];
                index[axis] = 0;
            }
        }
        gathered.into()
    }
}
