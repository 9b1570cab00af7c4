"""Runs the story's steps and keeps the answers: the client's, and the server's own below them."""

import enum
import json
import math
import pathlib
import threading
from urllib.parse import parse_qsl, unquote, urlsplit

import requests
import requests.adapters
from mlflow.exceptions import MlflowException

from .placeholders import Placeholders

# Files come and go on several threads: in a step's record they stand after everything else, sorted.
FILES = "/mlflow-artifacts/"
HEADERS = ("Content-Type", "Content-Disposition", "X-Content-Type-Options", "X-Frame-Options")


class Recorder:
    """The answers so far, by the names of their steps."""

    def __init__(self, uri: str, folder: pathlib.Path):
        self.uri = uri
        self.folder = folder
        self.answers: dict[str, dict] = {}
        self.placeholders = Placeholders({uri: "<server>", str(folder): "<folder>", urlsplit(uri).netloc: "<address>"})
        self.exchanges: list[tuple] = []
        self.lock = threading.Lock()
        self.listen()

    def listen(self) -> None:
        """Overhears what the client's HTTP library sends to the server."""
        send = requests.Session.send
        recorder = self

        def overheard(session, request, **options):
            # The client's own adapter keeps a 5xx to itself and says that it tried too often.
            session.mount(recorder.uri, requests.adapters.HTTPAdapter())
            response = send(session, request, **options)
            if request.url.startswith(recorder.uri):
                recorder.note(request, response, options.get("stream", False))
            return response

        requests.Session.send = overheard

    def note(self, request, response, stream: bool) -> None:
        url = urlsplit(request.url)
        is_file = FILES in url.path and response.headers.get("Content-Type", "") != "application/json"
        answer = {
            "status": response.status_code,
            "headers": {name: response.headers[name] for name in HEADERS if name in response.headers},
            # The bytes of a file are compared where the client reads them.
            "body": None if stream and is_file and response.ok else body_of(response),
        }
        call = (request.method, unquote(url.path), sorted(parse_qsl(url.query)))
        with self.lock:
            self.exchanges.append((call, answer))

    def step(self, name: str, act, wire: bool = True):
        """Does `act`, keeps its answer or error under `name`, and gives its answer back (`None` for an error).

        Without `wire` what went over the wire is left out: the client sends it from threads, in no order.
        """
        assert name not in self.answers, f"two steps are named {name}"
        given, result = {}, None
        try:
            result = act()
            given["client"] = plain(result)
        except Exception as error:  # noqa: BLE001 whatever the client raises is an answer
            given["error"] = error_of(error)
        with self.lock:
            exchanges, self.exchanges = self.exchanges, []
        # Ids get their names here, in the order of the calls; the names of files hold no new ones.
        calls = [self.named(call, answer) for call, answer in exchanges if FILES not in call[1]]
        files = [self.named(call, answer) for call, answer in exchanges if FILES in call[1]]
        http = {f"{index} {call}": answer for index, (call, answer) in enumerate(calls + sorted(files, key=json.dumps))}
        self.answers[name] = {"http": http if wire else {}, **self.placeholders.value(given)}
        return result

    def named(self, call: tuple, answer: dict) -> tuple[str, dict]:
        method, path, query = call
        path = self.placeholders.text(path)
        asked = "&".join(f"{key}={self.placeholders.value(value, key)}" for key, value in query)
        return f"{method} {path}{'?' if asked else ''}{asked}", self.placeholders.value(answer)


def body_of(response):
    try:
        return plain(response.json())
    except ValueError:
        return response.text


def error_of(error: Exception) -> dict:
    if isinstance(error, MlflowException):
        return {
            "type": type(error).__name__,
            "error_code": error.error_code,
            "status": error.get_http_status_code(),
            "message": error.message,
        }
    return {"type": type(error).__name__, "message": str(error)}


def plain(value):
    """JSON of whatever the client gives: entities by their public properties."""
    if value is None or isinstance(value, (bool, int, str)):
        # A status of an entity is a text that is an enum's member too.
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        items = [plain(item) for item in value]
        # mlflow's PagedList is a list with the token of the next page.
        token = getattr(value, "token", None)
        return {"items": items, "token": token} if token else items
    if isinstance(value, pathlib.Path):
        return str(value)
    if type(value).__module__.startswith("mlflow."):
        return {name: plain(getattr(value, name)) for name in properties(type(value)) if name not in ("workspace",)}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return repr(value)


def properties(kind: type) -> list[str]:
    found = {name for base in kind.__mro__ for name, item in vars(base).items() if isinstance(item, property)}
    found |= set(getattr(kind, "__dataclass_fields__", {}))
    return sorted(name for name in found if not name.startswith("_"))
