//! The [`RunStore`] of any SQL database: what was asked is checked, and done in one transaction.

use anmok_protocol::{Batch, Experiment, LifecycleStage, Metric, Run, RunInfo, RunInputs, RunTag, validate};

use super::connection::Connection;
use super::failure::Failure;
use super::location::Locations;
use super::{lifecycle, read, search, write};
use crate::artifact::{ArtifactStore, Artifacts};
use crate::error::TrackingError;
use crate::store::{ExperimentQuery, NewExperiment, NewRun, Page, PageRequest, RunQuery, RunStore, RunUpdate, SearchEffort};

/// A database with our schema.
pub(crate) trait Database: Send + Sync {
    /// Reads one state of the database, whatever is written meanwhile. The work can be done more than once.
    fn read<T>(&self, doing: &str, work: impl FnMut(&mut dyn Connection) -> Result<T, Failure>) -> Result<T, TrackingError>;

    /// Writes in one transaction and returns when it is committed. Work that fails leaves no trace; it can be done more than
    /// once, on another thread.
    fn write<T: Send + 'static>(
        &self,
        doing: &str,
        work: impl FnMut(&mut dyn Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, TrackingError>;
}

/// A [`RunStore`] in a database.
pub(crate) struct SqlStore<D> {
    pub database: D,
    pub locations: Locations,
    pub artifacts: Artifacts,
    pub search: SearchEffort,
}

impl<D: Database> RunStore for SqlStore<D> {
    fn create_experiment(&self, new: &NewExperiment) -> Result<String, TrackingError> {
        validate::experiment_name(&new.name)?;
        for tag in &new.tags {
            validate::experiment_tag(&tag.key, &tag.value)?;
        }
        let location = new
            .artifact_location
            .as_deref()
            .filter(|location| !location.is_empty())
            .map(|location| {
                validate::artifact_location(location)?;
                self.locations.stored(location)
            })
            .transpose()?;
        let (new, locations) = (new.clone(), self.locations.clone());
        self.database
            .write("making an experiment", move |connection| write::create_experiment(connection, &new, location.as_deref(), &locations))
    }

    fn experiment(&self, experiment_id: &str) -> Result<Option<Experiment>, TrackingError> {
        let id = validate::experiment_id(experiment_id)?;
        self.database.read("reading an experiment", |connection| read::experiment(connection, &self.locations, "experiment = ?1", id))
    }

    fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        self.database.read("reading an experiment", |connection| read::experiment(connection, &self.locations, "name = ?1", name))
    }

    fn search_experiments(&self, query: &ExperimentQuery) -> Result<Page<Experiment>, TrackingError> {
        validate::max_results(query.max_results)?;
        self.database.read("searching experiments", |connection| search::experiments(connection, &self.locations, query))
    }

    fn delete_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        let id = validate::experiment_id(experiment_id)?;
        self.database
            .write("deleting an experiment", move |connection| lifecycle::set_experiment_stage(connection, id, LifecycleStage::Deleted))
    }

    fn restore_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        let id = validate::experiment_id(experiment_id)?;
        self.database
            .write("restoring an experiment", move |connection| lifecycle::set_experiment_stage(connection, id, LifecycleStage::Active))
    }

    fn create_run(&self, new: &NewRun) -> Result<Run, TrackingError> {
        let run = write::CheckedRun::new(new)?;
        let locations = self.locations.clone();
        self.database.write("starting a run", move |connection| write::create_run(connection, &run, &locations))
    }

    fn run(&self, run_id: &str) -> Result<Option<Run>, TrackingError> {
        self.database.read("reading a run", |connection| read::run(connection, &self.locations, run_id))
    }

    fn update_run(&self, run_id: &str, update: &RunUpdate) -> Result<RunInfo, TrackingError> {
        let (run_id, update, locations) = (run_id.to_string(), update.clone(), self.locations.clone());
        self.database.write("updating a run", move |connection| write::update_run(connection, &run_id, &update, &locations))
    }

    fn delete_run(&self, run_id: &str) -> Result<(), TrackingError> {
        let run_id = run_id.to_string();
        self.database.write("deleting a run", move |connection| lifecycle::set_run_stage(connection, &run_id, LifecycleStage::Deleted))
    }

    fn restore_run(&self, run_id: &str) -> Result<(), TrackingError> {
        let run_id = run_id.to_string();
        self.database.write("restoring a run", move |connection| lifecycle::set_run_stage(connection, &run_id, LifecycleStage::Active))
    }

    fn log_batch(&self, run_id: &str, batch: &Batch) -> Result<(), TrackingError> {
        validate::run_id(run_id)?;
        validate::batch(batch)?;
        let (run_id, batch) = (run_id.to_string(), write::BatchRows::new(batch));
        self.database.write("logging to a run", move |connection| write::log_batch(connection, &run_id, &batch))
    }

    fn set_tag(&self, run_id: &str, tag: &RunTag) -> Result<(), TrackingError> {
        validate::tag(tag, "")?;
        let batch = write::BatchRows::new(&Batch { tags: vec![tag.clone()], ..Batch::default() });
        let run_id = run_id.to_string();
        self.database.write("setting a tag", move |connection| write::log_batch(connection, &run_id, &batch))
    }

    fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError> {
        let (run_id, key) = (run_id.to_string(), key.to_string());
        self.database.write("deleting a tag", move |connection| write::delete_tag(connection, &run_id, &key))
    }

    fn log_inputs(&self, run_id: &str, inputs: &RunInputs) -> Result<(), TrackingError> {
        validate::run_id(run_id)?;
        inputs.dataset_inputs.iter().try_for_each(validate::dataset_input)?;
        let (run_id, inputs) = (run_id.to_string(), inputs.clone());
        self.database.write("logging a run's inputs", move |connection| write::log_inputs(connection, &run_id, &inputs))
    }

    fn metric_history(&self, run_id: &str, key: &str, page: &PageRequest) -> Result<Page<Metric>, TrackingError> {
        if page.max_results == Some(0) {
            validate::max_results(0)?;
        }
        self.database.read("reading a metric's history", |connection| read::metric_history(connection, run_id, key, page))
    }

    fn search_runs(&self, query: &RunQuery) -> Result<Page<Run>, TrackingError> {
        validate::max_results(query.max_results)?;
        self.database.read("searching runs", |connection| search::runs(connection, &self.locations, self.search, query))
    }

    fn artifacts(&self, artifact_uri: &str) -> Result<ArtifactStore, TrackingError> {
        self.artifacts.open(artifact_uri)
    }
}
