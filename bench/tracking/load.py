"""Load for a tracking server, of any make: clients in a closed loop, each a process with one kept connection.

Requests are written to the socket as they are and answers read only as far as HTTP needs, so that the clients, which share
the cores with the server, take as little of them as Python allows.
"""

import base64
import itertools
import json
import multiprocessing
import random
import socket
import threading
import time
import urllib.parse

API = "/api/2.0/mlflow"
AJAX = "/ajax-api/2.0/mlflow"
PATIENCE_S = 300


class Refused(Exception):
    """The server's answer is not the one that the load needs."""


class Connection:
    """One kept HTTP/1.1 connection. The address may hold a name and a password, or a token without a name: http://:TOKEN@HOST:PORT."""

    def __init__(self, uri):
        address = urllib.parse.urlparse(uri)
        self.address = (address.hostname, address.port)
        credentials, _, self.host = address.netloc.rpartition("@")
        self.authorization = authorization(*map(urllib.parse.unquote, credentials.partition(":")[::2])) if credentials else ""
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(self.address, timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = b""

    def request(self, method, path, body=None):
        """A request as it is sent. `body` is what becomes JSON, or bytes that are JSON."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        kind = "Content-Type: application/json\r\n" if content else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n{self.authorization}{kind}Content-Length: {len(content)}\r\n\r\n"
        return head.encode() + content

    def ask(self, *request):
        return self.answer(self.request(*request))

    def json(self, *request):
        return json.loads(self.ask(*request))

    def answer(self, request):
        """The answer's body; `Refused` for any status but 200. A connection that the server has closed meanwhile is made again."""
        try:
            status, answer = self.exchange(request)
        except (ConnectionResetError, BrokenPipeError, EOFError):
            self.connect()
            status, answer = self.exchange(request)
        if status != 200:
            head, _, body = request.partition(b"\r\n\r\n")
            raise Refused(f"{head.splitlines()[0].decode()} {body[:200]!r}: {status} {answer[:300]!r}")
        return answer

    def exchange(self, request):
        self.socket.sendall(request)
        head = self.until(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        if fields.get(b"transfer-encoding") == b"chunked":
            body = self.chunks()
        else:
            body = self.exactly(int(fields[b"content-length"]))
        if fields.get(b"connection", b"").lower() == b"close":
            self.connect()
        return int(lines[0].split()[1]), body

    def chunks(self):
        parts = []
        while size := int(self.until(b"\r\n"), 16):
            parts.append(self.exactly(size))
            self.exactly(2)
        self.exactly(2)
        return b"".join(parts)

    def until(self, end):
        while end not in self.held:
            self.more()
        found, _, self.held = self.held.partition(end)
        return found

    def exactly(self, size):
        if len(self.held) < size:
            parts, missing = [self.held], size - len(self.held)
            while missing > 0:
                part = self.socket.recv(1 << 18)
                if not part:
                    raise EOFError("the server closed the connection in an answer")
                parts.append(part)
                missing -= len(part)
            self.held = b"".join(parts)
        found, self.held = self.held[:size], self.held[size:]
        return found

    def more(self):
        part = self.socket.recv(1 << 18)
        if not part:
            raise EOFError("the server closed the connection")
        self.held += part


def authorization(name, secret):
    kind = f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}" if name else f"Bearer {secret}"
    return f"Authorization: {kind}\r\n"


def now():
    return int(time.time() * 1000)


def new_run(connection, experiment_id, name):
    run = connection.json("POST", f"{API}/runs/create", {"experiment_id": experiment_id, "run_name": name, "start_time": now()})
    return run["run"]["info"]["run_id"]


def fill(uri, runs, points):
    """What the scenarios read: an experiment of `runs` runs, and one run with `points` points of a metric."""
    connection = Connection(uri)
    made = [
        connection.json("POST", f"{API}/experiments/create", {"name": f"{name} {time.time_ns()}"})["experiment_id"]
        for name in ("written", "searched")
    ]
    run_ids = []
    for number in range(runs):
        draw = random.Random(number)
        run_id = new_run(connection, made[1], f"run {number}")
        metrics = [
            {"key": key, "value": draw.random(), "timestamp": 1_700_000_000_000 + number, "step": 0}
            for key in ("acc", "loss", "val_acc", "val_loss", "lr")
        ]
        params = [{"key": "opt", "value": draw.choice(["adam", "sgd"])}]
        params += [{"key": f"p{key}", "value": str(draw.random())} for key in range(9)]
        tags = [{"key": "model", "value": draw.choice(["resnet18", "mobilenetv3"])}]
        connection.ask("POST", f"{API}/runs/log-batch", {"run_id": run_id, "metrics": metrics, "params": params, "tags": tags})
        run_ids.append(run_id)
    history = new_run(connection, made[0], "history")
    for first in range(0, points, 1000):
        metrics = [
            {"key": "loss", "value": random.random(), "timestamp": 1_700_000_000_000 + step, "step": step}
            for step in range(first, min(first + 1000, points))
        ]
        connection.ask("POST", f"{API}/runs/log-batch", {"run_id": history, "metrics": metrics})
    return {"written": made[0], "searched": made[1], "runs": run_ids, "history": history, "points": points}


# A scenario gives one client's requests, as bytes. What takes long to put together is put together before.


def log_metric(connection, filled, client):
    run_id = new_run(connection, filled["written"], f"log_metric {client}")
    for step in itertools.count():
        body = {"run_id": run_id, "key": "loss", "value": random.random(), "timestamp": now(), "step": step}
        yield connection.request("POST", f"{API}/runs/log-metric", body)


def log_batch(size):
    def requests(connection, filled, client):
        run_id = new_run(connection, filled["written"], f"log_batch {client}")
        # Ten metrics side by side, as a training run with several curves logs them. Only the steps change from request to
        # request: "1BATCH07" becomes 100003407.
        metrics = [
            f'{{"key": "m{number % 10}", "value": {random.random()}, "timestamp": {now()}, "step": 1BATCH{number // 10:02}}}'
            for number in range(size)
        ]
        body = f'{{"run_id": "{run_id}", "metrics": [{", ".join(metrics)}]}}'.encode()
        for batch in itertools.count():
            yield connection.request("POST", f"{API}/runs/log-batch", body.replace(b"BATCH", b"%06d" % batch))

    return requests


def create_run(connection, filled, client):
    while True:
        yield connection.request("POST", f"{API}/runs/create", {"experiment_id": filled["written"], "start_time": now()})


def get_run(connection, filled, client):
    while True:
        yield connection.request("GET", f"{API}/runs/get?run_id={random.choice(filled['runs'])}")


def search(**query):
    def requests(connection, filled, client):
        request = connection.request("POST", f"{API}/runs/search", {"experiment_ids": [filled["searched"]], **query})
        # Servers that answered with less would do less work.
        found = len(json.loads(connection.answer(request)).get("runs", []))
        wanted = min(query["max_results"], len(filled["runs"]))
        if found != wanted and "filter" not in query:
            raise Refused(f"runs/search gave {found} runs, not {wanted}")
        return itertools.repeat(request)

    return requests


def history(connection, filled, client):
    request = connection.request("GET", f"{API}/metrics/get-history?run_id={filled['history']}&metric_key=loss")
    found = len(json.loads(connection.answer(request))["metrics"])
    if found != filled["points"]:
        raise Refused(f"metrics/get-history gave {found} points, not {filled['points']}")
    return itertools.repeat(request)


def sampled_history(connection, filled, client):
    query = f"run_ids={filled['history']}&metric_key=loss&max_results=320"
    return itertools.repeat(connection.request("GET", f"{AJAX}/metrics/get-history-bulk-interval?{query}"))


SCENARIOS = {
    "log_metric": log_metric,
    "log_batch_1": log_batch(1),
    "log_batch_1000": log_batch(1000),
    "create_run": create_run,
    "get_run": get_run,
    "search_100": search(max_results=100, order_by=["attributes.start_time DESC"]),
    "search_100_filtered": search(max_results=100, filter="metrics.acc > 0.5 and params.opt = 'adam'", order_by=["metrics.acc DESC"]),
    "search_1000": search(max_results=1000),
    "history": history,
    "sampled_history": sampled_history,
}


def client(uri, scenario, filled, number, seconds, start, results):
    """One client: as many requests as the server answers in this time; the seconds each took."""
    try:
        connection = Connection(uri)
        requests = SCENARIOS[scenario](connection, filled, number)
        request = next(requests)
        start.wait(PATIENCE_S)
        begin = time.perf_counter()
        taken = []
        while True:
            sent = time.perf_counter()
            if sent - begin >= seconds and taken:
                break
            connection.answer(request)
            taken.append(time.perf_counter() - sent)
            request = next(requests)
        results.put((taken, time.perf_counter() - begin))
    except (OSError, EOFError, Refused, threading.BrokenBarrierError) as error:
        start.abort()
        results.put(error)


def run(uri, scenario, filled, clients, seconds):
    """Requests a second, and how long they took (milliseconds)."""
    results, start = multiprocessing.Queue(), multiprocessing.Barrier(clients)
    processes = [
        multiprocessing.Process(target=client, args=(uri, scenario, filled, number, seconds, start, results)) for number in range(clients)
    ]
    for process in processes:
        process.start()
    answers = [results.get(timeout=PATIENCE_S + seconds) for _ in processes]
    for process in processes:
        process.join()
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    if errors:
        # A barrier that breaks is the others' word for it.
        raise next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0])
    taken = sorted(1000 * seconds for times, _ in answers for seconds in times)
    # The client's own time between two requests counts: it shares the server's cores.
    rate = sum(len(times) / whole for times, whole in answers)
    return {"requests_per_second": rate, "requests": len(taken), **{f"p{p}_ms": percentile(taken, p) for p in (50, 95, 99)}}


def percentile(ordered, percent):
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
