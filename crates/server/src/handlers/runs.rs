//! `runs/*`.

use std::collections::HashMap;

use anmok_protocol::messages::Empty;
use anmok_protocol::messages::runs::{
    CreateRun, CreateRunResponse, DeleteRun, DeleteTag, GetRun, LogBatch, LogInputs, LogMetric, LogModel, LogOutputs, LogParam, MadeRun,
    RestoreRun, RunResponse, SearchRuns, SearchRunsResponse, SetTag, UpdateRun, UpdateRunResponse,
};
use anmok_protocol::python_json::Json;
use anmok_protocol::{ApiError, Batch, ErrorCode, Param, Run, RunFilter, RunInputs, RunOrder, RunTag, limits};
use anmok_tracking::{NewRun, RunQuery, RunUpdate};

use super::{Answer, found, page_size};
use crate::auth::Call;
use crate::state::App;

/// The tag that clients of MLflow 2 keep a run's models in.
const MODEL_HISTORY_TAG: &str = "mlflow.log-model.history";

pub(crate) fn create(app: &Call, asked: CreateRun) -> Answer<CreateRunResponse> {
    let Some(experiment_id) = asked.experiment_id else {
        // MLflow has its database's error here, under this code.
        let message = "A run needs an experiment: give its experiment_id (0 is the default experiment).";
        return Err(ApiError::new(ErrorCode::BadRequest, message).into());
    };
    let new = NewRun {
        experiment_id,
        run_name: asked.run_name,
        user_id: asked.user_id,
        start_time: asked.start_time.unwrap_or(0),
        tags: asked.tags,
    };
    let Run { info, data, inputs, .. } = app.store.create_run(&new)?;
    Ok(CreateRunResponse { run: MadeRun { info, data, inputs } })
}

pub(crate) fn get(app: &Call, asked: GetRun) -> Answer<RunResponse> {
    Ok(RunResponse { run: run(app, asked.run_id())? })
}

/// The run of this id.
pub(super) fn run(app: &App, run_id: &str) -> Answer<Run> {
    found(app.store.run(run_id)?, || ApiError::run_not_found(run_id))
}

pub(crate) fn update(app: &Call, asked: UpdateRun) -> Answer<UpdateRunResponse> {
    let update = RunUpdate { status: asked.status, end_time: asked.end_time, run_name: asked.run_name.clone() };
    Ok(UpdateRunResponse { run_info: app.store.update_run(asked.run_id(), &update)? })
}

pub(crate) fn delete(app: &Call, asked: DeleteRun) -> Answer<Empty> {
    app.store.delete_run(&asked.run_id)?;
    Ok(Empty {})
}

pub(crate) fn restore(app: &Call, asked: RestoreRun) -> Answer<Empty> {
    app.store.restore_run(&asked.run_id)?;
    Ok(Empty {})
}

pub(crate) fn log_metric(app: &Call, asked: LogMetric) -> Answer<Empty> {
    let (run_id, metric) = asked.into_metric();
    app.store.log_metric(&run_id, &metric)?;
    Ok(Empty {})
}

pub(crate) fn log_parameter(app: &Call, asked: LogParam) -> Answer<Empty> {
    let run_id = asked.run_id().to_owned();
    app.store.log_param(&run_id, &Param::new(asked.key, asked.value))?;
    Ok(Empty {})
}

pub(crate) fn log_batch(app: &Call, asked: LogBatch) -> Answer<Empty> {
    app.store.log_batch(&asked.run_id, &Batch { metrics: asked.metrics, params: asked.params, tags: asked.tags })?;
    Ok(Empty {})
}

pub(crate) fn set_tag(app: &Call, asked: SetTag) -> Answer<Empty> {
    let run_id = asked.run_id().to_owned();
    app.store.set_tag(&run_id, &RunTag::new(asked.key, asked.value))?;
    Ok(Empty {})
}

pub(crate) fn delete_tag(app: &Call, asked: DeleteTag) -> Answer<Empty> {
    app.store.delete_tag(&asked.run_id, &asked.key)?;
    Ok(Empty {})
}

pub(crate) fn search(app: &Call, asked: SearchRuns) -> Answer<SearchRunsResponse> {
    let query = RunQuery {
        experiment_ids: asked.experiment_ids,
        filter: RunFilter::parse(asked.filter.as_deref().unwrap_or_default())?,
        order_by: RunOrder::parse_all(&asked.order_by)?,
        view: asked.run_view_type.unwrap_or_default(),
        max_results: page_size(asked.max_results, limits::SEARCH_RESULTS_DEFAULT)?,
        page_token: asked.page_token,
    };
    let page = app.store.search_runs(&query)?;
    Ok(SearchRunsResponse { runs: page.items, next_page_token: page.next_page_token })
}

pub(crate) fn log_inputs(app: &Call, asked: LogInputs) -> Answer<Empty> {
    let mut inputs = RunInputs::datasets(asked.datasets);
    inputs.model_inputs = asked.models;
    app.store.log_inputs(&asked.run_id, &inputs)?;
    Ok(Empty {})
}

pub(crate) fn log_outputs(app: &Call, asked: LogOutputs) -> Answer<Empty> {
    app.store.log_outputs(&asked.run_id, &asked.models)?;
    Ok(Empty {})
}

/// Adds a model to the list in the run's tag.
pub(crate) fn log_model(app: &Call, asked: LogModel) -> Answer<Empty> {
    let Some(Json::Object(model)) = Json::parse(&asked.model_json) else {
        let message = format!("Malformed model info. \n {} \n is not a valid JSON.", asked.model_json);
        return Err(ApiError::invalid(message).into());
    };
    let missing: Vec<_> = ["artifact_path", "flavors", "run_id", "utc_time_created"]
        .into_iter()
        .filter(|key| model.iter().all(|(name, _)| name != key))
        .collect();
    if !missing.is_empty() {
        let missing = missing.iter().map(|key| format!("'{key}'")).collect::<Vec<_>>().join(", ");
        return Err(ApiError::invalid(format!("Model json is missing mandatory fields: {{{missing}}}")).into());
    }
    let run = run(app, &asked.run_id)?;
    let mut models = match run.data.tag(MODEL_HISTORY_TAG).and_then(Json::parse) {
        Some(Json::List(models)) => models,
        _ => vec![],
    };
    models.push(history_entry(model));
    app.store.set_tag(&asked.run_id, &RunTag::new(MODEL_HISTORY_TAG, Json::List(models).dumps()))?;
    Ok(Empty {})
}

/// What the tag keeps of a model: which it is, and its flavors without their settings, which can be large.
fn history_entry(model: Vec<(String, Json)>) -> Json {
    let mut model: HashMap<String, Json> = model.into_iter().collect();
    let mut entry = vec![];
    for (name, told_if_null) in [("run_id", false), ("artifact_path", false), ("utc_time_created", true), ("model_uuid", true)] {
        let value = model.remove(name).unwrap_or(Json::Null);
        if told_if_null || value != Json::Null {
            entry.push((name.to_owned(), value));
        }
    }
    let mut flavors = model.remove("flavors").unwrap_or(Json::Null);
    if let Json::Object(flavors) = &mut flavors {
        for (_, flavor) in flavors {
            if let Json::Object(settings) = flavor {
                settings.retain(|(name, _)| name != "config");
            }
        }
    }
    entry.push(("flavors".to_owned(), flavors));
    Json::Object(entry)
}
