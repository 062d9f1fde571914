"""Asking an endpoint."""

import http.server
import json
import threading

import pytest

from clients import endpoint
from common.errors import UserError
from delivery.console.progress import Reporter
from delivery.environments.outputs import EndpointOutput

HELD_OUT = endpoint.HeldOut.parse(
    json.dumps(
        {
            "describe": "store 2, week 160",
            "request": {
                "data": {"names": ["store", "brand", "price"], "ndarray": [[2, "tropicana", 2.5], [2, "dominicks", 1.0]]}
            },
            "actual": [100, 300],
        }
    )
)


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
    found = EndpointOutput(url=f"http://127.0.0.1:{server.server_port}", version=3, run="abc", image="i")
    yield answers, found
    server.shutdown()
    thread.join()
    server.server_close()


def wait(found, seconds=5):
    return endpoint.wait(found, HELD_OUT.request, Reporter([]), seconds=seconds, sleep=lambda _seconds: None)


def test_an_endpoint_is_waited_for_until_it_answers_as_the_declared_version(served):
    answers, found = served
    answers += [(503, {}), answer(1.0, 2.0, version=2), answer(90.0, 310.0)]
    assert wait(found).values == [90.0, 310.0]


@pytest.mark.parametrize(("stays", "words"), [((503, {"status": "down"}), "503"), (answer(1.0, version=2), "version 2")])
def test_an_endpoint_that_does_not_come_fails_with_what_it_said_last(served, stays, words):
    answers, found = served
    answers += [stays]
    with pytest.raises(UserError, match=words):
        wait(found)


def test_nobody_listening_is_told_without_a_traceback():
    with pytest.raises(UserError, match="does not answer"):
        endpoint.ask("http://127.0.0.1:9", {})


def test_the_prediction_is_shown_beside_what_sold():
    shown = endpoint.comparison(HELD_OUT, endpoint.Answer(values=[90.0, 310.0], tags={}))
    assert shown.splitlines()[0] == "store 2, week 160"
    assert "tropicana" in shown
    assert "error of the week: 5% of the units sold" in shown


def test_the_held_out_week_of_a_run_is_asked_for_once(tmp_path, monkeypatch):
    monkeypatch.setattr(endpoint, "HELD_OUT", tmp_path)
    asked = []

    class Models:
        def artifact(self, run, path):
            asked.append((run, path))
            return json.dumps({"describe": "d", "request": {"data": {}}, "actual": [1]}).encode()

    assert endpoint.held_out("r1", Models) == endpoint.held_out("r1", Models)
    assert asked == [("r1", "held_out.json")]
    assert json.loads((tmp_path / "r1.json").read_text()) == {"data": {}}, "the body that the printed curl line sends"
