//! Everything that is done with runs, done against a tracking server: the real one, in a process of its own.

use super::sandbox::{Sandbox, Server, TINY, wait};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a run holds, whatever the store and the clock.
#[derive(Debug, PartialEq)]
pub struct Content {
    pub points: Vec<(String, i64, String)>,
    pub params: BTreeMap<String, String>,
    pub inputs: Value,
    pub files: BTreeMap<String, Value>,
    pub status: Value,
}

pub fn content(sandbox: &Sandbox, run_id: &str, store: &str) -> Content {
    let shown = sandbox.run(&format!("runs show {run_id} --json --history {store}")).ok().json();
    let mut points = vec![];
    for (key, values) in shown["history"].as_object().unwrap().iter().filter(|(key, _)| !key.contains("second")) {
        points.extend(values.as_array().unwrap().iter().map(|p| (key.clone(), p["step"].as_i64().unwrap(), p["value"].to_string())));
    }
    // The log and the reports hold times, and checkpoints the run's id.
    let files = shown["artifacts"].as_array().unwrap().iter().map(|file| {
        let path = file["path"].as_str().unwrap().to_owned();
        let size = if path.starts_with("model/model.safetensors") { file["file_size"].clone() } else { Value::Null };
        (path, size)
    });
    let files = files.collect();
    // MLflow's server gives params in the order they came, ours by name.
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let params = shown["data"]["params"].as_array().into_iter().flatten();
    Content {
        points,
        params: params.map(|param| (text(&param["key"]), text(&param["value"]))).collect(),
        inputs: shown["inputs"].clone(),
        files,
        status: shown["info"]["status"].clone(),
    }
}

pub fn run_id(sandbox: &Sandbox, name: &str, store: &str) -> String {
    let found = sandbox.run(&format!("runs show {name} --json {store}")).ok().json();
    found["info"]["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_on_a_server_is_the_run_in_a_file_though_it_was_killed() {
    let (here, there) = (Sandbox::new(), Sandbox::new());
    let server = Server::start(&there, "");
    let store = format!("--tracking-uri {}", server.url);
    let longer = "--epochs 3 --seed 7 --checkpoint-every 1 --run-name";
    here.run(&format!("{TINY} {longer} whole")).ok();
    let whole = content(&here, &run_id(&here, "whole", ""), "");
    assert!(whole.points.len() > 20 && whole.files.len() > 5, "{whole:?}");

    let child = here.start(&format!("{TINY} {longer} killed {store}"));
    let start = Instant::now();
    let last = |run_id: &str| here.path(&format!("checkpoints/{run_id}/last.safetensors"));
    let killed = loop {
        assert!(start.elapsed() < Duration::from_secs(120), "a checkpoint has not come");
        std::thread::sleep(Duration::from_millis(20));
        let runs = here.run(&format!("runs list --json {store}")).ok().json();
        let uploaded = |id: &str| {
            let shown = here.run(&format!("runs show {id} --json {store}")).ok().json();
            shown["artifacts"].as_array().is_some_and(|files| files.iter().any(|file| file["path"] == "checkpoints/last.safetensors"))
        };
        if let Some(id) = runs[0]["info"]["run_id"].as_str().filter(|id| last(id).exists() && uploaded(id)) {
            break id.to_owned();
        }
    };
    let mut child = child;
    child.kill().unwrap();
    wait(child);
    // On another machine there are no local files: the checkpoint comes from the server.
    std::fs::remove_dir_all(here.path(&format!("checkpoints/{killed}"))).unwrap();
    here.run(&format!("train --resume {killed} {store}")).ok();
    assert_eq!(content(&here, &killed, &store), whole);

    here.run(&format!("evaluate --run-id {} {store}", &killed[..8])).ok();
    let compared = here.run(&format!("runs compare {killed} {killed} {store}")).ok();
    assert!(compared.out.contains("killed"), "{}", compared.out);

    // And from the server into the file.
    here.run(&format!("runs export killed --out carried {store}")).ok();
    here.run(&format!("runs import carried/{killed} --into carried")).ok();
    let carried = here.run("runs list --json --experiment carried").ok().json();
    let carried = content(&here, carried[0]["info"]["run_id"].as_str().unwrap(), "");
    assert_eq!(carried.points, content(&here, &killed, &store).points);
    assert_eq!((carried.params, carried.inputs, carried.status), (whole.params, whole.inputs, whole.status));
}

#[test]
fn mlflows_variables_name_experiment_and_run() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, "");
    let post = |endpoint: &str, body: Value| -> Value {
        let agent = ureq::Agent::new_with_defaults();
        let request = ureq::http::Request::post(format!("{}/api/2.0/mlflow/{endpoint}", server.url));
        let request = request.header("content-type", "application/json");
        let mut answer = agent.run(request.body(body.to_string().as_bytes()).unwrap()).unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    };
    let experiment_id = post("experiments/create", json!({ "name": "vision" }))["experiment_id"].as_str().unwrap().to_owned();
    let given = post(
        "runs/create",
        json!({ "experiment_id": experiment_id, "run_name": "given", "tags": [{ "key": "mlflow.source.name", "value": "airflow" }] }),
    );
    let given = given["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let train = |variables: &[(&str, &str)]| {
        let variables = [&[("MLFLOW_TRACKING_URI", server.url.as_str())], variables].concat();
        sandbox.run_with(&format!("{TINY} --epochs 1 --json"), &variables)
    };
    let trained = train(&[("MLFLOW_RUN_ID", &given)]).ok().json();
    assert_eq!(trained["run_id"], json!(given));
    let shown = sandbox.run(&format!("runs show {given} --json --tracking-uri {}", server.url)).ok().json();
    let tag = |key: &str| shown["data"]["tags"].as_array().unwrap().iter().find(|tag| tag["key"] == key).map(|tag| tag["value"].clone());
    assert_eq!((shown["info"]["status"].as_str(), tag("mlflow.source.name")), (Some("FINISHED"), Some(json!("airflow"))));
    train(&[("MLFLOW_RUN_ID", &given)]).fails(1, &["has metrics already", "--resume"]);
    train(&[("MLFLOW_RUN_ID", "none-such")]).fails(1, &["there is no run none-such", "MLFLOW_RUN_ID"]);

    let trained = train(&[("MLFLOW_EXPERIMENT_ID", &experiment_id), ("MLFLOW_RUN_NAME", "named")]).ok().json();
    let shown = sandbox.run(&format!("runs show {} --json --tracking-uri {}", trained["run_id"].as_str().unwrap(), server.url)).ok().json();
    assert_eq!((&shown["info"]["experiment_id"], &shown["info"]["run_name"]), (&json!(experiment_id), &json!("named")));
    train(&[("MLFLOW_EXPERIMENT_ID", "999")]).fails(2, &["no experiment with the id 999"]);
    let both = [("MLFLOW_EXPERIMENT_ID", experiment_id.as_str()), ("MLFLOW_EXPERIMENT_NAME", "other")];
    train(&both).fails(2, &["\"vision\"", "\"other\""]);
}

#[test]
fn what_is_wrong_with_a_server_is_said_before_training() {
    let sandbox = Sandbox::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let train = |uri: &str, variables: &[(&str, &str)]| sandbox.run_with(&format!("{TINY} --tracking-uri {uri}"), variables);
    train(&format!("http://{nobody}"), &[]).fails(1, &["cannot be reached (connection refused)", "MLFLOW_TRACKING_URI"]);
    train("http://u:secret@host:port", &[]).fails(1, &["http://u:***@host:port"]);
    let cert = [("MLFLOW_TRACKING_SERVER_CERT_PATH", "none.pem")];
    train(&format!("https://{nobody}"), &cert).fails(1, &["MLFLOW_TRACKING_SERVER_CERT_PATH=none.pem"]);
    let timeout = [("MLFLOW_HTTP_REQUEST_TIMEOUT", "0")];
    train(&format!("http://{nobody}"), &timeout).fails(2, &["http_request_timeout = 0 (environment variable MLFLOW_HTTP_REQUEST_TIMEOUT)"]);
    // It accepts, and never answers: who waits is told so, in training and while delivering.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let patience = [("MLFLOW_HTTP_REQUEST_TIMEOUT", "7"), ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")];
    train(&silent, &patience).fails(1, &[&format!("waiting for the tracking store {silent} to answer"), "did not answer in time"]);
    sandbox.run(&format!("{TINY} --offline")).ok();
    let out = sandbox.run_with(&format!("sync --tracking-uri {silent}"), &patience).fails_with_out(1, &["is on its way to"]);
    assert!(out.contains("did not answer in time"), "{out}");
    let secrets = [("MLFLOW_TRACKING_USERNAME", "anna"), ("MLFLOW_TRACKING_PASSWORD", "hidden"), ("MLFLOW_TRACKING_TOKEN", "hidden")];
    let shown = sandbox.run_with("config show", &secrets).ok();
    assert!(!shown.out.contains("hidden") && shown.out.contains("http_request_timeout"), "{}", shown.out);
}
