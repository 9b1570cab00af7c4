#!/usr/bin/env bash
# Prints the path of a Python with PyTorch and torchvision: ANMOK_TEST_PYTHON where it is set, else the one of the
# repository's own .test-env/torch, which is made on first use (several GB; pip's settings, such as an index with builds
# for the CPU alone, are taken from its own variables).
set -euo pipefail
cd "$(dirname "$0")/.."

python=${ANMOK_TEST_PYTHON:-$PWD/.test-env/torch/bin/python}
if [ ! -x "$python" ]; then
    if [ -n "${ANMOK_TEST_PYTHON:-}" ]; then
        echo "ANMOK_TEST_PYTHON is $ANMOK_TEST_PYTHON, which is no program" >&2
        exit 1
    fi
    echo "making .test-env/torch (once)" >&2
    python3 -m venv .test-env/torch
    "$python" -m pip install --quiet --requirement scripts/torch-requirements.txt >&2
fi
"$python" -c 'import torch, torchvision; print("PyTorch", torch.__version__, "torchvision", torchvision.__version__)' >&2
echo "$python"
