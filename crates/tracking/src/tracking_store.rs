//! What MLflow's tracking protocol asks of a store beyond recording runs: the care of experiments, samples of histories,
//! outputs of runs, and logged models.

use anmok_protocol::{
    DatasetSummary, LoggedModel, LoggedModelFilter, LoggedModelOrder, LoggedModelParameter, LoggedModelStatus, LoggedModelTag, Metric,
    MetricWithRunId, ModelOutput, Param, limits,
};

use crate::error::TrackingError;
use crate::store::{Page, RunStore};

/// A [`RunStore`] that a tracking server can stand on.
///
/// As there: calls block, absence is `None` where something is looked up, and the error `RESOURCE_DOES_NOT_EXIST` where
/// something is to be changed.
pub trait TrackingStore: RunStore {
    /// Gives an active experiment another name, which is unique, deleted experiments included.
    fn rename_experiment(&self, experiment_id: &str, new_name: &str) -> Result<(), TrackingError>;

    /// Sets one tag of an active experiment.
    fn set_experiment_tag(&self, experiment_id: &str, key: &str, value: &str) -> Result<(), TrackingError>;

    /// Removes a tag from an active experiment.
    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<(), TrackingError>;

    /// Logs one point. Unlike [`RunStore::log_batch`], a refusal names no place in a list.
    fn log_metric(&self, run_id: &str, metric: &Metric) -> Result<(), TrackingError>;

    /// Logs one param, with refusals as in [`Self::log_metric`].
    fn log_param(&self, run_id: &str, param: &Param) -> Result<(), TrackingError>;

    /// The data sets that runs of some active experiments read, one per (experiment, name, digest, context): at most
    /// [`limits::DATASET_SUMMARIES`]. Unknown experiments have none.
    fn dataset_summaries(&self, experiment_ids: &[String]) -> Result<Vec<DatasetSummary>, TrackingError>;

    /// Points of a metric of several runs, run by run, each by (step, timestamp, value).
    ///
    /// A run with more than `query.max_results` points gives that many, evenly spread over its points (not over its
    /// steps), the first and the last among them; of one, the last. Points of a deleted run count; an unknown run is an error.
    fn sampled_metric_history(&self, query: &SampledHistoryQuery) -> Result<Vec<MetricWithRunId>, TrackingError>;

    /// Records which logged models an active run made, after those that are there.
    fn log_outputs(&self, run_id: &str, models: &[ModelOutput]) -> Result<(), TrackingError>;

    /// Makes a logged model of an active experiment, pending, with an id of its own and a place for its files below the
    /// experiment's artifacts (`models/<model id>/artifacts`). Without a name it gets one of the form `adjective-noun-NNN`.
    fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel, TrackingError>;

    /// A logged model with its tags, params and metrics; a deleted one only if `deleted_too`.
    fn logged_model(&self, model_id: &str, deleted_too: bool) -> Result<Option<LoggedModel>, TrackingError>;

    /// Sets the status of a logged model.
    fn finalize_logged_model(&self, model_id: &str, status: LoggedModelStatus) -> Result<LoggedModel, TrackingError>;

    /// Marks a logged model as deleted. It stays until it is collected (`anmok gc`), and cannot be restored by the protocol.
    fn delete_logged_model(&self, model_id: &str) -> Result<(), TrackingError>;

    /// Sets tags of a logged model; of a key that comes twice the last value stays.
    fn set_logged_model_tags(&self, model_id: &str, tags: &[LoggedModelTag]) -> Result<(), TrackingError>;

    /// Removes a tag of a logged model; `RESOURCE_DOES_NOT_EXIST` if it has none of that key.
    fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<(), TrackingError>;

    /// Adds params to a logged model; one that is there with another value is an error, and then none is stored.
    fn log_logged_model_params(&self, model_id: &str, params: &[LoggedModelParameter]) -> Result<(), TrackingError>;

    /// Active logged models of some experiments that pass a filter.
    fn search_logged_models(&self, query: &LoggedModelQuery) -> Result<Page<LoggedModel>, TrackingError>;
}

/// A sample of the histories of one metric in several runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledHistoryQuery {
    /// At most [`limits::SAMPLED_HISTORY_RUNS`].
    pub run_ids: Vec<String>,
    /// The metric.
    pub metric_key: String,
    /// Only steps from the first to the second, both included; `None` is all.
    pub steps: Option<(i64, i64)>,
    /// Of each run, at most this many: 1 to [`limits::SAMPLED_HISTORY_POINTS`].
    pub max_results: usize,
}

/// A logged model to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewLoggedModel {
    /// An active experiment.
    pub experiment_id: String,
    /// `None` draws a name.
    pub name: Option<String>,
    /// The kind, for example `Agent`.
    pub model_type: Option<String>,
    /// The run that makes it.
    pub source_run_id: Option<String>,
    /// Settings from the start.
    pub params: Vec<LoggedModelParameter>,
    /// Notes from the start.
    pub tags: Vec<LoggedModelTag>,
}

/// A search for logged models.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedModelQuery {
    /// Where to look; unknown ones are empty.
    pub experiment_ids: Vec<String>,
    /// All clauses must hold.
    pub filter: LoggedModelFilter,
    /// Metric clauses hold for points measured on one of these; without metric clauses, models that have any point on one
    /// of these. Empty: no such condition.
    pub datasets: Vec<LoggedModelDataset>,
    /// Then by creation time, newest first, then by id.
    pub order_by: Vec<LoggedModelOrder>,
    /// 1 or more.
    pub max_results: usize,
    /// From the page before, with everything else the same.
    pub page_token: Option<String>,
}

impl Default for LoggedModelQuery {
    /// Of no experiment, newest first.
    fn default() -> Self {
        Self {
            experiment_ids: vec![],
            filter: LoggedModelFilter::default(),
            datasets: vec![],
            order_by: vec![],
            max_results: limits::LOGGED_MODEL_RESULTS_DEFAULT,
            page_token: None,
        }
    }
}

/// A data set on which metrics of logged models were measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedModelDataset {
    /// Its name.
    pub name: String,
    /// Its digest; `None` is any.
    pub digest: Option<String>,
}
