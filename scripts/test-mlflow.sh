#!/usr/bin/env bash
# MLflow's own Python client tells its story to MLflow's server and to ours (scripts/mlflow-compare). Where MLflow cannot be
# installed this is skipped by name; with CI=true that is a failure.
#
#     scripts/test-mlflow.sh          the pinned MLflow 3, SQLite
#     scripts/test-mlflow.sh full     and the newest client of MLflow 2
set -euo pipefail
cd "$(dirname "$0")/.."

skipped() {
    echo "SKIPPED scripts/mlflow-compare ($1): MLflow's Python client was not tried against anmok server" >&2
    [ "${CI:-}" != true ] || { echo "with CI=true that is a failure" >&2; exit 1; }
    exit 0
}
command -v python3 >/dev/null || skipped "there is no python3"
python=$(scripts/mlflow-python.sh) || skipped "MLflow could not be installed; see above"
scripts/mlflow-compare --python "$python"
if [ "${1:-}" = full ]; then
    client=$(scripts/mlflow-python.sh 2) || skipped "MLflow 2 could not be installed; see above"
    scripts/mlflow-compare --python "$python" --client "$client"
fi
