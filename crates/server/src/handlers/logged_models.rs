//! `logged-models/*`. The model's id stands in the path.

use anmok_protocol::messages::Empty;
use anmok_protocol::messages::logged_models::{
    CreateLoggedModel, FinalizeLoggedModel, GetLoggedModel, LogLoggedModelParamsRequest, LoggedModelResponse, OrderBy, SearchLoggedModels,
    SearchLoggedModelsResponse, SetLoggedModelTags,
};
use anmok_protocol::{ApiError, LoggedModel, LoggedModelFilter, limits};
use anmok_tracking::{LoggedModelDataset, LoggedModelQuery, NewLoggedModel};

use super::{Answer, found, page_size};
use crate::auth::Call;
use crate::endpoint::InPath;
use crate::state::App;

pub(crate) fn create(app: &Call, asked: CreateLoggedModel) -> Answer<LoggedModelResponse> {
    let new = NewLoggedModel {
        experiment_id: asked.experiment_id,
        name: asked.name,
        // Absent is empty, which is told, as MLflow has it.
        model_type: Some(asked.model_type),
        source_run_id: Some(asked.source_run_id),
        params: asked.params,
        tags: asked.tags,
    };
    Ok(LoggedModelResponse { model: app.store.create_logged_model(&new)? })
}

pub(crate) fn get(app: &Call, path: &InPath, asked: GetLoggedModel) -> Answer<LoggedModelResponse> {
    Ok(LoggedModelResponse { model: logged_model(app, path.first(), asked.allow_deleted.unwrap_or(false))? })
}

/// The logged model of this id.
pub(super) fn logged_model(app: &App, model_id: &str, deleted_too: bool) -> Answer<LoggedModel> {
    found(app.store.logged_model(model_id, deleted_too)?, || ApiError::logged_model_not_found(model_id))
}

pub(crate) fn finalize(app: &Call, path: &InPath, asked: FinalizeLoggedModel) -> Answer<LoggedModelResponse> {
    Ok(LoggedModelResponse { model: app.store.finalize_logged_model(path.first(), asked.status)? })
}

pub(crate) fn delete(app: &Call, path: &InPath) -> Answer<Empty> {
    app.store.delete_logged_model(path.first())?;
    Ok(Empty {})
}

pub(crate) fn set_tags(app: &Call, path: &InPath, asked: SetLoggedModelTags) -> Answer<Empty> {
    app.store.set_logged_model_tags(path.first(), &asked.tags)?;
    Ok(Empty {})
}

pub(crate) fn delete_tag(app: &Call, path: &InPath) -> Answer<Empty> {
    app.store.delete_logged_model_tag(path.first(), path.second())?;
    Ok(Empty {})
}

pub(crate) fn log_params(app: &Call, path: &InPath, asked: LogLoggedModelParamsRequest) -> Answer<Empty> {
    app.store.log_logged_model_params(path.first(), &asked.params)?;
    Ok(Empty {})
}

pub(crate) fn search(app: &Call, asked: SearchLoggedModels) -> Answer<SearchLoggedModelsResponse> {
    let datasets =
        asked.datasets.into_iter().map(|dataset| LoggedModelDataset { name: dataset.dataset_name, digest: dataset.dataset_digest });
    let query = LoggedModelQuery {
        experiment_ids: asked.experiment_ids,
        filter: LoggedModelFilter::parse(asked.filter.as_deref().unwrap_or_default())?,
        datasets: datasets.collect(),
        order_by: asked.order_by.iter().map(OrderBy::parse).collect::<Result<_, _>>()?,
        max_results: page_size(asked.max_results, limits::LOGGED_MODEL_RESULTS_DEFAULT)?,
        page_token: asked.page_token,
    };
    let page = app.store.search_logged_models(&query)?;
    Ok(SearchLoggedModelsResponse { models: page.items, next_page_token: page.next_page_token })
}
