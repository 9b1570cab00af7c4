//! Element types: foreign ones converted to what is used here, and ours written down.

use std::io::{self, Write};

use anmok_graph::TensorData;

/// Bytes that `data` takes in a file.
pub(crate) fn size_in_bytes(data: &TensorData) -> usize {
    match data {
        TensorData::F32(values) => size_of_val(&values[..]),
        TensorData::I64(values) => size_of_val(&values[..]),
    }
}

/// Writes the elements, little-endian.
pub(crate) fn write_elements(data: &TensorData, writer: &mut dyn Write) -> io::Result<()> {
    fn write<const N: usize, T: Copy>(values: &[T], to_bytes: impl Fn(T) -> [u8; N], writer: &mut dyn Write) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(N * 4096);
        for chunk in values.chunks(4096) {
            buffer.clear();
            buffer.extend(chunk.iter().flat_map(|&value| to_bytes(value)));
            writer.write_all(&buffer)?;
        }
        Ok(())
    }
    match data {
        TensorData::F32(values) => write(values, f32::to_le_bytes, writer),
        TensorData::I64(values) => write(values, i64::to_le_bytes, writer),
    }
}

/// An element type that is read. Little-endian in both formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dtype {
    F16,
    BF16,
    F32,
    F64,
    I64,
}

impl Dtype {
    /// Bytes of an element.
    pub(crate) const fn size(self) -> usize {
        match self {
            Dtype::F16 | Dtype::BF16 => 2,
            Dtype::F32 => 4,
            Dtype::F64 | Dtype::I64 => 8,
        }
    }

    /// Bytes of an element once it is decoded.
    pub(crate) const fn decoded_size(self) -> usize {
        if matches!(self, Dtype::I64) { 8 } else { 4 }
    }

    /// Whole elements, as `f32` (rounded to nearest from `f64`) or `i64`.
    pub(crate) fn decode(self, bytes: &[u8]) -> TensorData {
        fn each<const N: usize, T>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
            bytes.as_chunks::<N>().0.iter().map(|&chunk| convert(chunk)).collect()
        }
        match self {
            Dtype::F16 => TensorData::F32(each(bytes, |b| f16_to_f32(u16::from_le_bytes(b)))),
            Dtype::BF16 => TensorData::F32(each(bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))),
            Dtype::F32 => TensorData::F32(each(bytes, f32::from_le_bytes)),
            Dtype::F64 => TensorData::F32(each(bytes, |b| f64::from_le_bytes(b) as f32)),
            Dtype::I64 => TensorData::I64(each(bytes, i64::from_le_bytes)),
        }
    }
}

/// IEEE 754 binary16, exactly.
fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10) & 0x1f, u32::from(bits) & 0x3ff);
    match exponent {
        // Subnormal: the fraction counts units of 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 * f32::from_bits((127 - 24) << 23)).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_exact() {
        // torch.tensor([...], dtype=torch.int16).view(torch.float16).float()
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(f16_to_f32(bits), value, "{bits:#x}");
        }
        assert!(f16_to_f32(0x7e00).is_nan());
        assert!(f16_to_f32(0x8000).is_sign_negative());
    }
}
