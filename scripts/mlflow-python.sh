#!/usr/bin/env bash
# Prints the path of a Python with MLflow, for scripts/mlflow-compare: that of the repository's own .test-env/mlflow, which is
# made on first use (1 GB) from scripts/mlflow-requirements.txt; `mlflow-python.sh 2` is one with the newest MLflow 2.
set -euo pipefail

python=$("$(dirname "$0")/test-env.sh" "mlflow${1:-}")
"$python" -c 'import mlflow, sys; print("MLflow", mlflow.__version__, "Python", *sys.version_info[:2])' >&2
echo "$python"
