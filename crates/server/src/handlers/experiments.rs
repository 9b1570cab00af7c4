//! `experiments/*`.

use anmok_protocol::messages::Empty;
use anmok_protocol::messages::experiments::{
    CreateExperiment, CreateExperimentResponse, DeleteExperiment, DeleteExperimentTag, GetExperiment, GetExperimentByName,
    GetExperimentResponse, RestoreExperiment, SearchDatasets, SearchDatasetsResponse, SearchExperiments, SearchExperimentsResponse,
    SetExperimentTag, UpdateExperiment,
};
use anmok_protocol::{ApiError, ErrorCode, ExperimentFilter, ExperimentOrder, ResourceType, limits, validate};
use anmok_tracking::{ExperimentQuery, NewExperiment};

use super::{Answer, found, page_size};
use crate::auth::Call;

pub(crate) fn create(app: &Call, asked: CreateExperiment) -> Answer<CreateExperimentResponse> {
    if let Some(location) = &asked.artifact_location {
        validate::artifact_location(location)?;
        app.options.hosts.check(location, "artifact_location")?;
    }
    let new = NewExperiment { name: asked.name, artifact_location: asked.artifact_location, tags: asked.tags, creator: app.caller.id() };
    let experiment_id = app.store.create_experiment(&new)?;
    app.caller_changed();
    Ok(CreateExperimentResponse { experiment_id })
}

pub(crate) fn search(app: &Call, asked: SearchExperiments) -> Answer<SearchExperimentsResponse> {
    let query = ExperimentQuery {
        filter: ExperimentFilter::parse(asked.filter.as_deref().unwrap_or_default())?,
        order_by: ExperimentOrder::parse_all(&asked.order_by)?,
        view: asked.view_type.unwrap_or_default(),
        max_results: page_size(asked.max_results, limits::SEARCH_RESULTS_DEFAULT)?,
        page_token: asked.page_token,
        visible: app.visible(ResourceType::Experiment),
    };
    let page = app.store.search_experiments(&query)?;
    Ok(SearchExperimentsResponse { experiments: page.items, next_page_token: page.next_page_token })
}

pub(crate) fn get(app: &Call, asked: GetExperiment) -> Answer<GetExperimentResponse> {
    let experiment = app.store.experiment(&asked.experiment_id)?;
    Ok(GetExperimentResponse { experiment: found(experiment, || ApiError::experiment_not_found(&asked.experiment_id))? })
}

pub(crate) fn get_by_name(app: &Call, asked: GetExperimentByName) -> Answer<GetExperimentResponse> {
    let name = &asked.experiment_name;
    let absent = || ApiError::new(ErrorCode::ResourceDoesNotExist, format!("Could not find experiment with name '{name}'"));
    Ok(GetExperimentResponse { experiment: found(app.store.experiment_by_name(name)?, absent)? })
}

pub(crate) fn delete(app: &Call, asked: DeleteExperiment) -> Answer<Empty> {
    app.store.delete_experiment(&asked.experiment_id)?;
    Ok(Empty {})
}

pub(crate) fn restore(app: &Call, asked: RestoreExperiment) -> Answer<Empty> {
    app.store.restore_experiment(&asked.experiment_id)?;
    Ok(Empty {})
}

pub(crate) fn update(app: &Call, asked: UpdateExperiment) -> Answer<Empty> {
    app.store.rename_experiment(&asked.experiment_id, &asked.new_name)?;
    Ok(Empty {})
}

pub(crate) fn set_tag(app: &Call, asked: SetExperimentTag) -> Answer<Empty> {
    app.store.set_experiment_tag(&asked.experiment_id, &asked.key, &asked.value)?;
    Ok(Empty {})
}

pub(crate) fn delete_tag(app: &Call, asked: DeleteExperimentTag) -> Answer<Empty> {
    app.store.delete_experiment_tag(&asked.experiment_id, &asked.key)?;
    Ok(Empty {})
}

pub(crate) fn search_datasets(app: &Call, asked: SearchDatasets) -> Answer<SearchDatasetsResponse> {
    let count = asked.experiment_ids.len();
    if count == 0 {
        return Err(ApiError::invalid("SearchDatasets request must specify at least one experiment_id.").into());
    }
    if count > limits::DATASET_SEARCH_EXPERIMENTS {
        return Err(ApiError::invalid(format!(
            "SearchDatasets request cannot specify more than {} experiment_ids. Received {count} experiment_ids.",
            limits::DATASET_SEARCH_EXPERIMENTS
        ))
        .into());
    }
    Ok(SearchDatasetsResponse { dataset_summaries: app.store.dataset_summaries(&asked.experiment_ids)? })
}
