"""Requests for predictions to an endpoint."""

import http.server
import json
import threading

import pytest

from clients import endpoint
from common.errors import UserError
from delivery.console.progress import Reporter

REQUEST = {"data": {"names": ["price"], "ndarray": [[2.5], [1.0]]}}


def response(*values, version=3):
    tags = {"workload": "markdown", "version": version, "run": "abc"}
    return 200, {"data": {"names": ["units"], "ndarray": [[value] for value in values]}, "meta": {"tags": tags}}


@pytest.fixture
def server():
    """An endpoint that sends a list of responses in turn and then repeats the last one: the list and the URL."""
    responses = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = responses.pop(0) if len(responses) > 1 else responses[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_args):
            """Prints nothing."""

    http_server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http_server.serve_forever)
    thread.start()
    yield responses, f"http://127.0.0.1:{http_server.server_port}"
    http_server.shutdown()
    thread.join()
    http_server.server_close()


def wait(url, seconds=5):
    return endpoint.wait_for_version(url, REQUEST, Reporter([]), version=3, seconds=seconds, sleep=lambda _seconds: None)


def test_the_wait_ends_when_the_requested_version_answers(server):
    responses, url = server
    responses += [(503, {}), response(1.0, 2.0, version=2), response(90.0, 310.0)]
    assert wait(url).values == [90.0, 310.0]


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b'{"data": {"nda', {}, [], {"data": {"ndarray": [[]]}}, {"data": 1}])
def test_a_response_that_is_no_prediction_is_one_clear_message(server, body):
    responses, url = server
    responses += [(200, body)]
    with pytest.raises(UserError, match="does not come from an endpoint"):
        endpoint.predict(url, REQUEST)


@pytest.mark.parametrize(
    ("last", "words"), [((503, {"status": "down"}), "503"), (response(1.0, version=2), "version 2 still answers")]
)
def test_a_wait_that_takes_too_long_fails_with_the_last_response(server, last, words):
    responses, url = server
    responses += [last]
    with pytest.raises(UserError, match=words):
        wait(url)


def test_an_endpoint_that_does_not_listen_is_a_user_error():
    with pytest.raises(UserError, match="does not answer"):
        endpoint.predict("http://127.0.0.1:9", {})


def test_a_refusal_says_what_to_do(server):
    responses, url = server
    responses += [(403, {})]
    with pytest.raises(UserError, match=r"(?s)refuses the request.*403.*modelstack status"):
        endpoint.predict(url, REQUEST)
