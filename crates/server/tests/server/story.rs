//! A run's life over HTTP.

use serde_json::{Value, json};

use crate::harness::Server;

#[test]
fn a_run_from_its_start_to_its_restoration() {
    let server = Server::start();
    let experiment = server.post("experiments/create", json!({ "name": "story", "tags": [{ "key": "team", "value": "vision" }] }));
    let experiment = experiment["experiment_id"].as_str().unwrap();
    assert_eq!(
        server.get("experiments/get-by-name?experiment_name=story")["experiment"]["artifact_location"],
        format!("mlflow-artifacts:/{experiment}")
    );
    server.post("experiments/set-experiment-tag", json!({ "experiment_id": experiment, "key": "goal", "value": "90 %" }));
    server.post("experiments/update", json!({ "experiment_id": experiment, "new_name": "the story" }));

    // int64 as text, as proto3's JSON has it.
    let run = server.post(
        "runs/create",
        json!({ "experiment_id": experiment, "run_name": "first", "start_time": "1700000000000", "tags": [{ "key": "k", "value": "v" }] }),
    );
    let info = &run["run"]["info"];
    let id = info["run_id"].as_str().unwrap();
    assert_eq!((info["run_uuid"].as_str(), info["status"].as_str(), info["run_name"].as_str()), (Some(id), Some("RUNNING"), Some("first")));
    assert_eq!(info["artifact_uri"], format!("mlflow-artifacts:/{experiment}/{id}/artifacts"));
    assert!(run["run"]["data"].get("metrics").is_none(), "empty lists are left out: {run}");

    server.post("runs/log-parameter", json!({ "run_uuid": id, "key": "lr", "value": "0.1" }));
    for step in 0..3 {
        server.post(
            "runs/log-metric",
            json!({ "run_id": id, "key": "loss", "value": 1.0 / f64::from(step + 1), "timestamp": 5, "step": step }),
        );
    }
    server.post("runs/log-metric", json!({ "run_id": id, "key": "odd", "value": "NaN", "timestamp": 5 }));
    server.post("runs/log-batch", json!({ "run_id": id, "params": [{ "key": "opt", "value": "adam" }], "metrics": [{ "key": "acc", "value": 0.5, "timestamp": 6, "step": 2 }] }));
    server.post("runs/set-tag", json!({ "run_id": id, "key": "note", "value": "good" }));
    server.post(
        "runs/log-inputs",
        json!({ "run_id": id, "datasets": [{ "tags": [{ "key": "mlflow.data.context", "value": "train" }],
        "dataset": { "name": "d", "digest": "1", "source_type": "local", "source": "{}" } }] }),
    );

    let run = server.get(&format!("runs/get?run_id={id}"))["run"].clone();
    let values = |list: &str| -> Vec<(String, Value)> {
        let items = run["data"][list].as_array().unwrap().iter();
        items.map(|item| (item["key"].as_str().unwrap().to_owned(), item["value"].clone())).collect()
    };
    assert_eq!(values("params"), [("lr".into(), json!("0.1")), ("opt".into(), json!("adam"))]);
    assert_eq!(values("metrics"), [("acc".into(), json!(0.5)), ("loss".into(), json!(1.0 / 3.0)), ("odd".into(), json!("NaN"))]);
    assert_eq!(run["inputs"]["dataset_inputs"][0]["dataset"]["name"], "d");

    let search = json!({ "experiment_ids": [experiment], "filter": "metrics.loss < 0.5 and params.opt = 'adam'", "order_by": ["metrics.loss DESC"] });
    assert_eq!(server.post("runs/search", search)["runs"][0]["info"]["run_id"], id);
    let none = json!({ "experiment_ids": [experiment], "filter": "metrics.loss > 0.5" });
    assert_eq!(server.post("runs/search", none), json!({}));

    let ended = server.post("runs/update", json!({ "run_id": id, "status": "FINISHED", "end_time": 1_700_000_000_001_i64 }));
    assert_eq!(ended["run_info"]["status"], "FINISHED");
    server.post("runs/delete", json!({ "run_id": id }));
    assert_eq!(server.post("runs/search", json!({ "experiment_ids": [experiment] })), json!({}));
    server.post("runs/restore", json!({ "run_id": id }));
    assert_eq!(server.post("runs/search", json!({ "experiment_ids": [experiment] }))["runs"].as_array().unwrap().len(), 1);
}

#[test]
fn a_long_history_comes_whole_and_in_pages() {
    let server = Server::start();
    let run = server.run();
    // More than one piece of the stream.
    let points = 45_000;
    for first in (0..points).step_by(1000) {
        let metrics: Vec<Value> =
            (first..first + 1000).map(|step| json!({ "key": "loss", "value": step, "timestamp": step, "step": step })).collect();
        server.post("runs/log-batch", json!({ "run_id": run, "metrics": metrics }));
    }
    let whole = server.get(&format!("metrics/get-history?run_id={run}&metric_key=loss"));
    let steps: Vec<i64> = whole["metrics"].as_array().unwrap().iter().map(|point| point["step"].as_i64().unwrap()).collect();
    assert_eq!(steps, (0..points).collect::<Vec<_>>());
    assert!(whole.get("next_page_token").is_none());
    let page = server.get(&format!("metrics/get-history?run_id={run}&metric_key=loss&max_results=10"));
    assert_eq!(page["metrics"].as_array().unwrap().len(), 10);
    let token = page["next_page_token"].as_str().unwrap();
    let next = server.get(&format!("metrics/get-history?run_id={run}&metric_key=loss&max_results=10&page_token={token}"));
    assert_eq!(next["metrics"][0]["step"], 10);
    let sample = server.get(&format!("metrics/get-history?run_id={run}&metric_key=absent"));
    assert_eq!(sample, json!({}));
}

#[test]
fn a_model_from_its_files_to_its_stage() {
    let server = Server::start();
    let run = server.run();
    let model = server.post("logged-models", json!({ "experiment_id": "0", "name": "net", "source_run_id": run }))["model"]["info"].clone();
    let id = model["model_id"].as_str().unwrap();
    let patched = server.ask("PATCH", &format!("/api/2.0/mlflow/logged-models/{id}"), &[], br#"{"status": "LOGGED_MODEL_READY"}"#);
    assert_eq!(patched.json()["model"]["info"]["status"], "LOGGED_MODEL_READY", "{}", patched.text());
    server.post("runs/outputs", json!({ "run_id": run, "models": [{ "model_id": id, "step": 1 }] }));
    assert_eq!(server.get(&format!("runs/get?run_id={run}"))["run"]["outputs"]["model_outputs"][0]["model_id"], id);

    server.post("registered-models/create", json!({ "name": "classifier" }));
    let version = server.post("model-versions/create", json!({ "name": "classifier", "source": format!("models:/{id}"), "model_id": id }));
    assert_eq!((&version["model_version"]["version"], &version["model_version"]["run_id"]), (&json!("1"), &json!(run)));
    server.post("registered-models/alias", json!({ "name": "classifier", "alias": "champion", "version": "1" }));
    assert_eq!(server.get("registered-models/alias?name=classifier&alias=champion")["model_version"]["version"], "1");
    server.post(
        "model-versions/transition-stage",
        json!({ "name": "classifier", "version": "1", "stage": "Production", "archive_existing_versions": true }),
    );
    let latest = server.post("registered-models/get-latest-versions", json!({ "name": "classifier", "stages": ["Production"] }));
    assert_eq!(latest["model_versions"][0]["current_stage"], "Production");
    assert_eq!(server.get("model-versions/get-download-uri?name=classifier&version=1")["artifact_uri"], model["artifact_uri"]);
    let tags = server.get(&format!("logged-models/{id}"))["model"]["info"]["tags"].clone();
    let registrations = json!([{ "key": "mlflow.modelVersions", "value": "[{\"name\": \"classifier\", \"version\": 1}]" }]);
    assert_eq!(tags, registrations, "as Python writes JSON");

    // What was not sent is empty, as in MLflow, and the logged model that a version was made from is told nowhere.
    let version = server.get("model-versions/get?name=classifier&version=1")["model_version"].clone();
    assert_eq!((&version["description"], &version["run_link"]), (&json!(""), &json!("")));
    assert_eq!((&version["aliases"], version.get("model_id")), (&json!(["champion"]), None));
    let bare = server.post("logged-models", json!({ "experiment_id": "0", "name": "bare" }))["model"]["info"].clone();
    assert_eq!((&bare["model_type"], &bare["source_run_id"]), (&json!(""), &json!("")));

    // A version of a file that is nobody's.
    for source in
        ["/etc/passwd", "file:///etc/passwd", "mlflow-artifacts:/../secret", "mlflow-artifacts:/0/other/artifacts", "runs:/other/model"]
    {
        let body = json!({ "name": "classifier", "source": source, "run_id": run }).to_string();
        let answer = server.ask("POST", "/api/2.0/mlflow/model-versions/create", &[], body.as_bytes());
        assert_eq!(answer.status, 400, "{source}: {}", answer.text());
        assert!(answer.text().contains("Invalid model version source"), "{}", answer.text());
    }
}

/// What clients of MLflow 2 call for each model that they log.
#[test]
fn models_are_noted_in_a_tag_of_their_run() {
    let server = Server::start();
    let run = server.run();
    let model = r#"{"utc_time_created": "2026-01-01", "artifact_path": "모델", "run_id": "r", "mlflow_version": "2.22.5",
                    "flavors": {"sklearn": {"pickled_model": "m.pkl", "config": {"large": 1}}, "a": 1.0}}"#;
    for _ in 0..2 {
        server.post("runs/log-model", json!({ "run_id": run, "model_json": model }));
    }
    let entry = r#"{"run_id": "r", "artifact_path": "\ubaa8\ub378", "utc_time_created": "2026-01-01", "model_uuid": null, "flavors": {"sklearn": {"pickled_model": "m.pkl"}, "a": 1.0}}"#;
    let tags = server.get(&format!("runs/get?run_id={run}"))["run"]["data"]["tags"].clone();
    let history = tags.as_array().unwrap().iter().find(|tag| tag["key"] == "mlflow.log-model.history").unwrap();
    assert_eq!(history["value"], format!("[{entry}, {entry}]"), "as Python writes it");
}
