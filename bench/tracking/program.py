"""The binary that is measured, and its processes."""

import contextlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

# Options that say where something lies on this machine, which is no part of a record.
PLACES = ("--anmok", "--python", "--out")


def command(name):
    """How this program was called, without its places."""
    words = iter(sys.argv[1:])
    kept = []
    for word in words:
        if word in PLACES:
            next(words, None)
        elif not word.startswith(tuple(f"{place}=" for place in PLACES)):
            kept.append(word)
    return shlex.join([name, *kept])


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
