//! Runs, and what is logged to them.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::experiment::LifecycleStage;
use crate::json;

/// One run with the latest value of each metric, its params, tags and inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What it is.
    pub info: RunInfo,
    /// What was logged to it.
    #[serde(default)]
    pub data: RunData,
    /// What it read.
    #[serde(default)]
    pub inputs: RunInputs,
    /// What it made.
    #[serde(default)]
    pub outputs: RunOutputs,
}

/// A run's identity and state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RunInfo {
    /// 32 hexadecimal digits (other forms come with imported runs).
    pub run_id: String,
    /// Mirrored by the tag `mlflow.runName`.
    #[serde(default)]
    pub run_name: String,
    /// The experiment it belongs to.
    pub experiment_id: String,
    /// Who started it.
    #[serde(default)]
    pub user_id: String,
    /// Where it stands.
    pub status: RunStatus,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub start_time: i64,
    /// Milliseconds since 1970; absent while it runs.
    #[serde(default, deserialize_with = "json::optional_int64")]
    pub end_time: Option<i64>,
    /// The root of its artifacts.
    #[serde(default)]
    pub artifact_uri: String,
    /// Whether it was deleted.
    pub lifecycle_stage: LifecycleStage,
}

impl Serialize for RunInfo {
    /// Writes the id twice, as `run_id` and as the older `run_uuid`: clients of both ages read it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("RunInfo", 10)?;
        fields.serialize_field("run_id", &self.run_id)?;
        fields.serialize_field("run_uuid", &self.run_id)?;
        fields.serialize_field("run_name", &self.run_name)?;
        fields.serialize_field("experiment_id", &self.experiment_id)?;
        fields.serialize_field("user_id", &self.user_id)?;
        fields.serialize_field("status", &self.status)?;
        fields.serialize_field("start_time", &self.start_time)?;
        match self.end_time {
            Some(end_time) => fields.serialize_field("end_time", &end_time)?,
            None => fields.skip_field("end_time")?,
        }
        fields.serialize_field("artifact_uri", &self.artifact_uri)?;
        fields.serialize_field("lifecycle_stage", &self.lifecycle_stage)?;
        fields.end()
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// Under way.
    Running,
    /// Not started yet.
    Scheduled,
    /// Ended as it should.
    Finished,
    /// Ended by an error.
    Failed,
    /// Stopped from outside.
    Killed,
}

json::wire_enum!(RunStatus {
    Running = 1 "RUNNING",
    Scheduled = 2 "SCHEDULED",
    Finished = 3 "FINISHED",
    Failed = 4 "FAILED",
    Killed = 5 "KILLED",
});

/// What was logged to a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunData {
    /// The latest point of each metric, by key. The latest is the largest (step, timestamp, value).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// By key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// By key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<RunTag>,
}

impl RunData {
    /// The latest value of a metric.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.key == key).map(|metric| metric.value)
    }

    /// A param's value.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|param| param.key == key).map(|param| param.value.as_str())
    }

    /// A tag's value.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
    }
}

/// One point of a metric. A point equal in key, value, timestamp and step is the same point of a run: logging it again
/// changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metric {
    /// The name.
    pub key: String,
    /// NaN is kept; infinities are stored as the largest double.
    #[serde(with = "json::double")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub timestamp: i64,
    /// The x axis.
    #[serde(default, with = "json::int64")]
    pub step: i64,
    /// The name of the data set that it was measured on, if it belongs to a logged model.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// The digest of that data set.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
    /// The logged model that it belongs to, beside the run.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The run that it was logged to, where a list holds points of several runs.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

impl Metric {
    /// A point of a run, of no model and no data set.
    pub fn new(key: impl Into<String>, value: f64, timestamp: i64, step: i64) -> Self {
        Self { key: key.into(), value, timestamp, step, dataset_name: None, dataset_digest: None, model_id: None, run_id: None }
    }
}

/// A setting of a run; once logged it cannot change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// The name.
    pub key: String,
    /// The text.
    #[serde(default)]
    pub value: String,
}

impl Param {
    /// A param.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// A note on a run; the last value of a key stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTag {
    /// The name.
    pub key: String,
    /// The text.
    #[serde(default)]
    pub value: String,
}

impl RunTag {
    /// A tag.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// What one `log-batch` carries. Stored wholly or not at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// At most [`crate::limits::BATCH_METRICS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// At most [`crate::limits::BATCH_PARAMS`], no key twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// At most [`crate::limits::BATCH_TAGS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<RunTag>,
}

/// What a run read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunInputs {
    /// Data sets; one of each (name, digest).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dataset_inputs: Vec<DatasetInput>,
    /// Logged models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_inputs: Vec<ModelInput>,
}

impl RunInputs {
    /// Data sets only.
    pub fn datasets(dataset_inputs: Vec<DatasetInput>) -> Self {
        Self { dataset_inputs, model_inputs: vec![] }
    }

    /// Data sets and logged models.
    pub fn new(dataset_inputs: Vec<DatasetInput>, model_inputs: Vec<ModelInput>) -> Self {
        Self { dataset_inputs, model_inputs }
    }
}

/// A logged model that a run read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInput {
    /// The model.
    pub model_id: String,
}

/// What a run made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOutputs {
    /// Logged models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_outputs: Vec<ModelOutput>,
}

/// A logged model that a run made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOutput {
    /// The model.
    pub model_id: String,
    /// At which step.
    #[serde(default, with = "json::int64")]
    pub step: i64,
}

/// A data set as an input, with what it was used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInput {
    /// `mlflow.data.context` says what it was used for ([`crate::DATASET_CONTEXT_TAG`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<InputTag>,
    /// The data set.
    pub dataset: Dataset,
}

impl DatasetInput {
    /// What it was used for, if it says so.
    pub fn context(&self) -> Option<&str> {
        self.tags.iter().find(|tag| tag.key == crate::DATASET_CONTEXT_TAG).map(|tag| tag.value.as_str())
    }
}

/// A data set; (name, digest) is its identity within an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// For example `CIFAR10`.
    pub name: String,
    /// Names the contents, at most 36 characters.
    pub digest: String,
    /// The kind of source, for example `local`.
    pub source_type: String,
    /// Where it lies.
    pub source: String,
    /// The columns, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Counts, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// A note on an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputTag {
    /// The name.
    pub key: String,
    /// The text.
    pub value: String,
}

/// A data set as the runs of an experiment know it: one per (name, digest, context).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DatasetSummary {
    /// The experiment.
    pub experiment_id: String,
    /// The data set's name.
    pub name: String,
    /// Names the contents.
    pub digest: String,
    /// What it was used for, if a run said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// One point of a metric, with its run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricWithRunId {
    /// The name.
    pub key: String,
    /// NaN is kept.
    #[serde(with = "json::double")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub timestamp: i64,
    /// The x axis.
    #[serde(default, with = "json::int64")]
    pub step: i64,
    /// The run.
    pub run_id: String,
}
