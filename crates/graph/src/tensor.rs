//! A named array: what engines give out and take in, and what the file formats read and write.

/// The elements of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// 32-bit floats: parameters, running statistics, optimizer moments.
    F32(Vec<f32>),
    /// 64-bit integers: BatchNorm's `num_batches_tracked`.
    I64(Vec<i64>),
}

/// A tensor with its name in the state dict. `shape` is PyTorch's; an empty shape is a scalar (one element).
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// For example `features.0.1.running_mean`.
    pub name: String,
    /// PyTorch's shape, for example `[out, in, k, k]`.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub data: TensorData,
}

impl NamedTensor {
    /// A tensor of 32-bit floats. Panics when the shape and the number of elements differ (a programming error).
    pub fn f32(name: impl Into<String>, shape: &[usize], data: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len());
        Self { name: name.into(), shape: shape.to_vec(), data: TensorData::F32(data) }
    }

    /// A scalar 64-bit integer.
    pub fn i64_scalar(name: impl Into<String>, value: i64) -> Self {
        Self { name: name.into(), shape: vec![], data: TensorData::I64(vec![value]) }
    }

    /// The floats, or `None` for integers.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            TensorData::F32(values) => Some(values),
            TensorData::I64(_) => None,
        }
    }

    /// The integers, or `None` for floats.
    pub fn as_i64(&self) -> Option<&[i64]> {
        match &self.data {
            TensorData::I64(values) => Some(values),
            TensorData::F32(_) => None,
        }
    }
}
