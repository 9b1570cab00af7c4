#!/usr/bin/env bash
# Makes the engine's goldens afresh with real PyTorch and runs the engine's tests against them.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(scripts/torch-python.sh)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" crates/engine/tests/golden/make.py --out "$folder"
ANMOK_GOLDEN_DIR=$folder cargo test -p anmok-engine --test ops --test optimizers --test parity
