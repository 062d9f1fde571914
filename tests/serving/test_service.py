"""The microservice as its callers see it: a real process that answers over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.serving import tiny
from tests.serving.microservice import Microservice, running

NAMES = ["price", "stock", "deal", "brand"]
ROW = [2.5, 3, False, "own"]
GOOD = {"data": {"names": NAMES, "ndarray": [ROW, [1.0, 0, True, "other"]]}}
TAGS = {"workload": "tiny", "version": "3", "run": tiny.RELEASE["run"]}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tiny.write(tmp_path_factory.mktemp("service")), GUNICORN_WORKERS="2") as started:
        yield started


def has_identity(answer):
    assert answer.json["meta"]["tags"] == TAGS, "every answer contains the identity of the release"
    shown = {name: answer.headers[f"X-Model-{name.title()}"] for name in TAGS}
    assert shown == TAGS, "the headers contain it, too"
    return True


def test_an_answer_contains_predictions_and_the_identity_of_the_release(service):
    answer = service.ask(GOOD)
    assert answer.status == 200
    assert answer.json["data"] == {"names": ["units"], "ndarray": [[8.0], [8.0]]}
    assert has_identity(answer)


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}])
def test_the_content_type_does_not_matter(service, headers):
    assert service.ask(json.dumps(GOOD).encode(), headers=headers).status == 200, (
        "curl -d alone sends the content type of a form"
    )


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "the request's body is empty"),
        (b"not json", 400, "the body is not JSON"),
        ({"data": {"names": NAMES[1:], "ndarray": [ROW[1:]]}}, 400, "missing price"),
        ({"data": {"names": NAMES, "ndarray": [["cheap", *ROW[1:]]]}}, 400, "row 0, column 'price': is not a number"),
        ({"data": {"names": NAMES, "ndarray": [[float("nan"), *ROW[1:]]]}}, 400, "row 0, column 'price': is not a number"),
        ({"data": {"names": NAMES, "ndarray": []}}, 400, "no rows"),
        ({"data": {"names": NAMES, "ndarray": [[-1.0, *ROW[1:]]]}}, 400, "a price is below zero"),
        ({"data": {"names": NAMES, "ndarray": [ROW] * 5001}}, 413, "more than 5000 rows"),
        (b"1" * 10_000_000, 413, "the request is larger than 1048576 bytes"),
    ],
)
def test_an_invalid_request_gets_one_clear_message(service, body, status, words):
    answer = service.ask(body)
    assert answer.status == status
    message = answer.json
    assert words in message["status"]["info"]
    assert (message["status"]["code"], message["status"]["status"]) == (status, "FAILURE")
    assert message["error"]["what"]
    assert "Traceback" not in answer.text
    assert has_identity(answer)


def test_the_size_of_a_body_without_a_length_is_limited_too(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        head = b"POST /api/v1.0/predictions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"10000\r\n" + b"1" * 0x10000 + b"\r\n"
        connection.sendall(head + chunk * 20)
        assert b" 413 " in connection.recv(100)


def test_a_form_with_files_is_refused_like_any_other_body(service):
    body = b'--x\r\nContent-Disposition: form-data; name="strData"\r\n\r\n1\r\n--x--\r\n'
    answer = service.ask(body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status, answer.json["error"]["what"]) == (400, "send the request as JSON in the body")


def test_a_failure_of_the_model_s_code_is_logged_and_not_shown(service):
    answer = service.ask({"data": {"names": NAMES, "ndarray": [[*ROW[:3], "breaks"]]}})
    assert answer.status == 500
    assert "secret" not in answer.text, "an answer does not reveal internals to callers"
    assert has_identity(answer)
    assert "RuntimeError: secret of the code" in service.log.read_text()


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/api/v1.0/predictions", 405)])
def test_other_paths_and_methods_are_refused_in_the_same_format(service, method, path, status):
    answer = service.ask(None, path, method)
    assert (answer.status, answer.json["status"]["code"]) == (status, status)
    assert has_identity(answer)


def test_the_health_status_is_a_prediction_of_the_example(service):
    assert service.get("/health/ping").text == "pong"
    status = service.get("/health/status")
    assert status.json["data"]["ndarray"] == [[8.0]], "a replica is ready if it can predict the example"
    assert has_identity(status)


def test_metadata_list_the_columns_of_requests_and_answers(service):
    metadata = service.get("/metadata").json
    assert (metadata["name"], metadata["versions"], metadata["custom"]) == ("tiny", ["3"], {"run": tiny.RELEASE["run"]})
    assert metadata["inputs"][0]["schema"]["names"] == NAMES
    assert metadata["outputs"][0]["schema"]["names"] == ["units"]


def figure(service, start):
    lines = service.get("/metrics", service.metrics_port).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


def test_metrics_add_up_over_all_workers(service):
    good, bad, rows = 'modelstack_requests_total{code="200"', 'modelstack_requests_total{code="400"', "modelstack_rows_total"
    before = [figure(service, each) for each in (good, bad, rows)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda number: service.ask(GOOD if number % 2 else b"").status, range(100)))
    assert sorted(statuses) == [200] * 50 + [400] * 50
    after = [figure(service, each) for each in (good, bad, rows)]
    assert [now - then for now, then in zip(after, before, strict=True)] == [50, 50, 100]


def test_many_callers_at_once_get_their_own_answers(service):
    def ask(price):
        return service.ask({"data": {"names": NAMES, "ndarray": [[float(price), 0, False, "own"]]}}).json

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(200)))
    assert [answer["data"]["ndarray"] for answer in answers] == [[[10.0 - 2 * price]] for price in range(200)]


def test_a_connection_stays_open_for_the_next_request(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        for _ in range(3):
            connection.sendall(b"GET /health/ping HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while not received.endswith(b"pong"):
                received += connection.recv(4096) or pytest.fail("the connection was closed")


def test_an_answer_arrives_in_one_packet(service):
    body = json.dumps(GOOD).encode()
    head = f"POST /api/v1.0/predictions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        for count in range(1, 6):
            connection.sendall(head + body)
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536) or pytest.fail("the connection was closed")
            assert answer.startswith(b"HTTP/1.1 200 OK")
            # Linux's struct tcp_info, tcpi_data_segs_in: number of received packets with content.
            (packets,) = struct.unpack_from("I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 152)
            assert packets == count, "each answer is one packet, otherwise the router wakes up twice"


def test_the_fast_path_answers_as_seldon_core_does(service):
    fast, full = service.ask(GOOD), service.ask(GOOD, path="/api/v1.0/predictions?by=flask")
    assert (fast.status, fast.json) == (full.status, full.json)
    varying = {"Date", "Connection"}
    assert {name: value for name, value in fast.headers.items() if name not in varying} == {
        name: value for name, value in full.headers.items() if name not in varying
    }


def test_a_connection_with_an_incomplete_request_is_closed(tmp_path):
    with running(tiny.write(tmp_path)) as service:
        stalled = socket.create_connection(("127.0.0.1", service.port), timeout=30)
        with stalled:
            stalled.sendall(b"POST /api/v1.0/predictions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            assert service.ask(GOOD).status == 200, "the only worker continues to serve others"
            assert not stalled.recv(4096), "and the connection is closed"


def test_idle_connections_do_not_block_other_callers(tmp_path):
    with running(tiny.write(tmp_path)) as service, ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30)) for _ in range(3)]
        assert service.ask(GOOD).status == 200
        for connection in silent:
            connection.sendall(b"GET /health/ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200"), "an idle connection stays open, because it blocks nobody"


def test_a_killed_worker_is_replaced_and_its_counts_remain(tmp_path):
    with running(tiny.write(tmp_path)) as service:
        service.ask(GOOD)
        worker = int(service.log.read_text().rpartition("Booting worker with pid: ")[2].split()[0])
        os.kill(worker, signal.SIGKILL)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                if service.ask(GOOD).status == 200:
                    break
            except OSError:
                time.sleep(0.05)
        assert figure(service, 'modelstack_requests_total{code="200"') == 2, "counters never decrease"


FAILS_EVERY_OTHER_TIME = tiny.CODE.replace(
    "def answer(columns, prediction):", "import itertools\nCALLS = itertools.count()\n\ndef answer(columns, prediction):"
).replace('(columns["brand"] == "breaks").any()', '(columns["brand"] == "own").any() and next(CALLS) % 2')


def test_a_failed_prediction_is_not_retried(tmp_path):
    with running(tiny.write(tmp_path, code=FAILS_EVERY_OTHER_TIME)) as service:
        failures = 'modelstack_requests_total{code="500"'
        before = figure(service, failures)
        statuses = [service.ask(GOOD).status for _ in range(20)]
        assert statuses.count(500) == 10, "a failure that a retry hides is a failure that nobody notices"
        assert figure(service, failures) - before == 10


SLOW = tiny.CODE.replace(
    "    return np.column", "    import time; time.sleep(columns['stock'].max() / 10)\n    return np.column"
)


def test_on_sigterm_the_service_finishes_its_requests_and_exits_with_0(tmp_path):
    service = Microservice(tiny.write(tmp_path, code=SLOW))
    try:
        service.await_ready()
        answers = []
        slow = {"data": {"names": NAMES, "ndarray": [[2.5, 20, False, "own"]]}}
        asking = threading.Thread(target=lambda: answers.append(service.ask(slow)))
        asking.start()
        time.sleep(0.5)
        assert service.stop() == 0, "a pod that ends normally must not count as failed"
        asking.join()
        assert [answer.status for answer in answers] == [200]
    finally:
        service.stop()
    with pytest.raises(OSError, match="refused"):
        service.get("/metrics", service.metrics_port)
