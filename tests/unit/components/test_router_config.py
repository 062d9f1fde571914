"""Tests the router's configuration with a real NGINX."""

from __future__ import annotations

import getpass
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from common.serving import MAX_BODY_BYTES, PREDICTIONS
from components.serving.router_config import Routes, Target, config, content_name, drain_command
from tests import debian

STABLE = Target(variant="stable", address="127.0.0.1:1")
CANARY = Target(variant="canary", address="127.0.0.1:2")
SHADOW = Target(variant="shadow", address="127.0.0.1:3")
DEADLINE = 10.0


class Service(ThreadingHTTPServer):
    """A server that answers as a variant does and records its requests."""

    request_queue_size = 128

    def __init__(self, *, status=200, delay=0.0, drop_first=0):
        self.requests = []
        self.status, self.delay, self.drops = status, delay, drop_first
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def target(self, variant):
        return Target(variant=variant, address=f"127.0.0.1:{self.server_port}")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # buffered, so the response is one packet; the second of two packets would be delayed by 40 ms

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        if self.server.drops > 0:
            self.server.drops -= 1
            self.close_connection = True
            return
        time.sleep(self.server.delay)
        response = json.dumps({"port": self.server.server_port}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(response)))
        self.end_headers()
        self.wfile.write(response)

    def log_message(self, *_):
        pass


@pytest.fixture
def services():
    started = []

    def start(**kwargs):
        started.append(Service(**kwargs))
        return started[-1]

    yield start
    for service in started:
        service.shutdown()
        service.server_close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Router:
    def __init__(self, port, process, log):
        self.port, self.process, self.log = port, process, log

    def request(self, path=PREDICTIONS, body=b"{}", method="POST"):
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
    # NGINX runs as the user of the test. By default root's NGINX changes to `nobody`, who may not read the folder.
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


@pytest.mark.parametrize("percent", [0, 1, 10, 99, 100])
@pytest.mark.parametrize("shadow", [None, SHADOW])
@pytest.mark.parametrize("access_log", [False, True])
def test_nginx_accepts_all_configurations(tmp_path, percent, shadow, access_log):
    routes = Routes(
        workload="markdown", stable=STABLE, canary=CANARY, canary_percent=percent, shadow=shadow, access_log=access_log
    )
    file = tmp_path / "nginx.conf"
    file.write_text(config(routes, port=free_port(), scratch=str(tmp_path)))
    checked = subprocess.run(
        [debian.program("nginx"), "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr, "each router would log the warning"


@pytest.mark.parametrize(("percent", "least", "most"), [(0, 0, 0), (10, 15, 75), (100, 400, 400)])
def test_a_canary_gets_its_share_of_the_requests(tmp_path, services, percent, least, most):
    stable, canary = services(), services()
    routes = Routes(workload="markdown", stable=stable.target("stable"), canary=canary.target("canary"), canary_percent=percent)
    with router(routes, tmp_path) as nginx:
        variants = Counter(nginx.request()[1]["X-Variant"] for _ in range(400))
    assert variants["canary"] == len(canary.requests), "the header names the variant that answered"
    assert variants["stable"] == len(stable.requests), "the header names the variant that answered"
    assert least <= len(canary.requests) <= most, f"{percent} % of 400 requests (bounds: five standard deviations)"


def test_a_shadow_gets_a_copy_of_predictions_and_its_answers_are_dropped(tmp_path, services):
    stable, shadow = services(), services(status=500)
    routes = Routes(workload="markdown", stable=stable.target("stable"), shadow=shadow.target("shadow"))
    with router(routes, tmp_path) as nginx:
        status, headers, body = nginx.request(body=b'{"data": 1}')
        eventually(lambda: shadow.requests, "the copy arrives")
    assert (status, headers["X-Variant"]) == (200, "stable"), "a failing shadow must not affect the response"
    assert json.loads(body) == {"port": stable.server_port}
    path, _, copied = shadow.requests[0]
    assert (path, copied) == (PREDICTIONS, b'{"data": 1}'), "the copy is equal to the request"


def test_the_copy_for_a_shadow_has_the_id_of_the_request(tmp_path, services):
    stable, shadow = services(), services()
    routes = Routes(workload="markdown", stable=stable.target("stable"), shadow=shadow.target("shadow"))
    with router(routes, tmp_path) as nginx:
        returned = [nginx.request()[1]["X-Request-ID"] for _ in range(20)]
        eventually(lambda: len(shadow.requests) == 20, "the copies arrive")
    # Sorted, because copies may arrive in another order.
    received = [sorted(headers["X-Request-ID"] for _, headers, _ in service.requests) for service in (stable, shadow)]
    assert received == [sorted(returned)] * 2, "the comparison of the two variants' answers needs the id"
    assert len(set(returned)) == 20


def test_requests_succeed_without_the_shadow(tmp_path, services):
    stable = services()
    routes = Routes(workload="markdown", stable=stable.target("stable"), shadow=SHADOW)
    with router(routes, tmp_path) as nginx:
        assert {nginx.request()[0] for _ in range(20)} == {200}


@pytest.mark.parametrize(
    ("sent", "status", "expected"),
    [
        ((PREDICTIONS, "POST", b"1" * (MAX_BODY_BYTES + 1)), 413, f"found {MAX_BODY_BYTES + 1} bytes"),
        (("/predict", "POST", b"{}"), 404, "POST /predict: there is no such path"),
        (("/recorded", "GET", None), 404, "GET /recorded: there is no such path"),
        (("/", "GET", None), 404, PREDICTIONS),
        ((PREDICTIONS, "POST", b"{}"), 502, "no replica of variant stable can be reached"),
    ],
)
def test_error_responses_of_the_router_have_the_format_of_the_service(tmp_path, sent, status, expected):
    path, method, body = sent
    with router(Routes(workload="markdown", stable=STABLE), tmp_path) as nginx:
        answered, headers, response = nginx.request(path, body, method)
    assert answered == status
    assert headers["Content-Type"] == "application/json", "clients expect a single format"
    message = json.loads(response)
    assert expected in message["status"]["info"], "the message names the reason"
    assert message["status"]["code"] == status
    assert message["meta"]["tags"] == {"workload": "markdown"}


def test_the_router_accepts_a_body_of_the_maximum_size(tmp_path, services):
    stable = services()
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        assert nginx.request(body=b"1" * MAX_BODY_BYTES)[0] == 200


def test_the_router_repeats_a_request_if_the_connection_breaks(tmp_path, services):
    stable = services(drop_first=1)
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        assert nginx.request()[0] == 200, "a terminating pod breaks connections; repeating a prediction is safe"
    assert len(stable.requests) == 2


def test_the_router_repeats_a_request_only_once(tmp_path, services):
    stable = services(drop_first=1000)
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        assert nginx.request()[0] == 502
    assert len(stable.requests) == 2, "unlimited retries would overload the remaining pods"


def test_the_service_and_the_client_get_the_same_request_id(tmp_path, services):
    stable = services()
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        _, headers, _ = nginx.request()
    assert stable.requests[0][1]["X-Request-ID"] == headers["X-Request-ID"]


def test_a_stopping_router_finishes_its_requests(tmp_path, services):
    stable = services(delay=1.0)
    statuses = []
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        client = threading.Thread(target=lambda: statuses.append(nginx.request()[0]))
        client.start()
        eventually(lambda: stable.requests, "the request arrives")
        nginx.process.send_signal(signal.SIGQUIT)  # the image's stop signal
        client.join()
        assert nginx.process.wait(DEADLINE) == 0
    assert statuses == [200]


def test_each_line_of_the_access_log_is_json(tmp_path, services):
    stable = services()
    with router(Routes(workload="markdown", stable=stable.target("stable"), access_log=True), tmp_path) as nginx:
        nginx.request()
        nginx.request('/"quoted"', method="GET")
        nginx.request("/healthz", method="GET")
        eventually(lambda: nginx.log.read_text().count("\n") >= 2, "lines arrive")
        lines = [json.loads(line) for line in nginx.log.read_text().splitlines() if line.startswith("{")]
    assert [(line["path"], line["status"]) for line in lines] == [(PREDICTIONS, 200), ('/"quoted"', 404)], (
        "probes are not logged"
    )
    assert lines[0]["variant"] == "stable"


def test_another_configuration_gets_another_name():
    one, other = (config(Routes(workload="markdown", stable=STABLE, canary=CANARY, canary_percent=each)) for each in (10, 20))
    assert content_name("router", one) == content_name("router", one)
    assert content_name("router", one) != content_name("router", other), "the new name restarts the pods that mount it"


@pytest.mark.parametrize("percent", [-1, 101])
def test_an_invalid_share_is_refused(percent):
    with pytest.raises(ValueError, match=f"canary_percent is {percent}, but must be 0 to 100"):
        Routes(workload="markdown", stable=STABLE, canary=CANARY, canary_percent=percent)


def test_a_share_without_a_canary_is_refused():
    with pytest.raises(ValueError, match="there is no canary"):
        Routes(workload="markdown", stable=STABLE, canary_percent=10)


def test_a_draining_router_asks_clients_to_close_their_connections(services, tmp_path):
    """A request on a connection that the router is just closing is lost, and clients do not repeat a POST automatically."""
    stable, shadow = services(), services()
    routes = Routes(workload="markdown", stable=stable.target("stable"), shadow=shadow.target("shadow"))
    with router(routes, tmp_path) as nginx, ExitStack() as stack:
        connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=DEADLINE)
        stack.callback(connection.close)
        for _ in range(2):
            connection.request("POST", PREDICTIONS, b"{}", {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
        assert not response.will_close, "connections are kept open"
        subprocess.run(drain_command(str(tmp_path), seconds=0), check=True)
        connection.request("POST", PREDICTIONS, b'{"rows": 1}', {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())) == (200, {"port": stable.server_port}), "it still answers"
        assert response.will_close, "the response asks the client to close the connection"
        assert {name: response.headers[name] for name in ("X-Variant",)} == {"X-Variant": "stable"}
        eventually(lambda: len(shadow.requests) == 3, "the shadow still gets copies")
        assert [body for _, _, body in (stable.requests[-1], shadow.requests[-1])] == [b'{"rows": 1}'] * 2
        assert {path for path, _, _ in (*stable.requests, *shadow.requests)} == {PREDICTIONS}
        assert nginx.request("/leaving")[0] == 404, "the location is internal"


def test_draining_under_load_loses_no_request(services, tmp_path):
    stable = services()
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        drained, opening, statuses, lost = threading.Event(), threading.Lock(), Counter(), []

        def send(connection):
            try:
                connection.request("POST", PREDICTIONS, b"{}", {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                statuses[response.status] += 1
            except (OSError, http.client.HTTPException) as error:
                lost.append(error)

        def client():
            with closing(http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=DEADLINE)) as connection:
                while not lost:
                    if connection.sock:
                        send(connection)
                        continue
                    with opening:
                        if drained.is_set():
                            return  # new connections would go to another router
                        send(connection)

        clients = [threading.Thread(target=client) for _ in range(4)]
        for each in clients:
            each.start()
        eventually(lambda: statuses[200] > 50, "the clients send requests")
        subprocess.run(drain_command(str(tmp_path), seconds=1), check=True)
        with opening:
            drained.set()
        nginx.process.send_signal(signal.SIGQUIT)
        for each in clients:
            each.join()
        assert (set(statuses), lost) == ({200}, [])
