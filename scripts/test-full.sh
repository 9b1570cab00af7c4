#!/usr/bin/env bash
# All tests, and those that need real PyTorch: the state dicts in both directions, the parity ladder on fresh goldens, and a
# model that Anmok trained, loaded by torchvision; and MLflow's clients of both major versions against the server.
set -euo pipefail
cd "$(dirname "$0")/.."

ANMOK_TEST_PYTHON=$(scripts/torch-python.sh)
export ANMOK_TEST_PYTHON
cargo test --workspace --no-fail-fast
scripts/parity.sh
cargo build --release --locked
"$ANMOK_TEST_PYTHON" scripts/torchvision_agrees.py target/release/anmok
scripts/test-mlflow.sh full
