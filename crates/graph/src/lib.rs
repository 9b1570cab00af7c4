//! What a network is: a [`Graph`] of ops over maps of known shape, with torchvision's parameter names.
//!
//! From this one description come the shape checks, the parameter and multiply-add counts ([`cost`]), the native
//! engine's plan, the file formats and the model summary. The crate computes nothing on images and does no IO; a
//! trait-object layer per op (as in PyTorch modules) was refused, because every reader of a network here needs to see
//! the whole of it at once.
//!
//! - [`op`]: the ops and their attributes
//! - [`graph`]: nodes, shapes, parameters and buffers; the builder that infers shapes and refuses what does not fit
//! - [`init`]: initial values by distribution
//! - [`tensor`]: a named array, the currency between engine, formats and checkpoints
//! - [`zoo`]: the networks by name
//! - [`cost`]: multiply-adds and the summary's rows

pub mod cost;
pub mod graph;
pub mod init;
pub mod op;
pub mod tensor;
pub mod zoo;

pub use graph::{Buffer, Builder, Graph, GraphError, Node, Parameter, Shape, ValueId};
pub use init::Init;
pub use op::{Activation, Op};
pub use tensor::{NamedTensor, TensorData};
