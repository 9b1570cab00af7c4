"""Searches over runs and experiments: filters, orders, pages."""

import mlflow
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.tracking import MlflowClient

FILTERS = (
    "",
    "metrics.accuracy > 0.5",
    "metrics.accuracy >= 0.6 and params.model = 'resnet18'",
    "metrics.`val/loss` <= 1.5",
    "metrics.accuracy != 0.6",
    "params.model LIKE 'res%'",
    "params.model ILIKE 'RES%'",
    "params.model != 'resnet18'",
    "params.depth IS NULL",
    "params.depth IS NOT NULL",
    "tags.team = '안목 😀'",
    "tags.`a key` = 'spaced'",
    "tags.team IS NULL",
    "attributes.status = 'FINISHED'",
    "attributes.run_name LIKE 'run-_'",
    "attributes.start_time > 1002",
    "end_time <= 2003",
    "run_name IN ('run-1')",
    "attributes.user_id = 'jiwoo'",
    "attributes.artifact_uri LIKE 'mlflow-artifacts%'",
    "datasets.name = 'd1'",
    "dataset.context IN ('train', 'test')",
    "metrics.accuracy > 0.1 AND metrics.accuracy < 0.9 AND tags.parity = 'even'",
)

WRONG_FILTERS = (
    "metrics.accuracy",
    "metrics.accuracy > '0.5'",
    "metrics.accuracy > 0.5 or params.model = 'a'",
    "params.model = 0.5",
    "params.model = resnet18",
    "params.model > 'a'",
    "tags.team = \"unclosed",
    "colour.red = 'a'",
    "attributes.colour = 'a'",
    "attributes.status > 'FINISHED'",
    "attributes.start_time LIKE 'a'",
    "metrics.accuracy IS NULL",
    "run_id IN 'a'",
    "run_id IN ()",
    "(metrics.accuracy > 0.5)",
    "= 3",
    "metrics.accuracy > 0.5 and",
)

ORDERS = (
    ["metrics.accuracy DESC"],
    ["metrics.accuracy"],
    ["metrics.`val/loss` ASC", "params.model DESC"],
    ["params.model"],
    ["tags.parity DESC", "attributes.start_time ASC"],
    ["attributes.end_time DESC"],
    ["run_name DESC"],
    ["status", "start_time"],
)

WRONG_ORDERS = (["metrics.accuracy UP"], ["colour"], ["metrics.accuracy", "metrics.accuracy"], ["attributes.colour"], [""])


def tell(recorder) -> None:
    step, client = recorder.step, MlflowClient()
    experiment = step("searches: create_experiment", lambda: client.create_experiment("searches"))
    step("searches: runs", lambda: make_runs(client, experiment))

    def runs(**how):
        return client.search_runs([experiment], **{"order_by": ["attributes.start_time"], **how})

    for text in FILTERS + WRONG_FILTERS:
        step(f"search_runs, filter {text}", lambda: runs(filter_string=text))
    for order in ORDERS + tuple(WRONG_ORDERS):
        step(f"search_runs, order {order}", lambda: runs(order_by=order))
    step("search_runs, pages", lambda: pages(lambda token: runs(max_results=3, page_token=token)))
    step("search_runs, max_results 0", lambda: runs(max_results=0))
    step("search_runs, max_results 50001", lambda: runs(max_results=50001))
    step("search_runs, a wrong token", lambda: runs(page_token="not a token"))
    step("search_runs of no experiment", lambda: client.search_runs([]))
    step("search_runs of an unknown experiment", lambda: client.search_runs(["12345"]))
    step("mlflow.search_runs, a table", lambda: table(experiment))
    search_experiments(step, client)


def make_runs(client, experiment: str) -> None:
    for index in range(8):
        run_id = client.create_run(experiment, start_time=1000 + index, run_name=f"run-{index}", tags={"mlflow.user": ("jiwoo", "Minho")[index % 2]}).info.run_id
        metrics = [Metric("accuracy", index / 10 if index != 6 else float("nan"), 1, 1), Metric("val/loss", 2 - index / 4, 1, 1)]
        params = [Param("model", ("resnet18", "ResNet50", "mobilenet_v3")[index % 3])] + ([Param("depth", str(index))] if index > 4 else [])
        tags = [RunTag("parity", ("even", "odd")[index % 2])] + ([RunTag("team", "안목 😀"), RunTag("a key", "spaced")] if index == 2 else [])
        client.log_batch(run_id, metrics[: index % 3 + 1], params, tags)
        client.log_inputs(run_id, [dataset(index)] if index < 3 else [])
        if index != 5:
            client.set_terminated(run_id, ("FINISHED", "FAILED")[index % 4 == 3], end_time=2000 + index)


def dataset(index: int):
    from mlflow.entities import Dataset, DatasetInput, InputTag

    tags = [InputTag("mlflow.data.context", ("train", "test", "validation")[index])]
    return DatasetInput(Dataset(f"d{index}", f"digest{index}", "local", "{}", schema='{"a": 1}', profile='{"rows": 3}'), tags)


def pages(ask) -> list:
    found, token = [], None
    while True:
        page = ask(token)
        found.append(list(page))
        token = page.token
        if not token:
            return found


def table(experiment: str):
    frame = mlflow.search_runs([experiment], order_by=["attributes.start_time DESC"])
    return {"columns": sorted(frame.columns), "rows": len(frame), "accuracy": [str(value) for value in frame["metrics.accuracy"]]}


def search_experiments(step, client) -> None:
    for text in (
        "", "name = 'story'", "name LIKE 's%'", "name ILIKE 'S%'", "name != 'story'", "attribute.name = 'other'", "tags.team = 'vision'",
        "tag.team LIKE 'v%'", "creation_time > 0", "last_update_time > 0 and name LIKE '%e%'", "lifecycle_stage = 'active'", "name > 'a'", "colour = 'a'", "name = 3",
        "creation_time = 'a'", "tags.team IS NULL",
    ):
        step(f"search_experiments, filter {text}", lambda: client.search_experiments(filter_string=text, order_by=["experiment_id"]))
    for order in (["name"], ["name DESC"], ["creation_time ASC", "experiment_id"], ["experiment_id DESC"], ["colour"], ["tags.team"]):
        step(f"search_experiments, order {order}", lambda: client.search_experiments(order_by=order))
    step("search_experiments, pages", lambda: pages(lambda token: client.search_experiments(max_results=1, page_token=token, order_by=["name"])))
    step("search_experiments, all", lambda: client.search_experiments(view_type=ViewType.ALL, order_by=["name"]))
    step("search_experiments, deleted", lambda: client.search_experiments(view_type=ViewType.DELETED_ONLY))
    step("search_experiments, max_results 0", lambda: client.search_experiments(max_results=0))
    step("search_experiments, max_results 1001", lambda: client.search_experiments(max_results=50001))
