"""A real NGINX with a router's configuration, and services behind it."""

from __future__ import annotations

import getpass
import http.client
import json
import os
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from common.serving import PREDICTIONS
from components.serving.router_config import Target, config
from tests import debian

DEADLINE = 10.0


class Service(ThreadingHTTPServer):
    """Answers as a variant would, and remembers what it was asked."""

    request_queue_size = 128

    def __init__(self, *, status=200, delay=0.0, drop_first=0):
        self.asked = []
        self.status, self.delay, self.drops = status, delay, drop_first
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def target(self, variant):
        return Target(variant=variant, address=f"127.0.0.1:{self.server_port}")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet: two would wait 40 ms for each other

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), body))
        if self.server.drops > 0:
            self.server.drops -= 1
            self.close_connection = True
            return
        time.sleep(self.server.delay)
        answer = json.dumps({"port": self.server.server_port}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Router:
    def __init__(self, port, process, log):
        self.port, self.process, self.log = port, process, log

    def ask(self, path=PREDICTIONS, body=b"{}", method="POST"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()
        finally:
            connection.close()


@contextmanager
def router(routes, folder):
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(config(routes, port=port, scratch=str(folder)))
    log = folder / "out"
    # As whoever runs the test: `nobody`, which root's NGINX would become, may not look into the folder.
    as_user = f"daemon off; user {getpass.getuser()};" if os.geteuid() == 0 else "daemon off;"
    command = [debian.program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(file), "-g", as_user]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        await_port(port, process, log)
        yield Router(port, process, log)
    finally:
        process.terminate()
        process.wait(DEADLINE)


def await_port(port, process, log):
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"NGINX does not listen: {log.read_text()}")


def eventually(condition, reason):
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until, reason
        time.sleep(0.02)
