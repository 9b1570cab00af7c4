#!/usr/bin/env bash
# Prints the path of a Python with MLflow, for scripts/mlflow-compare: that of the repository's own .test-env/mlflow, which is
# made on first use (1 GB) from scripts/mlflow-requirements.txt; `mlflow-python.sh 2` is one with the newest MLflow 2.
set -euo pipefail
cd "$(dirname "$0")/.."

name=mlflow${1:-}
requirements=scripts/$name-requirements.txt
folder=.test-env/$name
python=$PWD/$folder/bin/python
if ! cmp -s "$requirements" "$folder/installed"; then
    echo "making $folder (once)" >&2
    # Debian keeps what makes environments in a package of its own.
    if ! python3 -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv; } >&2
    fi
    python3 -m venv "$folder"
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" >&2
    cp "$requirements" "$folder/installed"
fi
"$python" -c 'import mlflow, sys; print("MLflow", mlflow.__version__, "Python", *sys.version_info[:2])' >&2
echo "$python"
