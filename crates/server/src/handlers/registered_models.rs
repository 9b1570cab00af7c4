//! `registered-models/*`.

use std::str::FromStr;

use anmok_protocol::messages::Empty;
use anmok_protocol::messages::model_versions::ModelVersionResponse;
use anmok_protocol::messages::registered_models::{
    CreateRegisteredModel, DeleteRegisteredModel, DeleteRegisteredModelAlias, DeleteRegisteredModelTag, GetLatestVersions,
    GetLatestVersionsResponse, GetModelVersionByAlias, GetRegisteredModel, RegisteredModelResponse, RenameRegisteredModel,
    SearchRegisteredModels, SearchRegisteredModelsResponse, SetRegisteredModelAlias, SetRegisteredModelTag, UpdateRegisteredModel,
};
use anmok_protocol::{
    ApiError, ModelStage, RegisteredModelFilter, RegisteredModelOrder, RegisteredModelTag, ResourceType, limits, validate,
};
use anmok_tracking::{NewRegisteredModel, RegisteredModelQuery};

use super::webhooks::{tell, tell_change};
use super::{Answer, found, page_size};
use crate::auth::Call;
use crate::webhooks::events::{self, Change};

pub(crate) fn create(app: &Call, asked: CreateRegisteredModel) -> Answer<RegisteredModelResponse> {
    let happening = events::model_created(&asked.name, asked.description.as_deref(), &asked.tags);
    let new = NewRegisteredModel { name: asked.name, description: asked.description, tags: asked.tags, creator: app.caller.id() };
    let registered_model = app.store.create_registered_model(&new)?;
    app.caller_changed();
    tell(app, &happening);
    Ok(RegisteredModelResponse { registered_model })
}

pub(crate) fn get(app: &Call, asked: GetRegisteredModel) -> Answer<RegisteredModelResponse> {
    let model = app.store.registered_model(&asked.name)?;
    Ok(RegisteredModelResponse { registered_model: found(model, || ApiError::registered_model_not_found(&asked.name))? })
}

pub(crate) fn rename(app: &Call, asked: RenameRegisteredModel) -> Answer<RegisteredModelResponse> {
    let registered_model = app.store.rename_registered_model(&asked.name, &asked.new_name)?;
    app.accounts_changed();
    Ok(RegisteredModelResponse { registered_model })
}

pub(crate) fn update(app: &Call, asked: UpdateRegisteredModel) -> Answer<RegisteredModelResponse> {
    Ok(RegisteredModelResponse { registered_model: app.store.update_registered_model(&asked.name, &asked.description)? })
}

pub(crate) fn delete(app: &Call, asked: DeleteRegisteredModel) -> Answer<Empty> {
    app.store.delete_registered_model(&asked.name)?;
    app.accounts_changed();
    Ok(Empty {})
}

pub(crate) fn search(app: &Call, asked: SearchRegisteredModels) -> Answer<SearchRegisteredModelsResponse> {
    let query = RegisteredModelQuery {
        filter: RegisteredModelFilter::parse(asked.filter.as_deref().unwrap_or_default())?,
        order_by: RegisteredModelOrder::parse_all(&asked.order_by)?,
        max_results: page_size(asked.max_results, limits::REGISTERED_MODEL_RESULTS_DEFAULT)?,
        page_token: asked.page_token,
        visible: app.visible(ResourceType::RegisteredModel),
    };
    let page = app.store.search_registered_models(&query)?;
    Ok(SearchRegisteredModelsResponse { registered_models: page.items, next_page_token: page.next_page_token })
}

pub(crate) fn get_latest_versions(app: &Call, asked: GetLatestVersions) -> Answer<GetLatestVersionsResponse> {
    let stages: Vec<ModelStage> = asked.stages.iter().map(|stage| ModelStage::from_str(stage)).collect::<Result<_, _>>()?;
    Ok(GetLatestVersionsResponse { model_versions: app.store.latest_versions(&asked.name, &stages)? })
}

pub(crate) fn set_tag(app: &Call, asked: SetRegisteredModelTag) -> Answer<Empty> {
    let tag = RegisteredModelTag { key: asked.key, value: asked.value };
    app.store.set_registered_model_tag(&asked.name, &tag)?;
    tell_change(app, &asked.name, Change::ModelTagSet { key: &tag.key, value: &tag.value });
    Ok(Empty {})
}

pub(crate) fn delete_tag(app: &Call, asked: DeleteRegisteredModelTag) -> Answer<Empty> {
    app.store.delete_registered_model_tag(&asked.name, &asked.key)?;
    tell_change(app, &asked.name, Change::ModelTagDeleted { key: &asked.key });
    Ok(Empty {})
}

pub(crate) fn set_alias(app: &Call, asked: SetRegisteredModelAlias) -> Answer<Empty> {
    app.store.set_registered_model_alias(&asked.name, &asked.alias, validate::model_version(&asked.version)?)?;
    tell_change(app, &asked.name, Change::AliasSet { alias: &asked.alias, version: &asked.version });
    Ok(Empty {})
}

pub(crate) fn delete_alias(app: &Call, asked: DeleteRegisteredModelAlias) -> Answer<Empty> {
    app.store.delete_registered_model_alias(&asked.name, &asked.alias)?;
    tell_change(app, &asked.name, Change::AliasDeleted { alias: &asked.alias });
    Ok(Empty {})
}

pub(crate) fn get_by_alias(app: &Call, asked: GetModelVersionByAlias) -> Answer<ModelVersionResponse> {
    match app.store.model_version_by_alias(&asked.name, &asked.alias)? {
        Some(model_version) => Ok(ModelVersionResponse { model_version }),
        // Which of the two is absent?
        None => match app.store.registered_model(&asked.name)? {
            Some(_) => Err(ApiError::alias_not_found(&asked.alias).into()),
            None => Err(ApiError::registered_model_not_found(&asked.name).into()),
        },
    }
}
