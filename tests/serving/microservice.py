"""A real microservice in its own process, on its own ports."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PREDICTIONS = "/api/v1.0/predictions"
DEADLINE = 60.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self):
        return json.loads(self.text)


class Microservice:
    def __init__(self, folder, **environment):
        ports = self.port, self.metrics_port, self.recorded_port = free_ports(3)
        self.log = folder / f"log-{self.port}"
        self.process = start(folder, self.log, ports, environment)

    def ask(self, body, path=PREDICTIONS, method="POST", headers=None):
        return ask(self.port, body, path, method, headers)

    def get(self, path, port=None):
        return ask(port or self.port, None, path, "GET", {})

    def await_ready(self):
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            assert self.process.poll() is None, f"the microservice ended: {self.log.read_text()}"
            try:
                if self.get("/health/status").status == 200 and self.get("/metrics", self.metrics_port).status == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the microservice does not answer: {self.log.read_text()}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


def start(folder, log, ports, environment):
    port, metrics_port, recorded_port = map(str, ports)
    settings = {
        "MODELSTACK_MODEL": str(folder / "model"),
        "MODELSTACK_RELEASE": str(folder / "release.json"),
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": port,
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": metrics_port,
        "MODELSTACK_RECORDED_PORT": recorded_port,
    }
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "workloads.serving"],
            cwd=CHECKOUT,
            env={**os.environ, **settings, **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def running(folder, **environment):
    service = Microservice(folder, **environment)
    try:
        service.await_ready()
        yield service
    finally:
        service.stop()


def ask(port, body, path=PREDICTIONS, method="POST", headers=None):
    """Sends one request. `body`: bytes, or an object to send as JSON."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        connection.request(method, path, content, {"Content-Type": "application/json"} if headers is None else headers)
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read().decode())
    finally:
        connection.close()


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
