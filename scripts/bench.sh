#!/usr/bin/env bash
# Times a training step of each network, Anmok and PyTorch in turn, so that both see the same machine in the same state.
# PyTorch is taken from ANMOK_TEST_PYTHON or .test-env/torch (`make parity` makes it); without one Anmok is timed alone.
# Environment: THREADS (2), BATCH (64), ROUNDS (3), MODELS, STEMS, MODES (channels_last; also eager, compile).
set -euo pipefail
cd "$(dirname "$0")/.."

threads=${THREADS:-2} batch=${BATCH:-64} rounds=${ROUNDS:-3}
python=${ANMOK_TEST_PYTHON:-$PWD/.test-env/torch/bin/python}
cargo build --release --locked -p anmok-engine --example step_time

echo "commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown), $(rustc --version), $(uname -sm), $threads threads, batch $batch"
grep -m1 'model name' /proc/cpuinfo 2>/dev/null || sysctl -n machdep.cpu.brand_string 2>/dev/null || true
if [ -x "$python" ]; then
    "$python" -c 'import torch, torchvision; print("torch", torch.__version__, "torchvision", torchvision.__version__)'
else
    echo "no PyTorch here: Anmok alone (see scripts/torch-python.sh)"
fi

for model in ${MODELS:-mobilenet_v3_small mobilenet_v3_large resnet18}; do
    for stem in ${STEMS:-imagenet}; do
        for round in $(seq "$rounds"); do
            label="$model $stem round $round"
            target/release/examples/step_time "$model" "$threads" "$batch" "$stem" | sed -n "s/^\(step\|infer\): /$label anmok \1: /p"
            [ -x "$python" ] || continue
            for mode in ${MODES:-channels_last}; do
                OMP_NUM_THREADS=$threads "$python" bench/torch_step.py "$model" "$threads" "$batch" "$stem" "$mode" | sed "s/^/$label torch $mode /"
            done
        done
    done
done
