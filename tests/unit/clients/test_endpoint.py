"""Asking an endpoint."""

import http.server
import json
import threading

import pytest

from clients import endpoint
from common.errors import UserError
from delivery.console.progress import Reporter

REQUEST = {"data": {"names": ["price"], "ndarray": [[2.5], [1.0]]}}


def answer(*values, version=3):
    tags = {"workload": "markdown", "version": version, "run": "abc"}
    return 200, {"data": {"names": ["units"], "ndarray": [[value] for value in values]}, "meta": {"tags": tags}}


@pytest.fixture
def served():
    """An endpoint that answers one after another what it is told, and then the last of it for ever."""
    answers = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_args):
            """Quiet."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield answers, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def wait(url, seconds=5):
    return endpoint.wait(url, REQUEST, Reporter([]), version=3, seconds=seconds, sleep=lambda _seconds: None)


def test_an_endpoint_is_waited_for_until_it_answers_as_the_declared_version(served):
    answers, url = served
    answers += [(503, {}), answer(1.0, 2.0, version=2), answer(90.0, 310.0)]
    assert wait(url).values == [90.0, 310.0]


@pytest.mark.parametrize(("stays", "words"), [((503, {"status": "down"}), "503"), (answer(1.0, version=2), "version 2")])
def test_an_endpoint_that_does_not_come_fails_with_what_it_said_last(served, stays, words):
    answers, url = served
    answers += [stays]
    with pytest.raises(UserError, match=words):
        wait(url)


def test_nobody_listening_is_told_without_a_traceback():
    with pytest.raises(UserError, match="does not answer"):
        endpoint.ask("http://127.0.0.1:9", {})
