"""A replica ends while its endpoint gets requests: the router before two real microservices, one of which is stopped."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import contextmanager

from components.serving.router_config import Routes, Target, config
from tests import debian
from tests.serving import tiny
from tests.serving.microservice import ask, free_ports, running

CALLERS = 4
MIN_ANSWERS = 200
"""Answers before and after one of the two is told to stop."""
GOOD = {"data": {"names": ["price", "stock", "deal", "brand"], "ndarray": [[2.5, 3, False, "own"]]}}


@contextmanager
def router(folder, one, other):
    """Runs NGINX with both replicas behind one name, as behind a Service."""
    (port,) = free_ports(1)
    stable = Target(variant="stable", address=f"127.0.0.1:{one.port}")
    text = config(Routes(workload="tiny", stable=stable), port=port, scratch=str(folder))
    server = f"server 127.0.0.1:{one.port} max_fails=0;"
    assert text.count(server) == 2, "a retry needs a second server"
    first, second, rest = text.split(server)
    file = folder / "nginx.conf"
    file.write_text(f"{first}{server}{second}{server.replace(str(one.port), str(other.port))}{rest}")
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(
            [debian.program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(file), "-g", "daemon off;"],
            stdout=log,
            stderr=log,
        )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


def await_answer(port):
    for _ in range(200):
        try:
            if ask(port, GOOD).status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the router does not answer")


def test_no_request_fails_when_a_replica_ends(tmp_path):
    answers = []
    finished = threading.Event()

    def await_answers(count):
        deadline = time.monotonic() + 60
        while len(answers) < count:
            assert time.monotonic() < deadline, f"{len(answers)} answers within a minute"
            time.sleep(0.01)

    def call(port):
        while not finished.is_set():
            answers.append(ask(port, GOOD))

    folders = [tmp_path / name for name in ("one", "other", "router")]
    for folder in folders:
        folder.mkdir()
    with (
        running(tiny.write(folders[0])) as one,
        running(tiny.write(folders[1])) as other,
        router(folders[2], one, other) as port,
    ):
        await_answer(port)
        callers = [threading.Thread(target=call, args=(port,)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        await_answers(MIN_ANSWERS)
        before = len(answers)
        assert one.stop() == 0
        await_answers(len(answers) + MIN_ANSWERS)
        finished.set()
        for caller in callers:
            caller.join()
    failed = [(answer.status, answer.text) for answer in answers if answer.status != 200]
    assert not failed, f"{len(failed)} of {len(answers)} requests failed, first {failed[:1]}"
    assert len(answers) > before > 0, "there must be requests before and after the replica ends"
