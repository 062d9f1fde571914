"""The lock that lets only one process at a time do some work."""

from __future__ import annotations

import threading
from contextlib import nullcontext

from local.turns import one_at_a_time


class RecordingProgress:
    """Progress that records the names of steps."""

    def __init__(self):
        self.steps = []

    def step(self, name):
        self.steps.append(name)
        return nullcontext()


def test_without_competition_no_waiting_is_shown(tmp_path):
    progress = RecordingProgress()
    with one_at_a_time(tmp_path / "new" / "lock", "wait", progress):
        pass
    assert progress.steps == []


def test_a_second_holder_waits_and_shows_it(tmp_path):
    progress, entered = RecordingProgress(), threading.Event()

    def second():
        with one_at_a_time(tmp_path / "lock", "wait", progress):
            entered.set()

    with one_at_a_time(tmp_path / "lock", "wait", RecordingProgress()):
        other = threading.Thread(target=second)
        other.start()
        assert not entered.wait(0.2), "one at a time"
    other.join(10)
    assert entered.is_set()
    assert progress.steps == ["wait"]
