//! `model-versions/*`.

use std::str::FromStr;

use anmok_protocol::messages::Empty;
use anmok_protocol::messages::model_versions::{
    CreateModelVersion, DeleteModelVersion, DeleteModelVersionTag, GetModelVersion, GetModelVersionDownloadUri,
    GetModelVersionDownloadUriResponse, ModelVersionResponse, SearchModelVersions, SearchModelVersionsResponse, SetModelVersionTag,
    TransitionModelVersionStage, UpdateModelVersion,
};
use anmok_protocol::python_json::Json;
use anmok_protocol::validate::model_version as number;
use anmok_protocol::{
    ApiError, LoggedModelTag, MODEL_VERSIONS_TAG, ModelStage, ModelVersion, ModelVersionFilter, ModelVersionOrder, ModelVersionTag,
    ResourceType, limits,
};
use anmok_tracking::{ModelVersionQuery, NewModelVersion};

use super::webhooks::{tell, tell_change};
use super::{Answer, found, model_source, page_size};
use crate::auth::Call;
use crate::state::App;
use crate::webhooks::events::{Change, VersionCreated};

pub(crate) fn create(app: &Call, asked: CreateModelVersion) -> Answer<ModelVersionResponse> {
    let source = model_source::check(app, &asked)?;
    let new = NewModelVersion {
        name: asked.name,
        source: source.uri,
        storage_location: source.storage_location,
        // Absent is empty, which is told, as MLflow has it.
        run_id: Some(source.run_id.unwrap_or_default()),
        run_link: Some(asked.run_link),
        description: Some(asked.description),
        model_id: source.model_id.clone(),
        tags: asked.tags,
    };
    let model_version = app.store.create_model_version(&new)?;
    if let Some(model_id) = source.model_id.filter(|_| !source.is_prompt) {
        note_version(app, &model_id, &model_version)?;
    }
    let created = VersionCreated {
        name: &new.name,
        version: model_version.version,
        source: &new.source,
        run_id: new.run_id.as_deref().filter(|id| !id.is_empty()),
        description: new.description.as_deref().filter(|text| !text.is_empty()),
        tags: &new.tags,
    };
    tell(app, &created.happening());
    Ok(ModelVersionResponse { model_version })
}

/// Adds the version to the list in the logged model's tag, where clients and the web UI look for it.
fn note_version(app: &App, model_id: &str, version: &ModelVersion) -> Answer<()> {
    let Some(model) = app.store.logged_model(model_id, false)? else { return Ok(()) };
    let tag = model.info.tags.iter().find(|tag| tag.key == MODEL_VERSIONS_TAG);
    let mut versions = match tag.and_then(|tag| Json::parse(&tag.value)) {
        Some(Json::List(versions)) => versions,
        _ => vec![],
    };
    let name = Json::Text(version.name.clone());
    versions.push(Json::Object(vec![("name".into(), name), ("version".into(), Json::Number(version.version.into()))]));
    let tag = LoggedModelTag { key: MODEL_VERSIONS_TAG.into(), value: Json::List(versions).dumps() };
    Ok(app.store.set_logged_model_tags(model_id, &[tag])?)
}

pub(crate) fn get(app: &Call, asked: GetModelVersion) -> Answer<ModelVersionResponse> {
    let version = number(&asked.version)?;
    Ok(ModelVersionResponse { model_version: model_version(app, &asked.name, version)? })
}

/// The version of this number.
pub(super) fn model_version(app: &App, name: &str, version: i64) -> Answer<ModelVersion> {
    found(app.store.model_version(name, version)?, || ApiError::model_version_not_found(name, version))
}

pub(crate) fn update(app: &Call, asked: UpdateModelVersion) -> Answer<ModelVersionResponse> {
    let version = number(&asked.version)?;
    Ok(ModelVersionResponse { model_version: app.store.update_model_version(&asked.name, version, asked.description.as_deref())? })
}

pub(crate) fn transition_stage(app: &Call, asked: TransitionModelVersionStage) -> Answer<ModelVersionResponse> {
    let (version, stage) = (number(&asked.version)?, ModelStage::from_str(&asked.stage)?);
    let archive = asked.archive_existing_versions.unwrap_or(false);
    Ok(ModelVersionResponse { model_version: app.store.transition_model_version_stage(&asked.name, version, stage, archive)? })
}

pub(crate) fn delete(app: &Call, asked: DeleteModelVersion) -> Answer<Empty> {
    app.store.delete_model_version(&asked.name, number(&asked.version)?)?;
    Ok(Empty {})
}

pub(crate) fn search(app: &Call, asked: SearchModelVersions) -> Answer<SearchModelVersionsResponse> {
    let query = ModelVersionQuery {
        filter: ModelVersionFilter::parse(asked.filter.as_deref().unwrap_or_default())?,
        order_by: ModelVersionOrder::parse_all(&asked.order_by)?,
        // The proto's default, unlike the stores', is the most there can be.
        max_results: page_size(asked.max_results, limits::MODEL_VERSION_RESULTS_MAX)?,
        page_token: asked.page_token,
        visible: app.visible(ResourceType::RegisteredModel),
    };
    let page = app.store.search_model_versions(&query)?;
    Ok(SearchModelVersionsResponse { model_versions: page.items, next_page_token: page.next_page_token })
}

pub(crate) fn get_download_uri(app: &Call, asked: GetModelVersionDownloadUri) -> Answer<GetModelVersionDownloadUriResponse> {
    Ok(GetModelVersionDownloadUriResponse { artifact_uri: download_uri(app, &asked)? })
}

/// Where the files of a version lie.
pub(super) fn download_uri(app: &App, asked: &GetModelVersionDownloadUri) -> Answer<String> {
    let version = number(&asked.version)?;
    let uri = app.store.model_version_download_uri(&asked.name, version)?;
    found(uri, || ApiError::model_version_not_found(&asked.name, version))
}

pub(crate) fn set_tag(app: &Call, asked: SetModelVersionTag) -> Answer<Empty> {
    let tag = ModelVersionTag { key: asked.key, value: asked.value };
    app.store.set_model_version_tag(&asked.name, number(&asked.version)?, &tag)?;
    tell_change(app, &asked.name, Change::VersionTagSet { version: &asked.version, key: &tag.key, value: &tag.value });
    Ok(Empty {})
}

pub(crate) fn delete_tag(app: &Call, asked: DeleteModelVersionTag) -> Answer<Empty> {
    app.store.delete_model_version_tag(&asked.name, number(&asked.version)?, &asked.key)?;
    tell_change(app, &asked.name, Change::VersionTagDeleted { version: &asked.version, key: &asked.key });
    Ok(Empty {})
}
