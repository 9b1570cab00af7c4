"""Puts one experiment with runs, a picture, a trained model and its versions on a server, by MLflow's own client.

    python -m web_ui.fill URI WHERE        writes where everything is into the file WHERE, as JSON
"""

import json
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient

from .side import SIDE


def picture() -> bytes:
    """A PNG of a colour gradient, made without an imaging library."""
    rows = b"".join(b"\0" + b"".join(bytes((x * 8, y * 8, 128)) for x in range(SIDE)) for y in range(SIDE))
    chunks = (b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    parts = (struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def main() -> None:
    from sklearn.linear_model import LinearRegression

    mlflow.set_tracking_uri(sys.argv[1])
    client = MlflowClient()
    experiment_id = mlflow.set_experiment("pictures 그림").experiment_id
    runs = []
    for number, rate in enumerate((0.1, 0.01)):
        with mlflow.start_run(run_name=f"walked-{number}") as run, tempfile.TemporaryDirectory() as folder:
            mlflow.log_params({"learning_rate": rate, "optimizer": "adam"})
            for step in range(30):
                mlflow.log_metrics({"train_loss": 2 / (step + 1 + number), "test_accuracy": 0.5 + step / 100}, step=step)
            mlflow.set_tag("mlflow.note.content", "# A note\n\nwith **markdown**")
            (Path(folder) / "gradient.png").write_bytes(picture())
            mlflow.log_artifact(f"{folder}/gradient.png", "pictures")
            mlflow.log_dict({"classes": ["cat", "dog"]}, "classes.json")
            runs.append(run.info.run_id)
            if number == 0:
                model = LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
                logged = mlflow.sklearn.log_model(model, name="walked-line", pip_requirements=["scikit-learn"])
    for _ in range(2):
        version = mlflow.register_model(logged.model_uri, "walked-model").version
    client.set_registered_model_alias("walked-model", "champion", version)
    client.update_registered_model("walked-model", description="Walked through by a browser")
    where = {"experiment_id": experiment_id, "runs": runs, "model_id": logged.model_id, "model": "walked-model", "version": version}
    Path(sys.argv[2]).write_text(json.dumps(where))


if __name__ == "__main__":
    main()
