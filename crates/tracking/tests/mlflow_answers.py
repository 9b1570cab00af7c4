"""Makes runs in MLflow's own store and asks it for them, for `search.rs`.

    pip install mlflow-skinny==3.17.2 sqlalchemy alembic && python mlflow_answers.py > mlflow_answers.json
"""

import json
import tempfile

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

# Start times differ, so that the order never depends on the random run ids.
RUNS = [
    {"name": "a", "start": 1000, "end": 5000, "status": 3, "user": "jiwoo",
     "metrics": [["acc", 0.5, 1, 1], ["acc", 0.7, 2, 2], ["loss", 1.5, 1, 1]],
     "params": {"lr": "0.1", "model": "resnet18"}, "tags": {"git": "abc", "note": "First"},
     "datasets": [["CIFAR10", "d1", "train"]]},
    {"name": "b", "start": 2000, "end": None, "status": 1, "user": "Minho",
     "metrics": [["acc", 0.9, 5, 1], ["loss", "nan", 1, 1]],
     "params": {"lr": "0.01", "model": "ResNet50"}, "tags": {"git": "abd"},
     "datasets": [["CIFAR10", "d1", "test"], ["CIFAR100", "d2", "validation"]]},
    {"name": "c", "start": 3000, "end": 3500, "status": 4, "user": "jiwoo",
     "metrics": [["acc", "nan", 1, 1]], "params": {"lr": "0.001"}, "tags": {"note": "first"}, "datasets": []},
    {"name": "d", "start": 4000, "end": 9000, "status": 5, "user": "me",
     "metrics": [["acc", 0.7, 1, 1], ["loss", "inf", 1, 1], ["val/acc", 0, 1, 1]],
     "params": {"model": "mobilenet_v3"}, "tags": {"git": "", "한글": "값 😀"}, "datasets": [["데이터 😀", "d3", "train"]]},
    {"name": "e", "start": 5000, "end": 5000, "status": 3, "user": "", "metrics": [], "params": {}, "tags": {}, "datasets": []},
    {"name": "f_x", "start": 6000, "end": 7000, "status": 3, "user": "jiwoo", "deleted": True,
     "metrics": [["acc", -1, 1, 1]], "params": {"lr": "10"}, "tags": {"git": "ABC"}, "datasets": []},
    {"name": "other", "start": 7000, "end": None, "status": 2, "user": "jiwoo", "experiment": "2",
     "metrics": [["acc", 0.8, 1, 1], ["loss", "-inf", 1, 1]], "params": {"lr": "0.1"}, "tags": {"git": "abc"}, "datasets": []},
]

FILTERS = [
    "", "metrics.acc > 0.5", "metrics.acc >= 0.7", "metrics.acc = 0.7", "metrics.acc != 0.7", "metrics.acc < 1", "metrics.acc <= -1",
    "metrics.loss > 1000", "metrics.loss < 0", "metrics.loss != 0", "metrics.loss = 0", "metrics.`val/acc` = 0", "metrics.none > 0",
    "metrics.acc > 0.5 and metrics.loss < 2", "params.lr = '0.1'", "params.lr != '0.1'", "params.lr LIKE '0.%'", "params.lr LIKE '%1'",
    "params.model LIKE 'res%'", "params.model ILIKE 'RES%'", "params.model LIKE 'mobilenet_v3'", "params.model LIKE '______18'",
    "params.lr IS NULL", "params.lr IS NOT NULL", "tags.git = 'abc'", "tags.git = ''", "tags.git != 'abc'", "tags.git LIKE 'ab_'",
    "tags.git ILIKE 'ABC'", "tags.note IS NULL and tags.git IS NOT NULL", "tags.한글 = '값 😀'", "tags.한글 LIKE '값%'", "tags.none IS NULL",
    "status = 'FINISHED'", "status != 'FINISHED'", "status LIKE 'F%'", "run_name = 'b'", "run_name LIKE '%\\_%'", "run_name LIKE '_'",
    "run_name ILIKE 'OTH%'", "user_id = 'jiwoo'", "user_id LIKE 'm%'", "user_id ILIKE 'm%'", "start_time > 2000", "start_time <= 2000",
    "start_time = 3000.0", "start_time != 3000", "end_time < 6000", "end_time != 5000", "end_time > 0", "tags.mlflow.runName = 'a'",
    "datasets.name = 'CIFAR10'", "datasets.name LIKE 'CIFAR%'", "datasets.name ILIKE 'cifar1__'", "datasets.name = '데이터 😀'",
    "datasets.name IN ('CIFAR100', '데이터 😀')", "datasets.digest = 'd1'", "datasets.context = 'train'", "datasets.context IN ('test', 'train')",
    "datasets.context != 'train'", "datasets.name != 'CIFAR10'", "datasets.digest NOT IN ('d1', 'd3')",
    "datasets.name = 'CIFAR10' and datasets.context = 'validation'", "artifact_uri LIKE '%artifacts'", "run_id IN ('none')",
]

ORDERS = [
    ["metrics.acc"], ["metrics.acc DESC"], ["metrics.loss"], ["metrics.loss DESC"], ["metrics.none"], ["params.lr"], ["params.lr DESC"],
    ["params.model ASC"], ["tags.git"], ["tags.git DESC"], ["tags.note", "metrics.acc DESC"], ["start_time"], ["start_time DESC"],
    ["end_time"], ["end_time DESC"], ["status"], ["status DESC", "start_time ASC"], ["run_name DESC"], ["user_id", "run_name"],
    ["metrics.`val/acc`", "params.lr", "tags.git DESC"],
]

VIEWS = {"ACTIVE_ONLY": ViewType.ACTIVE_ONLY, "DELETED_ONLY": ViewType.DELETED_ONLY, "ALL": ViewType.ALL}


def fill(store):
    for name in ["one", "two"]:
        store.create_experiment(name)
    for run in RUNS:
        made = store.create_run(run.get("experiment", "1"), run["user"], run["start"], [], run["name"])
        run_id = made.info.run_id
        metrics = [Metric(key, float(value), timestamp, step) for key, value, timestamp, step in run["metrics"]]
        params = [Param(*param) for param in run["params"].items()]
        store.log_batch(run_id, metrics, params, [RunTag(*tag) for tag in run["tags"].items()])
        inputs = [
            DatasetInput(Dataset(name, digest, "local", "x"), [InputTag("mlflow.data.context", context)])
            for name, digest, context in run["datasets"]
        ]
        store.log_inputs(run_id, inputs)
        store.update_run_info(run_id, run["status"], run["end"], None)
        if run.get("deleted"):
            store.delete_run(run_id)


def main():
    folder = tempfile.mkdtemp()
    store = SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", f"{folder}/artifacts")
    fill(store)
    questions = [(filter, order, "ACTIVE_ONLY") for filter in FILTERS for order in [["start_time"]]]
    questions += [("", order, view) for order in ORDERS for view in VIEWS]
    on_metrics = ["metrics.acc > 0", "metrics.acc != 0.7", "metrics.loss <= 1.5"]
    questions += [(filter, order, "ALL") for filter in on_metrics for order in ORDERS]
    queries = []
    for filter, order, view in questions:
        for experiments in [["1"], ["1", "2", "999"]]:
            found = store.search_runs(experiments, filter, VIEWS[view], 1000, order)
            queries.append([filter, order, view, experiments, [run.info.run_name for run in found]])
    print("{\n\"runs\": " + json.dumps(RUNS, ensure_ascii=False) + ",\n\"queries\": [")
    print(",\n".join(json.dumps(query, ensure_ascii=False) for query in queries))
    print("]\n}")


if __name__ == "__main__":
    main()
