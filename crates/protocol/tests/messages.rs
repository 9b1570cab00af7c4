//! Requests are read as leniently as MLflow reads them, and refused in its words.

use anmok_protocol::messages::experiments::{CreateExperiment, SearchExperiments};
use anmok_protocol::messages::logged_models::{FinalizeLoggedModel, SearchLoggedModels, SearchLoggedModelsResponse};
use anmok_protocol::messages::metrics::GetMetricHistoryBulkInterval;
use anmok_protocol::messages::model_versions::{TransitionModelVersionStage, UpdateModelVersion};
use anmok_protocol::messages::runs::{GetRun, LogBatch, LogMetric, LogOutputs, SearchRuns, SetTag, UpdateRun};
use anmok_protocol::messages::webhooks::CreateWebhook;
use anmok_protocol::messages::{Empty, Request, from_json, from_query};
use anmok_protocol::routes::{Endpoint, ROUTES};
use anmok_protocol::{LoggedModelStatus, RunStatus, ViewType};
use proptest::prelude::*;
use serde_json::json;

const SEE: &str = " See the API docs for more information about request parameters.";

fn refusal<T: Request + std::fmt::Debug>(body: &str) -> String {
    from_json::<T>(body.as_bytes()).expect_err(body).message
}

fn query<T: Request>(pairs: &[(&str, &str)]) -> Result<T, String> {
    from_query(pairs.iter().map(|(name, text)| (name.to_string(), text.to_string()))).map_err(|error| error.message)
}

#[test]
fn numbers_come_as_text_and_unknown_fields_are_ignored() {
    let metric: LogMetric = from_json(
        br#"{"run_uuid": "r", "run_id": "r", "key": "loss", "value": "0.5", "timestamp": "12", "step": null, "what": {"is": ["this"]}}"#,
    )
    .unwrap();
    let (run_id, metric) = metric.into_metric();
    assert_eq!((run_id.as_str(), metric.value, metric.timestamp, metric.step), ("r", 0.5, 12, 0));
    let nan: LogMetric = from_json(br#"{"run_uuid": "r", "key": "loss", "value": "NaN", "timestamp": 1}"#).unwrap();
    assert!(nan.value.is_nan() && nan.run_id() == "r");
    let update: UpdateRun = from_json(br#"{"run_id": "r", "status": "FINISHED", "end_time": "5"}"#).unwrap();
    assert_eq!((update.status, update.end_time, update.run_name), (Some(RunStatus::Finished), Some(5), None));
    // Older clients encode twice.
    let twice: SetTag = from_json(&serde_json::to_vec(r#"{"run_id": "r", "key": "k", "value": ""}"#).unwrap()).unwrap();
    assert_eq!((twice.key.as_str(), twice.value.as_str()), ("k", ""));
    let update: UpdateModelVersion = from_json(br#"{"name": "m", "version": "1", "description": ""}"#).unwrap();
    assert_eq!(update.description.as_deref(), Some(""));
}

#[test]
fn what_is_missing_is_named() {
    let missing = |name: &str| format!("Missing value for required parameter '{name}'.{SEE}");
    for body in ["", "{}", "not json", "null", r#"{"name": ""}"#, r#"{"name": null, "tags": []}"#] {
        assert_eq!(refusal::<CreateExperiment>(body), missing("name"), "{body}");
    }
    assert_eq!(refusal::<GetRun>("{}"), missing("run_id"));
    assert_eq!(refusal::<LogMetric>(r#"{"run_id": "r", "key": "k", "timestamp": 1}"#), missing("value"));
    assert_eq!(refusal::<LogOutputs>(r#"{"run_id": "r", "models": []}"#), missing("models"));
    assert_eq!(refusal::<FinalizeLoggedModel>("{}"), missing("status"));
    assert_eq!(
        refusal::<LogBatch>(r#"{"run_id": "r", "metrics": [{"key": "a", "value": 1, "timestamp": 1}, {"value": 1}]}"#),
        missing("metrics[1].key")
    );
    assert_eq!(refusal::<LogBatch>(r#"{"run_id": "r", "params": [{"value": "x"}]}"#), missing("params[0].key"));
    assert_eq!(refusal::<SearchExperiments>("[1]"), "The body of the request must be a JSON object.");
}

#[test]
fn what_is_of_the_wrong_type_is_named() {
    let wrong = |value: &str, name: &str, kind: &str| {
        format!("Invalid value {value} for parameter '{name}' supplied:  Hint: Value was of type '{kind}'.{SEE}")
    };
    assert_eq!(refusal::<SearchRuns>(r#"{"experiment_ids": "1"}"#), wrong("\"1\"", "experiment_ids", "str"));
    assert_eq!(refusal::<SearchRuns>(r#"{"experiment_ids": ["1"], "max_results": "many"}"#), wrong("\"many\"", "max_results", "str"));
    assert_eq!(refusal::<SearchRuns>(r#"{"order_by": [{"b": 1, "a": "한"}]}"#), wrong(r#"[{"a":"\ud55c","b":1}]"#, "order_by", "list"));
    assert_eq!(refusal::<SetTag>(r#"{"run_id": 7, "key": "k"}"#), wrong("7", "run_id", "int"));
    assert_eq!(refusal::<LogMetric>(r#"{"run_id": "r", "key": "k", "value": "x", "timestamp": 1}"#), wrong("\"x\"", "value", "str"));
    assert_eq!(refusal::<LogMetric>(r#"{"run_id": "r", "key": "k", "value": 1, "timestamp": 1.5}"#), wrong("1.5", "timestamp", "float"));
    assert_eq!(
        refusal::<TransitionModelVersionStage>(r#"{"name": "m", "version": "1", "stage": "None", "archive_existing_versions": "x"}"#),
        wrong("\"x\"", "archive_existing_versions", "str")
    );
    assert!(refusal::<UpdateRun>(r#"{"run_id": "r", "status": "DONE"}"#).contains("RUNNING, SCHEDULED, FINISHED"));
    assert!(
        refusal::<CreateWebhook>(r#"{"name": "w", "url": "u", "events": [{"entity": "X", "action": "SET"}]}"#).contains("REGISTERED_MODEL")
    );
}

#[test]
fn a_query_string_is_a_request_too() {
    let interval: GetMetricHistoryBulkInterval =
        query(&[("run_ids", "a"), ("metric_key", "loss"), ("run_ids", "b"), ("max_results", "320"), ("start_step", "0")]).unwrap();
    assert_eq!((interval.run_ids, interval.max_results, interval.start_step), (vec!["a".into(), "b".into()], Some(320), Some(0)));
    assert_eq!(query::<GetRun>(&[("run_uuid", "r")]).unwrap().run_id(), "r");
    let search: SearchExperiments = query(&[("view_type", "ALL"), ("order_by", "name")]).unwrap();
    assert_eq!((search.view_type, search.order_by), (Some(ViewType::All), vec!["name".to_string()]));
    assert_eq!(query::<SearchExperiments>(&[("view_type", "2")]).unwrap().view_type, Some(ViewType::DeletedOnly));
    assert_eq!(query::<GetRun>(&[("other", "r")]).unwrap_err(), format!("Missing value for required parameter 'run_id'.{SEE}"));
    let flag = query::<TransitionModelVersionStage>(&[("archive_existing_versions", "maybe")]).unwrap_err();
    assert_eq!(flag, "Invalid boolean value: maybe, must be 'true' or 'false'.");
}

#[test]
fn answers_leave_out_what_is_empty() {
    assert_eq!(serde_json::to_value(Empty {}).unwrap(), json!({}));
    assert_eq!(serde_json::to_value(SearchLoggedModelsResponse::default()).unwrap(), json!({}));
    let model = json!({
        "info": {
            "model_id": "m-1", "experiment_id": "0", "name": "net", "creation_timestamp_ms": 1, "last_updated_timestamp_ms": 2,
            "artifact_uri": "mlflow-artifacts:/0/models/m-1/artifacts", "status": "LOGGED_MODEL_READY", "source_run_id": "r",
            "tags": [{"key": "a", "value": "b"}], "registrations": [{"name": "net", "version": "3"}]
        },
        "data": {
            "params": [{"key": "p", "value": "1"}],
            "metrics": [{"key": "acc", "value": 0.5, "timestamp": 1, "step": 0, "dataset_name": "d", "dataset_digest": "x",
                         "model_id": "m-1", "run_id": "r"}]
        }
    });
    let read: anmok_protocol::LoggedModel = serde_json::from_value(model.clone()).unwrap();
    assert_eq!((read.info.status, read.info.registrations[0].version), (LoggedModelStatus::Ready, 3));
    assert_eq!(serde_json::to_value(&read).unwrap(), model);
}

#[test]
fn the_registry_survives_the_wire() {
    let model = json!({
        "name": "net", "creation_timestamp": 1, "last_updated_timestamp": 2, "description": "d",
        "latest_versions": [{
            "name": "net", "version": "12", "creation_timestamp": 1, "last_updated_timestamp": 2, "current_stage": "Production",
            "source": "runs:/r/model", "run_id": "r", "status": "READY", "aliases": ["champion"]
        }],
        "aliases": [{"alias": "champion", "version": "12"}]
    });
    let read: anmok_protocol::RegisteredModel = serde_json::from_value(model.clone()).unwrap();
    assert_eq!((read.latest_versions[0].version, read.aliases[0].version), (12, 12));
    assert_eq!(serde_json::to_value(&read).unwrap(), model);
}

#[test]
fn an_order_of_logged_models_is_typed() {
    let order = |json: serde_json::Value| {
        let search: SearchLoggedModels = serde_json::from_value(json!({"experiment_ids": ["0"], "order_by": [json]})).unwrap();
        search.order_by[0].parse().map(|order| format!("{order:?}")).map_err(|error| error.message)
    };
    assert!(order(json!({"field_name": "metrics.acc", "ascending": false, "dataset_name": "d"})).unwrap().contains("ascending: false"));
    assert!(order(json!({"field_name": "creation_time"})).unwrap().contains("Creation"));
    assert_eq!(
        order(json!({"field_name": "params.a"})),
        Err("Invalid order by field name: params, only `metrics.<name>` is allowed.".into())
    );
    assert_eq!(order(json!({"field_name": "foo"})), Err("Invalid order by field name: foo.".into()));
    assert_eq!(order(json!({})), Err("`field_name` in the `order_by` clause must be specified.".into()));
    assert_eq!(
        order(json!({"field_name": "metrics.a", "dataset_digest": "x"})),
        Err("`dataset_digest` can only be specified if `dataset_name` is also specified.".into())
    );
}

#[test]
fn no_path_leads_to_two_endpoints() {
    let mut paths: Vec<(String, String)> =
        ROUTES.iter().flat_map(|route| route.paths().map(move |path| (path, route.method.to_string()))).collect();
    let all = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), all);
    let search = ROUTES.iter().find(|route| route.endpoint == Endpoint::SearchRuns).unwrap();
    assert_eq!(search.paths().collect::<Vec<_>>(), ["/api/2.0/mlflow/runs/search", "/ajax-api/2.0/mlflow/runs/search"]);
}

proptest! {
    #[test]
    fn any_body_is_answered(body in any::<Vec<u8>>()) {
        drop(from_json::<LogBatch>(&body));
    }

    #[test]
    fn any_field_is_answered(name in "(run_id|run_uuid|key|value|timestamp|step)", json in "(\\[|\\{|\"|1|-|e|:|,|\\}|\\]|null|true){0,12}") {
        let body = format!("{{\"run_id\":\"r\",\"{name}\":{json}}}");
        drop(from_json::<LogMetric>(body.as_bytes()));
        drop(from_json::<LogBatch>(body.as_bytes()));
    }

    #[test]
    fn any_query_is_answered(pairs in prop::collection::vec(("(run_ids|metric_key|max_results|x)", any::<String>()), 0..6)) {
        drop(from_query::<GetMetricHistoryBulkInterval>(pairs));
    }
}

#[test]
fn a_client_writes_what_a_server_reads() {
    let update = UpdateRun { run_id: "r".into(), status: Some(RunStatus::Killed), end_time: Some(5), ..UpdateRun::default() };
    assert_eq!(serde_json::to_value(&update).unwrap(), json!({ "run_id": "r", "status": "KILLED", "end_time": 5 }));
    assert_eq!(from_json::<UpdateRun>(&serde_json::to_vec(&update).unwrap()).unwrap(), update);
    let search = SearchRuns { experiment_ids: vec!["1".into(), "2".into()], max_results: Some(7), ..SearchRuns::default() };
    let pairs = anmok_protocol::messages::to_query(&search).unwrap();
    assert_eq!(pairs.len(), 3, "{pairs:?}");
    assert_eq!(from_query::<SearchRuns>(pairs).unwrap(), search);
}

#[test]
fn every_endpoint_has_its_first_row_as_its_route() {
    for row in ROUTES {
        let first = ROUTES.iter().find(|route| route.endpoint == row.endpoint);
        assert_eq!(Some(row.endpoint.route()), first);
    }
}
