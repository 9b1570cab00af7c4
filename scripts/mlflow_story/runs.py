"""A run's life: parameters, metrics, tags, inputs, deletion; and experiments."""

import math

import mlflow
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.tracking import MlflowClient


def tell(recorder) -> None:
    step, client = recorder.step, MlflowClient()
    step("the default experiment", lambda: client.get_experiment("0"))
    step("set_experiment makes one", lambda: mlflow.set_experiment("story"))
    step("set_experiment finds it", lambda: mlflow.set_experiment("story"))
    step("set_experiment_tag", lambda: mlflow.set_experiment_tag("team", "vision"))
    other = step("create_experiment", lambda: client.create_experiment("other", tags={"goal": "90 %", "한글": "안목 😀"}))
    step("get_experiment_by_name", lambda: mlflow.get_experiment_by_name("other"))
    step("get_experiment_by_name of none", lambda: mlflow.get_experiment_by_name("none"))
    step("set_experiment_tag of the other", lambda: client.set_experiment_tag(other, "goal", "95 %"))
    step("delete_experiment_tag", lambda: client.delete_experiment_tag(other, "goal"))
    step("rename_experiment", lambda: client.rename_experiment(other, "the other"))
    step("get_experiment after all", lambda: client.get_experiment(other))

    run = step("start_run", lambda: mlflow.start_run(run_name="first", tags={"stage": "draft"}, description="The first of all."))
    fill(step, client, run)
    child = step("start_run, nested", lambda: mlflow.start_run(run_name="child", nested=True))
    step("log_metric in the child", lambda: mlflow.log_metric("loss", 0.25, step=1, timestamp=1000))
    step("end_run of the child, failed", lambda: mlflow.end_run("FAILED"))
    step("end_run", mlflow.end_run)
    step("get_parent_run", lambda: mlflow.get_parent_run(child.info.run_id))
    step("get_run of the child", lambda: mlflow.get_run(child.info.run_id))
    step("get_run", lambda: mlflow.get_run(run.info.run_id))
    step("start_run again", lambda: mlflow.start_run(run_id=run.info.run_id))
    step("end_run again", lambda: mlflow.end_run("KILLED"))
    histories(step, client, run.info.run_id)
    unnamed = step("create_run without a name", lambda: client.create_run(other))
    step("create_run with start_time and tags", lambda: client.create_run(other, start_time=12345, tags={"mlflow.user": "jiwoo", "k": ""}, run_name="early"))
    step("update_run", lambda: client.update_run(unnamed.info.run_id, status="SCHEDULED", name="named now"))
    step("the tag of the name", lambda: client.get_run(unnamed.info.run_id))
    step("set_tag mlflow.runName", lambda: client.set_tag(unnamed.info.run_id, "mlflow.runName", "named by tag"))
    step("the name of the tag", lambda: client.get_run(unnamed.info.run_id))
    step("set_terminated", lambda: client.set_terminated(unnamed.info.run_id, "FINISHED", end_time=99999))
    step("set_terminated, read back", lambda: client.get_run(unnamed.info.run_id))
    deletions(step, client, other, unnamed.info.run_id)


def fill(step, client, run) -> None:
    run_id = run.info.run_id
    step("log_param", lambda: mlflow.log_param("learning_rate", 0.1))
    step("log_param, the same again", lambda: mlflow.log_param("learning_rate", 0.1))
    step("log_params", lambda: mlflow.log_params({"optimizer": "adam", "epochs": 3, "layers": [1, 2], "none": None, "a/b.c-d e:f": "odd name"}))
    step("log_param, long", lambda: mlflow.log_param("long", "x" * 6001))
    step("log_metric", lambda: mlflow.log_metric("loss", 1.5, step=0, timestamp=1000))
    step("log_metric without a step", lambda: mlflow.log_metric("accuracy", 0.5))
    for point, value in enumerate((1.0, 0.5, 0.75)):
        step(f"log_metric, step {point + 1}", lambda: mlflow.log_metric("loss", value, step=point + 1, timestamp=1001 + point))
    step("log_metric, a point twice", lambda: mlflow.log_metric("loss", 0.75, step=3, timestamp=1003))
    step("log_metric, an older step", lambda: mlflow.log_metric("loss", 9.0, step=-1, timestamp=2000))
    step("log_metrics", lambda: mlflow.log_metrics({"val/accuracy": 0.25, "f1": 1}, step=2, timestamp=1500))
    for name, value in (("nan", math.nan), ("infinity", math.inf), ("minus infinity", -math.inf), ("large", 1e300), ("tiny", 5e-324)):
        step(f"log_metric, {name}", lambda: client.log_metric(run_id, name, value, timestamp=7, step=0))
    step("set_tag", lambda: mlflow.set_tag("stage", "ready"))
    step("set_tags", lambda: mlflow.set_tags({"note": "한글 😀", "number": 3, "empty": "", "mlflow.note.content": "**bold**"}))
    step("set_tag, long", lambda: mlflow.set_tag("long", "y" * 8001))
    step("delete_tag", lambda: mlflow.delete_tag("number"))
    batch = [Metric("batch", value / 8, 100 + value, value) for value in range(50)]
    step("log_batch", lambda: client.log_batch(run_id, batch, [Param("from_batch", "1")], [RunTag("from_batch", "yes")]))
    step("log_batch of nothing", lambda: client.log_batch(run_id))
    step("log_input", lambda: log_inputs())
    step("active run, read back", lambda: mlflow.get_run(run_id))


def log_inputs() -> None:
    import numpy
    import pandas

    frame = pandas.DataFrame({"width": [1.0, 2.0, 4.0], "height": [1, 2, 3], "label": ["a", "b", "a"]})
    mlflow.log_input(mlflow.data.from_pandas(frame, source="https://example.com/train.csv", targets="label", name="frame"), context="training")
    array = numpy.arange(12, dtype=numpy.float32).reshape(3, 4)
    mlflow.log_input(mlflow.data.from_numpy(array, name="array"), context="test", tags={"split": "last"})


def histories(step, client, run_id: str) -> None:
    step("get_metric_history", lambda: client.get_metric_history(run_id, "loss"))
    step("get_metric_history of 50", lambda: client.get_metric_history(run_id, "batch"))
    step("get_metric_history, nan", lambda: client.get_metric_history(run_id, "nan"))
    step("get_metric_history of none", lambda: client.get_metric_history(run_id, "none"))


def deletions(step, client, other: str, run_id: str) -> None:
    step("delete_run", lambda: client.delete_run(run_id))
    step("delete_run, read back", lambda: client.get_run(run_id))
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
        step(f"search_runs, {view}", lambda: client.search_runs([other], run_view_type=getattr(ViewType, view), order_by=["attributes.start_time"]))
    step("log_metric to a deleted run", lambda: client.log_metric(run_id, "loss", 1.0))
    step("log_param to a deleted run", lambda: client.log_param(run_id, "p", 1))
    step("set_tag on a deleted run", lambda: client.set_tag(run_id, "t", "1"))
    step("restore_run", lambda: client.restore_run(run_id))
    step("restore_run, read back", lambda: client.get_run(run_id))
    step("delete_experiment", lambda: client.delete_experiment(other))
    step("delete_experiment, read back", lambda: client.get_experiment(other))
    step("delete_experiment again", lambda: client.delete_experiment(other))
    step("create_run in a deleted experiment", lambda: client.create_run(other))
    step("create_experiment with the name of a deleted one", lambda: client.create_experiment("the other"))
    step("set_experiment to a deleted one", lambda: mlflow.set_experiment("the other"))
    step("rename_experiment of a deleted one", lambda: client.rename_experiment(other, "again"))
    step("get_run of a deleted experiment", lambda: client.get_run(run_id))
    step("restore_experiment", lambda: client.restore_experiment(other))
    step("restore_experiment, read back", lambda: client.get_experiment(other))
    step("get_run of a restored experiment", lambda: client.get_run(run_id))
