"""The fault injector itself, before a real HTTP server."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.faults import injector
from tests.faults.injector import Fault, Proxy, Rule, forward_to

CONTENT = b'{"answer": "of the real server"}'


@pytest.fixture
def received():
    return []


@pytest.fixture
def proxy(received):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            received.append((self.command, self.path, self.rfile.read(int(self.headers.get("Content-Length") or 0))))
            self.send_response(201)
            self.send_header("X-Own", "1")
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(CONTENT)

        do_POST = do_HEAD = do_GET  # noqa: N815 the names of the base class

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    made = Proxy("a server", forward_to(f"127.0.0.1:{server.server_port}"))
    yield made
    made.close()
    server.shutdown()
    server.server_close()


def ask(proxy, path="/a?b=c", method="GET", body=None, seconds=3.0):
    connection = http.client.HTTPConnection(proxy.address, timeout=seconds)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_without_a_fault_requests_and_answers_arrive_unchanged(proxy, received):
    status, headers, body = ask(proxy, method="POST", body=b"content")
    assert (status, headers["X-Own"], body) == (201, "1", CONTENT)
    assert received == [("POST", "/a?b=c", b"content")]
    assert ask(proxy, method="HEAD")[1]["Content-Length"] == str(len(CONTENT)), "of the body that a GET would get"
    assert [request.query for request in proxy.requests] == [{"b": "c"}, {"b": "c"}]


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.isdigit()], ids=str)
def test_a_status_is_answered_and_the_server_does_not_see_the_request(proxy, received, fault):
    with proxy.failing(Rule(fault=fault)):
        status, _, body = ask(proxy)
    assert (status, body.startswith(fault.encode())) == (int(fault), True)
    assert received == []


def test_a_refused_connection_is_refused_and_the_port_is_back_afterwards(proxy):
    with proxy.failing(Rule(fault=Fault.refused)), pytest.raises(ConnectionRefusedError):
        ask(proxy)
    assert ask(proxy)[0] == 201


def test_a_reset_connection_ends_without_an_answer(proxy):
    with proxy.failing(Rule(fault=Fault.reset)), pytest.raises(ConnectionResetError):
        ask(proxy)


def test_a_slow_answer_comes_after_the_timeout_and_nobody_waits_for_it_at_the_end(proxy):
    started = time.monotonic()
    with proxy.failing(Rule(fault=Fault.slow)), pytest.raises(TimeoutError):
        ask(proxy, seconds=0.1)
    assert time.monotonic() - started < injector.HELD_SECONDS / 2


def test_half_a_body_promises_the_whole_one(proxy):
    with proxy.failing(Rule(fault=Fault.half)), pytest.raises(http.client.IncompleteRead) as read:
        ask(proxy)
    assert read.value.partial == CONTENT[: len(CONTENT) // 2]


def test_half_an_answer_without_a_body_is_half_a_header(proxy):
    with proxy.failing(Rule(fault=Fault.half)):
        client = socket.create_connection(("127.0.0.1", proxy.port), timeout=3)
        client.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(1000), b""))
        client.close()
    assert answer.startswith(b"HTTP/1.0 201")
    assert b"\r\n\r\n" not in answer


@pytest.mark.parametrize(
    ("fault", "kind", "content"),
    [(Fault.nonsense, "application/json", injector.NONSENSE), (Fault.portal, "text/html; charset=utf-8", injector.PORTAL)],
)
def test_somebody_else_s_answer_has_status_200(proxy, fault, kind, content):
    with proxy.failing(Rule(fault=fault)):
        status, headers, body = ask(proxy)
    assert (status, headers["Content-Type"], body) == (200, kind, content)


def test_a_rule_hits_only_the_requests_that_it_matches_from_the_nth_on(proxy):
    with proxy.failing(Rule(fault=Fault.broken, pattern=r"^GET /models", first=2)):
        statuses = [ask(proxy, path)[0] for path in ("/models", "/runs", "/models", "/runs", "/models")]
        assert ask(proxy, "/models", method="POST")[0] == 201
    assert statuses == [201, 201, 500, 201, 500]
    assert proxy.hits == 3


@pytest.mark.parametrize("fault", [Fault.slow, Fault.half], ids=str)
def test_a_change_that_a_fault_hits_does_not_happen_behind_it(proxy, received, fault):
    with (
        proxy.failing(Rule(fault=fault)),
        pytest.raises((TimeoutError, http.client.IncompleteRead)),
    ):
        ask(proxy, method="POST", seconds=0.1)
    assert received == []
