//! The pickle of a state dict, as `torch.save` writes it but for the memo, of which only two places are used.

use anmok_graph::NamedTensor;

use super::opcode;
use crate::error::EncodeError;

/// The pickle of an `OrderedDict` of tensors. `storages[i]` is the class and the number of elements of tensor `i`, whose
/// storage has the key `i`.
pub(in crate::torch) fn write_state_dict(tensors: &[NamedTensor], storages: &[(&str, usize)]) -> Result<Vec<u8>, EncodeError> {
    use opcode::*;
    let mut out = vec![PROTO, 2];
    out.extend(b"ccollections\nOrderedDict\n");
    out.extend([BINPUT, 0, EMPTY_TUPLE, REDUCE, MARK]);
    for (index, (tensor, (class, elements))) in tensors.iter().zip(storages).enumerate() {
        write_text(&mut out, &tensor.name)?;
        if index == 0 {
            out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n");
            out.extend([BINPUT, 1]);
        } else {
            out.extend([BINGET, 1]);
        }
        out.extend([MARK, MARK]);
        write_text(&mut out, "storage")?;
        out.extend(format!("ctorch\n{class}\n").bytes());
        write_text(&mut out, &index.to_string())?;
        write_text(&mut out, "cpu")?;
        write_int(&mut out, *elements);
        out.extend([TUPLE, BINPERSID]);
        write_int(&mut out, 0);
        write_tuple(&mut out, &tensor.shape);
        write_tuple(&mut out, &contiguous_strides(&tensor.shape));
        out.extend([NEWFALSE, BINGET, 0, EMPTY_TUPLE, REDUCE, TUPLE, REDUCE]);
    }
    out.extend([SETITEMS, STOP]);
    Ok(out)
}

/// Row-major strides. The elements have been counted before, so that nothing overflows unless a side is 0, where strides
/// do not matter.
pub(in crate::torch) fn contiguous_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis].max(1));
    }
    strides
}

fn write_text(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    let too_long = |_| EncodeError::Limit { what: format!("a name of {} bytes", text.len()), limit: u32::MAX.into() };
    let length = u32::try_from(text.len()).map_err(too_long)?;
    out.push(opcode::BINUNICODE);
    out.extend(length.to_le_bytes());
    out.extend(text.bytes());
    Ok(())
}

fn write_int(out: &mut Vec<u8>, value: usize) {
    if let Ok(value) = u8::try_from(value) {
        out.extend([opcode::BININT1, value]);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(opcode::BININT2);
        out.extend(value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(opcode::BININT);
        out.extend(value.to_le_bytes());
    } else {
        // Nine bytes, so that the highest bit is not taken for a sign.
        out.extend([opcode::LONG1, 9]);
        out.extend((value as u64).to_le_bytes());
        out.push(0);
    }
}

fn write_tuple(out: &mut Vec<u8>, sides: &[usize]) {
    out.push(opcode::MARK);
    sides.iter().for_each(|&side| write_int(out, side));
    out.push(opcode::TUPLE);
}
