"""A cluster and an MLflow in memory, and the runs in them."""

import io
import json

from clients.model_registry import ModelVersion
from common.answers import Absent, Found
from delivery.console.progress import PlainSink, Reporter
from delivery.environments.outputs import TrainingOutput
from delivery.training.records import RunRecords
from delivery.training.training_runs import TrainingRuns

JOBS = "/apis/batch/v1/namespaces/training/jobs"
PODS = "/api/v1/namespaces/training/pods"
CRON_JOB = {
    "metadata": {"name": "markdown-training", "uid": "u1"},
    "spec": {
        "suspend": True,
        "jobTemplate": {
            "metadata": {"labels": {"app": "markdown"}, "annotations": {"modelstack.dev/run-argument": "--run"}},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "spec": {
                        "containers": [
                            {
                                "name": "training",
                                "command": ["python", "-m", "workloads.run", "markdown"],
                                "env": [{"name": "MODELSTACK_DATA", "value": "/data"}],
                            }
                        ]
                    }
                },
            },
        },
    },
}
REGISTERED = {"event": "registered", "model": "markdown", "version": 3, "run": "abc"}
GOOD_RUN = [
    {"event": "step", "step": "source", "state": "started", "index": 1, "total": 2},
    {"event": "step", "step": "source", "state": "done", "seconds": 0.1},
    {"event": "metric", "name": "wape", "value": 0.4},
    REGISTERED,
]


class FakeCluster:
    """A cluster that runs each Job at once.

    The pod of a Job waits for the reasons in `waiting` in turn and then prints `lines`; the first `connections - 1` requests
    for the log return only two lines. The Job ends with the condition `condition`. If there are `events`, no pod is created.
    """

    def __init__(self, lines=(), *, condition="Complete", waiting=(), events=(), connections=1):
        self.lines = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        self.condition, self.waiting, self.events = condition, list(waiting), list(events)
        self.jobs, self.deleted, self.connections, self.ended = {}, [], connections, False

    def get(self, path):
        assert path.endswith("/cronjobs/markdown-training")
        return CRON_JOB

    def create(self, path, body):
        assert path == JOBS
        self.jobs[body["metadata"]["name"]] = body

    def delete(self, path):
        self.deleted.append(path)
        self.jobs.pop(path.rpartition("/")[2])

    def find(self, path):
        name = path.rpartition("/")[2]
        return Found(self.job(name)) if name in self.jobs else Absent()

    def job(self, name):
        conditions = [{"type": self.condition, "status": "True", "reason": "BackoffLimitExceeded"}] if self.ended else []
        return {**self.jobs[name], "status": {"conditions": conditions}}

    def items(self, path, params=None):
        if path == JOBS:
            return [self.job(name) for name in self.jobs]
        if path.endswith("/events"):
            return self.events
        state = {"waiting": self.waiting.pop(0)} if self.waiting else {"running": {}}
        created = {"name": "pod-1", "creationTimestamp": "2026-01-01T00:00:00Z"}
        return [] if self.events else [{"metadata": created, "status": {"containerStatuses": [{"state": state}]}}]

    def log(self, namespace, pod, *, follow):
        self.connections -= 1
        if self.connections > 0:
            yield from self.lines[:2]
            return
        yield from self.lines
        self.ended = True


class FakeMlflow:
    """What runs have recorded in MLflow: for every run the same, or nothing."""

    def __init__(self, registered=3, outcome="confirmed"):
        self.registered, self.outcome, self.error, self.asked = registered, outcome, None, []

    def _ask(self, name, run):
        self.asked.append((name, run))
        if self.error is not None:
            raise self.error

    def registered_by(self, name, run):
        self._ask(name, run)
        return ModelVersion(name=name, version=self.registered, run="abc") if self.registered else None

    def back_tested_by(self, name, run):
        self._ask(name, run)
        recorded = {"version": "8", "parent": "abc", "report": "sha256:1", "outcome": self.outcome}
        return recorded if self.outcome else None


def runs_in(cluster, tmp_path, version=None, *, mlflow=None, run=None):
    source = mlflow or FakeMlflow()
    output = TrainingOutput(namespace="training", cron_job="markdown-training", image="i")
    return TrainingRuns(
        workload="markdown",
        cluster=cluster,
        output=output,
        records=RunRecords(workload="markdown", connect=lambda: source, command="train markdown"),
        trainer="t@example.com",
        version=version,
        run=run,
        logs=tmp_path,
        sleep=lambda _seconds: None,
    )


def train(cluster, tmp_path, **options):
    out = io.StringIO()
    return runs_in(cluster, tmp_path, **options).train(Reporter([PlainSink(out)])), out.getvalue()
