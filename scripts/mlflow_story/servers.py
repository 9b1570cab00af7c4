"""Starts the two servers, and the PostgreSQL below them; whatever is started here ends here."""

import contextlib
import dataclasses
import glob
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

# The official server needs half a minute for a new database on a slow machine.
PATIENCE_S = 180


class Missing(Exception):
    """A part of the comparison is not on this machine."""


@dataclasses.dataclass
class Artifacts:
    """Where a server keeps the files that go through it, and the variables by which it gets there."""

    destination: str
    settings: dict


def environment() -> dict:
    """What servers and clients get of this process's environment: nothing that would steer them."""
    steering = ("MLFLOW_", "AWS_", "GOOGLE_", "AZURE_", "ANMOK_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true"}


def official(python: str, folder: pathlib.Path, database: str, artifacts: Artifacts | None = None, variables: dict | None = None):
    """MLflow's own server with one worker, as fast and as plain as it comes; gives its address."""
    settings = {
        **environment(),
        **(variables or {}),
        **(artifacts.settings if artifacts else {}),
        # Jobs are of language models: a second process, of which nothing is asked.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # Its workers are started as `uvicorn` and `python`.
        "PATH": f"{pathlib.Path(python).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return serving([python, "-m", "mlflow", "server", "--workers", "1"], folder, database, artifacts, settings)


def anmok(binary: str, folder: pathlib.Path, database: str, artifacts: Artifacts | None = None, options: tuple = ()):
    """Our server; gives its address."""
    settings = {**environment(), **(artifacts.settings if artifacts else {})}
    return serving([binary, "server", *options], folder, database.replace("+psycopg2", ""), artifacts, settings)


class Address(str):
    """Where a server answers, and the process (with its group) that does."""

    process: subprocess.Popen

    def __reduce__(self):
        # The address alone goes to another process.
        return str, (str(self),)


@contextlib.contextmanager
def serving(command: list[str], folder: pathlib.Path, database: str, artifacts: Artifacts | None, settings: dict):
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    destination = artifacts.destination if artifacts else str(folder / "artifacts")
    options = ["--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", database, "--artifacts-destination", destination]
    with (folder / "server.log").open("w") as log:
        # A session of its own, so that its workers can be ended with it.
        process = subprocess.Popen(command + options, cwd=folder, env=settings, stdout=log, stderr=log, start_new_session=True)
        try:
            uri = Address(f"http://127.0.0.1:{port}")
            uri.process = process
            wait_for(f"{uri}/health", process, folder / "server.log")
            yield uri
        finally:
            end(process)


def end(process: subprocess.Popen, signals: tuple = (15, 9)) -> None:
    for signal in signals:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
            return


def wait_for(health: str, process: subprocess.Popen, log: pathlib.Path, up: tuple = (200,)) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            try:
                with urllib.request.urlopen(health, timeout=5) as answer:
                    status = answer.status
            except urllib.error.HTTPError as error:
                status = error.code
            if status in up:
                return
        # Short: a start is timed by this.
        time.sleep(0.005)
    sys.exit(f"no server came up at {health}:\n{log.read_text()[-4000:]}")


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    # All are taken at once, so that none is given twice.
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


@contextlib.contextmanager
def databases(postgresql: bool, folder: pathlib.Path, fsync: bool = False):
    """Gives a function from a name to the address of a database, new and empty where the name is new."""
    if not postgresql:
        yield lambda name: f"sqlite:///{folder / name}.db"
        return
    there = set()
    with postgresql_server(folder / "postgresql", fsync) as (programs, port):

        def made(name: str) -> str:
            if name not in there:
                subprocess.run([f"{programs}/createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", name], check=True)
                there.add(name)
            return f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/{name}"

        yield made


@contextlib.contextmanager
def postgresql_server(folder: pathlib.Path, fsync: bool):
    """A server of its own in `folder`, on a free port, that trusts whoever asks."""
    programs = postgresql_programs()
    folder.mkdir()
    # It does not run as root: as root it is another user's, who must reach the folder.
    user = {}
    if os.getuid() == 0:
        owner = next(entry for name in ("postgres", "nobody") for entry in pwd.getpwall() if entry.pw_name == name)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        folder.parent.chmod(0o711)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    port = free_port()
    data = folder / "data"
    initdb = [f"{programs}/initdb", "-D", str(data), "-U", "mlflow", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    subprocess.run(initdb, cwd="/", check=True, stdout=subprocess.DEVNULL, **user)
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", f"fsync={'on' if fsync else 'off'}"]
    command = [f"{programs}/postgres", "-D", str(data), *(word for setting in settings for word in ("-c", setting))]
    server = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **user)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while subprocess.run([f"{programs}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode != 0:
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit("PostgreSQL did not come up")
            time.sleep(0.1)
        yield programs, port
    finally:
        end(server)


def postgresql_programs() -> str:
    """The folder of the newest PostgreSQL of this machine."""
    folders = [os.path.dirname(path) for path in [shutil.which("initdb")] if path]
    for pattern in ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"):
        folders += sorted(glob.glob(pattern), reverse=True)
    needed = ("initdb", "postgres", "pg_isready", "createdb")
    found = [folder for folder in folders if all(os.access(f"{folder}/{program}", os.X_OK) for program in needed)]
    if not found:
        raise Missing("--postgresql needs PostgreSQL (no initdb in PATH or /usr/lib/postgresql): apt-get install postgresql")
    return found[0]
