"""The one place that shortens what commands wait for. In the product, a slow answer is waited for as long as each client says.

Timeouts are cut where every client of this process sets them, at the socket, and pauses at `time.sleep`. The executable
`container-registry` has limits of its own, which nobody can shorten from outside, so it is ended earlier.
"""

from __future__ import annotations

import socket
import time
from typing import Final

from clients import container_registry, endpoint, model_registry
from delivery.training.training_runs import TrainingRuns
from tests.faults.injector import Fault
from tests.faults.outside import engines
from tests.faults.things import REGISTRY

SLOW_SECONDS: Final = 0.75
"""The longest that a client waits for an answer where an outside thing is slow, if it waits for a limited time."""
PATIENT_SECONDS: Final = 30.0
"""The same where none is: on a busy machine, a thing that works must not be taken for one that is slow."""
EXECUTABLE_SECONDS: Final = 1.0
"""The longest that the client of a faulty container registry runs. It repeats a request for four seconds after some faults."""
PAUSE_SECONDS: Final = 0.01
"""The longest pause between two attempts."""


def hurry(monkeypatch, thing: str, fault: Fault) -> None:
    """Shortens timeouts and pauses of this process until the end of the test, for a fault of an outside thing."""
    settimeout, sleep = socket.socket.settimeout, time.sleep
    longest = SLOW_SECONDS if fault is Fault.slow else PATIENT_SECONDS
    executable = EXECUTABLE_SECONDS if thing.startswith(REGISTRY) else PATIENT_SECONDS

    def set_short_timeout(self: socket.socket, seconds: float | None) -> None:
        settimeout(self, seconds if seconds is None else min(seconds, longest))

    def sleep_shortly(seconds: float) -> None:
        sleep(min(seconds, PAUSE_SECONDS))

    monkeypatch.setattr(socket.socket, "settimeout", set_short_timeout)
    monkeypatch.setattr(time, "sleep", sleep_shortly)
    monkeypatch.setattr(container_registry, "_LOOKUP_SECONDS", executable)
    monkeypatch.setattr(container_registry._run, "__defaults__", (None, executable))
    monkeypatch.setattr(engines, "backend_seconds", longest)
    monkeypatch.setitem(model_registry.SETTINGS, "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    # These defaults were bound when their modules were imported.
    monkeypatch.setitem(endpoint.wait_for_version.__kwdefaults__, "sleep", sleep_shortly)
    monkeypatch.setitem(endpoint.wait_for_version.__kwdefaults__, "seconds", 1.0)
    monkeypatch.setitem(TrainingRuns.__init__.__kwdefaults__, "sleep", sleep_shortly)
