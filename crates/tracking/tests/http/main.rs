//! A tracking server's client against servers that answer late, wrongly, in part, or not at all.

mod artifacts;
mod scripted;
mod tls;
mod trouble;

use std::time::Duration;

use anmok_tracking::{RunStore, ServerOptions, StoreOptions, TrackingError, open};

/// Options that wait for nothing.
fn impatient() -> ServerOptions {
    ServerOptions {
        backoff_factor: Duration::ZERO,
        backoff_jitter: Duration::ZERO,
        timeout: Some(Duration::from_secs(5)),
        ..ServerOptions::default()
    }
}

fn store(url: &str) -> Box<dyn RunStore> {
    store_with(url, impatient())
}

fn store_with(url: &str, server: ServerOptions) -> Box<dyn RunStore> {
    open(url, &StoreOptions { server, ..StoreOptions::default() }).unwrap()
}

/// What a server did, what can be done, and whether it may pass.
fn trouble<T: std::fmt::Debug>(result: Result<T, TrackingError>) -> (String, bool) {
    let error = result.unwrap_err();
    match &error {
        TrackingError::Server { can_pass, .. } => (error.to_string(), *can_pass),
        other => panic!("{other:?}"),
    }
}

/// An experiment as MLflow's server tells of it.
const EXPERIMENT: &str = r#"{"experiment": {"experiment_id": "7", "name": "vision", "artifact_location": "mlflow-artifacts:/7",
    "lifecycle_stage": "active", "last_update_time": 1, "creation_time": 1}}"#;
