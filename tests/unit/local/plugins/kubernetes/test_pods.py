"""Why a pod is not ready, as the Kubernetes plugin tells it."""

from __future__ import annotations

import pytest

from local.plugins.kubernetes.readiness import pods

LOG = {True: "Traceback\nValueError: no model", False: "starting"}


class Cluster:
    """Answers what the plugin asks for when a pod is not ready."""

    def __init__(self, events=()):
        self._events = [{"reason": "Unhealthy", "message": text} for text in events]

    def log(self, pod, container, lines, *, previous):
        return LOG[previous]

    def list(self, *_args, **_query):
        return self._events


def pod(state, *, ready=False, last=None):
    status = {"name": "server", "ready": ready, "restartCount": 3 if last else 0, "state": state, "lastState": last or {}}
    return {
        "metadata": {"name": "web-1", "namespace": "serving", "uid": "1"},
        "status": {
            "conditions": [{"type": "Ready", "status": "False", "message": "containers with unready status: [server]"}],
            "containerStatuses": [status],
        },
    }


CRASHED = {"terminated": {"exitCode": 1, "reason": "Error"}}


@pytest.mark.parametrize(
    "state",
    [{"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}, {"running": {}}],
    ids=["waits for its next start", "runs until it crashes again"],
)
def test_one_that_crashes_tells_its_last_words_whenever_it_is_looked_at(state):
    (told,) = pods.problems(Cluster(), pod(state, last=CRASHED))
    assert "exit code 1" in told
    assert "ValueError: no model" in told


def test_one_that_runs_and_never_got_ready_tells_what_its_probe_said_and_its_log():
    (told,) = pods.problems(Cluster(["Readiness probe failed: 503"]), pod({"running": {}}))
    assert "Readiness probe failed: 503" in told
    assert "starting" in told


def test_one_whose_image_is_missing_tells_that_and_has_no_log():
    (told,) = pods.problems(Cluster(), pod({"waiting": {"reason": "ErrImagePull", "message": "not found"}}))
    assert told.endswith("[ErrImagePull] not found")


def test_one_that_ended_tells_how():
    told = pods.problems(Cluster(), pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}))
    assert any('container "server" ended with exit code 137 (OOMKilled)' in one for one in told)
