//! The [`RunStore`] of a server: each method is one call of MLflow's API.

use std::sync::Arc;

use anmok_protocol::messages::Empty;
use anmok_protocol::messages::experiments::{
    CreateExperiment, CreateExperimentResponse, DeleteExperiment, GetExperiment, GetExperimentByName, GetExperimentResponse,
    RestoreExperiment, SearchExperiments, SearchExperimentsResponse,
};
use anmok_protocol::messages::metrics::{GetMetricHistory, GetMetricHistoryResponse};
use anmok_protocol::messages::runs::{
    CreateRun, DeleteRun, DeleteTag, GetRun, LogInputs, RestoreRun, RunResponse, SearchRuns, SearchRunsResponse, SetTag, UpdateRun,
    UpdateRunResponse,
};
use anmok_protocol::routes::Endpoint;
use anmok_protocol::search::{Clause, Comparison, Filter, NumberField};
use anmok_protocol::{Batch, Experiment, LifecycleStage, Metric, Run, RunData, RunInfo, RunInputs, RunStatus, RunTag, limits, validate};

use super::address::Address;
use super::batches;
use super::connection::{Again, Connection, found};
use super::options::ServerOptions;
use super::proxied::Proxied;
use crate::artifact::{ArtifactStore, Artifacts, uri};
use crate::error::TrackingError;
use crate::store::{ExperimentQuery, NewExperiment, NewRun, Page, PageRequest, RunQuery, RunStore, RunUpdate};
use crate::uri::StoreOptions;

/// Points that are asked for at once where all are wanted: some 4 MB.
const HISTORY_PAGE: usize = 25_000;

/// A tracking server.
pub(crate) struct HttpStore {
    connection: Arc<Connection>,
    options: ServerOptions,
    artifacts: Artifacts,
}

impl HttpStore {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// Settings that cannot be used, by name.
    pub fn new(uri: &str, options: &StoreOptions) -> Result<Self, TrackingError> {
        Ok(Self {
            connection: Arc::new(Connection::new(uri, &options.server)?),
            options: options.server.clone(),
            artifacts: Artifacts::new(options.artifacts.clone()),
        })
    }

    /// The stage of a run or experiment, as what a change to it has led to.
    fn done_if(stage: Option<LifecycleStage>, wanted: LifecycleStage) -> Option<Empty> {
        (stage == Some(wanted)).then_some(Empty {})
    }

    fn run_is(&self, run_id: &str, wanted: LifecycleStage) -> Result<Option<Empty>, TrackingError> {
        Ok(Self::done_if(self.run(run_id)?.map(|run| run.info.lifecycle_stage), wanted))
    }

    fn experiment_is(&self, experiment_id: &str, wanted: LifecycleStage) -> Result<Option<Empty>, TrackingError> {
        Ok(Self::done_if(self.experiment(experiment_id)?.map(|experiment| experiment.lifecycle_stage), wanted))
    }

    /// The run that an earlier attempt has started: of the same user, start, name and tags, and nothing logged to it yet.
    fn just_started(&self, asked: &CreateRun) -> Result<Option<RunResponse>, TrackingError> {
        let start = asked.start_time.unwrap_or_default();
        let clause = Clause::Number { field: NumberField::StartTime, comparison: Comparison::Equal, value: start as f64 };
        let query = RunQuery {
            experiment_ids: asked.experiment_id.iter().cloned().collect(),
            filter: Filter { clauses: vec![clause] },
            ..RunQuery::default()
        };
        let same = |run: &Run| {
            let RunData { metrics, params, .. } = &run.data;
            run.info.start_time == start
                && run.info.user_id == asked.user_id
                && run.info.status == RunStatus::Running
                && asked.run_name.as_ref().is_none_or(|name| *name == run.info.run_name)
                && asked.tags.iter().all(|tag| run.data.tag(&tag.key) == Some(tag.value.as_str()))
                && metrics.is_empty()
                && params.is_empty()
        };
        Ok(self.search_runs(&query)?.items.into_iter().find(same).map(|run| RunResponse { run }))
    }

    fn history_page(&self, run_id: &str, key: &str, page: &PageRequest) -> Result<Page<Metric>, TrackingError> {
        let asked = GetMetricHistory {
            run_id: run_id.into(),
            metric_key: key.into(),
            page_token: page.page_token.clone(),
            max_results: page.max_results.map(count),
            ..GetMetricHistory::default()
        };
        let answer: GetMetricHistoryResponse =
            self.connection.call("reading a metric", Endpoint::GetMetricHistory, &asked, &Again::Safe)?;
        Ok(Page { items: answer.metrics, next_page_token: token(answer.next_page_token) })
    }

    /// The server that keeps proxied artifacts: this one, or one that gets none of its credentials.
    fn keeper(&self, server: Option<String>) -> Result<Arc<Connection>, TrackingError> {
        let Some(server) = server else { return Ok(Arc::clone(&self.connection)) };
        let ours = &self.connection.address;
        // `mlflow-artifacts://host` leaves the scheme open.
        let scheme = ours.base.split(':').next().unwrap_or_default();
        let address = Address::parse(&if server.contains("://") { server } else { format!("{scheme}://{server}") })?;
        if address.origin() == ours.origin() {
            return Ok(Arc::clone(&self.connection));
        }
        let options = ServerOptions { username: None, password: None, token: None, ..self.options.clone() };
        Ok(Arc::new(Connection::new(&address.base, &options)?))
    }
}

impl RunStore for HttpStore {
    fn create_experiment(&self, new: &NewExperiment) -> Result<String, TrackingError> {
        validate::experiment_name(&new.name)?;
        for tag in &new.tags {
            validate::experiment_tag(&tag.key, &tag.value)?;
        }
        let asked = CreateExperiment { name: new.name.clone(), artifact_location: new.artifact_location.clone(), tags: new.tags.clone() };
        // Whoever made it meanwhile, there is an experiment of that name, which is all that was wanted.
        let made = || -> Result<_, TrackingError> {
            let active = self.experiment_by_name(&new.name)?.filter(|found| found.lifecycle_stage == LifecycleStage::Active);
            Ok(active.map(|found| CreateExperimentResponse { experiment_id: found.experiment_id }))
        };
        let made: CreateExperimentResponse =
            self.connection.call("making an experiment", Endpoint::CreateExperiment, &asked, &Again::Unless(&made))?;
        Ok(made.experiment_id)
    }

    fn experiment(&self, experiment_id: &str) -> Result<Option<Experiment>, TrackingError> {
        validate::experiment_id(experiment_id)?;
        let asked = GetExperiment { experiment_id: experiment_id.into() };
        let answer = self.connection.call("reading an experiment", Endpoint::GetExperiment, &asked, &Again::Safe);
        Ok(found(answer)?.map(|answer: GetExperimentResponse| answer.experiment))
    }

    fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        let asked = GetExperimentByName { experiment_name: name.into() };
        let answer = self.connection.call("reading an experiment", Endpoint::GetExperimentByName, &asked, &Again::Safe);
        Ok(found(answer)?.map(|answer: GetExperimentResponse| answer.experiment))
    }

    fn search_experiments(&self, query: &ExperimentQuery) -> Result<Page<Experiment>, TrackingError> {
        validate::max_results(query.max_results)?;
        let asked = SearchExperiments {
            view_type: Some(query.view),
            max_results: Some(count(query.max_results)),
            order_by: query.order_by.iter().map(|order| order.to_text()).collect(),
            filter: Some(query.filter.to_text()?),
            page_token: query.page_token.clone(),
        };
        let answer: SearchExperimentsResponse =
            self.connection.call("searching experiments", Endpoint::SearchExperiments, &asked, &Again::Safe)?;
        Ok(Page { items: answer.experiments, next_page_token: token(answer.next_page_token) })
    }

    fn delete_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        let asked = DeleteExperiment { experiment_id: experiment_id.into() };
        let done = || self.experiment_is(experiment_id, LifecycleStage::Deleted);
        self.connection.call("deleting an experiment", Endpoint::DeleteExperiment, &asked, &Again::Unless(&done)).map(|Empty {}| ())
    }

    fn restore_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        let asked = RestoreExperiment { experiment_id: experiment_id.into() };
        let done = || self.experiment_is(experiment_id, LifecycleStage::Active);
        self.connection.call("restoring an experiment", Endpoint::RestoreExperiment, &asked, &Again::Unless(&done)).map(|Empty {}| ())
    }

    fn create_run(&self, new: &NewRun) -> Result<Run, TrackingError> {
        for tag in &new.tags {
            validate::tag(tag, "")?;
        }
        let asked = CreateRun {
            experiment_id: Some(new.experiment_id.clone()),
            user_id: new.user_id.clone(),
            run_name: new.run_name.clone(),
            start_time: Some(new.start_time),
            tags: batches::cut_tags(&new.tags),
        };
        let started = || self.just_started(&asked);
        let answer: RunResponse = self.connection.call("starting a run", Endpoint::CreateRun, &asked, &Again::Unless(&started))?;
        Ok(answer.run)
    }

    fn run(&self, run_id: &str) -> Result<Option<Run>, TrackingError> {
        let asked = GetRun { run_id: run_id.into(), ..GetRun::default() };
        let answer = self.connection.call("reading a run", Endpoint::GetRun, &asked, &Again::Safe);
        Ok(found(answer)?.map(|answer: RunResponse| answer.run))
    }

    fn update_run(&self, run_id: &str, update: &RunUpdate) -> Result<RunInfo, TrackingError> {
        let asked = UpdateRun {
            run_id: run_id.into(),
            status: update.status,
            end_time: update.end_time,
            run_name: update.run_name.clone(),
            ..UpdateRun::default()
        };
        let answer: UpdateRunResponse = self.connection.call("updating a run", Endpoint::UpdateRun, &asked, &Again::Safe)?;
        Ok(answer.run_info)
    }

    fn delete_run(&self, run_id: &str) -> Result<(), TrackingError> {
        let asked = DeleteRun { run_id: run_id.into() };
        let done = || self.run_is(run_id, LifecycleStage::Deleted);
        self.connection.call("deleting a run", Endpoint::DeleteRun, &asked, &Again::Unless(&done)).map(|Empty {}| ())
    }

    fn restore_run(&self, run_id: &str) -> Result<(), TrackingError> {
        let asked = RestoreRun { run_id: run_id.into() };
        let done = || self.run_is(run_id, LifecycleStage::Active);
        self.connection.call("restoring a run", Endpoint::RestoreRun, &asked, &Again::Unless(&done)).map(|Empty {}| ())
    }

    fn log_batch(&self, run_id: &str, batch: &Batch) -> Result<(), TrackingError> {
        validate::run_id(run_id)?;
        validate::batch(batch)?;
        for request in batches::requests(run_id, batch) {
            let _: Empty = self.connection.call("logging to a run", Endpoint::LogBatch, &request, &Again::Safe)?;
        }
        Ok(())
    }

    fn set_tag(&self, run_id: &str, tag: &RunTag) -> Result<(), TrackingError> {
        validate::tag(tag, "")?;
        let value = limits::cut(&tag.value, limits::TAG_VALUE_LENGTH).to_owned();
        let asked = SetTag { run_id: run_id.into(), key: tag.key.clone(), value, ..SetTag::default() };
        self.connection.call("setting a tag", Endpoint::SetTag, &asked, &Again::Safe).map(|Empty {}| ())
    }

    fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError> {
        let asked = DeleteTag { run_id: run_id.into(), key: key.into() };
        let gone = || -> Result<_, TrackingError> { Ok(self.run(run_id)?.filter(|run| run.data.tag(key).is_none()).map(|_| Empty {})) };
        self.connection.call("deleting a tag", Endpoint::DeleteTag, &asked, &Again::Unless(&gone)).map(|Empty {}| ())
    }

    fn log_inputs(&self, run_id: &str, inputs: &RunInputs) -> Result<(), TrackingError> {
        for input in &inputs.dataset_inputs {
            validate::dataset_input(input)?;
        }
        let asked = LogInputs { run_id: run_id.into(), datasets: inputs.dataset_inputs.clone(), models: inputs.model_inputs.clone() };
        self.connection.call("logging what a run reads", Endpoint::LogInputs, &asked, &Again::Safe).map(|Empty {}| ())
    }

    /// Servers of MLflow 2 know no pages here and answer with all points.
    fn metric_history(&self, run_id: &str, key: &str, page: &PageRequest) -> Result<Page<Metric>, TrackingError> {
        if page.max_results.is_some() {
            return self.history_page(run_id, key, page);
        }
        let mut next = PageRequest { max_results: Some(HISTORY_PAGE), page_token: page.page_token.clone() };
        let mut items = vec![];
        loop {
            let part = self.history_page(run_id, key, &next)?;
            items.extend(part.items);
            next.page_token = part.next_page_token;
            if next.page_token.is_none() {
                break;
            }
        }
        // They also give the points in no order.
        items.sort_by(|a, b| (a.timestamp, a.step).cmp(&(b.timestamp, b.step)).then(a.value.total_cmp(&b.value)));
        Ok(Page { items, next_page_token: None })
    }

    fn search_runs(&self, query: &RunQuery) -> Result<Page<Run>, TrackingError> {
        validate::max_results(query.max_results)?;
        let asked = SearchRuns {
            experiment_ids: query.experiment_ids.clone(),
            filter: Some(query.filter.to_text()?),
            run_view_type: Some(query.view),
            max_results: Some(count(query.max_results)),
            order_by: query.order_by.iter().map(|order| order.to_text()).collect::<Result<_, _>>()?,
            page_token: query.page_token.clone(),
        };
        let answer: SearchRunsResponse = self.connection.call("searching runs", Endpoint::SearchRuns, &asked, &Again::Safe)?;
        Ok(Page { items: answer.runs, next_page_token: token(answer.next_page_token) })
    }

    fn artifacts(&self, artifact_uri: &str) -> Result<ArtifactStore, TrackingError> {
        match uri::proxied(artifact_uri)? {
            Some((server, path)) => Ok(ArtifactStore::proxied(Proxied::new(self.keeper(server)?, path))),
            None => self.artifacts.open(artifact_uri),
        }
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An empty token is none: proto's default.
fn token(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}
