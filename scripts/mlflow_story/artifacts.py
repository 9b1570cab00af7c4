"""Files: up, listed, down again."""

import mlflow
from mlflow.tracking import MlflowClient


def tell(recorder) -> None:
    step, client, folder = recorder.step, MlflowClient(), recorder.folder
    mlflow.set_experiment("artifacts")
    run = step("artifacts: start_run", lambda: mlflow.start_run(run_name="files"))
    run_id = run.info.run_id
    (folder / "notes.txt").write_text("첫 줄\nsecond\n")
    (folder / "bytes.bin").write_bytes(bytes(range(256)) * 64)
    (folder / "empty").write_bytes(b"")
    tree = folder / "tree"
    (tree / "inner" / "deep").mkdir(parents=True)
    (tree / "a b#%+&=.txt").write_text("an odd name")
    (tree / "inner" / "한글.txt").write_text("안목")
    (tree / "inner" / "deep" / "x.json").write_text("{}")

    step("list_artifacts of a run without any", lambda: client.list_artifacts(run_id))
    step("log_artifact", lambda: mlflow.log_artifact(folder / "notes.txt"))
    step("log_artifact into a folder", lambda: mlflow.log_artifact(folder / "bytes.bin", "raw/data"))
    step("log_artifact, empty", lambda: mlflow.log_artifact(folder / "empty"))
    step("log_artifacts", lambda: mlflow.log_artifacts(tree, "tree"))
    step("log_text", lambda: mlflow.log_text("# Title", "docs/readme.md"))
    step("log_dict, json", lambda: mlflow.log_dict({"a": [1, 2.5, None], "한글": True}, "config.json"))
    step("log_dict, yaml", lambda: mlflow.log_dict({"a": 1}, "config.yaml"))
    step("log_image", lambda: log_image())
    step("log_image with key and step", lambda: log_stepped_image())
    step("log_figure", lambda: log_figure())
    step("log_table", lambda: mlflow.log_table({"question": ["a", "b"], "score": [1, 2]}, "table.json"))
    step("log_artifact over another", lambda: mlflow.log_text("replaced", "notes.txt"))
    step("get_artifact_uri", lambda: mlflow.get_artifact_uri("docs"))
    step("end_run of files", mlflow.end_run)

    for path in (None, "tree", "tree/inner", "tree/inner/deep", "notes.txt", "none", "../", "/etc", "raw/", "tree/../raw"):
        step(f"list_artifacts {path}", lambda: listed(client, run_id, path))
    for path in ("notes.txt", "raw/data/bytes.bin", "empty", "tree/a b#%+&=.txt", "tree/inner/한글.txt", "none.txt", "../secret", "docs/../notes.txt"):
        step(f"download_artifacts {path}", lambda: downloaded(folder, run_id, path))
    step("download_artifacts, a folder", lambda: downloaded(folder, run_id, "tree"))
    step("load_text", lambda: mlflow.artifacts.load_text(f"runs:/{run_id}/docs/readme.md"))
    step("load_dict", lambda: mlflow.artifacts.load_dict(f"runs:/{run_id}/config.json"))
    step("load_image", lambda: mlflow.artifacts.load_image(f"runs:/{run_id}/image.png").size)
    step("load_table", lambda: mlflow.load_table("table.json", run_ids=[run_id]).to_dict())
    step("list_artifacts of an unknown run", lambda: client.list_artifacts("0" * 32))
    step("the run with files", lambda: client.get_run(run_id))
    for path in ("", "none", "../x", "/x", "a%2e%2e/b"):
        step(f"the proxy's listing {path!r}", lambda: plain_get(recorder, f"/api/2.0/mlflow-artifacts/artifacts?path={path}"))
    for path in ("none", "..%2fx", "a/%2e%2e/b", "a%5c..%5cb", "%2fetc%2fpasswd", "a%23b"):
        step(f"the proxy's file {path!r}", lambda: plain_get(recorder, f"/api/2.0/mlflow-artifacts/artifacts/{path}"))
    step("get-artifact", lambda: plain_get(recorder, f"/get-artifact?run_id={run_id}&path=notes.txt"))
    step("get-artifact of none", lambda: plain_get(recorder, f"/get-artifact?run_id={run_id}&path=none"))
    step("get-artifact, html is a download", lambda: plain_get(recorder, f"/get-artifact?run_uuid={run_id}&path=docs/readme.md"))


def listed(client, run_id: str, path):
    # Folders have no order of their own.
    return sorted(((item.path, item.is_dir, item.file_size) for item in client.list_artifacts(run_id, path)), key=str)


def downloaded(folder, run_id: str, path: str) -> dict:
    import hashlib
    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory(dir=folder, prefix="down") as target:
        place = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=target))
        files = [place] if place.is_file() else sorted(item for item in place.rglob("*") if item.is_file())
        return {str(file.relative_to(target)): hashlib.sha1(file.read_bytes()).hexdigest()[:12] for file in files}


def plain_get(recorder, path: str):
    import requests

    answer = requests.get(recorder.uri + path, timeout=60)
    return answer.json() if answer.headers.get("Content-Type") == "application/json" else answer.text[:200]


def log_image() -> None:
    import numpy

    mlflow.log_image(numpy.arange(48, dtype=numpy.uint8).reshape(4, 4, 3), "image.png")


def log_stepped_image() -> None:
    # Its file's name holds the time and a random id: only that it succeeds can be compared.
    import numpy

    mlflow.log_image(numpy.zeros((4, 4, 3), dtype=numpy.uint8), key="sample", step=1, timestamp=1000, synchronous=True)


def log_figure() -> None:
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2, 4])
    mlflow.log_figure(figure, "figure.png")
