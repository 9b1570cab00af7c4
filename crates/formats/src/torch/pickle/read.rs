//! The interpreter: it builds plain data in an arena and calls nothing; the only names it takes are those of [`global`].
//!
//! Objects refer to each other by index, so that neither depth nor cycles can exhaust the stack, and every opcode adds
//! at most one object, so that memory is bounded by the length of the pickle.

use std::collections::HashMap;

use super::opcode;
use crate::error::{DecodeError, Quoted};

/// Most opcodes that are run: some 100,000 tensors. It bounds the memory, too: the dearest opcode is a new entry of the
/// memo, which while its table grows takes some hundred bytes; so half a gigabyte at the very worst.
const MAX_STEPS: u64 = 4_000_000;

/// A Python value; containers and tensors are indices into [`Objects`].
#[derive(Debug, Clone, Copy)]
pub(in crate::torch) enum Value<'a> {
    None,
    Bool,
    Int(i64),
    /// A whole number of more than 64 bits, or a float: carried along, never looked at.
    Number,
    Text(&'a str),
    Tuple(usize),
    List,
    Dict(usize),
    Global(Global<'a>),
    Storage(usize),
    Tensor(usize),
}

/// The Python names that are known.
#[derive(Debug, Clone, Copy)]
pub(in crate::torch) enum Global<'a> {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    /// A storage class of `torch`: its name, for example `FloatStorage`.
    Storage(&'a str),
}

/// The elements of one or several tensors.
#[derive(Debug, Clone, Copy)]
pub(in crate::torch) struct Storage<'a> {
    /// The class, for example `FloatStorage`.
    pub(in crate::torch) class: &'a str,
    /// Name of the archive's entry under `data/`.
    pub(in crate::torch) key: &'a str,
    /// Number of elements.
    pub(in crate::torch) elements: i64,
}

/// A view of a storage, as the file states it.
#[derive(Debug, Clone, Copy)]
pub(in crate::torch) struct Tensor {
    pub(in crate::torch) storage: usize,
    pub(in crate::torch) offset: i64,
    /// Index of the tuple.
    shape: usize,
    /// Index of the tuple.
    strides: usize,
}

/// What the pickle has built.
#[derive(Debug, Default)]
pub(in crate::torch) struct Objects<'a> {
    tuples: Vec<Vec<Value<'a>>>,
    pub(in crate::torch) dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub(in crate::torch) storages: Vec<Storage<'a>>,
    pub(in crate::torch) tensors: Vec<Tensor>,
    /// Where the pickle starts in the file.
    start: usize,
}

impl Objects<'_> {
    /// An error in what was built, which has no place of its own.
    pub(in crate::torch) fn damaged(&self, problem: impl std::fmt::Display) -> DecodeError {
        DecodeError::damaged(self.start, format!("data.pkl: {problem}"))
    }

    /// Shape and strides of a tensor. Errors where they are not lists of whole numbers, or too long.
    pub(in crate::torch) fn layout(&self, tensor: Tensor) -> Result<(Vec<usize>, Vec<usize>), DecodeError> {
        Ok((self.sides(tensor.shape)?, self.sides(tensor.strides)?))
    }

    fn sides(&self, tuple: usize) -> Result<Vec<usize>, DecodeError> {
        // PyTorch's own limit. One tuple may serve many tensors, so its length is bounded before it is copied.
        const MAX_RANK: usize = 64;
        let sides = &self.tuples[tuple];
        if sides.len() > MAX_RANK {
            return Err(self.damaged(format_args!("a tensor of {} dimensions, more than {MAX_RANK}", sides.len())));
        }
        let side = |value: &Value<'_>| match *value {
            Value::Int(side) => usize::try_from(side).ok(),
            _ => None,
        };
        let sides: Option<Vec<usize>> = sides.iter().map(side).collect();
        sides.ok_or_else(|| self.damaged("a shape or stride that is not a whole number of 0 or more"))
    }
}

/// Runs a pickle. `start` is its place in the file, for errors.
pub(in crate::torch) fn read(pickle: &[u8], start: usize) -> Result<(Objects<'_>, Value<'_>), DecodeError> {
    let mut machine = Machine {
        pickle,
        start,
        at: 0,
        stack: vec![],
        marks: vec![],
        memo: HashMap::new(),
        objects: Objects { start, ..Objects::default() },
    };
    for _ in 0..MAX_STEPS {
        if let Some(root) = machine.step()? {
            return Ok((machine.objects, root));
        }
    }
    Err(DecodeError::Limit { what: "the pickle has too many opcodes".into(), limit: MAX_STEPS })
}

struct Machine<'a> {
    pickle: &'a [u8],
    start: usize,
    at: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    objects: Objects<'a>,
}

impl<'a> Machine<'a> {
    fn damaged(&self, problem: impl Into<String>) -> DecodeError {
        DecodeError::damaged(self.start + self.at, format!("data.pkl: {}", problem.into()))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let bytes = self.pickle.get(self.at..).and_then(|rest| rest.get(..length)).ok_or_else(|| self.damaged("it ends too early"))?;
        self.at += length;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, DecodeError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("a text that is not UTF-8"))
    }

    fn line(&mut self) -> Result<&'a str, DecodeError> {
        let rest = &self.pickle[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or_else(|| self.damaged("a name without an end"))?;
        let line = self.text(length)?;
        self.at += 1;
        Ok(line)
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(value);
    }

    /// The top of the stack, no deeper than the last mark.
    fn pop(&mut self) -> Result<Value<'a>, DecodeError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.damaged("an opcode that wants more than there is on the stack"));
        }
        self.stack.pop().ok_or_else(|| self.damaged("an empty stack"))
    }

    fn top(&mut self) -> Result<Value<'a>, DecodeError> {
        let top = self.pop()?;
        self.push(top);
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, DecodeError> {
        let mark = self.marks.pop().ok_or_else(|| self.damaged("an opcode that wants a mark where there is none"))?;
        Ok(self.stack.split_off(mark))
    }

    fn push_tuple(&mut self, items: Vec<Value<'a>>) {
        self.objects.tuples.push(items);
        self.push(Value::Tuple(self.objects.tuples.len() - 1));
    }

    fn push_dict(&mut self) {
        self.objects.dicts.push(vec![]);
        self.push(Value::Dict(self.objects.dicts.len() - 1));
    }

    /// Runs one opcode; at STOP, the result.
    fn step(&mut self) -> Result<Option<Value<'a>>, DecodeError> {
        let [opcode] = self.array()?;
        match opcode {
            opcode::PROTO => {
                let [protocol] = self.array()?;
                if protocol != 2 {
                    return Err(DecodeError::Unsupported {
                        what: format!("the file was saved with pickle protocol {protocol}"),
                        remedy: "save it again with torch.save's own default, protocol 2",
                    });
                }
            }
            opcode::STOP => return self.pop().map(Some),
            opcode::MARK => self.marks.push(self.stack.len()),
            opcode::POP => {
                self.pop()?;
            }
            opcode::NONE => self.push(Value::None),
            opcode::NEWTRUE => self.push(Value::Bool),
            opcode::NEWFALSE => self.push(Value::Bool),
            opcode::BININT => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()));
            }
            opcode::BININT1 => {
                let [value] = self.array()?;
                self.push(Value::Int(value.into()));
            }
            opcode::BININT2 => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()));
            }
            opcode::LONG1 => self.long()?,
            opcode::BINFLOAT => {
                self.take(8)?;
                self.push(Value::Number);
            }
            opcode::BINUNICODE => {
                let length = u32::from_le_bytes(self.array()?);
                let text = self.text(length as usize)?;
                self.push(Value::Text(text));
            }
            opcode::EMPTY_TUPLE => self.push_tuple(vec![]),
            opcode::TUPLE1 | opcode::TUPLE2 | opcode::TUPLE3 => {
                // Exactly: an opcode of one byte must not hold room for more than it makes.
                let mut items = Vec::with_capacity(usize::from(opcode - opcode::TUPLE1) + 1);
                for _ in opcode::TUPLE1..=opcode {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push_tuple(items);
            }
            opcode::TUPLE => {
                let items = self.pop_to_mark()?;
                self.push_tuple(items);
            }
            opcode::EMPTY_LIST => self.push(Value::List),
            opcode::EMPTY_DICT => self.push_dict(),
            opcode::APPEND => {
                self.pop()?;
                self.expect_list()?;
            }
            opcode::APPENDS => {
                self.pop_to_mark()?;
                self.expect_list()?;
            }
            opcode::SETITEM => {
                let (value, key) = (self.pop()?, self.pop()?);
                let dict = self.top_dict()?;
                self.objects.dicts[dict].push((key, value));
            }
            opcode::SETITEMS => {
                let items = self.pop_to_mark()?;
                let dict = self.top_dict()?;
                let (pairs, rest) = items.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(self.damaged("a key without a value"));
                }
                self.objects.dicts[dict].extend(pairs.iter().map(|&[key, value]| (key, value)));
            }
            opcode::BUILD => {
                // The state of a dict is its attributes (PyTorch: `_metadata`, versions of the modules): not needed.
                self.pop()?;
                self.top_dict()?;
            }
            opcode::BINPUT => {
                let [index] = self.array()?;
                self.remember(index.into())?;
            }
            opcode::LONG_BINPUT => {
                let index = u32::from_le_bytes(self.array()?);
                self.remember(index)?;
            }
            opcode::BINGET => {
                let [index] = self.array()?;
                self.recall(index.into())?;
            }
            opcode::LONG_BINGET => {
                let index = u32::from_le_bytes(self.array()?);
                self.recall(index)?;
            }
            opcode::GLOBAL => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(global(module, name)?));
            }
            opcode::BINPERSID => self.storage()?,
            opcode::REDUCE => self.reduce()?,
            other => {
                self.at -= 1;
                return Err(self.damaged(format!("the opcode {other:#04x}, which no state dict needs")));
            }
        }
        Ok(None)
    }

    fn long(&mut self) -> Result<(), DecodeError> {
        let [length] = self.array()?;
        let bytes = self.take(length.into())?;
        let value = if bytes.len() <= 8 {
            let negative = bytes.last().is_some_and(|&byte| byte & 0x80 != 0);
            let mut wide = [if negative { 0xff } else { 0 }; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        } else {
            Value::Number
        };
        self.push(value);
        Ok(())
    }

    fn remember(&mut self, index: u32) -> Result<(), DecodeError> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), DecodeError> {
        let value = self.memo.get(&index).copied();
        let value = value.ok_or_else(|| self.damaged(format!("it refers to the object {index}, which is not there")))?;
        self.push(value);
        Ok(())
    }

    /// Lists occur in checkpoints, never in state dicts: what is in them is not kept.
    fn expect_list(&mut self) -> Result<(), DecodeError> {
        match self.top()? {
            Value::List => Ok(()),
            _ => Err(self.damaged("an item for a list where there is none")),
        }
    }

    fn top_dict(&mut self) -> Result<usize, DecodeError> {
        match self.top()? {
            Value::Dict(dict) => Ok(dict),
            _ => Err(self.damaged("an entry or state for a dict where there is none")),
        }
    }

    fn pop_tuple(&mut self) -> Result<usize, DecodeError> {
        match self.pop()? {
            Value::Tuple(tuple) => Ok(tuple),
            _ => Err(self.damaged("another object where a tuple should be")),
        }
    }

    /// `("storage", class, key, location, elements)`, PyTorch's persistent id.
    fn storage(&mut self) -> Result<(), DecodeError> {
        let id = self.pop_tuple()?;
        let [Value::Text("storage"), Value::Global(Global::Storage(class)), Value::Text(key), Value::Text(_), Value::Int(elements)] =
            self.objects.tuples[id][..]
        else {
            return Err(self.damaged("a persistent id that is not a storage's"));
        };
        self.objects.storages.push(Storage { class, key, elements });
        self.push(Value::Storage(self.objects.storages.len() - 1));
        Ok(())
    }

    /// The three calls that a state dict makes.
    fn reduce(&mut self) -> Result<(), DecodeError> {
        let arguments = self.pop_tuple()?;
        let function = self.pop()?;
        match (function, &self.objects.tuples[arguments][..]) {
            (Value::Global(Global::OrderedDict), []) => self.push_dict(),
            // (storage, offset, shape, strides, requires_grad, hooks[, metadata])
            (
                Value::Global(Global::RebuildTensor),
                &[Value::Storage(storage), Value::Int(offset), Value::Tuple(shape), Value::Tuple(strides), _, _, ..],
            ) => {
                self.objects.tensors.push(Tensor { storage, offset, shape, strides });
                self.push(Value::Tensor(self.objects.tensors.len() - 1));
            }
            // (data, requires_grad, hooks)
            (Value::Global(Global::RebuildParameter), &[Value::Tensor(tensor), _, _]) => self.push(Value::Tensor(tensor)),
            _ => return Err(self.damaged("a call that no state dict makes")),
        }
        Ok(())
    }
}

/// The names a pickle may use; to PyTorch they are a class and three functions, here they are only names.
fn global<'a>(module: &'a str, name: &'a str) -> Result<Global<'a>, DecodeError> {
    match (module, name) {
        ("collections", "OrderedDict") => Ok(Global::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2") => Ok(Global::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Ok(Global::RebuildParameter),
        ("torch", class) if class.ends_with("Storage") => Ok(Global::Storage(class)),
        _ => Err(DecodeError::Unsupported {
            what: format!(
                "it holds a Python object of {}, which is not loaded: it could run any code",
                Quoted(&format!("{module}.{name}"))
            ),
            remedy: "save the weights alone in Python: torch.save(model.state_dict(), FILE)",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four million tuples of one in four million bytes: each must cost no more than it needs.
    #[test]
    fn a_tuple_has_room_for_its_items_and_no_more() {
        let (objects, _) = read(b"\x80\x02NNNNNN\x85\x86\x87.", 0).unwrap();
        assert_eq!(objects.tuples.iter().map(|tuple| (tuple.len(), tuple.capacity())).collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 3)]);
    }
}
