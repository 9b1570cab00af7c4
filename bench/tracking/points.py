"""Points of one run as fast as possible, by each client to each server."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from mlflow_story import servers
from tracking import program

SINGLE = "MLflow, log_metric"
MLFLOW_POINTS = Path(__file__).with_name("mlflow_points.py")


def rows(options, folder):
    # MLflow's client in one process: each point for itself, and in batches of MLflow's limit.
    clients = {
        "Anmok": lambda uri, name: [options.anmok.parent / "examples/log_points", uri, folder / f"journals of {name}", str(options.points)],
        SINGLE: lambda uri, _: [options.python, MLFLOW_POINTS, uri, str(options.single_points), "1"],
        "MLflow, log_batch of 1000": lambda uri, _: [options.python, MLFLOW_POINTS, uri, str(options.points), "1000"],
    }
    starts = {
        "Anmok": lambda place, database: servers.anmok(str(options.anmok), place, database),
        "MLflow": lambda place, database: servers.official(options.python, place, database),
    }
    for server, start in starts.items():
        for client, command in clients.items():
            name = f"{client} to {server}"
            with start(folder / name, f"sqlite:///{folder / name}.db") as uri:
                figures = measured(command(uri, name), folder, options.longest)
                # Before anything is read back, which costs the server its own time.
                figures["server_cpu_s"] = program.cpu_seconds(uri)
                stored = stored_points(options.anmok, uri, figures.pop("run_id"))
                points = options.single_points if client == SINGLE else options.points
                wrong = figures["finished"] and stored != points
                yield {"server": server, "client": client, "points": points, **figures, "stored": stored, "wrong": wrong}


def measured(command, folder, longest):
    """What a client says of its times, in lines of JSON, and what it needed; it is ended where it takes longer."""
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(command, cwd=folder, env=servers.environment(), stdout=said)
        deadline = time.monotonic() + longest
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                process.kill()
                _, _, usage = os.wait4(process.pid, 0)
                break
            time.sleep(0.01)
        process.returncode = os.waitstatus_to_exitcode(status) if pid else -9
        said.seek(0)
        figures = {key: value for line in said for key, value in json.loads(line).items()}
    if pid and process.returncode != 0:
        raise SystemExit(f"{command[0]} failed")
    return {
        **figures,
        "finished": bool(pid),
        "longest_s": longest,
        "client_cpu_s": usage.ru_utime + usage.ru_stime,
        "client_peak_mib": usage.ru_maxrss / 1024,
    }


def stored_points(anmok, uri, run_id):
    # In a process of its own: what a process starts is told to have had at least its memory (getrusage).
    count = "import json, sys; print(len({point['step'] for point in json.load(sys.stdin)['history']['loss']}))"
    show = [anmok, "runs", "show", run_id, "--json", "--history", "--tracking-uri", uri]
    shown = subprocess.Popen(show, env=servers.environment(), stdout=subprocess.PIPE)
    with shown.stdout:
        return int(subprocess.check_output([sys.executable, "-c", count], stdin=shown.stdout))
