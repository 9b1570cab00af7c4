"""A proxy before a tracking server, whose answers turn bad when they are told to."""

import contextlib
import http.client
import http.server
import multiprocessing
import socket
import socketserver
import threading
import time
import urllib.parse

ERROR = b'{"error_code": "INTERNAL_ERROR", "message": "the database is locked"}'
PAGE = b"<!doctype html><html><title>502 Bad Gateway</title><body>nginx</body></html>"


class Proxy:
    """Runs in a process of its own, so that nobody waits for its Python."""

    def __init__(self, backend):
        ours, theirs = multiprocessing.Pipe()
        self.pipe = ours
        # That the run has logged its first metrics.
        self.begun = multiprocessing.Event()
        self.process = multiprocessing.Process(target=serve, args=(backend, theirs, self.begun), daemon=True)
        self.process.start()
        self.uri = f"http://127.0.0.1:{ours.recv()}"

    def answers(self, how, from_first_metrics=False):
        """How it answers from now on, or from the run's first metrics on."""
        self.begun.clear()
        self.pipe.send((how, from_first_metrics))
        self.pipe.recv()

    def end(self):
        self.process.terminate()
        self.process.join()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        # A client that gives up is what some of this is about.
        pass


def serve(backend, pipe, begun):
    state = {"how": "well", "next": None, "open": set(), "lock": threading.Lock()}
    address = urllib.parse.urlparse(backend).netloc

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self):
            super().setup()
            with state["lock"]:
                state["open"].add(self.connection)
            self.backend = http.client.HTTPConnection(address)

        def finish(self):
            with state["lock"]:
                state["open"].discard(self.connection)
            self.backend.close()

        def log_message(self, *_):
            pass

        def anything(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            how = state["how"]
            if how in ("well", "slow"):
                time.sleep(2 if how == "slow" else 0)
                self.passed_on(body)
            elif how == "hangs":
                while state["how"] == "hangs":
                    time.sleep(0.1)
                self.close_connection = True
            else:
                self.bad(how)
            if state["next"] and b'"metrics":[{' in body.replace(b" ", b""):
                state["how"], state["next"] = state["next"], None
                begun.set()
                if state["how"] == "refuses":
                    stop()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = anything

        def passed_on(self, body):
            headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection", "transfer-encoding")}
            self.backend.request(self.command, self.path, body, headers)
            answer = self.backend.getresponse()
            self.reply(answer.status, answer.read(), answer.headers.get("Content-Type"))

        def bad(self, how):
            if how == "500":
                self.reply(500, ERROR)
            elif how == "429":
                self.reply(429, b"", retry_after="5")
            elif how == "page":
                self.reply(200, PAGE, "text/html")
            else:
                assert how == "cut"
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b'{"run": {"info')
                self.close_connection = True

        def reply(self, status, body, kind="application/json", retry_after=None):
            self.send_response(status)
            self.send_header("Content-Type", kind or "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(body)

    def start(port):
        server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    server = start(0)
    port = server.server_address[1]

    def stop():
        nonlocal server
        server.shutdown()
        server.server_close()
        with state["lock"]:
            connections, server = list(state["open"]), None
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    pipe.send(port)
    while True:
        how, later = pipe.recv()
        if server is None:
            server = start(port)
        state["how"], state["next"] = ("well", how) if later else (how, None)
        pipe.send(None)
