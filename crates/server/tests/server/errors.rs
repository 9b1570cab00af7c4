//! Mistakes of users: MLflow's words, never a 5xx, which clients would try again for minutes.

use anmok_protocol::routes::{Method, ROUTES};
use serde_json::{Value, json};

use crate::harness::Server;

#[test]
fn errors_have_the_official_codes_and_words() {
    let server = Server::start();
    for (method, path, body, status, code, words) in [
        ("GET", "experiments/get?experiment_id=99", "", 404, "RESOURCE_DOES_NOT_EXIST", "No Experiment with id=99 exists"),
        ("GET", "runs/get?run_id=0123", "", 404, "RESOURCE_DOES_NOT_EXIST", "Run with id=0123 not found"),
        ("POST", "experiments/create", "{}", 400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'name'"),
        ("POST", "experiments/create", "not json", 400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'name'"),
        ("POST", "experiments/create", r#"{"name": "Default"}"#, 400, "RESOURCE_ALREADY_EXISTS", "already exists"),
        (
            "POST",
            "runs/search",
            r#"{"experiment_ids": "1"}"#,
            400,
            "INVALID_PARAMETER_VALUE",
            "Invalid value \"1\" for parameter 'experiment_ids' supplied",
        ),
        ("POST", "runs/search", r#"{"experiment_ids": ["0"], "filter": "a or b"}"#, 400, "INVALID_PARAMETER_VALUE", ""),
        (
            "POST",
            "runs/search",
            r#"{"max_results": -1}"#,
            400,
            "INVALID_PARAMETER_VALUE",
            "Invalid value -1 for parameter 'max_results' supplied. It must be a positive integer",
        ),
        ("POST", "runs/create", "{}", 400, "BAD_REQUEST", "give its experiment_id"),
        (
            "POST",
            "runs/log-metric",
            r#"{"run_id": "no/run", "key": "a", "value": 1, "timestamp": 1}"#,
            404,
            "RESOURCE_DOES_NOT_EXIST",
            "no/run",
        ),
        (
            "POST",
            "experiments/create",
            r#"{"name": "a", "artifact_location": "http://169.254.169.254/a"}"#,
            400,
            "INVALID_PARAMETER_VALUE",
            "'artifact_location' cannot use the 'http' scheme",
        ),
        (
            "POST",
            "model-versions/create",
            r#"{"name": "a", "source": "ftp://host/a"}"#,
            400,
            "INVALID_PARAMETER_VALUE",
            "'source' cannot use the 'ftp' scheme",
        ),
        ("GET", "metrics/get-history?run_id=a&metric_key=b&max_results=0", "", 400, "INVALID_PARAMETER_VALUE", "max_results"),
        ("GET", "registered-models/get?name=none", "", 404, "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=none not found"),
        ("GET", "logged-models/m-none", "", 404, "RESOURCE_DOES_NOT_EXIST", "Logged model with ID 'm-none' not found"),
    ] {
        let answer = server.ask(method, &format!("/api/2.0/mlflow/{path}"), &[], body.as_bytes());
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
        assert_eq!(answer.json()["error_code"], code, "{path} {body}");
        assert!(answer.json()["message"].as_str().unwrap().contains(words), "{path} {body}: {}", answer.text());
    }
    assert_eq!(server.ask("GET", "/api/2.0/mlflow/none", &[], b"").status, 404);
    assert_eq!(server.ask("GET", "/api/2.0/mlflow/runs/create", &[], b"").status, 405);
}

/// Values that no field wants, as JSON.
fn wrong_values(run: &str) -> Vec<String> {
    let deep = deep();
    let long = json!("x".repeat(100_000)).to_string();
    let plain = [
        "null",
        "true",
        "-1",
        "1e400",
        "9223372036854775808",
        "1.5",
        "\"\"",
        "\"NaN\"",
        "\"\\u0000\"",
        "\"안목 ' ; DROP TABLE runs --\"",
        "[]",
        "[1]",
        "[null]",
        "{}",
        "{\"key\": {}}",
        deep.as_str(),
        long.as_str(),
        &json!(run).to_string(),
        "[{\"key\":\"k\",\"value\":1,\"timestamp\":-1}]",
    ];
    plain.map(str::to_owned).to_vec()
}

fn deep() -> String {
    format!("{}1{}", "[".repeat(5000), "]".repeat(5000))
}

/// Fields of all requests, each with a value that it wants.
fn right_values(run: &str) -> Vec<(&'static str, Value)> {
    let metric = json!({ "key": "k", "value": 1.0, "timestamp": 1, "step": 0 });
    let param = json!({ "key": "k", "value": "v" });
    vec![
        ("name", json!("named")),
        ("new_name", json!("renamed")),
        ("description", json!("words")),
        ("run_id", json!(run)),
        ("run_name", json!("run")),
        ("run_ids", json!([run])),
        ("experiment_id", json!("0")),
        ("experiment_ids", json!(["0"])),
        ("key", json!("k")),
        ("value", json!(1)),
        ("timestamp", json!(1)),
        ("step", json!(0)),
        ("start_time", json!(1)),
        ("end_time", json!(2)),
        ("status", json!("RUNNING")),
        ("run_view_type", json!("ALL")),
        ("max_results", json!(10)),
        ("max_results_per_run", json!(10)),
        ("filter", json!("")),
        ("filter_string", json!("")),
        ("order_by", json!([])),
        ("page_token", json!("")),
        ("metrics", json!([metric])),
        ("params", json!([param])),
        ("tags", json!([param])),
        ("datasets", json!([{ "dataset": { "name": "d", "digest": "1", "source_type": "s", "source": "s" }, "tags": [] }])),
        ("models", json!([{ "model_id": "m-1", "step": 0 }])),
        ("inputs", json!([])),
        ("model_id", json!("m-1")),
        ("model_type", json!("cnn")),
        ("version", json!("1")),
        ("stage", json!("Staging")),
        ("stages", json!(["None"])),
        ("alias", json!("champion")),
        ("path", json!("a/b.txt")),
        ("source", json!("models:/m-1")),
        ("metric_key", json!("k")),
        ("artifact_location", json!("mlflow-artifacts:/0")),
        ("model_json", json!("{}")),
        ("num_parts", json!(1)),
        ("upload_id", json!("u")),
        ("parts", json!([{ "part_number": 1, "etag": "e" }])),
        ("expiration", json!(60)),
        ("events", json!([{ "entity": "MODEL_VERSION", "action": "CREATED" }])),
        ("url", json!("https://hooks.example/a")),
        ("username", json!("user")),
        ("password", json!("a long password")),
        ("permission", json!("READ")),
    ]
}

/// A path of a route, with something in each of its places.
fn filled(path: &str) -> String {
    path.replace("{*artifact_path}", "0/a%20b").replace("{model_id}", "m-1").replace("{tag_key}", "t").replace("{webhook_id}", "w")
}

/// Asks with these fields, each a name and its JSON; a status of 500 or more but "not implemented" fails.
fn ask_with<'a>(server: &Server, method: Method, path: &str, fields: impl Iterator<Item = (&'a str, &'a str)>) {
    let (answer, told) = if method == Method::Get {
        // Only what stands in an address as it is: encodings are another test's.
        let plain = |value: &str| value.chars().filter(|c| c.is_ascii_alphanumeric() || "-._~".contains(*c)).take(300).collect::<String>();
        let query: Vec<String> = fields.map(|(name, value)| format!("{name}={}", plain(value))).collect();
        let path = format!("{path}?{}", query.join("&"));
        (server.ask("GET", &path, &[], b""), path)
    } else {
        let body = fields.map(|(name, value)| format!("{}:{value}", json!(name))).collect::<Vec<_>>().join(",");
        let body = format!("{{{body}}}");
        (server.ask(method.name(), path, &[], body.as_bytes()), body)
    };
    assert!(answer.status < 500 || answer.status == 501, "{method} {path} {told:.300}: {} {}", answer.status, answer.text());
}

#[test]
fn whatever_is_sent_is_no_mistake_of_the_server() {
    let server = Server::start();
    let run = server.run();
    let (wrong, right) = (wrong_values(&run), right_values(&run));
    let (deep, own) = (deep(), json!(run).to_string());
    for route in ROUTES {
        let path = filled(&route.paths().next().unwrap());
        for (index, value) in wrong.iter().enumerate() {
            // Every field at once, and in every second request this run's id, so that it comes past the first check.
            let value_of = |name: &str| if name == "run_id" && index % 2 == 0 { own.as_str() } else { value.as_str() };
            ask_with(&server, route.method, &path, right.iter().map(|(name, _)| (*name, value_of(name))));
        }
        for body in [b"".as_slice(), b"\xff\xfe", b"[]", b"\"{}\"", deep.as_bytes()] {
            if route.method != Method::Get {
                let answer = server.ask(route.method.name(), &path, &[], body);
                assert!(answer.status < 500 || answer.status == 501, "{} {path} {:?}: {}", route.method, body.get(..9), answer.text());
            }
        }
    }
    let metrics = server.ask("GET", "/metrics", &[], b"").text();
    assert!(metrics.contains("anmok_http_requests_total{route=\"LogBatch\",status=\"400\"}"), "{metrics}");
}

/// One field is wrong and all others are right, so that a request comes as far as that field.
#[test]
fn one_wrong_field_is_no_mistake_of_the_server() {
    let server = Server::start();
    let run = server.run();
    let right: Vec<(&str, String)> = right_values(&run).into_iter().map(|(name, value)| (name, value.to_string())).collect();
    let wrong = wrong_values(&run);
    // Some of the values for each field and route, others for the next: all meet each other somewhere.
    let mut values = wrong.iter().cycle();
    for route in ROUTES {
        let path = filled(&route.paths().next().unwrap());
        for (changed, _) in &right {
            for value in values.by_ref().take(3) {
                let value_of = |name: &str, own: &'_ str| if name == *changed { value.clone() } else { own.to_owned() };
                let fields: Vec<(&str, String)> = right.iter().map(|(name, own)| (*name, value_of(name, own))).collect();
                ask_with(&server, route.method, &path, fields.iter().map(|(name, value)| (*name, value.as_str())));
            }
        }
    }
    assert_eq!(server.ask("GET", "/health", &[], b"").text(), "OK");
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let server = Server::with(anmok_server::Options { body_limit: 1000, ..Default::default() });
    let body = json!({ "name": "x".repeat(2000) }).to_string();
    let answer = server.ask("POST", "/api/2.0/mlflow/experiments/create", &[], body.as_bytes());
    assert_eq!((answer.status, answer.json()["error_code"].clone()), (400, Value::from("BAD_REQUEST")));
    assert!(answer.text().contains("larger than 1000 bytes"), "{}", answer.text());
}

#[test]
fn what_is_posted_says_that_it_is_json() {
    let server = Server::start();
    let create = |kind: &str| {
        let body = br#"{"name": "posted"}"#;
        server.ask("POST", "/api/2.0/mlflow/experiments/create", &[("Content-Type", kind)], body)
    };
    // What a form of any web page can send.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "application/jsonp"] {
        let answer = create(kind);
        assert_eq!(answer.status, 400, "{kind}");
        assert_eq!(answer.json()["message"], "Bad Request. Content-Type must be one of ['application/json'].", "{kind}");
    }
    assert_eq!(create("application/json; charset=utf-8").status, 200);
}

#[test]
fn a_run_may_be_made_with_any_tags() {
    let server = Server::start();
    let tags = json!([{ "key": "", "value": "a" }, { "key": "what?", "value": "b" }]);
    let run = server.post("runs/create", json!({ "experiment_id": "0", "run_name": "n", "tags": tags }))["run"].clone();
    let named = json!({ "key": "mlflow.runName", "value": "n" });
    assert_eq!(run["data"]["tags"], json!([tags[0], named, tags[1]]));
    let long = json!({ "experiment_id": "0", "tags": [{ "key": "k".repeat(251), "value": "a" }] });
    let answer = server.ask("POST", "/api/2.0/mlflow/runs/create", &[], long.to_string().as_bytes());
    assert_eq!(answer.json()["message"], "'tags[0].key' exceeds the maximum length of 250 characters");
}
