//! The documents of MLflow's web UI, and documents that nobody should send.

use anmok_server::Options;
use serde_json::{Value, json};

use crate::harness::Server;

const GET_RUN: &str = r#"query GetRun($data: MlflowGetRunInput!) @component(name: "MLflow.ExperimentRunTracking") {
    mlflowGetRun(input: $data) {
        apiError { helpUrl code message }
        run {
            info { runName status runUuid experimentId artifactUri endTime lifecycleStage startTime userId }
            experiment { experimentId name tags { key value } artifactLocation lifecycleStage lastUpdateTime }
            modelVersions { status version name source }
            data { metrics { key value step timestamp } params { key value } tags { key value } }
            inputs {
                datasetInputs { dataset { digest name profile schema source sourceType } tags { key value } }
                modelInputs { modelId }
            }
            outputs { modelOutputs { modelId step } }
        }
    }
}"#;

const SEARCH_RUNS: &str = "query SearchRuns($data: MlflowSearchRunsInput!) {
    mlflowSearchRuns(input: $data) {
        apiError { helpUrl code message }
        runs {
            info { runName status runUuid experimentId artifactUri endTime lifecycleStage startTime userId }
            experiment { experimentId name tags { key value } artifactLocation lifecycleStage lastUpdateTime }
            data { metrics { key value step timestamp } params { key value } tags { key value } }
            inputs { datasetInputs { dataset { digest name profile schema source sourceType } tags { key value } } }
            modelVersions { version name source }
        }
    }
}";

const GET_EXPERIMENT: &str = r#"query MlflowGetExperimentQuery($input: MlflowGetExperimentInput!) @component(name: "MLflow.ExperimentRunTracking") {
    mlflowGetExperiment(input: $input) {
        apiError { code message }
        experiment {
            artifactLocation creationTime effectiveTraceArchivalRetention experimentId lastUpdateTime lifecycleStage name
            tags { key value }
        }
    }
}"#;

const HISTORY: &str = r#"query GetMetricHistoryBulkInterval($data: MlflowGetMetricHistoryBulkIntervalInput!)
    @component(name: "MLflow.ExperimentRunTracking") {
    mlflowGetMetricHistoryBulkInterval(input: $data) {
        __typename
        metrics { timestamp step runId key value }
        apiError { code message }
    }
}"#;

/// The whole answer.
fn asked(server: &Server, document: &str, variables: Value) -> Value {
    let body = json!({ "query": document, "variables": variables }).to_string();
    let answer = server.ask("POST", "/graphql", &[("content-type", "application/json")], body.as_bytes());
    assert_eq!(answer.status, 200, "{document}: {}", answer.text());
    answer.json()
}

/// The data of an answer without errors.
fn data(server: &Server, document: &str, variables: Value) -> Value {
    let mut answer = asked(server, document, variables);
    assert_eq!(answer["errors"], Value::Null, "{document}: {answer}");
    answer["data"].take()
}

/// The only error of an answer.
fn refusal(server: &Server, document: &str, variables: Value) -> String {
    let answer = asked(server, document, variables);
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{document:.200}: {answer}"));
    assert_eq!(errors.len(), 1, "{document:.200}: {answer}");
    errors[0].as_str().unwrap().to_owned()
}

/// A run with something of everything; its id.
fn filled_run(server: &Server) -> String {
    let run = server.run();
    server.post(
        "runs/log-batch",
        json!({
            "run_id": run,
            "metrics": [
                { "key": "loss", "value": 0.75, "timestamp": 1_700_000_000_001_i64, "step": 0 },
                { "key": "loss", "value": 0.5, "timestamp": 1_700_000_000_002_i64, "step": 9_007_199_254_740_993_i64 },
                { "key": "broken", "value": "NaN", "timestamp": 1_700_000_000_003_i64, "step": 1 },
            ],
            "params": [{ "key": "lr", "value": "0.1" }],
            "tags": [{ "key": "mlflow.runName", "value": "안목" }],
        }),
    );
    let data_set = json!({ "name": "cifar", "digest": "abc", "source_type": "local", "source": "/data", "profile": "{\"n\": 5}" });
    let tags = json!([{ "key": "mlflow.data.context", "value": "train" }]);
    server.post("runs/log-inputs", json!({ "run_id": run, "datasets": [{ "dataset": data_set, "tags": tags }] }));
    server.post("registered-models/create", json!({ "name": "resnet" }));
    server.post("model-versions/create", json!({ "name": "resnet", "source": "s3://models/resnet", "run_id": run }));
    run
}

#[test]
fn the_run_page_of_the_web_ui_is_answered() {
    let server = Server::start();
    let run = filled_run(&server);
    let answer = data(&server, GET_RUN, json!({ "data": { "runId": run } }));
    assert_eq!(answer["mlflowGetRun"]["apiError"], Value::Null);
    let found = &answer["mlflowGetRun"]["run"];
    assert_eq!(
        found["info"],
        json!({
            "runName": "안목",
            "status": "RUNNING",
            "runUuid": run,
            "experimentId": "0",
            "artifactUri": format!("mlflow-artifacts:/0/{run}/artifacts"),
            "endTime": "0",
            "lifecycleStage": "active",
            "startTime": "1700000000000",
            "userId": "",
        })
    );
    assert_eq!(found["experiment"]["name"], "Default");
    assert_eq!(found["experiment"]["tags"], json!([]));
    let versions = json!([{ "status": "READY", "version": "1", "name": "resnet", "source": "s3://models/resnet" }]);
    assert_eq!(found["modelVersions"], versions);
    assert_eq!(
        found["data"]["metrics"],
        json!([
            { "key": "broken", "value": null, "step": "1", "timestamp": "1700000000003" },
            { "key": "loss", "value": 0.5, "step": "9007199254740993", "timestamp": "1700000000002" },
        ])
    );
    assert_eq!(found["data"]["params"], json!([{ "key": "lr", "value": "0.1" }]));
    assert_eq!(found["data"]["tags"], json!([{ "key": "mlflow.runName", "value": "안목" }]));
    let data_set =
        json!({ "digest": "abc", "name": "cifar", "profile": "{\"n\": 5}", "schema": "", "source": "/data", "sourceType": "local" });
    let tags = json!([{ "key": "mlflow.data.context", "value": "train" }]);
    assert_eq!(found["inputs"], json!({ "datasetInputs": [{ "dataset": data_set, "tags": tags }], "modelInputs": [] }));
    assert_eq!(found["outputs"], json!({ "modelOutputs": [] }));
    // By the older name, and ended.
    server.post("runs/update", json!({ "run_id": run, "status": "FINISHED", "end_time": 1_700_000_009_000_i64 }));
    let answer = data(&server, GET_RUN, json!({ "data": { "runUuid": run } }));
    let info = &answer["mlflowGetRun"]["run"]["info"];
    assert_eq!((&info["status"], &info["endTime"]), (&json!("FINISHED"), &json!("1700000009000")));
}

#[test]
fn the_other_pages_of_the_web_ui_are_answered() {
    let server = Server::start();
    let run = filled_run(&server);
    let other = server.run();

    let wanted =
        json!({ "data": { "experimentIds": ["0"], "filter": "metrics.loss < 1", "runViewType": "ACTIVE_ONLY", "maxResults": 10 } });
    let answer = data(&server, SEARCH_RUNS, wanted);
    let runs = answer["mlflowSearchRuns"]["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{answer}");
    assert_eq!((&runs[0]["info"]["runUuid"], &runs[0]["experiment"]["experimentId"]), (&json!(run), &json!("0")));
    assert_eq!(runs[0]["modelVersions"][0]["name"], "resnet");
    server.post("runs/delete", json!({ "run_id": other }));
    let answer = data(&server, SEARCH_RUNS, json!({ "data": { "experimentIds": ["0"], "runViewType": "DELETED_ONLY" } }));
    assert_eq!(answer["mlflowSearchRuns"]["runs"][0]["info"]["runUuid"], json!(other), "{answer}");

    server.post("experiments/set-experiment-tag", json!({ "experiment_id": "0", "key": "k", "value": "v" }));
    let experiment = server.get("experiments/get?experiment_id=0")["experiment"].take();
    assert_eq!(
        data(&server, GET_EXPERIMENT, json!({ "input": { "experimentId": "0" } })),
        json!({ "mlflowGetExperiment": { "apiError": null, "experiment": {
            "artifactLocation": "mlflow-artifacts:/0",
            "creationTime": experiment["creation_time"].to_string(),
            "effectiveTraceArchivalRetention": "",
            "experimentId": "0",
            "lastUpdateTime": experiment["last_update_time"].to_string(),
            "lifecycleStage": "active",
            "name": "Default",
            "tags": [{ "key": "k", "value": "v" }],
        } } })
    );

    let wanted = json!({ "data": { "runIds": [run], "metricKey": "loss", "maxResults": 320, "startStep": 0, "endStep": 10 } });
    assert_eq!(
        data(&server, HISTORY, wanted),
        json!({ "mlflowGetMetricHistoryBulkInterval": {
            "__typename": "MlflowGetMetricHistoryBulkIntervalResponse",
            "metrics": [{ "timestamp": "1700000000001", "step": "0", "runId": run, "key": "loss", "value": 0.75 }],
            "apiError": null,
        } })
    );
}

#[test]
fn the_rest_of_the_schema_is_answered() {
    let server = Server::start();
    let run = filled_run(&server);
    let upload = server.ask("POST", &format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=notes/a.txt"), &[], b"12345");
    assert_eq!(upload.status, 200, "{}", upload.text());

    let document = "query ($run: MlflowListArtifactsInput) { mlflowListArtifacts(input: $run) { rootUri files { path isDir fileSize } } }";
    let listed = data(&server, document, json!({ "run": { "runId": run, "path": "notes" } }));
    assert_eq!(listed["mlflowListArtifacts"]["files"], json!([{ "path": "notes/a.txt", "isDir": false, "fileSize": "5" }]));

    let document =
        "mutation { mlflowSearchDatasets(input: { experimentIds: [\"0\"] }) { datasetSummaries { experimentId name digest context } } }";
    let summary = json!({ "experimentId": "0", "name": "cifar", "digest": "abc", "context": "train" });
    assert_eq!(data(&server, document, json!({}))["mlflowSearchDatasets"]["datasetSummaries"], json!([summary]));

    // A fragment, an alias, an integer as a literal, and what is set nowhere.
    let document = "query Q { found: mlflowSearchModelVersions(input: { filter: \"name='resnet'\", maxResults: 5 }) { \
                    nextPageToken modelVersions { ...all } } } \
                    fragment all on MlflowModelVersion { runId currentStage aliases tags { key } modelMetrics { key } description \
                    deploymentJobState { jobId jobState } }";
    let nothing = json!({ "jobId": "", "jobState": null });
    let version = json!({ "runId": run, "currentStage": "None", "aliases": [], "tags": [], "modelMetrics": [], "description": "",
                          "deploymentJobState": nothing });
    assert_eq!(data(&server, document, json!({})), json!({ "found": { "nextPageToken": "", "modelVersions": [version] } }));
    server.post("registered-models/alias", json!({ "name": "resnet", "alias": "best", "version": "1" }));
    let answer = data(&server, document, json!({}));
    assert_eq!(answer["found"]["modelVersions"][0]["aliases"], json!([]), "searches tell no aliases, as in MLflow");

    // By the other method, in a query string.
    let echo = "/graphql?query=query(%24t:String)%7Btest(inputString:%24t)%7Boutput%7D%7D&variables=%7B%22t%22:%22a%22%7D";
    let answer = server.ask("GET", echo, &[], b"");
    assert_eq!(answer.json(), json!({ "data": { "test": { "output": "a" } }, "errors": null }), "{}", answer.text());
    let answer = data(&server, "mutation { testMutation(inputString: \"b\") { output } }", json!({}));
    assert_eq!(answer, json!({ "testMutation": { "output": "b" } }));
}

#[test]
fn mistakes_are_told_in_the_answer() {
    let server = Server::start();
    let answer = asked(&server, GET_RUN, json!({ "data": { "runId": "none" } }));
    assert_eq!(answer, json!({ "data": { "mlflowGetRun": null }, "errors": ["Run with id=none not found"] }));
    let run = json!({ "data": { "runId": "none", "unknown": 1 } });
    assert!(refusal(&server, GET_RUN, run).contains("unknown"));
    for (document, words) in [
        ("{ mlflowGetRun(input: {", "Syntax Error"),
        ("{ mlflowGetRun(input: {}) { run { info { runId } } } }", "Missing value for required parameter 'run_id'"),
        ("{ mlflowGetRun { run { info { runId } } } }", "Missing value for required parameter 'run_id'"),
        ("{ mlflowGetExperiment(input: { experimentId: \"7\" }) { experiment { name } } }", "No Experiment with id=7 exists"),
        ("{ mlflowSearchRuns(input: { maxResults: -1 }) { nextPageToken } }", "max_results"),
        ("{ mlflowGetRun(input: { runId: \"a\" }) { run { info { nothing } } } }", "Unknown field \"nothing\""),
        ("{ mlflowDropAll { apiError { code } } }", "Unknown field \"mlflowDropAll\""),
        ("query { test(inputString: 1) { output } }", "inputString"),
        ("mutation @unknown { testMutation { output } }", "Unknown directive \"unknown\""),
        ("{ test { ...a } } fragment a on Test { ...b } fragment b on Test { ...a }", "maximum total selections"),
    ] {
        let refused = refusal(&server, document, json!({}));
        assert!(refused.contains(words), "{document}: {refused}");
    }
    for body in ["", "null", "{}", "[]", r#"{"query": 1}"#, r#"{"query": "{ test { output } }", "variables": [1]}"#] {
        let answer = server.ask("POST", "/graphql", &[], body.as_bytes());
        assert_eq!((answer.status, &answer.json()["error_code"]), (400, &json!("INVALID_PARAMETER_VALUE")), "{body}");
    }
}

#[test]
fn documents_that_cost_too_much_are_refused() {
    let server = Server::start();
    let fields = |count: usize, field: &dyn Fn(usize) -> String| (0..count).map(field).collect::<Vec<_>>().join(" ");
    let nested = |depth: usize| format!("{}{}", "{a".repeat(depth), "}".repeat(depth));
    let fragments = |count: usize| {
        let spreads = fields(count, &|index| format!("fragment f{index} on Test {{ ...f{} ...f{} }}", index + 1, index + 1));
        format!("{{ test {{ ...f0 }} }} {spreads} fragment f{count} on Test {{ output }}")
    };
    for (document, words) in [
        (nested(11), "maximum depth of 10"),
        (nested(20_000), "Syntax Error"),
        (format!("{{ test(inputString: {}) {{ output }} }}", "[".repeat(50_000)), "Syntax Error"),
        (format!("{{ test {{ {} }} }}", fields(1001, &|_| "output".into())), "maximum total selections of 1000"),
        (format!("{{ {} }}", fields(11, &|index| format!("a{index}: test {{ output }}"))), "at most 10 root fields, got 11"),
        (format!("{{ test {{ {} }} }}", fields(11, &|index| format!("a{index}: output"))), "at most 10 aliases, got 11"),
        (format!("{{ test {{ {} }} }}", fields(12, &|_| "output".into())), "at most 10 aliases, got 11"),
        (
            format!("{{ {} }}", fields(11, &|index| format!("... on Query {{ a{index}: test {{ output }} }}"))),
            "at most 10 root fields, got 11",
        ),
        (format!("{{ test(inputString: \"{}\") {{ output }} }}", "x".repeat(100_000)), "100000 are the most"),
        (fragments(200), "maximum total selections of 1000"),
        (fragments(200).replace("{ test { ...f0 } }", "{ test { output } }"), "maximum total selections of 1000"),
    ] {
        let answer = asked(&server, &document, json!({}));
        let told = answer["errors"].to_string();
        assert!(answer["data"].is_null() && told.contains(words), "{document:.60} {words}: {told:.300}");
    }
    let allowed = format!("{{ test(inputString: \"x\") {{ {} }} }}", fields(10, &|index| format!("a{index}: output")));
    assert_eq!(data(&server, &allowed, json!({}))["test"]["a9"], "x");

    let server = Server::with(Options { body_limit: 1000, ..Options::default() });
    let body = json!({ "query": "{ test { output } }", "variables": { "a": "x".repeat(2000) } }).to_string();
    let answer = server.ask("POST", "/graphql", &[], body.as_bytes());
    assert_eq!((answer.status, &answer.json()["error_code"]), (400, &json!("BAD_REQUEST")));
}

#[test]
fn foreign_pages_may_not_ask() {
    let server = Server::start();
    let body = json!({ "query": "{ test { output } }" }).to_string();
    let answer = server.ask("POST", "/graphql", &[("origin", "https://evil.example")], body.as_bytes());
    assert_eq!((answer.status, answer.text().as_str()), (403, "Cross-origin request blocked"));
    assert_eq!(server.ask("POST", "/graphql", &[("host", "evil.example")], body.as_bytes()).status, 403);
}
