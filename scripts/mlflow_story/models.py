"""Models of scikit-learn: logged, loaded, searched for; autolog."""

import mlflow
from mlflow.tracking import MlflowClient


def tell(recorder) -> None:
    import numpy
    from sklearn.linear_model import LinearRegression

    step, client = recorder.step, MlflowClient()
    mlflow.set_experiment("models")
    inputs = numpy.arange(12, dtype=numpy.float64).reshape(6, 2)
    targets = inputs @ [2.0, -1.0] + 3
    model = LinearRegression().fit(inputs, targets)
    run = step("models: start_run", lambda: mlflow.start_run(run_name="fit"))
    run_id = run.info.run_id
    step("models: log_params", lambda: mlflow.log_params({"fit_intercept": True}))
    info = step("log_model", lambda: log_model(model, "model", input_example=inputs[:2]))
    step("models: log_metric", lambda: mlflow.log_metric("mse", 0.5, step=1, timestamp=1000))
    second = step("log_model, a second", lambda: log_model(model, "second"))
    step("models: end_run", mlflow.end_run)
    step("models: get_run", lambda: client.get_run(run_id))
    step("models: the run's files", lambda: sorted((item.path, item.is_dir) for item in client.list_artifacts(run_id)))
    step("load_model by run", lambda: mlflow.sklearn.load_model(f"runs:/{run_id}/model").predict(inputs).round(6))
    step("load_model, pyfunc", lambda: mlflow.pyfunc.load_model(info.model_uri).predict(inputs).round(6))
    step("get_model_info", lambda: mlflow.models.get_model_info(info.model_uri).flavors["python_function"]["loader_module"])
    if hasattr(client, "search_logged_models"):
        logged_models(step, client, info.model_id, second.model_id, mlflow.get_experiment_by_name("models").experiment_id)
    autolog(recorder, inputs, targets)


def log_model(model, name: str, **more):
    # What it needs is named: mlflow would find out by loading it in a process of its own.
    major = int(mlflow.__version__.split(".")[0])
    named = {"name": name} if major >= 3 else {"artifact_path": name}
    return mlflow.sklearn.log_model(model, **named, pip_requirements=["scikit-learn"], **more)


def logged_models(step, client, first: str, second: str, experiment: str) -> None:
    step("get_logged_model", lambda: client.get_logged_model(first))
    step("set_logged_model_tags", lambda: client.set_logged_model_tags(first, {"quality": "good", "한글": "값"}))
    step("delete_logged_model_tag", lambda: client.delete_logged_model_tag(first, "quality"))
    step("delete_logged_model_tag of none", lambda: client.delete_logged_model_tag(first, "none"))
    step("log_model_params", lambda: client.log_model_params(first, {"depth": "3", "width": "8"}))
    step("list_logged_model_artifacts", lambda: sorted(item.path for item in client.list_logged_model_artifacts(first)))
    step("create_logged_model", lambda: client.create_logged_model(experiment, name="by hand", params={"a": "1"}, tags={"t": "v"}, model_type="agent"))
    step("create_external_model", lambda: mlflow.create_external_model(name="outside", experiment_id=experiment, params={"b": "2"}))
    step("log_metric of a model", lambda: log_model_metric(client, first, experiment))
    step("get_logged_model with metrics", lambda: client.get_logged_model(first))
    step("finalize_logged_model", lambda: client.finalize_logged_model(second, "FAILED"))

    def search(**how):
        order = [{"field_name": "name", "ascending": True}, {"field_name": "creation_timestamp", "ascending": True}]
        return client.search_logged_models([experiment], **{"order_by": order, **how})

    for text in (
        "", "name = 'model'", "name LIKE 'm%'", "attributes.model_type = 'agent'", "params.depth = '3'", "tags.t = 'v'", "metrics.score > 0.5",
        "status = 'READY'", "status = 'FAILED'", "creation_timestamp > 0", "name ILIKE 'M%'", "name IN ('model', 'second')", "metrics.score > 'a'", "colour = 'a'", "name = 3", "name = 'a' or name = 'b'",
        f"source_run_id != 'a'",
    ):
        step(f"search_logged_models, filter {text}", lambda: search(filter_string=text))
    for field in ({"field_name": "metrics.score", "ascending": False}, {"field_name": "colour"}, {"field_name": "params.depth"}, {"field_name": "metrics.score", "dataset_name": "frame"}):
        step(f"search_logged_models, order {field}", lambda: search(order_by=[field, {"field_name": "name"}]))
    step("search_logged_models, pages", lambda: pages(lambda token: search(max_results=2, page_token=token)))
    step("search_logged_models by data set", lambda: search(datasets=[{"dataset_name": "frame"}]))
    step("search_logged_models by data set and digest", lambda: search(datasets=[{"dataset_name": "frame", "dataset_digest": "d"}], filter_string="metrics.score > 0"))
    step("mlflow.search_logged_models", lambda: len(mlflow.search_logged_models([experiment])))
    step("delete_logged_model", lambda: client.delete_logged_model(second))
    step("get_logged_model, deleted", lambda: client.get_logged_model(second))
    step("get_logged_model of none", lambda: client.get_logged_model("m-" + "0" * 32))
    step("finalize_logged_model of none", lambda: client.finalize_logged_model("m-" + "0" * 32, "READY"))
    step("log_model_params again, another value", lambda: client.log_model_params(first, {"depth": "4"}))
    step("create_logged_model in no experiment", lambda: client.create_logged_model("98765", name="lost"))
    step("create_logged_model, a wrong name", lambda: client.create_logged_model(experiment, name="a/b:c"))
    step("create_logged_model, an empty name", lambda: client.create_logged_model(experiment, name=""))
    step("create_logged_model without a name", lambda: client.create_logged_model(experiment).name.count("-"))


def log_model_metric(client, model_id: str, experiment: str) -> None:
    run_id = client.create_run(experiment, start_time=5, run_name="evaluation").info.run_id
    client.log_metric(run_id, "score", 0.75, timestamp=10, step=1, model_id=model_id, dataset_name="frame", dataset_digest="d")
    client.log_metric(run_id, "score", 0.5, timestamp=11, step=2, model_id=model_id)
    client.set_terminated(run_id, end_time=20)


def pages(ask) -> list:
    from .searches import pages

    return [[model.name for model in page] for page in pages(ask)]


def autolog(recorder, inputs, targets) -> None:
    from sklearn.linear_model import Ridge

    step, client = recorder.step, MlflowClient()
    mlflow.sklearn.autolog(log_models=False, silent=True)
    step("autolog: fit", lambda: Ridge(alpha=0.5).fit(inputs, targets).coef_.round(6), wire=False)
    mlflow.sklearn.autolog(disable=True, silent=True)
    step("autolog: the run", lambda: client.get_run(mlflow.last_active_run().info.run_id))
    step("autolog: its files", lambda: sorted(item.path for item in client.list_artifacts(mlflow.last_active_run().info.run_id)))
