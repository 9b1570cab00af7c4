//! The trait that every store has, and what is asked of it.

use std::time::{SystemTime, UNIX_EPOCH};

use anmok_protocol::search::{Clause, TextTest};
use anmok_protocol::{
    ApiError, Batch, DEFAULT_EXPERIMENT_ID, Experiment, ExperimentFilter, ExperimentOrder, ExperimentTag, Metric, Run, RunFilter, RunInfo,
    RunInputs, RunOrder, RunStatus, RunTag, ViewType, Visible, limits,
};

use crate::artifact::ArtifactStore;
use crate::error::TrackingError;

/// A place where runs are recorded, with MLflow's rules.
///
/// All methods block until the store has answered; an acknowledged write survives a crash of this program (what else it
/// survives is the store's [`crate::Durability`]). Absence is `None` where something is looked up, and the error
/// `RESOURCE_DOES_NOT_EXIST` where something is to be changed.
pub trait RunStore: Send + Sync {
    /// Makes an experiment and gives its id. Names are unique, deleted experiments included.
    fn create_experiment(&self, new: &NewExperiment) -> Result<String, TrackingError>;

    /// An experiment by id, deleted or not.
    fn experiment(&self, experiment_id: &str) -> Result<Option<Experiment>, TrackingError>;

    /// An experiment by name, deleted or not.
    fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, TrackingError>;

    /// Experiments that pass a filter.
    fn search_experiments(&self, query: &ExperimentQuery) -> Result<Page<Experiment>, TrackingError>;

    /// Marks an active experiment and its runs as deleted.
    fn delete_experiment(&self, experiment_id: &str) -> Result<(), TrackingError>;

    /// Undoes [`Self::delete_experiment`], for all runs of the experiment.
    fn restore_experiment(&self, experiment_id: &str) -> Result<(), TrackingError>;

    /// Starts a run in an active experiment. Without a name it gets one of the form `adjective-noun-NNN`.
    fn create_run(&self, new: &NewRun) -> Result<Run, TrackingError>;

    /// A run with its latest metrics, params, tags and inputs, deleted or not.
    fn run(&self, run_id: &str) -> Result<Option<Run>, TrackingError>;

    /// Changes the status, end time and name of an active run; what is `None` stays.
    fn update_run(&self, run_id: &str, update: &RunUpdate) -> Result<RunInfo, TrackingError>;

    /// Marks a run as deleted.
    fn delete_run(&self, run_id: &str) -> Result<(), TrackingError>;

    /// Undoes [`Self::delete_run`].
    fn restore_run(&self, run_id: &str) -> Result<(), TrackingError>;

    /// Logs metrics, params and tags to an active run: all of it or nothing. A metric point that is there already is
    /// dropped silently; a param that is there with another value is an error. Long values are cut. A point that names a
    /// logged model is that model's too.
    fn log_batch(&self, run_id: &str, batch: &Batch) -> Result<(), TrackingError>;

    /// Sets one tag of an active run.
    fn set_tag(&self, run_id: &str, tag: &RunTag) -> Result<(), TrackingError>;

    /// Removes a tag from an active run.
    fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError>;

    /// Records what an active run reads: data sets and logged models. A data set that the run has already (same name and
    /// digest) is left as it is.
    fn log_inputs(&self, run_id: &str, inputs: &RunInputs) -> Result<(), TrackingError>;

    /// All points of a metric, by (timestamp, step, value). An unknown metric has none, and neither has an unknown run.
    fn metric_history(&self, run_id: &str, key: &str, page: &PageRequest) -> Result<Page<Metric>, TrackingError>;

    /// The latest point of each metric, by key. The latest is the largest by step first, so these are also the latest steps.
    fn latest_metrics(&self, run_id: &str) -> Result<Vec<Metric>, TrackingError> {
        Ok(self.run(run_id)?.ok_or_else(|| ApiError::run_not_found(run_id))?.data.metrics)
    }

    /// Runs of some experiments that pass a filter.
    fn search_runs(&self, query: &RunQuery) -> Result<Page<Run>, TrackingError>;

    /// The files below a run's `artifact_uri`. The store opens them because only it knows the way (a folder, a server's proxy).
    fn artifacts(&self, artifact_uri: &str) -> Result<ArtifactStore, TrackingError>;
}

/// An experiment to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewExperiment {
    /// Unique.
    pub name: String,
    /// Where its runs' artifacts go; `None` is the store's own place.
    pub artifact_location: Option<String>,
    /// Notes.
    pub tags: Vec<ExperimentTag>,
    /// The user who makes it, who may then manage it.
    pub creator: Option<i64>,
}

/// A run to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// An active experiment.
    pub experiment_id: String,
    /// `None` takes the tag `mlflow.runName`, or draws a name.
    pub run_name: Option<String>,
    /// Who starts it.
    pub user_id: String,
    /// Milliseconds since 1970 ([`now_ms`]).
    pub start_time: i64,
    /// Tags from the start.
    pub tags: Vec<RunTag>,
}

impl Default for NewRun {
    /// In the default experiment, now, by nobody.
    fn default() -> Self {
        Self { experiment_id: DEFAULT_EXPERIMENT_ID.into(), run_name: None, user_id: String::new(), start_time: now_ms(), tags: vec![] }
    }
}

/// A change to a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunUpdate {
    /// Where it stands.
    pub status: Option<RunStatus>,
    /// Milliseconds since 1970.
    pub end_time: Option<i64>,
    /// Its name; the tag `mlflow.runName` follows. An empty one is ignored.
    pub run_name: Option<String>,
}

/// A search for runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunQuery {
    /// Where to look; unknown ones are empty.
    pub experiment_ids: Vec<String>,
    /// All clauses must hold.
    pub filter: RunFilter,
    /// Then by start time, newest first, then by run id.
    pub order_by: Vec<RunOrder>,
    /// Active ones, deleted ones, or both.
    pub view: ViewType,
    /// 1 to 50000.
    pub max_results: usize,
    /// From the page before, with everything else the same.
    pub page_token: Option<String>,
}

impl Default for RunQuery {
    /// Active runs of the default experiment, newest first.
    fn default() -> Self {
        Self {
            experiment_ids: vec![DEFAULT_EXPERIMENT_ID.into()],
            filter: RunFilter::default(),
            order_by: vec![],
            view: ViewType::ActiveOnly,
            max_results: limits::SEARCH_RESULTS_DEFAULT,
            page_token: None,
        }
    }
}

/// How many runs a search in a database looks at before it takes an index's help. None of this changes what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchEffort {
    /// So many runs in the experiments it looks at one by one, whatever the conditions: that is as fast.
    pub without_condition: usize,
    /// So many it puts in order one by one.
    pub without_order: usize,
    /// Conditions that so many runs meet at most are looked up first, and only they are looked at.
    pub rare: usize,
    /// In an order by a metric a page is looked for among so many runs that come first; where they do not fill it, among the second
    /// number of them.
    pub heads: [usize; 2],
}

impl Default for SearchEffort {
    /// Each step a few milliseconds, the last one some 20.
    fn default() -> Self {
        Self { without_condition: 1000, without_order: 5000, rare: 2000, heads: [2000, 20_000] }
    }
}

/// Every active experiment.
///
/// # Errors
/// As [`RunStore::search_experiments`].
pub fn all_experiments(store: &dyn RunStore) -> Result<Vec<Experiment>, TrackingError> {
    let mut query = ExperimentQuery::default();
    let mut all = vec![];
    loop {
        let page = store.search_experiments(&query)?;
        all.extend(page.items);
        match page.next_page_token {
            Some(token) => query.page_token = Some(token),
            None => return Ok(all),
        }
    }
}

/// The newest active run in some experiments whose tag has this value.
pub(crate) fn run_tagged(store: &dyn RunStore, experiment_ids: Vec<String>, key: &str, value: &str) -> Result<Option<Run>, TrackingError> {
    let clause = Clause::Tag { key: key.into(), test: TextTest::Equal(value.into()) };
    let query = RunQuery { experiment_ids, filter: RunFilter { clauses: vec![clause] }, max_results: 1, ..RunQuery::default() };
    Ok(store.search_runs(&query)?.items.pop())
}

/// A search for experiments.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentQuery {
    /// All clauses must hold.
    pub filter: ExperimentFilter,
    /// Empty: newest first, then by id. Otherwise, these and then by id, largest first.
    pub order_by: Vec<ExperimentOrder>,
    /// Active ones, deleted ones, or both.
    pub view: ViewType,
    /// 1 to 50000.
    pub max_results: usize,
    /// From the page before.
    pub page_token: Option<String>,
    /// What of all that the searcher may see.
    pub visible: Visible,
}

impl Default for ExperimentQuery {
    /// Active ones.
    fn default() -> Self {
        Self {
            filter: ExperimentFilter::default(),
            order_by: vec![],
            view: ViewType::ActiveOnly,
            max_results: limits::SEARCH_RESULTS_DEFAULT,
            page_token: None,
            visible: Visible::Everything,
        }
    }
}

/// Which part of a list. The default is all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many; `None` is all.
    pub max_results: Option<usize>,
    /// From the page before.
    pub page_token: Option<String>,
}

/// A part of a list. What is added or removed between two pages moves nothing else from one page to another: a token
/// names the last item, not a count.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// For the next page; `None` at the end.
    pub next_page_token: Option<String>,
}

/// Milliseconds since 1970, UTC.
pub fn now_ms() -> i64 {
    // A clock before 1970 is wrong anyway; 0 is the nearest that MLflow takes.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
