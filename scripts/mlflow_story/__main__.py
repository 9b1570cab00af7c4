"""Tells the whole story to one server and writes the answers as JSON."""

import argparse
import json
import logging
import os
import pathlib
import tempfile
import time
import warnings


def main() -> None:
    parser = argparse.ArgumentParser(prog="mlflow_story", description="Drives a fresh tracking server with MLflow's Python client.")
    parser.add_argument("uri", help="the server, such as http://127.0.0.1:5000")
    parser.add_argument("--out", required=True, help="the file for the answers")
    arguments = parser.parse_args()

    # Before mlflow is imported, which reads some of them once. No answer of a server should be asked for twice.
    os.environ.update(
        MLFLOW_TRACKING_URI=arguments.uri,
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
    )
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")

    from . import artifacts, mistakes, models, registry, runs, searches
    from .recorder import Recorder

    with tempfile.TemporaryDirectory(prefix="mlflow-story-") as folder:
        recorder = Recorder(arguments.uri, pathlib.Path(folder))
        for chapter in (runs, searches, artifacts, models, registry, mistakes):
            began = time.monotonic()
            chapter.tell(recorder)
            print(f"{chapter.__name__.rpartition('.')[2]}: {time.monotonic() - began:.1f} s", flush=True)
    pathlib.Path(arguments.out).write_text(json.dumps(recorder.answers, indent=1, ensure_ascii=False))


main()
