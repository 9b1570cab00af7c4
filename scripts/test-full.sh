#!/usr/bin/env bash
# All tests, and those that need real PyTorch: the state dicts in both directions, the parity ladder on fresh goldens, and a
# model that Anmok trained, loaded by torchvision; the client of MLflow 2 against the server; and MLflow's web UI in a browser.
set -euo pipefail
cd "$(dirname "$0")/.."

ANMOK_TEST_PYTHON=$(scripts/torch-python.sh)
export ANMOK_TEST_PYTHON
scripts/mlflow-python.sh >/dev/null
scripts/azurite.sh || echo "without Azurite the test with it is skipped"
cargo test --workspace --no-fail-fast
scripts/parity.sh
cargo build --release --locked
"$ANMOK_TEST_PYTHON" scripts/torchvision_agrees.py target/release/anmok
# Exit status 77: something is not installed, which the program has named.
or_skipped() { "$@" || { [ $? = 77 ] && [ "${CI:-}" != true ] && echo "SKIPPED $1"; }; }
export ANMOK=target/release/anmok
or_skipped scripts/mlflow-compare --client "$(scripts/mlflow-python.sh 2)"
or_skipped scripts/web-ui-check
