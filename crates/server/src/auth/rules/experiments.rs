//! `experiments/*` and `metrics/*`.

use anmok_protocol::Action;
use anmok_protocol::messages::experiments::{
    CreateExperiment, DeleteExperiment, DeleteExperimentTag, GetExperiment, GetExperimentByName, RestoreExperiment, SearchDatasets,
    SearchExperiments, SetExperimentTag, UpdateExperiment,
};
use anmok_protocol::messages::metrics::{GetMetricHistory, GetMetricHistoryBulk, GetMetricHistoryBulkInterval};

use super::rules;

rules! {
    CreateExperiment => |_, _, _| Ok(true);
    // The handler shows what may be read.
    SearchExperiments => |_, _, _| Ok(true);
    GetExperiment => |check, asked, _| check.experiment(&asked.experiment_id, Action::Read);
    GetExperimentByName => |check, asked, _| match check.app.store.experiment_by_name(&asked.experiment_name)? {
        Some(experiment) => check.experiment(&experiment.experiment_id, Action::Read),
        // The handler says that there is none.
        None => Ok(true),
    };
    DeleteExperiment | RestoreExperiment => |check, asked, _| check.experiment(&asked.experiment_id, Action::Delete);
    UpdateExperiment | SetExperimentTag | DeleteExperimentTag => |check, asked, _| check.experiment(&asked.experiment_id, Action::Update);
    SearchDatasets => |check, asked, _| check.experiments(&asked.experiment_ids, Action::Read);

    GetMetricHistory => |check, asked, _| check.run(asked.run_id(), Action::Read);
    GetMetricHistoryBulk => |check, asked, _| check.runs(&asked.run_id, Action::Read);
    GetMetricHistoryBulkInterval => |check, asked, _| check.runs(&asked.run_ids, Action::Read);
}
