"""The programs that a script calls: the binary that is tried out, and what others print."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The exit status of a script where a part of the comparison is not installed.
MISSING = 77


def binary() -> str:
    """ANMOK, or what `cargo build` makes."""
    return str(pathlib.Path(os.environ.get("ANMOK") or built()).resolve())


def built() -> str:
    subprocess.run(["cargo", "build", "--quiet", "--package", "anmok-cli"], cwd=ROOT, check=True)
    metadata = json.loads(output_of(["cargo", "metadata", "--format-version", "1", "--no-deps"]))
    return f"{metadata['target_directory']}/debug/anmok"


def output_of(command: list[str]) -> str:
    """What it prints; this program ends where it fails."""
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        sys.exit(result.returncode)
    return result.stdout.strip()


def mlflow_python() -> str:
    """A Python with MLflow, made on first use."""
    return output_of([str(ROOT / "scripts/mlflow-python.sh")])
