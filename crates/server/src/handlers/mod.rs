//! What the endpoints do: one file per group of MLflow's, each function under the name of what it answers.

pub(crate) mod experiments;
pub(crate) mod files;
pub(crate) mod logged_models;
pub(crate) mod metrics;
pub(crate) mod model_source;
pub(crate) mod model_versions;
pub(crate) mod permissions;
pub(crate) mod proxy;
pub(crate) mod registered_models;
pub(crate) mod run_files;
pub(crate) mod runs;
pub(crate) mod server;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod webhooks;

use anmok_protocol::{ApiError, ArtifactPath};
use anmok_tracking::ArtifactStore;

use crate::answer::Failure;
use crate::state::App;

/// The root of the artifacts that this server keeps for its clients.
pub(crate) const PROXIED: &str = "mlflow-artifacts:/";

/// What a handler gives back.
pub(crate) type Answer<T> = Result<T, Failure>;

/// How many results are asked for; 0 and too many are refused by the stores.
fn page_size(asked: Option<i64>, default: usize) -> Result<usize, ApiError> {
    let Some(asked) = asked else { return Ok(default) };
    usize::try_from(asked).map_err(|_| {
        ApiError::invalid(format!("Invalid value {asked} for parameter 'max_results' supplied. It must be a positive integer"))
    })
}

/// Something that was looked up, or the error that says it is not there.
fn found<T>(looked_up: Option<T>, absent: impl FnOnce() -> ApiError) -> Answer<T> {
    looked_up.ok_or_else(|| absent().into())
}

/// The files below an artifact URI that a run, a model or a version has.
fn artifacts(app: &App, uri: &str) -> Answer<ArtifactStore> {
    Ok(app.store.artifacts(uri)?)
}

/// A folder of artifacts; none is the root.
fn folder(path: Option<&str>) -> Result<Option<ArtifactPath>, ApiError> {
    path.filter(|path| !path.is_empty()).map(ArtifactPath::parse).transpose()
}
