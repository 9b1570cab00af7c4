//! `runs/*`: a run follows its experiment, and so do the logged models that points are logged to.

use anmok_protocol::messages::runs::{
    CreateRun, DeleteRun, DeleteTag, GetRun, LogBatch, LogInputs, LogMetric, LogModel, LogOutputs, LogParam, RestoreRun, SearchRuns,
    SetTag, UpdateRun,
};
use anmok_protocol::{Action, DEFAULT_EXPERIMENT_ID};

use super::rules;

rules! {
    CreateRun => |check, asked, _| check.experiment(asked.experiment_id.as_deref().unwrap_or(DEFAULT_EXPERIMENT_ID), Action::Update);
    GetRun => |check, asked, _| check.run(asked.run_id(), Action::Read);
    DeleteRun | RestoreRun => |check, asked, _| check.run(&asked.run_id, Action::Delete);
    UpdateRun | LogParam | SetTag => |check, asked, _| check.run(asked.run_id(), Action::Update);
    DeleteTag | LogModel => |check, asked, _| check.run(&asked.run_id, Action::Update);
    LogMetric => |check, asked, _| {
        Ok(check.run(asked.run_id(), Action::Update)? && check.logged_models(&asked.model_id, Action::Update)?)
    };
    LogBatch => |check, asked, _| {
        let models = asked.metrics.iter().filter_map(|metric| metric.model_id.as_ref());
        Ok(check.run(&asked.run_id, Action::Update)? && check.logged_models(models, Action::Update)?)
    };
    LogInputs => |check, asked, _| {
        let models = asked.models.iter().map(|model| &model.model_id);
        Ok(check.run(&asked.run_id, Action::Update)? && check.logged_models(models, Action::Update)?)
    };
    LogOutputs => |check, asked, _| {
        let models = asked.models.iter().map(|model| &model.model_id);
        Ok(check.run(&asked.run_id, Action::Update)? && check.logged_models(models, Action::Update)?)
    };
    SearchRuns => |check, asked, _| {
        check.keep_readable(&mut asked.experiment_ids)?;
        Ok(true)
    };
}
