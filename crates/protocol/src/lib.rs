//! MLflow's tracking protocol as pure code: what is said, not how it is carried or stored. No IO, no clock.
//!
//! Semantics and message texts are those of MLflow 3.17; clients match on the texts.
//!
//! - [`run`], [`experiment`]: the entities. One type is both the wire type (proto3 JSON) and what the stores speak, because
//!   a second set of structs would only copy fields.
//! - [`error`]: error codes, and the one table to HTTP statuses
//! - [`limits`]: lengths and counts
//! - [`validate`]: names, lengths and batches, with the official messages
//! - [`artifact_path`]: paths inside a run's artifacts that cannot escape
//! - [`search`]: the filter and order grammar, to typed clauses

pub mod artifact_path;
pub mod error;
pub mod experiment;
mod json;
pub mod limits;
pub mod run;
pub mod search;
pub mod validate;

pub use artifact_path::{ArtifactPath, FileInfo};
pub use error::{ApiError, ErrorCode};
pub use experiment::{Experiment, ExperimentTag, LifecycleStage, ViewType};
pub use run::{Batch, Dataset, DatasetInput, InputTag, Metric, Param, Run, RunData, RunInfo, RunInputs, RunStatus, RunTag};
pub use search::{RunFilter, RunOrder, SearchError};

/// The experiment that every store has from its first start.
pub const DEFAULT_EXPERIMENT_ID: &str = "0";
/// The default experiment's name.
pub const DEFAULT_EXPERIMENT_NAME: &str = "Default";
/// The tag that mirrors a run's name.
pub const RUN_NAME_TAG: &str = "mlflow.runName";
/// The input tag that says what a data set was used for (`train`, `validation`, `test`).
pub const DATASET_CONTEXT_TAG: &str = "mlflow.data.context";
