"""What users do wrong, and what they are told: code, status and words."""

import requests
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

NO_RUN = "0" * 32

# Requests that the Python client would not send, but other clients do.
REQUESTS = (
    ("POST", "experiments/create", {}),
    ("POST", "experiments/create", {"name": 3}),
    ("POST", "experiments/create", {"name": "x", "tags": "y"}),
    ("POST", "experiments/create", {"name": "with dots", "artifact_location": "s3://b/../c"}),
    ("POST", "experiments/create", {"name": "with fragment", "artifact_location": "mlflow-artifacts:/a#b"}),
    ("POST", "experiments/search", {}),
    ("POST", "experiments/search", {"max_results": "many"}),
    ("GET", "experiments/search", {"max_results": "1"}),
    ("GET", "experiments/get", {}),
    ("GET", "experiments/get-by-name", {}),
    ("GET", "experiments/get", {"experiment_id": "abc"}),
    ("POST", "experiments/update", {"experiment_id": "0"}),
    ("POST", "experiments/set-experiment-tag", {"experiment_id": "0"}),
    ("POST", "runs/create", {"experiment_id": "0", "start_time": "123", "run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]}),
    ("POST", "runs/create", {"experiment_id": 0, "start_time": 123}),
    ("POST", "runs/create", {"experiment_id": "0", "tags": [{"key": "", "value": "b"}]}),
    ("POST", "runs/update", {"run_id": NO_RUN, "status": "FINISHED"}),
    ("POST", "runs/update", {"status": "FINISHED"}),
    ("POST", "runs/update", {"run_id": NO_RUN, "status": "DONE"}),
    ("GET", "runs/get", {}),
    ("GET", "runs/get", {"run_id": "no such/id"}),
    ("POST", "runs/log-metric", {"run_id": NO_RUN}),
    ("POST", "runs/log-metric", {"run_id": NO_RUN, "key": "a", "value": "x", "timestamp": 1}),
    ("POST", "runs/log-metric", {"run_id": NO_RUN, "key": "a", "value": 1}),
    ("POST", "runs/log-metric", {"run_id": NO_RUN, "key": "a/../b", "value": 1, "timestamp": 1}),
    ("POST", "runs/log-parameter", {"run_id": NO_RUN, "value": "a"}),
    ("POST", "runs/log-parameter", {"run_id": NO_RUN, "key": "a", "value": 3}),
    ("POST", "runs/log-batch", {"run_id": NO_RUN, "metrics": {"a": 1}}),
    ("POST", "runs/log-batch", {"run_id": NO_RUN, "metrics": [{"key": "a"}]}),
    ("POST", "runs/log-batch", {}),
    ("POST", "runs/set-tag", {"run_id": NO_RUN, "value": "a"}),
    ("POST", "runs/delete-tag", {"run_id": NO_RUN, "key": "a"}),
    ("POST", "runs/search", {"experiment_ids": "1"}),
    ("POST", "runs/search", {"experiment_ids": ["0"], "max_results": -1}),
    ("POST", "runs/search", {"experiment_ids": ["0"], "run_view_type": "SOME"}),
    ("GET", "metrics/get-history", {"run_id": NO_RUN}),
    ("GET", "metrics/get-history", {"run_id": NO_RUN, "metric_key": "a", "max_results": "0"}),
    ("GET", "artifacts/list", {}),
    ("GET", "registered-models/get", {}),
    ("GET", "registered-models/search", {"max_results": "0"}),
    ("GET", "model-versions/get", {"name": "none"}),
    ("GET", "model-versions/get", {"name": "none", "version": "1"}),
    ("GET", "model-versions/search", {"max_results": "200001"}),
    ("POST", "logged-models/search", {}),
    ("POST", "logged-models", {}),
    ("GET", "no-such-endpoint", {}),
    ("GET", "runs/create", {}),
    # The last one: MLflow's refusal holds the id of a run that was never made.
    ("POST", "runs/create", {}),
)


def tell(recorder) -> None:
    step, client = recorder.step, MlflowClient()
    run = step("mistakes: a run", lambda: client.create_run("0", start_time=1, run_name="mistakes")).info.run_id
    step("mistakes: log_param", lambda: client.log_param(run, "p", "1"))
    step("log_param, another value", lambda: client.log_param(run, "p", "2"))
    step("log_batch, another value", lambda: client.log_batch(run, params=[Param("q", "1"), Param("p", "3")]))
    step("log_batch, a parameter twice", lambda: client.log_batch(run, params=[Param("r", "1"), Param("r", "2")]))
    step("log_batch left nothing", lambda: client.get_run(run))
    step("log_batch, 1001 metrics", lambda: client.log_batch(run, [Metric("m", 1, 1, index) for index in range(1001)]))
    step("log_batch, 101 parameters", lambda: client.log_batch(run, params=[Param(f"p{index}", "1") for index in range(101)]))
    step("log_batch, 101 tags", lambda: client.log_batch(run, tags=[RunTag(f"t{index}", "1") for index in range(101)]))
    for key in ("", "a" * 251, "a//b", "../a", "/a", "a/./b", "bad*key", "한글"):
        step(f"log_metric, key {key[:8]!r}", lambda: client.log_metric(run, key, 1.0, timestamp=1))
        step(f"log_param, key {key[:8]!r}", lambda: client.log_param(run, key, "v"))
        step(f"set_tag, key {key[:8]!r}", lambda: client.set_tag(run, key, "v"))
    step("log_metric, text", lambda: client.log_metric(run, "m", "high"))
    step("delete_tag of none", lambda: client.delete_tag(run, "none"))
    for name, act in (
        ("get_run", lambda: client.get_run(NO_RUN)),
        ("log_metric", lambda: client.log_metric(NO_RUN, "m", 1.0)),
        ("log_batch", lambda: client.log_batch(NO_RUN, [Metric("m", 1, 1, 1)])),
        ("set_tag", lambda: client.set_tag(NO_RUN, "t", "v")),
        ("delete_run", lambda: client.delete_run(NO_RUN)),
        ("restore_run", lambda: client.restore_run(NO_RUN)),
        ("set_terminated", lambda: client.set_terminated(NO_RUN)),
        ("get_metric_history", lambda: client.get_metric_history(NO_RUN, "m")),
    ):
        step(f"{name} of an unknown run", act)
    for name, act in (
        ("get_experiment", lambda: client.get_experiment("12345")),
        ("create_run", lambda: client.create_run("12345")),
        ("delete_experiment", lambda: client.delete_experiment("12345")),
        ("restore_experiment", lambda: client.restore_experiment("12345")),
        ("rename_experiment", lambda: client.rename_experiment("12345", "a")),
        ("set_experiment_tag", lambda: client.set_experiment_tag("12345", "a", "b")),
    ):
        step(f"{name} of an unknown experiment", act)
    step("create_experiment, taken", lambda: client.create_experiment("Default"))
    step("create_experiment, empty", lambda: client.create_experiment(""))
    step("create_experiment, long", lambda: client.create_experiment("n" * 501))
    step("rename_experiment, taken", lambda: client.rename_experiment("1", "Default"))
    step("set_experiment_tag, long", lambda: client.set_experiment_tag("1", "k", "v" * 20001))
    for index, (method, path, message) in enumerate(REQUESTS):
        step(f"request {index}: {method} {path} {message}", lambda: asked(recorder.uri, method, path, message))
    step("request: no JSON", lambda: requests.post(f"{recorder.uri}/api/2.0/mlflow/runs/create", data="{", timeout=60).status_code)
    step("request: health", lambda: requests.get(f"{recorder.uri}/health", timeout=60).text)
    step("request: version", lambda: requests.get(f"{recorder.uri}/version", timeout=60).text)
    step("request: foreign host", lambda: requests.get(f"{recorder.uri}/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": "evil.example"}, timeout=60).text)
    step("request: foreign origin", lambda: requests.post(f"{recorder.uri}/api/2.0/mlflow/experiments/search", headers={"Origin": "http://evil.example"}, json={}, timeout=60).text)


def asked(uri: str, method: str, path: str, message: dict) -> int:
    body = {"params": message} if method == "GET" else {"json": message}
    return requests.request(method, f"{uri}/api/2.0/mlflow/{path}", **body, timeout=60).status_code
