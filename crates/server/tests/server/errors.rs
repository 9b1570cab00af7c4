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

#[test]
fn whatever_is_sent_is_no_mistake_of_the_server() {
    let server = Server::start();
    let run = server.run();
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let long = "x".repeat(100_000);
    let values = [
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
        &json!(long).to_string(),
        &json!(run).to_string(),
        "[{\"key\":\"k\",\"value\":1,\"timestamp\":-1}]",
    ];
    let names = [
        "name",
        "run_id",
        "experiment_id",
        "experiment_ids",
        "key",
        "value",
        "timestamp",
        "max_results",
        "filter",
        "order_by",
        "page_token",
        "metrics",
        "params",
        "tags",
        "datasets",
        "models",
        "model_id",
        "version",
        "stage",
        "alias",
        "status",
        "path",
        "source",
        "metric_key",
        "run_ids",
        "artifact_location",
        "model_json",
        "num_parts",
        "parts",
    ];
    let mut asked = 0;
    for route in ROUTES {
        let path = route
            .paths()
            .next()
            .unwrap()
            .replace("{*artifact_path}", "0/a%20b")
            .replace("{model_id}", "m-1")
            .replace("{tag_key}", "t")
            .replace("{webhook_id}", "w");
        for (index, value) in values.iter().enumerate() {
            // Every field at once, and this run's id, so that most requests come past the first check.
            let fields = names.iter().map(|name| {
                format!(
                    "{}:{}",
                    json!(name),
                    if *name == "run_id" && index % 2 == 0 { json!(run).to_string() } else { (*value).to_owned() }
                )
            });
            let body = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
            let answer = match route.method {
                Method::Get => {
                    let text: String = value.chars().take(300).filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
                    let query: Vec<String> = names.iter().map(|name| format!("{name}={text}")).collect();
                    server.ask("GET", &format!("{path}?{}", query.join("&")), &[], b"")
                }
                method => server.ask(method.name(), &path, &[], body.as_bytes()),
            };
            assert!(
                answer.status < 500 || answer.status == 501,
                "{} {path} {:.80}: {} {}",
                route.method,
                value,
                answer.status,
                answer.text()
            );
            asked += 1;
        }
        for body in [b"".as_slice(), b"\xff\xfe", b"[]", b"\"{}\"", deep.as_bytes()] {
            if route.method != Method::Get {
                let answer = server.ask(route.method.name(), &path, &[], body);
                assert!(answer.status < 500 || answer.status == 501, "{} {path} {:?}: {}", route.method, body.get(..9), answer.text());
            }
        }
    }
    assert!(asked > 1000, "{asked}");
    let metrics = server.ask("GET", "/metrics", &[], b"").text();
    assert!(metrics.contains("anmok_http_requests_total{route=\"LogBatch\",status=\"400\"}"), "{metrics}");
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
