//! Trains and runs a network: the [`Engine`] trait and the native CPU engine.
//!
//! (The map of the crate is completed as it grows.)

mod contract;

pub use contract::*;
