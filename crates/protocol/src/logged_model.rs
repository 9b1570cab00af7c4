//! Logged models: the files of a model that a run made, with a state, params, tags and metrics of their own.

use serde::{Deserialize, Serialize};

use crate::json;
use crate::run::Metric;

/// One logged model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedModel {
    /// What it is.
    pub info: LoggedModelInfo,
    /// What was logged to it.
    #[serde(default)]
    pub data: LoggedModelData,
}

/// A logged model's identity and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedModelInfo {
    /// `m-` and 32 hexadecimal digits.
    pub model_id: String,
    /// The experiment it belongs to.
    pub experiment_id: String,
    /// Not unique.
    #[serde(default)]
    pub name: String,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub creation_timestamp_ms: i64,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub last_updated_timestamp_ms: i64,
    /// The root of its files.
    #[serde(default)]
    pub artifact_uri: String,
    /// Where it stands.
    #[serde(default)]
    pub status: LoggedModelStatus,
    /// Who made it; MLflow's own server never says.
    #[serde(default, deserialize_with = "json::optional_int64", skip_serializing_if = "Option::is_none")]
    pub creator_id: Option<i64>,
    /// The kind, for example `Agent`.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub model_type: Option<String>,
    /// The run that made it.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub source_run_id: Option<String>,
    /// More on the status.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// By key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<LoggedModelTag>,
    /// The versions of registered models that it became; MLflow's own server writes them into the tag
    /// `mlflow.modelVersions` instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registrations: Vec<LoggedModelRegistrationInfo>,
}

/// What was logged to a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoggedModelData {
    /// By key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<LoggedModelParameter>,
    /// All points, each with its run and, if it has one, its data set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

/// Where a logged model stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum LoggedModelStatus {
    /// Not said.
    #[default]
    Unspecified,
    /// Its files are being written.
    Pending,
    /// Its files are there.
    Ready,
    /// Its files could not be written.
    UploadFailed,
}

json::wire_enum!(LoggedModelStatus {
    Unspecified = 0 "LOGGED_MODEL_STATUS_UNSPECIFIED",
    Pending = 1 "LOGGED_MODEL_PENDING",
    Ready = 2 "LOGGED_MODEL_READY",
    UploadFailed = 3 "LOGGED_MODEL_UPLOAD_FAILED",
});

/// A note on a logged model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedModelTag {
    /// The name.
    pub key: String,
    /// The text.
    #[serde(default)]
    pub value: String,
}

/// A setting of a logged model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedModelParameter {
    /// The name.
    pub key: String,
    /// The text.
    #[serde(default)]
    pub value: String,
}

/// A version of a registered model that a logged model became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedModelRegistrationInfo {
    /// The registered model.
    pub name: String,
    /// Its version.
    #[serde(with = "json::version")]
    pub version: i64,
}
