//! The [`TrackingStore`] of any SQL database.

use anmok_protocol::{
    Batch, DatasetSummary, LoggedModel, LoggedModelParameter, LoggedModelStatus, LoggedModelTag, Metric, MetricWithRunId, ModelOutput,
    Param, validate,
};

use super::store::{Database, SqlStore};
use super::{experiments, history, logged_models, model_search, params, write};
use crate::error::TrackingError;
use crate::store::Page;
use crate::tracking_store::{LoggedModelQuery, NewLoggedModel, SampledHistoryQuery, TrackingStore};

impl<D: Database> TrackingStore for SqlStore<D> {
    fn rename_experiment(&self, experiment_id: &str, new_name: &str) -> Result<(), TrackingError> {
        validate::experiment_name(new_name)?;
        let (id, new_name) = (validate::experiment_id(experiment_id)?, new_name.to_string());
        self.database.write("renaming an experiment", move |connection| experiments::rename(connection, id, &new_name))
    }

    fn set_experiment_tag(&self, experiment_id: &str, key: &str, value: &str) -> Result<(), TrackingError> {
        validate::experiment_tag(key, value)?;
        let (id, key, value) = (validate::experiment_id(experiment_id)?, key.to_string(), value.to_string());
        self.database.write("setting an experiment's tag", move |connection| experiments::set_tag(connection, id, &key, &value))
    }

    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<(), TrackingError> {
        let (id, key) = (validate::experiment_id(experiment_id)?, key.to_string());
        self.database.write("deleting an experiment's tag", move |connection| experiments::delete_tag(connection, id, &key))
    }

    fn log_metric(&self, run_id: &str, metric: &Metric) -> Result<(), TrackingError> {
        validate::metric(metric, "")?;
        let batch = write::BatchRows::new(&Batch { metrics: vec![metric.clone()], ..Batch::default() });
        let run_id = run_id.to_string();
        self.database.write("logging a metric", move |connection| write::log_batch(connection, &run_id, &batch))
    }

    fn log_param(&self, run_id: &str, param: &Param) -> Result<(), TrackingError> {
        validate::param(param, "")?;
        let batch = write::BatchRows::new(&Batch { params: vec![param.clone()], ..Batch::default() });
        let run_id = run_id.to_string();
        self.database.write("logging a param", move |connection| params::log_one(connection, &run_id, &batch.params))
    }

    fn dataset_summaries(&self, experiment_ids: &[String]) -> Result<Vec<DatasetSummary>, TrackingError> {
        self.database.read("searching data sets", |connection| experiments::dataset_summaries(connection, experiment_ids))
    }

    fn sampled_metric_history(&self, query: &SampledHistoryQuery) -> Result<Vec<MetricWithRunId>, TrackingError> {
        self.database.read("sampling a metric's history", |connection| history::sampled(connection, query))
    }

    fn log_outputs(&self, run_id: &str, models: &[ModelOutput]) -> Result<(), TrackingError> {
        validate::run_id(run_id)?;
        let (run_id, models) = (run_id.to_string(), models.to_vec());
        self.database.write("logging a run's outputs", move |connection| logged_models::log_outputs(connection, &run_id, &models))
    }

    fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel, TrackingError> {
        let (model, locations) = (logged_models::CheckedModel::new(new)?, self.locations.clone());
        self.database.write("making a logged model", move |connection| logged_models::create(connection, &model, &locations))
    }

    fn logged_model(&self, model_id: &str, deleted_too: bool) -> Result<Option<LoggedModel>, TrackingError> {
        self.database.read("reading a logged model", |connection| logged_models::model(connection, &self.locations, model_id, deleted_too))
    }

    fn finalize_logged_model(&self, model_id: &str, status: LoggedModelStatus) -> Result<LoggedModel, TrackingError> {
        let (model_id, locations) = (model_id.to_string(), self.locations.clone());
        self.database
            .write("finishing a logged model", move |connection| logged_models::finalize(connection, &locations, &model_id, status))
    }

    fn delete_logged_model(&self, model_id: &str) -> Result<(), TrackingError> {
        let model_id = model_id.to_string();
        self.database.write("deleting a logged model", move |connection| logged_models::delete(connection, &model_id))
    }

    fn set_logged_model_tags(&self, model_id: &str, tags: &[LoggedModelTag]) -> Result<(), TrackingError> {
        tags.iter().try_for_each(|tag| validate::logged_model_tag(&tag.key, &tag.value))?;
        let (model_id, tags) = (model_id.to_string(), tags.to_vec());
        self.database.write("setting a logged model's tags", move |connection| logged_models::set_tags(connection, &model_id, &tags))
    }

    fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<(), TrackingError> {
        let (model_id, key) = (model_id.to_string(), key.to_string());
        self.database.write("deleting a logged model's tag", move |connection| logged_models::delete_tag(connection, &model_id, &key))
    }

    fn log_logged_model_params(&self, model_id: &str, params: &[LoggedModelParameter]) -> Result<(), TrackingError> {
        params.iter().try_for_each(|param| validate::logged_model_parameter(&param.key, &param.value))?;
        let (model_id, params) = (model_id.to_string(), params.to_vec());
        self.database.write("logging a logged model's params", move |connection| logged_models::log_params(connection, &model_id, &params))
    }

    fn search_logged_models(&self, query: &LoggedModelQuery) -> Result<Page<LoggedModel>, TrackingError> {
        validate::max_results(query.max_results)?;
        self.database.read("searching logged models", |connection| model_search::logged_models(connection, &self.locations, query))
    }
}
