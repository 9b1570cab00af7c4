//! `registered-models/*` and `model-versions/*`: versions, tags and aliases follow their model.

use anmok_protocol::Action;
use anmok_protocol::messages::model_versions::{
    CreateModelVersion, DeleteModelVersion, DeleteModelVersionTag, GetModelVersion, GetModelVersionDownloadUri, SearchModelVersions,
    SetModelVersionTag, TransitionModelVersionStage, UpdateModelVersion,
};
use anmok_protocol::messages::registered_models::{
    CreateRegisteredModel, DeleteRegisteredModel, DeleteRegisteredModelAlias, DeleteRegisteredModelTag, GetLatestVersions,
    GetModelVersionByAlias, GetRegisteredModel, RenameRegisteredModel, SearchRegisteredModels, SetRegisteredModelAlias,
    SetRegisteredModelTag, UpdateRegisteredModel,
};
use anmok_protocol::model_source::ModelUri;

use super::rules;
use crate::auth::check::Check;
use crate::handlers::Answer;

rules! {
    CreateRegisteredModel => |_, _, _| Ok(true);
    // The handlers show what may be read.
    SearchRegisteredModels => |_, _, _| Ok(true);
    SearchModelVersions => |_, _, _| Ok(true);
    GetRegisteredModel => |check, asked, _| check.model(&asked.name, Action::Read);
    UpdateRegisteredModel | RenameRegisteredModel | SetRegisteredModelTag | DeleteRegisteredModelTag => |check, asked, _| {
        check.model(&asked.name, Action::Update)
    };
    DeleteRegisteredModel | DeleteRegisteredModelAlias | DeleteModelVersion | DeleteModelVersionTag => |check, asked, _| {
        check.model_there(&asked.name, Action::Delete)
    };
    GetLatestVersions | GetModelVersionByAlias | GetModelVersion | GetModelVersionDownloadUri => |check, asked, _| {
        check.model_there(&asked.name, Action::Read)
    };
    SetRegisteredModelAlias | UpdateModelVersion | TransitionModelVersionStage | SetModelVersionTag => |check, asked, _| {
        check.model_there(&asked.name, Action::Update)
    };
    CreateModelVersion => |check, asked, _| Ok(check.model_there(&asked.name, Action::Update)? && may_use_source(check, asked)?);
}

/// A version shows what it is made from, and so only those make it who may read that.
fn may_use_source(check: &Check, asked: &CreateModelVersion) -> Answer<bool> {
    let source = ModelUri::parse(&asked.source)?;
    if let Some(ModelUri::Version(name, _) | ModelUri::Stage(name, _) | ModelUri::Latest(name) | ModelUri::Alias(name, _)) = &source {
        return check.model_there(name, Action::Read);
    }
    let named = match &source {
        Some(ModelUri::Id(model_id)) => check.logged_model(model_id, Action::Read)?,
        _ => true,
    };
    // Empty ids stand for none.
    let (runs, models) = (asked.run_id.iter(), asked.model_id.iter());
    Ok(named
        && check.runs(runs.filter(|id| !id.is_empty()), Action::Read)?
        && check.logged_models(models.filter(|id| !id.is_empty()), Action::Read)?)
}
