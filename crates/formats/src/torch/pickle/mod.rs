//! The part of Python's pickle protocol 2 that a state dict needs (CPython's `Lib/pickletools.py` documents the opcodes).

mod opcode;
mod read;
mod write;

pub(super) use read::{Objects, Tensor, Value, read};
pub(super) use write::{contiguous_strides, write_state_dict};
