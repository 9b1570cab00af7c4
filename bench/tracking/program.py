"""The binary that is measured, and its processes."""

import contextlib
import os
import subprocess
from pathlib import Path


def built(root):
    """The release binary, as anybody builds it."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "anmok"], cwd=root, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release/anmok"


def resident_mib(uri):
    """Memory of all processes of the server at this address (each server is its own process group), what they share counted
    once. Linux alone tells."""
    return sum(of_processes(uri, "smaps_rollup", "Pss:")) / 1024


def resident_peak_mib(uri):
    """The most that the server's process has ever had."""
    return max(of_processes(uri, "status", "VmHWM:")) / 1024


def of_processes(uri, file, field):
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(path.parent.name)) == uri.process.pid:
                yield next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(field))
