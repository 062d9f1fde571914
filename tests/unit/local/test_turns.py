"""Two processes that want to do the same thing."""

from __future__ import annotations

import threading
from contextlib import nullcontext

from local.turns import one_at_a_time


class Progress:
    """Keeps the names of steps."""

    def __init__(self):
        self.steps = []

    def step(self, name):
        self.steps.append(name)
        return nullcontext()


def test_the_first_does_not_speak_of_waiting(tmp_path):
    progress = Progress()
    with one_at_a_time(tmp_path / "new" / "lock", "wait", progress):
        pass
    assert progress.steps == []


def test_the_second_waits_and_says_so(tmp_path):
    progress, got = Progress(), threading.Event()

    def second():
        with one_at_a_time(tmp_path / "lock", "wait", progress):
            got.set()

    with one_at_a_time(tmp_path / "lock", "wait", Progress()):
        other = threading.Thread(target=second)
        other.start()
        assert not got.wait(0.2), "one at a time"
    other.join(10)
    assert got.is_set()
    assert progress.steps == ["wait"]
