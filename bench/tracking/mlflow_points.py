"""Logs points with MLflow's client, asynchronously: `mlflow_points.py URI POINTS BATCH`. Part of bench/compare-logging."""

import json
import sys
import time

import mlflow
from mlflow.entities import Metric

uri, points, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
mlflow.set_tracking_uri(uri)
client = mlflow.MlflowClient()
run_id = client.create_run("0").info.run_id
# At once, for a reader that does not wait for the rest.
print(json.dumps({"run_id": run_id}), flush=True)
begin = time.perf_counter()
waiting = []
if batch == 1:
    for step in range(points):
        waiting.append(client.log_metric(run_id, "loss", float(step), step=step, synchronous=False))
else:
    for first in range(0, points, batch):
        stamp = int(time.time() * 1000)
        metrics = [Metric("loss", float(step), stamp, step) for step in range(first, min(first + batch, points))]
        waiting.append(client.log_batch(run_id, metrics=metrics, synchronous=False))
logged = time.perf_counter() - begin
print(json.dumps({"logged_s": logged}), flush=True)
for one in waiting:
    one.wait()
delivered = time.perf_counter() - begin
print(json.dumps({"delivered_s": delivered}))
