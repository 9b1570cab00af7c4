//! What is sent again, what is not, and what is said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anmok_protocol::{Batch, ErrorCode, Metric, RunTag};
use anmok_tracking::journal::Folder;
use anmok_tracking::{
    LogOptions, NewExperiment, NewRun, ProxyOptions, RunQuery, RunWriter, ServerOptions, StoreOptions, TrackingError, open,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::scripted::{Act, Scripted, answer, ok, status};
use crate::{EXPERIMENT, impatient, store, store_with, trouble};

fn one_metric() -> Batch {
    Batch { metrics: vec![Metric::new("loss", 0.5, 1000, 1)], ..Batch::default() }
}

fn run(run_id: &str, new: &NewRun, status: &str) -> Value {
    json!({
        "info": {
            "run_id": run_id, "run_uuid": run_id, "run_name": "quick-fox-1", "experiment_id": new.experiment_id, "user_id": new.user_id,
            "status": status, "start_time": new.start_time, "artifact_uri": "mlflow-artifacts:/0/x", "lifecycle_stage": "active"
        },
        "data": { "tags": [{ "key": "host", "value": "laptop" }] }
    })
}

#[test]
fn what_can_pass_is_sent_again_until_it_has() {
    let whole = answer("200 OK", "Content-Type: application/json\r\n", "{\"a\": [1, 2, 3]}");
    let server = Scripted::start([
        ok(EXPERIMENT),
        status(
            "500 Internal Server Error",
            "Content-Type: application/json\r\n",
            r#"{"error_code": "INTERNAL_ERROR", "message": "locked"}"#,
        ),
        status("502 Bad Gateway", "Content-Type: text/html\r\n", "<html><title>502 Bad Gateway</title></html>"),
        status("200 OK", "Content-Type: text/html\r\n", "<html><title>Maintenance</title></html>"),
        Act::Cut(vec![]),
        Act::Cut(whole[..whole.len() - 4].to_vec()),
        status("429 Too Many Requests", "Retry-After: 1\r\n", ""),
        ok("{}"),
    ]);
    let store = store(&server.url);
    assert_eq!(store.experiment("7").unwrap().unwrap().name, "vision");
    let start = Instant::now();
    store.log_batch("r", &one_metric()).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "Retry-After is heeded");
    let asked = server.asked();
    assert_eq!(asked.len(), 8);
    assert!(asked[1..].iter().all(|asked| asked.line.starts_with("POST /api/2.0/mlflow/runs/log-batch ")), "{asked:?}");
    assert!(asked[1..].iter().all(|again| again.body == asked[1].body && !again.body.is_empty()));
}

#[test]
fn one_connection_serves_many_requests() {
    let server = Scripted::start((0..20).map(|_| ok("{}")));
    let store = store(&server.url);
    for _ in 0..20 {
        store.log_batch("r", &one_metric()).unwrap();
    }
    assert!(server.asked().iter().all(|asked| asked.connection == 0));
}

/// With the patience of two minutes that MLflow's client has by itself.
#[test]
fn the_end_of_a_run_does_not_wait_for_a_server_that_answers_nothing() {
    let new = NewRun { experiment_id: "7".into(), ..NewRun::default() };
    let there = json!({ "run": run("r", &new, "RUNNING") }).to_string();
    let server = Scripted::start([ok(&there), ok(EXPERIMENT), Act::Hang(Duration::from_secs(300))]);
    let folder = tempfile::tempdir().unwrap();
    let options =
        LogOptions { journals: folder.path().into(), tracking_uri: server.url.clone(), listener: Arc::new(|_| ()), heartbeat: false };
    let patient = ServerOptions { timeout: Some(Duration::from_secs(120)), ..impatient() };
    let mut writer = RunWriter::open(store_with(&server.url, patient).into(), "r", &options).unwrap();
    writer.metrics(1, &[("loss", 0.5)]);
    let start = Instant::now();
    let pending = writer.close().unwrap().pending.expect("nothing was delivered");
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    assert!(pending.obstacle.unwrap().to_string().contains("has not answered for 20 s"));
    // What was asked may be answered yet: until then, or until this process ends, nobody else delivers the same.
    assert!(Folder::list(folder.path()).unwrap()[0].is_claimed());
}

#[test]
fn retries_end_and_say_so() {
    let failing = || status("503 Service Unavailable", "", "busy\x1b[31m\r\nback soon");
    let server = Scripted::start([ok(EXPERIMENT)].into_iter().chain((0..20).map(|_| failing())));
    let store = store(&server.url);
    store.experiment("7").unwrap();
    let (message, can_pass) = trouble(store.log_batch("r", &one_metric()));
    let expected = format!("logging to a run: {} answered 503 Service Unavailable: busy[31m back soon; try again later", server.url);
    assert_eq!((message, can_pass, server.asked().len()), (expected, true, 1 + 8));
}

#[test]
fn a_run_is_not_started_twice() {
    let new = NewRun { user_id: "jiwoo".into(), tags: vec![RunTag::new("host", "laptop")], ..NewRun::default() };
    let other = NewRun { user_id: "someone".into(), ..new.clone() };
    let found = json!({ "runs": [run("b", &new, "FINISHED"), run("c", &other, "RUNNING"), run("d", &new, "RUNNING")] });
    let server = Scripted::start([ok(EXPERIMENT), Act::Cut(vec![]), ok(&found.to_string())]);
    let store = store(&server.url);
    store.experiment("7").unwrap();
    assert_eq!(store.create_run(&new).unwrap().info.run_id, "d");
    let search: Value = serde_json::from_slice(&server.asked()[2].body).unwrap();
    assert_eq!(search["filter"], format!("attributes.start_time = {}", new.start_time));
    assert_eq!(server.lines()[1..], ["POST /api/2.0/mlflow/runs/create", "POST /api/2.0/mlflow/runs/search"]);

    // Nothing was started: it is, once.
    let server = Scripted::start([
        ok(EXPERIMENT),
        status("504 Gateway Timeout", "", ""),
        ok("{}"),
        ok(&json!({ "run": run("e", &new, "RUNNING") }).to_string()),
    ]);
    let store = store_with(&server.url, impatient());
    store.experiment("7").unwrap();
    assert_eq!(store.create_run(&new).unwrap().info.run_id, "e");
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn what_an_earlier_attempt_has_done_is_no_error() {
    let exists = r#"{"error_code": "RESOURCE_ALREADY_EXISTS", "message": "Experiment(name=vision) already exists."}"#;
    let refused = || status("400 Bad Request", "Content-Type: application/json\r\n", exists);
    let absent = || status("404 Not Found", "", r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}"#);
    // It was not there when looked up, and was made in the end by the first attempt.
    let server = Scripted::start([ok(EXPERIMENT), Act::Cut(vec![]), absent(), refused(), ok(EXPERIMENT)]);
    let store = store(&server.url);
    store.experiment("7").unwrap();
    let new = NewExperiment { name: "vision".into(), ..NewExperiment::default() };
    assert_eq!(store.create_experiment(&new).unwrap(), "7");
    // Without a doubt about earlier attempts it is one.
    let server = Scripted::start([refused()]);
    match store_with(&server.url, impatient()).create_experiment(&new).unwrap_err() {
        TrackingError::Refused(error) => assert_eq!(error.code, ErrorCode::ResourceAlreadyExists),
        other => panic!("{other:?}"),
    }
    // A tag that is gone after a cut connection was deleted.
    let gone = json!({ "run": run("r", &NewRun::default(), "RUNNING") }).to_string();
    let server = Scripted::start([ok(EXPERIMENT), Act::Cut(vec![]), ok(&gone)]);
    let store = store_with(&server.url, impatient());
    store.experiment("7").unwrap();
    store.delete_tag("r", "other").unwrap();
}

#[test]
fn what_is_no_tracking_server_is_said_at_once() {
    let check = |act: Act, words: &[&str]| {
        let server = Scripted::start([act]);
        let (message, can_pass) = trouble(store(&server.url).experiment("7"));
        for words in words {
            assert!(message.contains(words), "{message}");
        }
        assert!(!can_pass && message.starts_with(&format!("reading an experiment: {} ", server.url)), "{message}");
        assert_eq!(server.asked().len(), 1, "{message}");
    };
    let html = "Content-Type: text/html\r\n";
    check(status("200 OK", html, "<!doctype html><title>Grafana</title>"), &["the page \"Grafana\"", "check MLFLOW_TRACKING_URI"]);
    check(status("404 Not Found", html, "<title>404</title>"), &["has no MLflow here: it answered 404 Not Found"]);
    check(status("200 OK", "", "pong"), &["with no JSON: pong"]);
    check(status("200 OK", "", r#"{"experiment": 5}"#), &["JSON that is not MLflow's"]);
    check(status("200 OK", "", "[]"), &["JSON that is not MLflow's"]);
    check(status("200 OK", "", ""), &["with no JSON"]);
    check(status("302 Found", "Location: https://login.example/x\r\n", ""), &["redirects to https://login.example/x", "log-in page"]);
    check(status("401 Unauthorized", "", "You are not authenticated."), &["credentials", "MLFLOW_TRACKING_USERNAME", "not authenticated"]);
    check(status("403 Forbidden", "", "nothing for you"), &["403", "what they may do"]);
    check(
        status("403 Forbidden", "", "Invalid Host header - possible DNS rebinding attack detected"),
        &["Invalid Host header", "--allowed-hosts"],
    );
    check(status("413 Payload Too Large", html, "<title>413</title>"), &["client_max_body_size"]);
    check(Act::Cut(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), &["no HTTP"]);
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let start = Instant::now();
    let (message, can_pass) = trouble(store_with(&url, ServerOptions::default()).experiment("7"));
    assert!(message.contains("cannot be reached (connection refused); check that the server runs"), "{message}");
    assert!(can_pass && start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let (message, _) = trouble(store("http://nowhere.invalid:5000").experiment("7"));
    assert!(message.contains("cannot be found"), "{message}");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let server = Scripted::start([Act::Hang(Duration::from_secs(5)), Act::Hang(Duration::from_secs(5))]);
    let options = ServerOptions { timeout: Some(Duration::from_millis(300)), ..impatient() };
    let start = Instant::now();
    let (message, can_pass) = trouble(store_with(&server.url, options).experiment("7"));
    assert!(message.contains("did not answer in time") && message.contains("MLFLOW_HTTP_REQUEST_TIMEOUT"), "{message}");
    assert!(can_pass && start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn credentials_go_to_the_server_and_into_no_message() {
    let check = |with: &str, options: ServerOptions, expected: Option<&str>| {
        let server = Scripted::start([ok(EXPERIMENT), status("401 Unauthorized", "", "")]);
        let store = store_with(&server.url.replace("http://", &format!("http://{with}")), options);
        store.experiment("7").unwrap();
        let head = server.asked()[0].head.to_ascii_lowercase();
        let sent = head.lines().find_map(|line| line.strip_prefix("authorization: ")).map(str::to_owned);
        assert_eq!(sent, expected.map(str::to_ascii_lowercase));
        let (message, _) = trouble(store.experiment("7"));
        assert!(!message.contains("secret"), "{message}");
    };
    let named = |user: Option<&str>, password: Option<&str>, token: Option<&str>| ServerOptions {
        username: user.map(str::to_owned),
        password: password.map(str::to_owned),
        token: token.map(str::to_owned),
        ..impatient()
    };
    check("", named(None, None, None), None);
    check("", named(Some("anna"), Some("secret"), Some("t")), Some("Basic YW5uYTpzZWNyZXQ="));
    check("", named(None, None, Some("secret-token")), Some("Bearer secret-token"));
    check("", named(Some("anna"), None, Some("secret-token")), Some("Bearer secret-token"));
    check("anna:secret@", named(None, None, None), Some("Basic YW5uYTpzZWNyZXQ="));
    let options = StoreOptions { server: named(None, None, Some("secret\n")), ..StoreOptions::default() };
    let error = open("http://host", &options).err().unwrap().to_string();
    assert!(error.contains("MLFLOW_TRACKING_TOKEN") && !error.contains("secret"), "{error}");
}

#[test]
fn a_batch_that_is_wrong_is_refused_before_it_is_sent() {
    let server = Scripted::start([]);
    let store = store(&server.url);
    let many = Batch { metrics: vec![Metric::new("m", 1.0, 1, 1); 1001], ..Batch::default() };
    assert!(matches!(store.log_batch("r", &many), Err(TrackingError::Refused(_))));
    assert!(matches!(store.set_tag("r", &RunTag::new("a//b", "x")), Err(TrackingError::Refused(_))));
    assert!(matches!(store.search_runs(&RunQuery { max_results: 0, ..RunQuery::default() }), Err(TrackingError::Refused(_))));
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn a_proxy_is_asked_for_the_way_and_can_be_left_out() {
    // After CONNECT, the connection is the server's.
    let connected = || Act::Say(b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec());
    let proxy = Scripted::start([connected(), ok(EXPERIMENT)]);
    let options = |no_proxy: &str| ServerOptions {
        proxies: ProxyOptions { http: Some(proxy.url.clone()), https: None, no_proxy: no_proxy.into() },
        ..impatient()
    };
    store_with("http://tracking.invalid:5000", options("")).experiment("7").unwrap();
    assert_eq!(proxy.lines()[0], "CONNECT tracking.invalid:5000");
    let (message, _) = trouble(store_with("http://tracking.invalid:5000", options("invalid")).experiment("7"));
    assert!(message.contains("cannot be found"), "{message}");
    let refusing = Scripted::start([status("407 Proxy Authentication Required", "", "")]);
    let proxies = ProxyOptions { http: Some(refusing.url.clone()), ..ProxyOptions::default() };
    let (message, _) = trouble(store_with("http://tracking.invalid", ServerOptions { proxies, ..impatient() }).experiment("7"));
    assert!(message.contains("the proxy refused") && message.contains("HTTPS_PROXY"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_answered_is_an_error_or_an_answer(
        head in prop::sample::select(vec!["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 500 x\r\n\r\n", "HTTP/1.1 400 x\r\n\r\n{\"error_code\":"]),
        tail in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let bytes = [head.as_bytes(), &tail].concat();
        let server = Scripted::start([Act::Cut(bytes.clone()), Act::Cut(bytes)]);
        let options = ServerOptions { timeout: Some(Duration::from_millis(500)), max_retries: Some(1), ..impatient() };
        prop_assert!(store_with(&server.url, options).experiment("7").is_err());
    }
}
