//! Who may do what: every endpoint at every permission, on SQLite and on PostgreSQL.

use std::collections::BTreeSet;

use anmok_protocol::routes::{Endpoint, ROUTES};
use anmok_protocol::{Grant, Permission, ResourceType};
use serde_json::{Value, json};

use crate::auth::{Client, options};
use crate::harness::Server;
use crate::postgres;

/// What is needed to ask for something.
const NOTHING: u8 = 0;
const READ: u8 = 1;
const EDIT: u8 = 2;
const MANAGE: u8 = 3;
const ADMIN: u8 = 4;

/// Something of everything, which a test asks about.
struct World {
    experiment: String,
    run: String,
    logged_model: String,
}

fn world(admin: &Client, name: &str) -> World {
    let experiment = admin.done("POST", "experiments/create", &json!({ "name": name }))["experiment_id"].as_str().unwrap().to_owned();
    let run =
        admin.done("POST", "runs/create", &json!({ "experiment_id": experiment }))["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    admin.done("POST", "runs/log-metric", &json!({ "run_id": run, "key": "loss", "value": 1.0, "timestamp": 1 }));
    let model = admin.done("POST", "logged-models", &json!({ "experiment_id": experiment }));
    admin.done("POST", "registered-models/create", &json!({ "name": name }));
    for _ in 0..2 {
        let source = format!("mlflow-artifacts:/{experiment}/{run}/artifacts");
        admin.done("POST", "model-versions/create", &json!({ "name": name, "source": source, "run_id": run }));
    }
    World { experiment, run, logged_model: model["model"]["info"]["model_id"].as_str().unwrap().to_owned() }
}

/// Method, path, body or query, and what is needed; what destroys comes last.
fn requests(world: &World, name: &str) -> Vec<(&'static str, String, Value, u8)> {
    let World { experiment, run, logged_model } = world;
    let api = |path: &str| format!("/api/2.0/mlflow/{path}");
    let mut all = vec![];
    let mut ask = |method: &'static str, path: String, asked: Value, needs: u8| all.push((method, path, asked, needs));
    ask("GET", api("experiments/get"), json!({ "experiment_id": experiment }), READ);
    ask("GET", api("experiments/get"), json!({ "experiment_id": format!("0{experiment}") }), READ);
    ask("GET", api("experiments/get-by-name"), json!({ "experiment_name": name }), READ);
    ask("POST", api("experiments/search-datasets"), json!({ "experiment_ids": [experiment] }), READ);
    ask("POST", "/api/2.0mlflow/experiments/search-datasets".into(), json!({ "experiment_ids": [experiment] }), READ);
    ask("POST", api("experiments/set-experiment-tag"), json!({ "experiment_id": experiment, "key": "a", "value": "b" }), EDIT);
    ask("POST", api("experiments/delete-experiment-tag"), json!({ "experiment_id": experiment, "key": "a" }), EDIT);
    ask("POST", api("experiments/update"), json!({ "experiment_id": experiment, "new_name": name }), EDIT);
    ask("POST", api("runs/create"), json!({ "experiment_id": experiment }), EDIT);
    ask("GET", api("runs/get"), json!({ "run_id": run }), READ);
    ask("GET", api("runs/get"), json!({ "run_uuid": run }), READ);
    ask("POST", api("runs/update"), json!({ "run_id": run }), EDIT);
    let point = json!({ "run_id": run, "key": "loss", "value": 1.0, "timestamp": 1 });
    ask("POST", api("runs/log-metric"), point.clone(), EDIT);
    ask("POST", api("runs/log-parameter"), json!({ "run_id": run, "key": "p", "value": "1" }), EDIT);
    ask("POST", api("runs/log-batch"), json!({ "run_id": run, "tags": [{ "key": "t", "value": "1" }] }), EDIT);
    ask("POST", api("runs/log-model"), json!({ "run_id": run, "model_json": "{\"run_id\": \"x\"}" }), EDIT);
    ask("POST", api("runs/log-inputs"), json!({ "run_id": run, "models": [{ "model_id": logged_model }] }), EDIT);
    ask("POST", api("runs/outputs"), json!({ "run_id": run, "models": [{ "model_id": logged_model, "step": 1 }] }), EDIT);
    ask("POST", api("runs/set-tag"), json!({ "run_id": run, "key": "t", "value": "1" }), EDIT);
    ask("POST", api("runs/delete-tag"), json!({ "run_id": run, "key": "t" }), EDIT);
    ask("GET", api("metrics/get-history"), json!({ "run_id": run, "metric_key": "loss" }), READ);
    let bulk = json!({ "run_id": run, "metric_key": "loss" });
    ask("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk".into(), bulk, READ);
    let interval = json!({ "run_ids": run, "metric_key": "loss" });
    ask("GET", api("metrics/get-history-bulk-interval"), interval.clone(), READ);
    ask("GET", "/api/2.11/mlflow/metrics/get-history-bulk-interval".into(), interval, READ);

    ask("GET", api("artifacts/list"), json!({ "run_id": run }), READ);
    ask("POST", api("artifacts/presigned-upload-url"), json!({ "run_id": run, "path": "a" }), EDIT);
    ask("POST", api("artifacts/presigned-upload-url"), json!({ "model_id": logged_model, "path": "a" }), EDIT);
    ask("POST", api("artifacts/presigned-download-url"), json!({ "run_id": run, "path": "a" }), READ);
    ask("GET", "/get-artifact".into(), json!({ "run_id": run, "path": "a" }), READ);
    ask("POST", format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=a"), json!({ "some": "bytes" }), EDIT);
    let proxied = format!("/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/a");
    ask("PUT", proxied.clone(), json!("bytes"), EDIT);
    ask("GET", proxied.clone(), json!({}), READ);
    ask("GET", "/api/2.0/mlflow-artifacts/artifacts".into(), json!({ "path": experiment }), READ);
    for verb in ["create", "complete", "abort"] {
        let body = json!({ "path": "a", "upload_id": "u", "parts": [{ "part_number": 1, "etag": "e" }] });
        ask("POST", format!("/api/2.0/mlflow-artifacts/mpu/{verb}/{experiment}/{run}"), body, EDIT);
    }
    ask("GET", format!("/api/2.0/mlflow-artifacts/presigned/{experiment}/{run}/artifacts/a"), json!({}), READ);
    ask("DELETE", proxied, json!({}), MANAGE);

    let model = api(&format!("logged-models/{logged_model}"));
    ask("POST", api("logged-models"), json!({ "experiment_id": experiment, "source_run_id": run }), EDIT);
    ask("GET", model.clone(), json!({}), READ);
    ask("PATCH", model.clone(), json!({ "status": "LOGGED_MODEL_READY" }), EDIT);
    ask("PATCH", format!("{model}/tags"), json!({ "tags": [{ "key": "a", "value": "b" }] }), EDIT);
    ask("POST", format!("{model}/params"), json!({ "params": [{ "key": "a", "value": "b" }] }), EDIT);
    ask("GET", format!("{model}/artifacts/directories"), json!({}), READ);
    ask("GET", format!("/ajax-api/2.0/mlflow/logged-models/{logged_model}/artifacts/files"), json!({ "artifact_file_path": "a" }), READ);
    let of_model = json!({ "run_id": run, "key": "loss", "value": 1.0, "timestamp": 2, "model_id": logged_model });
    ask("POST", api("runs/log-metric"), of_model.clone(), EDIT);
    ask("POST", api("runs/log-batch"), json!({ "run_id": run, "metrics": [of_model] }), EDIT);

    ask("GET", api("registered-models/get"), json!({ "name": name }), READ);
    ask("PATCH", api("registered-models/update"), json!({ "name": name, "description": "d" }), EDIT);
    ask("POST", api("registered-models/get-latest-versions"), json!({ "name": name }), READ);
    ask("GET", api("registered-models/get-latest-versions"), json!({ "name": name }), READ);
    ask("POST", api("registered-models/set-tag"), json!({ "name": name, "key": "a", "value": "b" }), EDIT);
    ask("DELETE", api("registered-models/delete-tag"), json!({ "name": name, "key": "a" }), EDIT);
    ask("POST", api("registered-models/alias"), json!({ "name": name, "alias": "best", "version": "1" }), EDIT);
    ask("GET", api("registered-models/alias"), json!({ "name": name, "alias": "best" }), READ);
    ask("POST", api("registered-models/rename"), json!({ "name": name, "new_name": name }), EDIT);
    ask("POST", api("model-versions/create"), json!({ "name": name, "source": "s3://bucket/y" }), EDIT);
    ask("PATCH", api("model-versions/update"), json!({ "name": name, "version": "1", "description": "d" }), EDIT);
    ask("POST", api("model-versions/transition-stage"), json!({ "name": name, "version": "1", "stage": "Staging" }), EDIT);
    ask("GET", api("model-versions/get"), json!({ "name": name, "version": "1" }), READ);
    ask("GET", api("model-versions/get-download-uri"), json!({ "name": name, "version": "1" }), READ);
    ask("GET", "/model-versions/get-artifact".into(), json!({ "name": name, "version": "1", "path": "a" }), READ);
    ask("POST", api("model-versions/set-tag"), json!({ "name": name, "version": "1", "key": "a", "value": "b" }), EDIT);
    ask("DELETE", api("model-versions/delete-tag"), json!({ "name": name, "version": "1", "key": "a" }), MANAGE);

    for path in ["experiments/search", "registered-models/search", "model-versions/search", "users/current", "users/list"] {
        ask("GET", api(path), json!({}), NOTHING);
    }
    ask("POST", api("experiments/search"), json!({}), NOTHING);
    ask("POST", api("experiments/create"), json!({ "name": format!("{name}-own") }), NOTHING);
    ask("POST", api("registered-models/create"), json!({ "name": format!("{name}-own") }), NOTHING);
    ask("POST", api("runs/search"), json!({ "experiment_ids": [experiment] }), NOTHING);
    ask("POST", api("logged-models/search"), json!({ "experiment_ids": [experiment] }), NOTHING);
    ask("GET", "/api/3.0/mlflow/users/current/permissions".into(), json!({}), NOTHING);
    ask("GET", "/api/2.0/anmok/tokens/list".into(), json!({}), NOTHING);
    ask("DELETE", "/api/2.0/anmok/tokens/revoke".into(), json!({ "name": "none" }), NOTHING);
    ask("POST", "/api/2.0/anmok/tokens/create".into(), json!({ "name": "a", "expires_in_seconds": 1 }), NOTHING);
    ask("POST", "/graphql".into(), json!({ "query": "{ test(inputString: \"a\") { output } }" }), NOTHING);
    for path in ["/", "/version", "/metrics", "/health", "/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/ui-telemetry"] {
        ask("GET", path.into(), json!({}), NOTHING);
    }

    let manager = json!({ "experiment_id": experiment, "username": "friend", "permission": "READ" });
    ask("POST", api("experiments/permissions/create"), manager.clone(), MANAGE);
    ask("GET", api("experiments/permissions/get"), manager.clone(), MANAGE);
    ask("PATCH", api("experiments/permissions/update"), manager.clone(), MANAGE);
    ask("DELETE", api("experiments/permissions/delete"), manager, MANAGE);
    let manager = json!({ "name": name, "username": "friend", "permission": "READ" });
    ask("POST", api("registered-models/permissions/create"), manager.clone(), MANAGE);
    ask("GET", api("registered-models/permissions/get"), manager.clone(), MANAGE);
    ask("PATCH", api("registered-models/permissions/update"), manager.clone(), MANAGE);
    ask("DELETE", api("registered-models/permissions/delete"), manager, MANAGE);
    for (kind, id) in [("experiment", experiment.as_str()), ("registered_model", name), ("prompt", name)] {
        let asked = json!({ "username": "friend", "resource_type": kind, "resource_id": id, "permission": "READ" });
        ask("POST", "/api/3.0/mlflow/users/permissions/grant".into(), asked.clone(), MANAGE);
        ask("POST", "/api/3.0/mlflow/users/permissions/revoke".into(), asked.clone(), MANAGE);
        ask("GET", "/api/3.0/mlflow/users/permissions/get".into(), asked, ADMIN);
    }
    let every = json!({ "username": "friend", "resource_type": "experiment", "resource_id": "*", "permission": "READ" });
    ask("POST", "/api/3.0/mlflow/users/permissions/grant".into(), every.clone(), ADMIN);
    ask("POST", "/api/3.0/mlflow/users/permissions/revoke".into(), every, ADMIN);
    ask("GET", "/api/3.0/mlflow/users/permissions/list".into(), json!({ "username": "friend" }), ADMIN);
    ask("GET", api("users/get"), json!({ "username": "friend" }), ADMIN);
    ask("POST", api("users/create"), json!({ "username": "friend", "password": "long enough a word" }), ADMIN);
    ask("PATCH", api("users/update-password"), json!({ "username": "friend", "password": "long enough a word" }), ADMIN);
    ask("PATCH", api("users/update-admin"), json!({ "username": "friend", "is_admin": false }), ADMIN);
    ask("DELETE", api("users/delete"), json!({ "username": "nobody" }), ADMIN);

    ask(
        "POST",
        api("webhooks"),
        json!({ "name": "a", "url": "https://127.0.0.1/", "events": [{ "entity": "MODEL_VERSION", "action": "CREATED" }] }),
        ADMIN,
    );
    ask("GET", api("webhooks"), json!({}), ADMIN);
    for (method, path) in [("GET", "webhooks/w"), ("PATCH", "webhooks/w"), ("DELETE", "webhooks/w"), ("POST", "webhooks/w/test")] {
        ask(method, api(path), json!({}), ADMIN);
    }

    ask("DELETE", format!("{model}/tags/a"), json!({}), MANAGE);
    ask("DELETE", model, json!({}), MANAGE);
    ask("POST", api("runs/delete"), json!({ "run_id": run }), MANAGE);
    ask("POST", api("runs/restore"), json!({ "run_id": run }), MANAGE);
    ask("POST", api("experiments/delete"), json!({ "experiment_id": experiment }), MANAGE);
    ask("POST", api("experiments/restore"), json!({ "experiment_id": experiment }), MANAGE);
    ask("DELETE", api("registered-models/alias"), json!({ "name": name, "alias": "best" }), MANAGE);
    ask("DELETE", api("model-versions/delete"), json!({ "name": name, "version": "2" }), MANAGE);
    ask("DELETE", api("registered-models/delete"), json!({ "name": name }), MANAGE);
    all
}

fn status(client: &Client, method: &str, path: &str, asked: &Value) -> u16 {
    if method != "GET" {
        return client.ask(method, path, asked.to_string().as_bytes()).status;
    }
    let fields = asked.as_object().unwrap().iter();
    let pairs: Vec<String> = fields.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    client.ask("GET", &format!("{path}?{}", pairs.join("&")), b"").status
}

fn grant(server: &Server, username: &str, world: &World, name: &str, permission: Permission) {
    for (resource_type, resource) in [(ResourceType::Experiment, world.experiment.as_str()), (ResourceType::RegisteredModel, name)] {
        server.store.grant(username, &Grant { resource_type, resource: resource.into(), permission }).unwrap();
    }
}

fn every_endpoint_at_every_permission(server: &Server) {
    let admin = Client::new(server, "admin", true);
    Client::new(server, "friend", false);
    let levels = [
        ("nothing", None, NOTHING),
        ("denied", Some(Permission::NoPermissions), NOTHING),
        ("reader", Some(Permission::Read), READ),
        ("user", Some(Permission::Use), READ),
        ("editor", Some(Permission::Edit), EDIT),
        ("manager", Some(Permission::Manage), MANAGE),
    ];
    for (username, permission, level) in levels {
        let name = format!("of the {username}").replace(' ', "-");
        let world = world(&admin, &name);
        let client = Client::new(server, username, false);
        permission.into_iter().for_each(|permission| grant(server, username, &world, &name, permission));
        for (method, path, asked, needs) in requests(&world, &name) {
            let status = status(&client, method, &path, &asked);
            let allowed = level >= needs;
            assert_eq!(status != 403, allowed, "{method} {path} {asked} as {username}: {status}");
            assert!(status != 401 && (status < 500 || status == 501), "{method} {path} {asked} as {username}: {status}");
        }
    }
    let (name, asked) = ("of-the-admin", world(&admin, "of-the-admin"));
    for (method, path, asked, _) in requests(&asked, name) {
        assert_ne!(status(&admin, method, &path, &asked), 403, "{method} {path} {asked}");
    }
}

#[test]
fn every_endpoint_at_every_permission_on_sqlite() {
    every_endpoint_at_every_permission(&Server::with(options(Permission::NoPermissions)));
}

#[test]
fn every_endpoint_at_every_permission_on_postgresql() {
    let Some(database) = postgres::shared("permissions::postgresql") else { return };
    let folder = tempfile::tempdir().unwrap();
    every_endpoint_at_every_permission(&Server::over(&database.database(), folder, options(Permission::NoPermissions)));
}

/// The list above leaves nothing out.
#[test]
fn every_route_is_asked() {
    let world = World { experiment: "1".into(), run: "r".into(), logged_model: "m".into() };
    let asked: BTreeSet<(String, String)> = requests(&world, "name")
        .into_iter()
        .map(|(method, path, ..)| (method.to_owned(), path.split('?').next().unwrap_or_default().to_owned()))
        .collect();
    // They say the same to everybody.
    let elsewhere = [Endpoint::AssistantConfig, Endpoint::AssistantProviders, Endpoint::GatewayProxy];
    for route in ROUTES.iter().filter(|route| !elsewhere.contains(&route.endpoint)) {
        let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        let fits = |path: &str, pattern: &str| {
            let (path, pattern) = (parts(path), parts(pattern));
            let rest = pattern.last().is_some_and(|part| part.starts_with("{*"));
            (path.len() == pattern.len() || (rest && path.len() >= pattern.len()))
                && pattern.iter().zip(&path).all(|(pattern, part)| pattern.starts_with('{') || pattern == part)
        };
        let found = ROUTES.iter().filter(|other| other.endpoint == route.endpoint).any(|route| {
            route.paths().any(|pattern| asked.iter().any(|(method, path)| method == route.method.name() && fits(path, &pattern)))
        });
        assert!(found, "{:?} is not asked", route.endpoint);
    }
}

/// What may not be read is in no list, and pages are full all the same; GraphQL says null.
#[test]
fn lists_show_what_may_be_read() {
    let server = Server::with(options(Permission::NoPermissions));
    let (admin, anna) = (Client::new(&server, "admin", true), Client::new(&server, "anna", false));
    let (hidden, shown) = (world(&admin, "hidden"), world(&admin, "shown"));
    grant(&server, "anna", &shown, "shown", Permission::Read);
    anna.done("POST", "experiments/create", &json!({ "name": "annas" }));
    anna.done("POST", "registered-models/create", &json!({ "name": "annas" }));
    let names = |client: &Client, endpoint: &str, list: &str, most: u32| {
        let mut names = BTreeSet::new();
        let mut token = String::new();
        loop {
            let answer = client.done("GET", endpoint, &json!({ "max_results": most.to_string(), "page_token": token }));
            let items = answer[list].as_array().cloned().unwrap_or_default();
            token = answer["next_page_token"].as_str().unwrap_or_default().to_owned();
            assert!(token.is_empty() || items.len() == most as usize, "{endpoint}: a page of {} with another one after it", items.len());
            names.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            if token.is_empty() {
                return names;
            }
        }
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    for most in [1, 2, 100] {
        assert_eq!(names(&anna, "experiments/search", "experiments", most), set(&["annas", "shown"]));
        assert_eq!(names(&anna, "registered-models/search", "registered_models", most), set(&["annas", "shown"]));
        assert_eq!(names(&anna, "model-versions/search", "model_versions", most), set(&["shown"]));
        assert_eq!(names(&admin, "experiments/search", "experiments", most), set(&["Default", "annas", "hidden", "shown"]));
    }
    let both = json!({ "experiment_ids": [hidden.experiment, shown.experiment] });
    let runs = anna.done("POST", "runs/search", &both);
    assert_eq!((runs["runs"].as_array().map(Vec::len), &runs["runs"][0]["info"]["run_id"]), (Some(1), &json!(shown.run)));
    let models = anna.done("POST", "logged-models/search", &both);
    assert_eq!(models["models"].as_array().map(Vec::len), Some(1));
    assert!(!anna.ask("GET", "/", b"").text().contains("hidden"), "the plain page");

    let graphql = |query: &str, input: Value| {
        let body = json!({ "query": query, "variables": { "i": input } }).to_string();
        serde_json::from_slice::<Value>(&anna.ask("POST", "/graphql", body.as_bytes()).body).unwrap()
    };
    let run = "query q($i: MlflowGetRunInput) { mlflowGetRun(input: $i) { run { info { runId } } } }";
    assert_eq!(graphql(run, json!({ "runId": hidden.run })), json!({ "data": { "mlflowGetRun": null }, "errors": null }));
    assert_eq!(graphql(run, json!({ "runId": shown.run }))["data"]["mlflowGetRun"]["run"]["info"]["runId"], shown.run.as_str());
    let search = "query q($i: MlflowSearchRunsInput) { mlflowSearchRuns(input: $i) { runs { info { runId } } } }";
    let found = graphql(search, json!({ "experimentIds": [hidden.experiment, shown.experiment] }));
    assert_eq!(found["data"]["mlflowSearchRuns"]["runs"], json!([{ "info": { "runId": shown.run } }]));
    let versions = "query q($i: MlflowSearchModelVersionsInput) { mlflowSearchModelVersions(input: $i) { modelVersions { name } } }";
    let found = graphql(versions, json!({}));
    assert_eq!(found["data"]["mlflowSearchModelVersions"]["modelVersions"].as_array().map(Vec::len), Some(2), "{found}");
}
