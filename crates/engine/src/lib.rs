//! Trains and runs a network: the [`Engine`] trait and the native CPU engine.
//!
//! Existing Rust frameworks ran the target workload (MobileNetV3-Small, 32x32, batch 64) no faster than PyTorch, which
//! reaches 3 to 8 % of what the machine can do on it; hence an engine of our own, with a static plan and flat memory. It
//! decides nothing about training (that is `anmok-train`) and knows no files.
//!
//! - [`contract`]: what every engine promises
//! - [`native`]: the CPU engine

pub mod contract;
pub mod native;

pub use contract::*;
