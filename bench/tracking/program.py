"""The binary that is measured, its processes, and the head of a record."""

import contextlib
import datetime
import json
import os
import subprocess
from pathlib import Path

from compare import surroundings


def begun(name, root, anmok, python=None):
    """What a record says of when, how and on what it was made; `python` is one with mlflow."""
    machine = surroundings.machine(None)
    return {
        "begin": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": surroundings.command(name),
        "machine": {key: value for key, value in machine.items() if value is not None},
        "versions": versions(root, anmok, python),
        "load_before": surroundings.load(),
    }


def versions(root, anmok, python):
    found = surroundings.versions(root, anmok, None)
    if python:
        ask = "import importlib.metadata, platform; print(importlib.metadata.version('mlflow'), platform.python_version())"
        found["mlflow"], found["python"] = subprocess.check_output([python, "-c", ask], text=True).split()
    return found


def record_folder(root, content, kind):
    """Where a record lies, unless somebody names another place."""
    return root / f"bench/runs/{content['begin'][:10]}-{surroundings.slug(content['machine'])}-{kind}"


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


def write(folder, name, content):
    """One file of a record: measuring it again replaces it and leaves the others."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def cpu_seconds(uri):
    """CPU time of all processes of the server so far."""
    # Behind the name, which may hold anything: fields 14 and 15 of proc(5) are what user and system took.
    ticks = (map(int, text.rpartition(")")[2].split()[11:13]) for text in texts_of_processes(uri, "stat"))
    return sum(map(sum, ticks)) / os.sysconf("SC_CLK_TCK")


def of_processes(uri, file, field):
    for text in texts_of_processes(uri, file):
        yield next(int(line.split()[1]) for line in text.splitlines() if line.startswith(field))


def texts_of_processes(uri, file):
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(path.parent.name)) == uri.process.pid:
                yield path.read_text()
