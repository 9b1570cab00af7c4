//! MLflow's tracking protocol as pure code: what is said, not how it is carried or stored. No IO, no clock.
//!
//! Semantics and message texts are those of MLflow 3.17; clients match on the texts.
//!
//! - [`run`], [`experiment`], [`logged_model`], [`registry`]: the entities. One type is both the wire type (proto3 JSON) and what the stores speak, because
//!   a second set of structs would only copy fields.
//! - [`error`]: error codes, and the one table to HTTP statuses
//! - [`limits`]: lengths and counts
//! - [`validate`]: names, lengths and batches, with the official messages
//! - [`messages`], [`routes`]: requests and answers of the REST API, and where they go
//! - [`artifact_path`]: paths inside a run's artifacts that cannot escape
//! - [`host_policy`]: which hosts an artifact location may name
//! - [`model_source`]: where a model version may come from
//! - [`python_json`]: JSON texts as MLflow's server writes them into tags
//! - [`permission`]: who may do what
//! - [`search`]: the filter and order grammar, to typed clauses

pub mod artifact_path;
pub mod error;
pub mod experiment;
pub mod host_policy;
mod json;
pub mod limits;
pub mod logged_model;
pub mod messages;
pub mod model_source;
pub mod permission;
pub mod python_json;
pub mod registry;
pub mod routes;
pub mod run;
pub mod search;
mod uri;
pub mod validate;

pub use artifact_path::{ArtifactPath, FileInfo};
pub use error::{ApiError, ErrorCode};
pub use experiment::{Experiment, ExperimentTag, LifecycleStage, ViewType};
pub use logged_model::{
    LoggedModel, LoggedModelData, LoggedModelInfo, LoggedModelParameter, LoggedModelRegistrationInfo, LoggedModelStatus, LoggedModelTag,
};
pub use permission::{Action, Grant, Grants, Permission, ResourceType, Visible};
pub use registry::{
    ModelStage, ModelVersion, ModelVersionStatus, ModelVersionTag, RegisteredModel, RegisteredModelAlias, RegisteredModelTag,
};
pub use run::{
    Batch, Dataset, DatasetInput, DatasetSummary, InputTag, Metric, MetricWithRunId, ModelInput, ModelOutput, Param, Run, RunData, RunInfo,
    RunInputs, RunOutputs, RunStatus, RunTag,
};
pub use search::{
    ExperimentFilter, ExperimentOrder, LoggedModelFilter, LoggedModelOrder, ModelVersionFilter, ModelVersionOrder, RegisteredModelFilter,
    RegisteredModelOrder, RunFilter, RunOrder, SearchError,
};

/// The experiment that every store has from its first start.
pub const DEFAULT_EXPERIMENT_ID: &str = "0";
/// The default experiment's name.
pub const DEFAULT_EXPERIMENT_NAME: &str = "Default";
/// The tag that mirrors a run's name.
pub const RUN_NAME_TAG: &str = "mlflow.runName";
/// The tag that names a nested run's parent.
pub const PARENT_RUN_TAG: &str = "mlflow.parentRunId";
/// The input tag that says what a data set was used for (`train`, `validation`, `test`).
pub const DATASET_CONTEXT_TAG: &str = "mlflow.data.context";
/// The tag that tells prompts from models in the registry (`true`).
pub const IS_PROMPT_TAG: &str = "mlflow.prompt.is_prompt";
/// The tag of a logged model that lists, as JSON, the versions of registered models that it became.
pub const MODEL_VERSIONS_TAG: &str = "mlflow.modelVersions";
