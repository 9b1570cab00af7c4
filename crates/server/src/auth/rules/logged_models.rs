//! `logged-models/*`: a logged model follows its experiment.

use anmok_protocol::Action;
use anmok_protocol::messages::logged_models::{
    CreateLoggedModel, FinalizeLoggedModel, GetLoggedModel, ListLoggedModelArtifacts, LogLoggedModelParamsRequest, SearchLoggedModels,
    SetLoggedModelTags,
};

use super::rules;

rules! {
    CreateLoggedModel => |check, asked, _| {
        // An empty id stands for no run.
        let source = Some(&asked.source_run_id).filter(|id| !id.is_empty());
        Ok(check.experiment(&asked.experiment_id, Action::Update)? && check.runs(source, Action::Read)?)
    };
    SearchLoggedModels => |check, asked, _| {
        check.keep_readable(&mut asked.experiment_ids)?;
        Ok(true)
    };
    GetLoggedModel | ListLoggedModelArtifacts => |check, _, path| check.logged_model(path.first(), Action::Read);
    FinalizeLoggedModel | SetLoggedModelTags | LogLoggedModelParamsRequest => |check, _, path| {
        check.logged_model(path.first(), Action::Update)
    };
}
