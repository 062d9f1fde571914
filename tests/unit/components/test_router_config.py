"""The router's configuration, by what a real NGINX makes of it."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import threading
from collections import Counter
from contextlib import ExitStack, closing

import pytest

from common.serving import MAX_BODY_BYTES, PREDICTIONS
from components.serving.router_config import Routes, Target, config, content_name, drain_command
from tests import debian
from tests.unit.components.nginx import DEADLINE, Service, eventually, free_port, router

STABLE = Target(variant="stable", address="127.0.0.1:1")
CANARY = Target(variant="canary", address="127.0.0.1:2")
SHADOW = Target(variant="shadow", address="127.0.0.1:3")


@pytest.fixture
def services():
    made = []

    def make(**kwargs):
        made.append(Service(**kwargs))
        return made[-1]

    yield make
    for each in made:
        each.shutdown()
        each.server_close()


@pytest.mark.parametrize("percent", [0, 1, 10, 99, 100])
@pytest.mark.parametrize("shadow", [None, SHADOW])
@pytest.mark.parametrize("access_log", [False, True])
def test_nginx_accepts_every_configuration_there_can_be(tmp_path, percent, shadow, access_log):
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
    assert "warn" not in checked.stderr, "a warning is a line in every router's log"


@pytest.mark.parametrize(("percent", "least", "most"), [(0, 0, 0), (10, 15, 75), (100, 400, 400)])
def test_a_canary_gets_its_share_and_none_or_all_when_that_is_its_share(tmp_path, services, percent, least, most):
    stable, canary = services(), services()
    routes = Routes(workload="markdown", stable=stable.target("stable"), canary=canary.target("canary"), canary_percent=percent)
    with router(routes, tmp_path) as nginx:
        variants = Counter(nginx.ask()[1]["X-Variant"] for _ in range(400))
    assert variants["canary"] == len(canary.asked), "the header tells who answered"
    assert variants["stable"] == len(stable.asked), "the header tells who answered"
    assert least <= len(canary.asked) <= most, f"{percent} % of 400 requests (bounds: five standard deviations)"


def test_a_shadow_gets_a_copy_of_predictions_and_its_answers_are_dropped(tmp_path, services):
    stable, shadow = services(), services(status=500)
    routes = Routes(workload="markdown", stable=stable.target("stable"), shadow=shadow.target("shadow"))
    with router(routes, tmp_path) as nginx:
        status, headers, body = nginx.ask(body=b'{"data": 1}')
        eventually(lambda: shadow.asked, "the copy arrives")
    assert (status, headers["X-Variant"]) == (200, "stable"), "a failing shadow is nobody's business"
    assert json.loads(body) == {"port": stable.server_port}
    path, _, copied = shadow.asked[0]
    assert (path, copied) == (PREDICTIONS, b'{"data": 1}'), "the copy is the request as it was"


def test_a_shadow_s_copy_has_the_id_of_the_request(tmp_path, services):
    stable, shadow = services(), services()
    routes = Routes(workload="markdown", stable=stable.target("stable"), shadow=shadow.target("shadow"))
    with router(routes, tmp_path) as nginx:
        told = [nginx.ask()[1]["X-Request-ID"] for _ in range(20)]
        eventually(lambda: len(shadow.asked) == 20, "the copies arrive")
    # Copies may overtake one another.
    asked = [sorted(headers["X-Request-ID"] for _, headers, _ in each.asked) for each in (stable, shadow)]
    assert asked == [sorted(told)] * 2, "by it the answers of both are put side by side"
    assert len(set(told)) == 20


def test_a_shadow_that_is_gone_costs_no_request(tmp_path, services):
    stable = services()
    routes = Routes(workload="markdown", stable=stable.target("stable"), shadow=SHADOW)
    with router(routes, tmp_path) as nginx:
        assert {nginx.ask()[0] for _ in range(20)} == {200}


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ((PREDICTIONS, "POST", b"1" * (MAX_BODY_BYTES + 1)), 413, f"found {MAX_BODY_BYTES + 1} bytes"),
        (("/predict", "POST", b"{}"), 404, "POST /predict: there is no such path"),
        (("/recorded", "GET", None), 404, "GET /recorded: there is no such path"),
        (("/", "GET", None), 404, PREDICTIONS),
        ((PREDICTIONS, "POST", b"{}"), 502, "no replica of variant stable can be reached"),
    ],
)
def test_what_the_router_refuses_is_answered_as_the_service_would(tmp_path, asked, status, words):
    path, method, body = asked
    with router(Routes(workload="markdown", stable=STABLE), tmp_path) as nginx:
        answered, headers, answer = nginx.ask(path, body, method)
    assert answered == status
    assert headers["Content-Type"] == "application/json", "a client reads one format only"
    message = json.loads(answer)
    assert words in message["status"]["info"], "the message says what to do"
    assert message["status"]["code"] == status
    assert message["meta"]["tags"] == {"workload": "markdown"}


def test_a_body_of_the_largest_size_passes(tmp_path, services):
    stable = services()
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        assert nginx.ask(body=b"1" * MAX_BODY_BYTES)[0] == 200


def test_a_connection_that_breaks_is_no_error_of_the_caller(tmp_path, services):
    stable = services(drop_first=1)
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        assert nginx.ask()[0] == 200, "a pod that leaves closes connections under requests; a prediction can be asked for again"
    assert len(stable.asked) == 2


def test_a_variant_that_breaks_every_connection_is_asked_twice_and_no_more(tmp_path, services):
    stable = services(drop_first=1000)
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        assert nginx.ask()[0] == 502
    assert len(stable.asked) == 2, "retries without end would bring down what is left"


def test_the_request_s_id_reaches_service_and_caller(tmp_path, services):
    stable = services()
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        _, headers, _ = nginx.ask()
    assert stable.asked[0][1]["X-Request-ID"] == headers["X-Request-ID"]


def test_a_router_told_to_stop_finishes_its_requests(tmp_path, services):
    stable = services(delay=1.0)
    answers = []
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        asking = threading.Thread(target=lambda: answers.append(nginx.ask()[0]))
        asking.start()
        eventually(lambda: stable.asked, "the request is under way")
        nginx.process.send_signal(signal.SIGQUIT)  # the image's stop signal
        asking.join()
        assert nginx.process.wait(DEADLINE) == 0
    assert answers == [200]


def test_each_line_of_the_access_log_is_json(tmp_path, services):
    stable = services()
    with router(Routes(workload="markdown", stable=stable.target("stable"), access_log=True), tmp_path) as nginx:
        nginx.ask()
        nginx.ask('/"quoted"', method="GET")
        nginx.ask("/healthz", method="GET")
        eventually(lambda: nginx.log.read_text().count("\n") >= 2, "lines arrive")
        lines = [json.loads(line) for line in nginx.log.read_text().splitlines() if line.startswith("{")]
    assert [(line["path"], line["status"]) for line in lines] == [(PREDICTIONS, 200), ('/"quoted"', 404)], "probes are no news"
    assert lines[0]["variant"] == "stable"


def test_another_configuration_has_another_name():
    one, other = (config(Routes(workload="markdown", stable=STABLE, canary=CANARY, canary_percent=each)) for each in (10, 20))
    assert content_name("router", one) == content_name("router", one)
    assert content_name("router", one) != content_name("router", other), "the pods that mount it have to be rolled"


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_share_that_is_none_is_refused(percent):
    with pytest.raises(ValueError, match=f"canary_percent is {percent}, but must be"):
        Routes(workload="markdown", stable=STABLE, canary=CANARY, canary_percent=percent)


def test_a_share_for_nobody_is_refused():
    with pytest.raises(ValueError, match="there is no canary"):
        Routes(workload="markdown", stable=STABLE, canary_percent=10)


def test_a_router_that_is_to_leave_sends_its_callers_away_before_it_closes_a_connection(services, tmp_path):
    """Whoever sends on a kept connection while it is closed loses the request, and may not repeat a POST by itself."""
    stable, shadow = services(), services()
    routes = Routes(workload="markdown", stable=stable.target("stable"), shadow=shadow.target("shadow"))
    with router(routes, tmp_path) as nginx, ExitStack() as stack:
        connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=DEADLINE)
        stack.callback(connection.close)
        for _ in range(2):
            connection.request("POST", PREDICTIONS, b"{}", {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        assert not answer.will_close, "connections are kept"
        subprocess.run(drain_command(str(tmp_path), seconds=0), check=True)
        connection.request("POST", PREDICTIONS, b'{"rows": 1}', {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (200, {"port": stable.server_port}), "it answers as before"
        assert answer.will_close, "and says that it was the last time"
        assert {name: answer.headers[name] for name in ("X-Variant",)} == {"X-Variant": "stable"}
        eventually(lambda: len(shadow.asked) == 3, "the shadow is asked as before")
        assert [asked[2] for asked in (stable.asked[-1], shadow.asked[-1])] == [b'{"rows": 1}'] * 2
        assert {asked[0] for asked in (*stable.asked, *shadow.asked)} == {PREDICTIONS}
        assert nginx.ask("/leaving")[0] == 404, "only the router itself goes there"


def test_leaving_under_load_loses_no_request(services, tmp_path):
    stable = services()
    with router(Routes(workload="markdown", stable=stable.target("stable")), tmp_path) as nginx:
        told, opening, answers, lost = threading.Event(), threading.Lock(), Counter(), []

        def ask(connection):
            try:
                connection.request("POST", PREDICTIONS, b"{}", {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                answers[answer.status] += 1
            except (OSError, http.client.HTTPException) as error:
                lost.append(error)

        def client():
            with closing(http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=DEADLINE)) as connection:
                while not lost:
                    if connection.sock:
                        ask(connection)
                        continue
                    with opening:
                        if told.is_set():
                            return  # new connections would go to another router
                        ask(connection)

        clients = [threading.Thread(target=client) for _ in range(4)]
        for each in clients:
            each.start()
        eventually(lambda: answers[200] > 50, "load is there")
        subprocess.run(drain_command(str(tmp_path), seconds=1), check=True)
        with opening:
            told.set()
        nginx.process.send_signal(signal.SIGQUIT)
        for each in clients:
            each.join()
        assert (set(answers), lost) == ({200}, [])
