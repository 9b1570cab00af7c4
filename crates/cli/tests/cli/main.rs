//! The real binary in a folder of its own, as users and scripts run it.
//!
//! - `sandbox`: the folder, the clean environment, and what came out
//! - `settings`: precedence, problems, exit codes, help
//! - `training`: a run from its start to a prediction
//! - `resuming`: signals, kill -9, and going on
//! - `syncing`: runs without a tracking store, and what is delivered later
//! - `bad_input`: what must be refused, with its message
//! - `server_faults`: the tracking server when things break
//! - `outages`: a run on MLflow's own server, which is stopped and killed meanwhile
//! - `tracking_server`: runs on a tracking server, and what is wrong with its address
//! - `database`: import, export, check, upgrade, gc
//! - `bench`: benchmarks, but for the speed

// The tests look at PATH, to start programs.
#![allow(clippy::disallowed_methods)]

mod bad_input;
mod bench;
mod database;
#[path = "../../../tracking/tests/mlflow/database.rs"]
mod mlflow;
mod mlflow_python;
mod outages;
#[path = "../../../tracking/tests/postgres/mod.rs"]
mod postgres;
mod resuming;
mod sandbox;
mod server_faults;
mod settings;
mod syncing;
mod tracking_server;
mod training;
