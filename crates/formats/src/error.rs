//! What goes wrong with weight files.

use std::path::PathBuf;

use anmok_graph::{NamedTensor, TensorData};

use crate::WriteError;

/// Why bytes are not a file of weights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes break the rules of their format.
    #[error("damaged at byte {offset}: {problem}")]
    Damaged {
        /// Where in the file.
        offset: u64,
        /// Which rule.
        problem: String,
    },
    /// The file may be whole, but holds something that is not read here.
    #[error("{what}: {remedy}")]
    Unsupported {
        /// What it holds.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The file wants more than a file of weights reasonably needs.
    #[error("{what}, more than the {limit} allowed")]
    Limit {
        /// What it wants.
        what: String,
        /// How much there may be.
        limit: u64,
    },
}

impl DecodeError {
    pub(crate) fn damaged(offset: usize, problem: impl Into<String>) -> Self {
        Self::Damaged { offset: offset as u64, problem: problem.into() }
    }
}

/// Why a file of weights could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The operating system would not give the file.
    #[error("cannot read {}: {problem}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        problem: std::io::Error,
    },
    /// The file holds something else.
    #[error("cannot use {}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What and where.
        problem: DecodeError,
    },
    /// The tensors to be written do not make a file.
    #[error("cannot write {}: {problem}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: EncodeError,
    },
    /// The operating system would not take the file.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why tensors cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Two tensors have one name.
    #[error("there are two tensors called `{0}`")]
    DuplicateName(String),
    /// A name that the format keeps for itself.
    #[error("`{0}` is not a name for a tensor in this format")]
    ReservedName(String),
    /// A tensor whose data does not fill its shape.
    #[error("`{name}` of shape {shape:?} has {elements} elements")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Elements of its data.
        elements: usize,
    },
    /// More than the format can hold.
    #[error("{what} is more than the {limit} that this format holds")]
    Limit {
        /// What there is.
        what: String,
        /// How much there may be.
        limit: u64,
    },
}

/// Foreign text in a message: escaped and cut, as it may be of any length.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 80;
        let shown: String = self.0.chars().take(SHOWN).collect();
        let cut = if shown.len() < self.0.len() { "..." } else { "" };
        write!(f, "`{}{cut}`", shown.escape_debug())
    }
}

/// Checks what both formats ask of a list of tensors: names of their own, and data that fills the shape.
pub(crate) fn check_tensors(tensors: &[NamedTensor]) -> Result<(), EncodeError> {
    let mut names = std::collections::HashSet::new();
    for tensor in tensors {
        if !names.insert(tensor.name.as_str()) {
            return Err(EncodeError::DuplicateName(tensor.name.clone()));
        }
        let elements = match &tensor.data {
            TensorData::F32(values) => values.len(),
            TensorData::I64(values) => values.len(),
        };
        if tensor.shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side)) != Some(elements) {
            return Err(EncodeError::Shape { name: tensor.name.clone(), shape: tensor.shape.clone(), elements });
        }
    }
    Ok(())
}
