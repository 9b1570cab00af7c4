"""The model registry: names, versions, aliases, stages."""

import mlflow
from mlflow.tracking import MlflowClient

from .searches import pages


def tell(recorder) -> None:
    step, client = recorder.step, MlflowClient()
    run = client.search_runs([mlflow.get_experiment_by_name("models").experiment_id], "run_name = 'fit'")[0].info
    source = f"runs:/{run.run_id}/model"
    step("create_registered_model", lambda: client.create_registered_model("classifier", tags={"task": "vision", "한글": "값"}, description="Of **images**"))
    step("create_registered_model again", lambda: client.create_registered_model("classifier"))
    step("create_registered_model, an empty name", lambda: client.create_registered_model(""))
    step("create_registered_model, a wrong name", lambda: client.create_registered_model("a/b:c"))
    step("register_model", lambda: mlflow.register_model(source, "classifier", tags={"from": "run"}))
    step("register_model, a new name", lambda: mlflow.register_model(source, "한글 모델"))
    step("register_model, a second version", lambda: mlflow.register_model(source, "classifier"))
    step("create_model_version", lambda: client.create_model_version("classifier", run.artifact_uri + "/model", run.run_id, tags={"k": "v"}, description="By hand", run_link="https://example.com/run"))
    step("create_model_version, foreign source", lambda: client.create_model_version("classifier", "s3://bucket/model"))
    for text in ("/etc/passwd", "file:///etc/passwd", "mlflow-artifacts:/../x", "models:/classifier/1", "http://example.com/../x", ""):
        step(f"create_model_version, source {text}", lambda: client.create_model_version("classifier", text, run.run_id))
    step("create_model_version of no model", lambda: client.create_model_version("none", run.artifact_uri + "/model", run.run_id))
    step("get_registered_model", lambda: client.get_registered_model("classifier"))
    step("get_model_version", lambda: client.get_model_version("classifier", "1"))
    step("get_model_version_download_uri", lambda: client.get_model_version_download_uri("classifier", "1"))
    step("load_model by version", lambda: mlflow.pyfunc.load_model("models:/classifier/1").predict([[1.0, 2.0]]).round(6))
    step("update_registered_model", lambda: client.update_registered_model("classifier", "Better words"))
    step("update_model_version", lambda: client.update_model_version("classifier", "2", "The second"))
    step("set_registered_model_tag", lambda: client.set_registered_model_tag("classifier", "owner", "jiwoo"))
    step("delete_registered_model_tag", lambda: client.delete_registered_model_tag("classifier", "task"))
    step("delete_registered_model_tag of none", lambda: client.delete_registered_model_tag("classifier", "none"))
    step("set_model_version_tag", lambda: client.set_model_version_tag("classifier", "1", "checked", "yes"))
    step("set_model_version_tag by stage", lambda: client.set_model_version_tag("classifier", None, "a", "b", stage="None"))
    step("delete_model_version_tag", lambda: client.delete_model_version_tag("classifier", "1", "checked"))
    step("delete_model_version_tag of none", lambda: client.delete_model_version_tag("classifier", "1", "none"))
    aliases(step, client)
    stages(step, client)
    searches(step, client, run.run_id)
    endings(step, client)


def aliases(step, client) -> None:
    step("set_registered_model_alias", lambda: client.set_registered_model_alias("classifier", "champion", "1"))
    step("set_registered_model_alias, moved", lambda: client.set_registered_model_alias("classifier", "champion", "2"))
    step("set_registered_model_alias, another", lambda: client.set_registered_model_alias("classifier", "Challenger_2", "2"))
    step("get_model_version_by_alias", lambda: client.get_model_version_by_alias("classifier", "champion"))
    step("load_model by alias", lambda: mlflow.pyfunc.load_model("models:/classifier@champion").predict([[1.0, 2.0]]).round(6))
    step("get_registered_model with aliases", lambda: client.get_registered_model("classifier"))
    for alias in ("latest", "v3", "a b", "", "x" * 256, "none"):
        step(f"set_registered_model_alias {alias[:8]!r}", lambda: client.set_registered_model_alias("classifier", alias, "1"))
    step("set_registered_model_alias to no version", lambda: client.set_registered_model_alias("classifier", "ghost", "99"))
    step("get_model_version_by_alias latest", lambda: client.get_model_version_by_alias("classifier", "latest"))
    step("get_model_version_by_alias of none", lambda: client.get_model_version_by_alias("classifier", "nobody"))
    step("delete_registered_model_alias", lambda: client.delete_registered_model_alias("classifier", "none"))
    step("delete_registered_model_alias of none", lambda: client.delete_registered_model_alias("classifier", "nobody"))


def stages(step, client) -> None:
    step("transition to Staging", lambda: client.transition_model_version_stage("classifier", "1", "Staging"))
    step("transition to production, small letters", lambda: client.transition_model_version_stage("classifier", "2", "production"))
    step("transition and archive", lambda: client.transition_model_version_stage("classifier", "3", "Production", archive_existing_versions=True))
    step("transition to a wrong stage", lambda: client.transition_model_version_stage("classifier", "1", "Somewhere"))
    step("archive_existing_versions for None", lambda: client.transition_model_version_stage("classifier", "1", "None", archive_existing_versions=True))
    step("transition of no version", lambda: client.transition_model_version_stage("classifier", "99", "Staging"))
    # Those of all stages have no order of their own.
    step("get_latest_versions", lambda: in_order(client.get_latest_versions("classifier")), wire=False)
    step("get_latest_versions of a stage", lambda: client.get_latest_versions("classifier", ["Production"]))
    step("get_latest_versions of a wrong stage", lambda: client.get_latest_versions("classifier", ["Nowhere"]))
    step("get_latest_versions of none", lambda: client.get_latest_versions("none"))
    step("load_model by stage", lambda: mlflow.pyfunc.load_model("models:/classifier/Production").predict([[1.0, 2.0]]).round(6))


def in_order(versions) -> list:
    return sorted(versions, key=lambda version: int(version.version))


def searches(step, client, run_id: str) -> None:
    for text in ("", "name = 'classifier'", "name LIKE 'class%'", "name ILIKE '한글%'", "tags.owner = 'jiwoo'", "name = 3", "colour = 'a'", "name > 'a'", "tags.owner = 'a' or name = 'b'"):
        step(f"search_registered_models, filter {text}", lambda: client.search_registered_models(text))
    for order in (["name DESC"], ["last_updated_timestamp"], ["colour"], ["name ASC", "name DESC"]):
        step(f"search_registered_models, order {order}", lambda: [model.name for model in client.search_registered_models(order_by=order)])
    step("search_registered_models, pages", lambda: pages(lambda token: client.search_registered_models(max_results=1, page_token=token)))
    step("search_registered_models, max_results 1001", lambda: client.search_registered_models(max_results=1001))
    for text in (
        "", "name = 'classifier'", "name LIKE '%모델'", "tags.k = 'v'", f"run_id = '{run_id}'", "run_id IN ('a', 'b')", "version_number > 1", "version_number = 2",
        "source_path LIKE 'm%'", "current_stage = 'Production'", "name = 3", "colour = 'a'", "version_number = 'a'", "run_id IN ()",
    ):
        # The name of a step may not hold an id.
        shown = text.replace(run_id, "RUN")
        step(f"search_model_versions, filter {shown}", lambda: client.search_model_versions(text, order_by=["name ASC", "version_number ASC"]))
    for order in (["version_number DESC"], ["name", "version_number ASC"], ["creation_timestamp DESC"], ["last_updated_timestamp"], ["colour"]):
        step(f"search_model_versions, order {order}", lambda: [item.version for item in client.search_model_versions("name = 'classifier'", order_by=order)])
    step("search_model_versions, pages", lambda: pages(lambda token: client.search_model_versions(max_results=2, page_token=token, order_by=["name ASC", "version_number ASC"])))
    step("search_model_versions, max_results 0", lambda: client.search_model_versions(max_results=0))


def endings(step, client) -> None:
    step("delete_model_version", lambda: client.delete_model_version("classifier", "2"))
    step("get_model_version, deleted", lambda: client.get_model_version("classifier", "2"))
    step("get_registered_model after a deletion", lambda: client.get_registered_model("classifier"))
    step("delete_model_version of none", lambda: client.delete_model_version("classifier", "99"))
    step("get_model_version, no number", lambda: client.get_model_version("classifier", "one"))
    step("rename_registered_model", lambda: client.rename_registered_model("classifier", "detector"))
    step("rename_registered_model to a taken name", lambda: client.rename_registered_model("detector", "한글 모델"))
    step("rename_registered_model to the same", lambda: client.rename_registered_model("detector", "detector"))
    step("rename_registered_model of none", lambda: client.rename_registered_model("none", "other"))
    step("get_registered_model, renamed", lambda: client.get_registered_model("detector"))
    step("search_model_versions, renamed", lambda: client.search_model_versions("name = 'detector'", order_by=["version_number ASC"]))
    step("copy_model_version", lambda: client.copy_model_version("models:/detector/1", "copy"))
    step("delete_registered_model", lambda: client.delete_registered_model("detector"))
    step("delete_registered_model again", lambda: client.delete_registered_model("detector"))
    step("get_registered_model, deleted", lambda: client.get_registered_model("detector"))
    step("update_registered_model of none", lambda: client.update_registered_model("none", "words"))
    step("set_registered_model_tag of none", lambda: client.set_registered_model_tag("none", "a", "b"))
