"""Makes the goldens of the engine's tests with real PyTorch.

    python crates/engine/tests/golden/make.py [--out FOLDER] [--only NAME]

Each holds float64 reference values and, beside each, PyTorch's own largest float32 error against them (of three ways of
computing it): the tests demand of the engine an error of at most a few times that. How a tensor is stored is said in
`formula.py`; weights and images are not stored but come from a formula.
"""

import argparse
import json
from pathlib import Path

import torch

import networks
import ops
import optimizers


def write(path, golden):
    """One line per case or tensor, so that a difference between two goldens can be read."""
    text = json.dumps(golden, separators=(",", ":"), ensure_ascii=False)
    path.write_text(text.replace('{"name":', '\n{"name":') + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size} bytes", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for the JSON files")
    parser.add_argument("--only", default="", help="make only the goldens whose name starts with this")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the same sums in the same order on every machine of one kind

    makers = {"ops": ops.goldens, "optimizers": optimizers.goldens}
    for spec in networks.NETWORKS:
        makers[f"{spec[0]}_{spec[1]}"] = lambda spec=spec: networks.golden(*spec)
    for name, make in makers.items():
        if name.startswith(arguments.only):
            write(arguments.out / f"{name}.json", make())


if __name__ == "__main__":
    main()
